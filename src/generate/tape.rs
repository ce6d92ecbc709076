//! Values of a forward pass and how their gradients flow back: matrices on flat arrays and the few operations that a graph
//! autoencoder needs, those of its recurrent units fused. Losses stand outside: whoever computes one hands its gradient to
//! [`Tape::backward`]. On candle's tape every gate would be a tensor of its own.

use std::sync::Arc;

use super::attention::{self, Heads, Reading};
use super::weights::Block;
use crate::nn::kernels::matrix::{Matrix, multiply};
use crate::nn::kernels::recurrent;

/// A value on the tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(usize);

/// Where a row comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Value(Id),
    Weights(Block),
}

/// Rows (to, from): row `from` of a source is added to row `to` of the result.
pub(super) type Links = Arc<[(u32, u32)]>;

enum Op {
    Leaf,
    Gather {
        terms: Vec<(Source, Links)>,
    },
    Linear {
        input: Id,
        map: Block,
        bias: Option<Block>,
        onto: Option<Id>,
    },
    Relu {
        input: Id,
    },
    Tanh {
        input: Id,
    },
    /// The second half of the columns times the sigmoid of the first.
    Gated {
        input: Id,
        gates: Vec<f32>,
    },
    /// A gated recurrent unit.
    Unit {
        input: Id,
        own: Id,
        state: Id,
        gates: Vec<f32>,
    },
    /// Queries and what they hear of keys and values, (rows, width).
    Attend {
        size: Heads,
        readings: Arc<[Reading]>,
        of: [Id; 3],
        shares: Vec<f32>,
    },
    /// Columns side by side, each part so many rows from a first one on.
    Beside {
        parts: Vec<(Id, usize)>,
    },
    /// `mean + scale * noise * exp(log_variance / 2)`.
    Perturb {
        mean: Id,
        log_variance: Id,
        noise: Vec<f32>,
        scale: f32,
    },
}

struct Value {
    rows: usize,
    columns: usize,
    data: Vec<f32>,
    op: Op,
}

/// A forward pass.
pub(super) struct Tape<'w> {
    weights: &'w [f32],
    values: Vec<Value>,
}

/// Gradients of a backward pass.
pub(super) struct Gradients {
    of_values: Vec<Vec<f32>>,
    pub of_weights: Vec<f32>,
}

impl Gradients {
    /// Of a leaf or any other value; empty if nothing reached it.
    pub fn of(&self, id: Id) -> &[f32] {
        &self.of_values[id.0]
    }
}

impl<'w> Tape<'w> {
    pub fn new(weights: &'w [f32]) -> Self {
        Tape { weights, values: Vec::new() }
    }

    pub fn data(&self, id: Id) -> &[f32] {
        &self.values[id.0].data
    }

    fn push(&mut self, rows: usize, columns: usize, data: Vec<f32>, op: Op) -> Id {
        debug_assert_eq!(data.len(), rows * columns);
        self.values.push(Value { rows, columns, data, op });
        Id(self.values.len() - 1)
    }

    fn shape(&self, id: Id) -> (usize, usize) {
        (self.values[id.0].rows, self.values[id.0].columns)
    }

    /// A given value.
    pub fn leaf(&mut self, columns: usize, data: Vec<f32>) -> Id {
        self.push(data.len() / columns, columns, data, Op::Leaf)
    }

    /// (rows, columns): each row the sum of the rows that the terms link to it.
    pub fn gather(&mut self, rows: usize, columns: usize, terms: Vec<(Source, Links)>) -> Id {
        let mut data = vec![0.0; rows * columns];
        for (source, links) in &terms {
            let source = match source {
                Source::Value(id) => self.data(*id),
                Source::Weights(block) => block.of(self.weights),
            };
            for (to, from) in links.iter() {
                let from = &source[*from as usize * columns..][..columns];
                let to = &mut data[*to as usize * columns..][..columns];
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        }
        self.push(rows, columns, data, Op::Gather { terms })
    }

    /// `onto + input · map + bias`, (rows, columns of the map).
    pub fn linear(&mut self, input: Id, map: Block, bias: Option<Block>, onto: Option<Id>) -> Id {
        let (rows, inputs) = self.shape(input);
        assert_eq!(inputs, map.rows, "a map of as many inputs");
        let mut data = match onto {
            Some(id) => self.data(id).to_vec(),
            None => vec![0.0; rows * map.columns],
        };
        if let Some(bias) = bias {
            let bias = bias.of(self.weights);
            data.chunks_exact_mut(map.columns).for_each(|row| row.iter_mut().zip(bias).for_each(|(x, b)| *x += b));
        }
        let left = (Matrix::new(rows, inputs), self.data(input));
        let right = (Matrix::new(inputs, map.columns), map.of(self.weights));
        multiply(left, right, true, (Matrix::new(rows, map.columns), &mut data));
        self.push(rows, map.columns, data, Op::Linear { input, map, bias, onto })
    }

    pub fn relu(&mut self, input: Id) -> Id {
        let (rows, columns) = self.shape(input);
        let data = self.data(input).iter().map(|x| x.max(0.0)).collect();
        self.push(rows, columns, data, Op::Relu { input })
    }

    pub fn tanh(&mut self, input: Id) -> Id {
        let (rows, columns) = self.shape(input);
        let mut data = vec![0.0; rows * columns];
        recurrent::tanh(self.data(input), &mut data);
        self.push(rows, columns, data, Op::Tanh { input })
    }

    /// (rows, 2 · width) to (rows, width).
    pub fn gated(&mut self, input: Id) -> Id {
        let (rows, columns) = self.shape(input);
        let width = columns / 2;
        let (mut gates, mut data) = (vec![0.0; rows * width], vec![0.0; rows * width]);
        recurrent::gated(width, self.data(input), &mut gates, &mut data);
        self.push(rows, width, data, Op::Gated { input, gates })
    }

    /// The next states, (rows, width), of `input` and `own` (rows, 3 · width) and the states.
    pub fn unit(&mut self, input: Id, own: Id, state: Id) -> Id {
        let (rows, width) = self.shape(state);
        let (mut gates, mut data) = (vec![0.0; 3 * rows * width], vec![0.0; rows * width]);
        recurrent::unit(width, self.data(input), self.data(own), self.data(state), &mut gates, &mut data);
        self.push(rows, width, data, Op::Unit { input, own, state, gates })
    }

    /// Queries plus what they hear: see [`attention::attend`]. `of` are queries, keys and values.
    pub fn attend(&mut self, size: Heads, readings: &Arc<[Reading]>, of: [Id; 3]) -> Id {
        let [q, k, v] = of.map(|id| self.data(id));
        let (data, shares) = attention::attend(size, readings, q, k, v);
        self.push(
            data.len() / size.width,
            size.width,
            data,
            Op::Attend { size, readings: readings.clone(), of, shares },
        )
    }

    /// Parts of `rows` rows, each from its first row on, side by side.
    pub fn beside(&mut self, rows: usize, parts: Vec<(Id, usize)>) -> Id {
        let columns: usize = parts.iter().map(|(id, _)| self.shape(*id).1).sum();
        let mut data = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            for (id, first) in &parts {
                let width = self.shape(*id).1;
                data.extend_from_slice(&self.data(*id)[(first + row) * width..][..width]);
            }
        }
        self.push(rows, columns, data, Op::Beside { parts })
    }

    pub fn perturb(&mut self, mean: Id, log_variance: Id, noise: Vec<f32>, scale: f32) -> Id {
        let (rows, columns) = self.shape(mean);
        let spread = self.data(log_variance).iter().zip(&noise).map(|(v, n)| scale * n * (v / 2.0).exp());
        let data = self.data(mean).iter().zip(spread).map(|(mean, spread)| mean + spread).collect();
        self.push(rows, columns, data, Op::Perturb { mean, log_variance, noise, scale })
    }

    /// Gradients of a loss by everything, from its gradients by some values.
    pub fn backward(&self, seeds: Vec<(Id, Vec<f32>)>) -> Gradients {
        let mut gradients =
            Gradients { of_values: vec![Vec::new(); self.values.len()], of_weights: vec![0.0; self.weights.len()] };
        for (id, seed) in seeds {
            let sum = self.slot(&mut gradients.of_values, id);
            sum.iter_mut().zip(seed).for_each(|(sum, seed)| *sum += seed);
        }
        for at in (0..self.values.len()).rev() {
            if !gradients.of_values[at].is_empty() && !matches!(self.values[at].op, Op::Leaf) {
                let gradient = std::mem::take(&mut gradients.of_values[at]);
                self.pass_on(&self.values[at], &gradient, &mut gradients);
                gradients.of_values[at] = gradient;
            }
        }
        gradients
    }

    /// The gradient of a value, made if it is not there yet.
    fn slot<'g>(&self, of_values: &'g mut [Vec<f32>], id: Id) -> &'g mut [f32] {
        let slot = &mut of_values[id.0];
        if slot.is_empty() {
            slot.resize(self.values[id.0].data.len(), 0.0);
        }
        slot
    }

    /// The same out of its place, so that several can be written at once.
    fn take(&self, of_values: &mut [Vec<f32>], id: Id) -> Vec<f32> {
        self.slot(of_values, id);
        std::mem::take(&mut of_values[id.0])
    }

    fn pass_on(&self, value: &Value, gradient: &[f32], gradients: &mut Gradients) {
        let Gradients { of_values, of_weights } = gradients;
        match &value.op {
            Op::Leaf => {}
            Op::Gather { terms } => {
                for (source, links) in terms {
                    let sums = match source {
                        Source::Value(id) => self.slot(of_values, *id),
                        Source::Weights(block) => block.of_mut(of_weights),
                    };
                    let columns = value.columns;
                    for (to, from) in links.iter() {
                        let to = &gradient[*to as usize * columns..][..columns];
                        let from = &mut sums[*from as usize * columns..][..columns];
                        from.iter_mut().zip(to).for_each(|(from, to)| *from += to);
                    }
                }
            }
            Op::Linear { input, map, bias, onto } => {
                let (rows, inputs) = self.shape(*input);
                let (by_output, of_input) = (Matrix::new(rows, map.columns), Matrix::new(rows, inputs));
                let of_map = Matrix::new(inputs, map.columns);
                let right = (of_map.transposed(), map.of(self.weights));
                multiply((by_output, gradient), right, true, (of_input, self.slot(of_values, *input)));
                let left = (of_input.transposed(), self.data(*input));
                multiply(left, (by_output, gradient), true, (of_map, map.of_mut(of_weights)));
                if let Some(bias) = bias {
                    let sum = bias.of_mut(of_weights);
                    gradient.chunks_exact(map.columns).for_each(|row| add(sum, row));
                }
                if let Some(onto) = onto {
                    add(self.slot(of_values, *onto), gradient);
                }
            }
            Op::Relu { input } => {
                let sums = self.slot(of_values, *input).iter_mut();
                sums.zip(gradient).zip(&value.data).for_each(|((s, g), y)| *s += if *y > 0.0 { *g } else { 0.0 });
            }
            Op::Tanh { input } => {
                let sums = self.slot(of_values, *input).iter_mut();
                sums.zip(gradient).zip(&value.data).for_each(|((s, g), y)| *s += g * (1.0 - y * y));
            }
            Op::Gated { input, gates } => {
                let sums = self.slot(of_values, *input);
                recurrent::gated_backward(value.columns, self.data(*input), gates, gradient, sums);
            }
            Op::Attend { size, readings, of, shares } => {
                let [mut to_q, mut to_k, mut to_v] = of.map(|id| self.take(of_values, id));
                let [q, k, v] = of.map(|id| self.data(id));
                let sums = (to_q.as_mut_slice(), to_k.as_mut_slice(), to_v.as_mut_slice());
                attention::attend_backward(*size, readings, (q, k, v, shares), gradient, sums);
                for (id, sums) in of.iter().zip([to_q, to_k, to_v]) {
                    of_values[id.0] = sums;
                }
            }
            Op::Unit { input, own, state, gates } => {
                let [mut to_input, mut to_own, mut to_state] = [input, own, state].map(|id| self.take(of_values, *id));
                recurrent::unit_backward(
                    value.columns,
                    (self.data(*own), self.data(*state), gates),
                    gradient,
                    (&mut to_input, &mut to_own, &mut to_state),
                );
                for (id, sums) in [(input, to_input), (own, to_own), (state, to_state)] {
                    of_values[id.0] = sums;
                }
            }
            Op::Beside { parts } => {
                let mut before = 0;
                for (id, first) in parts {
                    let width = self.shape(*id).1;
                    let sums = &mut self.slot(of_values, *id)[first * width..];
                    for (sum, row) in sums.chunks_exact_mut(width).zip(gradient.chunks_exact(value.columns)) {
                        add(sum, &row[before..before + width]);
                    }
                    before += width;
                }
            }
            Op::Perturb { mean, log_variance, noise, scale } => {
                add(self.slot(of_values, *mean), gradient);
                let variances = self.data(*log_variance);
                let sums = self.slot(of_values, *log_variance).iter_mut();
                for (((sum, g), n), v) in sums.zip(gradient).zip(noise).zip(variances) {
                    *sum += g * scale * n * (v / 2.0).exp() / 2.0;
                }
            }
        }
    }
}

fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::super::weights::WeightLayout;
    use super::*;
    use crate::seed;

    struct Blocks {
        map: Block,
        bias: Block,
        table: Block,
        to_gates: Block,
        back: Block,
    }

    /// A pass through every operation; the result is a row of numbers for each of three rows.
    fn pass(tape: &mut Tape, blocks: &Blocks, leaf: &[f32]) -> (Id, Id) {
        let input = tape.leaf(4, leaf.to_vec());
        let links = |pairs: &[(u32, u32)]| Links::from(pairs);
        let mixed = tape.gather(
            3,
            4,
            vec![
                (Source::Value(input), links(&[(0, 1), (1, 0), (1, 2), (2, 2)])),
                (Source::Weights(blocks.table), links(&[(0, 0), (2, 1)])),
            ],
        );
        let gates = tape.linear(mixed, blocks.to_gates, None, None);
        let own = tape.linear(input, blocks.to_gates, None, Some(gates));
        let state = tape.unit(gates, own, mixed);
        let messages = tape.linear(state, blocks.map, Some(blocks.bias), None);
        let heard = tape.gated(messages);
        let bent = tape.tanh(heard);
        let cut = tape.relu(heard);
        let readings: Arc<[Reading]> = Reading::of_themselves(&[2, 1]).into();
        let looked = tape.attend(Heads { width: 4, heads: 2 }, &readings, [bent, cut, mixed]);
        let wide = tape.beside(3, vec![(looked, 0), (cut, 0)]);
        let narrow = tape.linear(wide, blocks.back, None, None);
        let noise: Vec<f32> = (0..12).map(|i| (i as f32 - 5.0) / 7.0).collect();
        (input, tape.perturb(narrow, state, noise, 0.3))
    }

    #[test]
    fn gradients_are_the_slopes_of_every_operation() {
        let mut layout = WeightLayout::default();
        let blocks = Blocks {
            map: layout.map("map", 4, 8),
            bias: layout.bias("bias", 8),
            table: layout.table("table", 2, 4),
            to_gates: layout.map("to_gates", 4, 12),
            back: layout.map("back", 8, 4),
        };
        let mut rng = seed::stream(1, "test", 0);
        let mut weights = layout.random(&mut rng);
        blocks.bias.of_mut(&mut weights).iter_mut().for_each(|b| *b = rng.random_range(-0.5..0.5));
        let mut leaf: Vec<f32> = (0..12).map(|_| rng.random_range(-1.0..1.0)).collect();
        let shares: Vec<f32> = (0..12).map(|_| rng.random_range(-1.0..1.0)).collect();
        let loss = |weights: &[f32], leaf: &[f32]| -> f64 {
            let mut tape = Tape::new(weights);
            let (_, output) = pass(&mut tape, &blocks, leaf);
            tape.data(output).iter().zip(&shares).map(|(x, s)| f64::from(*x) * f64::from(*s)).sum()
        };
        let (by_leaf, by_weights) = {
            let mut tape = Tape::new(&weights);
            let (input, output) = pass(&mut tape, &blocks, &leaf);
            let gradients = tape.backward(vec![(output, shares.clone())]);
            (gradients.of(input).to_vec(), gradients.of_weights)
        };
        const STEP: f32 = 2e-3;
        for at in 0..weights.len() {
            let before = weights[at];
            weights[at] = before + STEP;
            let up = loss(&weights, &leaf);
            weights[at] = before - STEP;
            let slope = (up - loss(&weights, &leaf)) / (2.0 * f64::from(STEP));
            weights[at] = before;
            assert!((slope - f64::from(by_weights[at])).abs() < 2e-3, "weight {at}: {slope} {}", by_weights[at]);
        }
        for at in 0..leaf.len() {
            let before = leaf[at];
            leaf[at] = before + STEP;
            let up = loss(&weights, &leaf);
            leaf[at] = before - STEP;
            let slope = (up - loss(&weights, &leaf)) / (2.0 * f64::from(STEP));
            leaf[at] = before;
            assert!((slope - f64::from(by_leaf[at])).abs() < 2e-3, "input {at}: {slope} {}", by_leaf[at]);
        }
    }
}
