//! The graph convolutional predictor of Wen et al., "Neural Predictor for Neural Architecture Search" (2019), on flat arrays
//! with its own backward pass: `V' = ½ ReLU(Ā V W⁺) + ½ ReLU(Āᵀ V W⁻)` three times at width 144, the mean over a graph's
//! nodes, 128 units, one output.
//!
//! A step cuts its graphs into pieces that are computed whole, forward and backward, each on one thread; sums over pieces run
//! in their order, so results do not depend on threads.

use std::collections::HashMap;
use std::ops::Range;

use rand::Rng;
use rayon::prelude::*;

use crate::nn::kernels::adamw;
use crate::nn::kernels::matrix::{Matrix, multiply};
use crate::nn::kernels::messages::{self, Columns, Links};
use crate::space::Dag;

/// Values of a node after each convolution.
const WIDTH: usize = 144;
/// Columns of a convolution's product: one half for each direction.
const BOTH: usize = 2 * WIDTH;
/// Units between the mean over nodes and the output.
const HIDDEN: usize = 128;
/// Convolutions.
const LAYERS: usize = 3;
/// Graphs of a piece of a training step at least: fewer make the products too small.
const FEWEST_TOGETHER: usize = 16;
/// Pieces of a training step at most.
const PIECES: usize = 8;
/// Graphs that are scored together: their values fit into the second level cache.
const SCORED_TOGETHER: usize = 32;
/// Most graphs that one task scores, which share what they have in common.
const SCORED_BY_A_TASK: usize = 1024;
/// Tasks of a large enough number of graphs at least.
const FEWEST_TASKS: usize = 4;

/// Some graphs, node after node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graphs {
    kinds: Vec<u8>,
    /// First node of each graph, and the end.
    first: Vec<usize>,
    /// Row-normalised adjacency with self-loops, and its transpose's.
    directions: [Links; 2],
}

impl Graphs {
    /// Graphs as the network sees them: along the edges and against them.
    pub(super) fn of(dags: &[&Dag]) -> Graphs {
        let mut graphs = Graphs { kinds: Vec::new(), first: vec![0], directions: Default::default() };
        graphs.directions.iter_mut().for_each(|links| links.first.push(0));
        for dag in dags {
            let start = graphs.kinds.len() as u32;
            graphs.kinds.extend(&dag.kinds);
            graphs.first.push(graphs.kinds.len());
            for (links, against) in graphs.directions.iter_mut().zip([false, true]) {
                for node in 0..dag.len() {
                    let heard = dag.edges.iter().filter_map(|(from, to)| match against {
                        false => (*from == node).then_some(*to),
                        true => (*to == node).then_some(*from),
                    });
                    let before = links.from.len();
                    links.from.push(start + node as u32);
                    links.from.extend(heard.map(|other| start + other as u32));
                    let count = links.from.len() - before;
                    links.weight.resize(links.from.len(), 1.0 / count as f32);
                    links.first.push(links.from.len() as u32);
                }
            }
        }
        graphs
    }

    fn len(&self) -> usize {
        self.first.len() - 1
    }

    fn nodes(&self) -> usize {
        self.kinds.len()
    }

    /// For each node the class of those of its kind that hear the same kinds, and a node of each class not `known` before.
    fn classes(&self, known: &mut HashMap<Box<[u8]>, u32>) -> (Vec<u32>, Vec<usize>) {
        let (mut classes, mut new, mut key) = (Vec::with_capacity(self.nodes()), Vec::new(), Vec::new());
        for node in 0..self.nodes() {
            key.clear();
            key.push(self.kinds[node]);
            for links in &self.directions {
                let heard = &links.from[links.first[node] as usize..links.first[node + 1] as usize];
                key.push(heard.len() as u8);
                let start = key.len();
                key.extend(heard.iter().map(|other| self.kinds[*other as usize]));
                key[start..].sort_unstable();
            }
            let class = known.get(key.as_slice()).copied().unwrap_or_else(|| {
                let class = known.len() as u32;
                known.insert(key.as_slice().into(), class);
                new.push(node);
                class
            });
            classes.push(class);
        }
        (classes, new)
    }
}

/// The network: all weights, one after another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gcn {
    kinds: usize,
    weights: Vec<f32>,
}

/// What training remembers between steps.
pub(super) struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: u32,
}

/// A step of AdamW.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StepSize {
    pub(super) learning_rate: f32,
    pub(super) weight_decay: f32,
}

/// What scoring works with.
#[derive(Default)]
struct Buffers {
    /// (nodes, both directions).
    sent: Vec<f32>,
    /// (nodes, width).
    values: Vec<f32>,
    /// Classes of nodes after the first convolution, by their descriptions.
    known: HashMap<Box<[u8]>, u32>,
    /// What the classes send in the second convolution, (classes, both directions).
    of_classes: Vec<f32>,
    /// (both directions).
    row: Vec<f32>,
}

/// Values of a forward pass over some graphs.
struct Pass {
    /// Input of each convolution, (nodes, inputs); the first is one-hot and not kept.
    inputs: Vec<Vec<f32>>,
    /// What each convolution's nodes received, (nodes, both directions).
    received: Vec<Vec<f32>>,
    /// Means over the nodes of each graph, (graphs, width).
    means: Vec<f32>,
    /// (graphs, hidden).
    hidden: Vec<f32>,
    outputs: Vec<f32>,
}

impl Gcn {
    /// Glorot's uniform start (2010), no biases, as the published reproduction has it.
    pub(super) fn random(kinds: usize, rng: &mut impl Rng) -> Gcn {
        let mut gcn = Gcn { kinds, weights: Vec::new() };
        let shapes = (0..LAYERS).flat_map(|layer| [(gcn.inputs(layer), WIDTH); 2]);
        let shapes: Vec<(usize, usize)> = shapes.chain([(WIDTH, HIDDEN), (HIDDEN, 1)]).collect();
        gcn.weights = shapes
            .into_iter()
            .flat_map(|(inputs, outputs)| {
                let bound = (6.0 / (inputs + outputs) as f32).sqrt();
                (0..inputs * outputs).map(|_| rng.random_range(-bound..bound)).collect::<Vec<f32>>()
            })
            .collect();
        gcn
    }

    fn inputs(&self, layer: usize) -> usize {
        if layer == 0 { self.kinds } else { WIDTH }
    }

    /// Where the weights (inputs, both directions) of a convolution lie; after the last, those of the hidden units.
    fn layer(&self, layer: usize) -> Range<usize> {
        let start = (0..layer).map(|l| self.inputs(l) * BOTH).sum();
        let len = if layer < LAYERS { self.inputs(layer) * BOTH } else { WIDTH * HIDDEN };
        start..start + len
    }

    fn hidden(&self) -> Range<usize> {
        self.layer(LAYERS)
    }

    fn output(&self) -> Range<usize> {
        self.hidden().end..self.hidden().end + HIDDEN
    }

    /// One output for each graph.
    pub(super) fn apply(&self, dags: &[&Dag]) -> Vec<f32> {
        let task = dags.len().div_ceil(FEWEST_TASKS).clamp(SCORED_TOGETHER, SCORED_BY_A_TASK);
        let score = |dags: &[&Dag]| -> Vec<f32> {
            let mut buffers = Buffers::default();
            dags.chunks(SCORED_TOGETHER).flat_map(|dags| self.score(&Graphs::of(dags), &mut buffers)).collect()
        };
        dags.par_chunks(task).map(score).collect::<Vec<Vec<f32>>>().concat()
    }

    /// The outputs of [`Gcn::forward`], which keeps what the backward pass needs. After the first convolution, nodes of
    /// one kind that hear the same kinds are equal: only one of them goes into the next product.
    fn score(&self, graphs: &Graphs, buffers: &mut Buffers) -> Vec<f32> {
        let (nodes, count) = (graphs.nodes(), graphs.len());
        let Buffers { sent, values, known, of_classes, row } = buffers;
        values.resize(nodes * WIDTH, 0.0);
        row.resize(BOTH, 0.0);
        let kinds: Vec<u32> = graphs.kinds.iter().map(|kind| u32::from(*kind)).collect();
        messages::hear(&graphs.directions, &kinds, WIDTH, &self.weights[self.layer(0)], row, values);
        let (classes, new) = graphs.classes(known);
        let distinct: Vec<f32> = new.iter().flat_map(|node| &values[node * WIDTH..][..WIDTH]).copied().collect();
        self.send(1, &distinct, sent);
        of_classes.extend_from_slice(sent);
        messages::hear(&graphs.directions, &classes, WIDTH, of_classes, row, values);
        let themselves: Vec<u32> = (0..nodes as u32).collect();
        for layer in 2..LAYERS {
            self.send(layer, values, sent);
            messages::hear(&graphs.directions, &themselves, WIDTH, sent, row, values);
        }
        let mut outputs = vec![0.0; count];
        let (means, reading) = (means_of_graphs(graphs, values), (Matrix::new(WIDTH, 1), self.reading()));
        let left = (Matrix::new(count, WIDTH), means.as_slice());
        multiply(left, (reading.0, &reading.1), false, (Matrix::new(count, 1), &mut outputs));
        outputs
    }

    /// `sent` (rows, both directions): `values` (rows, width) times the weights of a convolution after the first.
    fn send(&self, layer: usize, values: &[f32], sent: &mut Vec<f32>) {
        let rows = values.len() / WIDTH;
        sent.resize(rows * BOTH, 0.0);
        let weights = (Matrix::new(WIDTH, BOTH), &self.weights[self.layer(layer)]);
        multiply((Matrix::new(rows, WIDTH), values), weights, false, (Matrix::new(rows, BOTH), sent));
    }

    /// The two linear maps from the means to the output as one.
    fn reading(&self) -> Vec<f32> {
        let hidden = (Matrix::new(WIDTH, HIDDEN), &self.weights[self.hidden()]);
        let output = (Matrix::new(HIDDEN, 1), &self.weights[self.output()]);
        let mut reading = vec![0.0; WIDTH];
        multiply(hidden, output, false, (Matrix::new(WIDTH, 1), &mut reading));
        reading
    }

    fn forward(&self, graphs: &Graphs) -> Pass {
        let nodes = graphs.nodes();
        let (mut inputs, mut received) = (Vec::new(), Vec::new());
        let mut sent = self.first_sent(graphs);
        for layer in 0..LAYERS {
            let mut sums = vec![0.0; nodes * BOTH];
            for (links, at) in graphs.directions.iter().zip([0, WIDTH]) {
                messages::receive(links, Columns { at, width: WIDTH, pitch: BOTH }, &sent, &mut sums);
            }
            let mut values = vec![0.0; nodes * WIDTH];
            messages::rectified_mean(WIDTH, &sums, &mut values);
            received.push(sums);
            if layer + 1 < LAYERS {
                let weights = (Matrix::new(WIDTH, BOTH), &self.weights[self.layer(layer + 1)]);
                multiply((Matrix::new(nodes, WIDTH), &values), weights, false, (Matrix::new(nodes, BOTH), &mut sent));
            }
            inputs.push(values);
        }
        let last = inputs.pop().expect("there are convolutions");
        let means = means_of_graphs(graphs, &last);
        let count = graphs.len();
        let mut hidden = vec![0.0; count * HIDDEN];
        let weights = (Matrix::new(WIDTH, HIDDEN), &self.weights[self.hidden()]);
        multiply((Matrix::new(count, WIDTH), &means), weights, false, (Matrix::new(count, HIDDEN), &mut hidden));
        let output = &self.weights[self.output()];
        let outputs = hidden.chunks(HIDDEN).map(|row| row.iter().zip(output).map(|(h, w)| h * w).sum()).collect();
        Pass { inputs, received, means, hidden, outputs }
    }

    /// One-hot kinds times the first weights: rows of them.
    fn first_sent(&self, graphs: &Graphs) -> Vec<f32> {
        let weights = &self.weights[self.layer(0)];
        graphs.kinds.iter().flat_map(|kind| &weights[*kind as usize * BOTH..][..BOTH]).copied().collect()
    }

    /// Adds the gradient by the weights to `gradient`, from that by the outputs.
    fn backward(&self, graphs: &Graphs, mut pass: Pass, by_output: &[f32], gradient: &mut [f32]) {
        let (nodes, count) = (graphs.nodes(), graphs.len());
        let output = &self.weights[self.output()];
        let mut by_hidden = Vec::with_capacity(count * HIDDEN);
        for (g, hidden) in by_output.iter().zip(pass.hidden.chunks(HIDDEN)) {
            gradient[self.output()].iter_mut().zip(hidden).for_each(|(sum, h)| *sum += g * h);
            by_hidden.extend(output.iter().map(|w| g * w));
        }
        let hidden = (Matrix::new(count, HIDDEN), by_hidden.as_slice());
        let means = (Matrix::new(count, WIDTH).transposed(), pass.means.as_slice());
        multiply(means, hidden, true, (Matrix::new(WIDTH, HIDDEN), &mut gradient[self.hidden()]));
        let mut by_means = vec![0.0; count * WIDTH];
        let weights = (Matrix::new(WIDTH, HIDDEN).transposed(), &self.weights[self.hidden()]);
        multiply(hidden, weights, false, (Matrix::new(count, WIDTH), &mut by_means));
        let mut by_values = spread_to_nodes(graphs, &by_means);
        let mut by_sent = vec![0.0; nodes * BOTH];
        for layer in (0..LAYERS).rev() {
            let sums = &mut pass.received[layer];
            messages::rectified_mean_backward(WIDTH, &by_values, sums);
            by_sent.fill(0.0);
            for (links, at) in graphs.directions.iter().zip([0, WIDTH]) {
                messages::receive_backward(links, Columns { at, width: WIDTH, pitch: BOTH }, sums, &mut by_sent);
            }
            let gradient = &mut gradient[self.layer(layer)];
            if layer == 0 {
                for (kind, row) in graphs.kinds.iter().zip(by_sent.chunks(BOTH)) {
                    let sum = &mut gradient[*kind as usize * BOTH..][..BOTH];
                    sum.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
                }
                return;
            }
            let values = (Matrix::new(nodes, WIDTH).transposed(), pass.inputs[layer - 1].as_slice());
            let sent = (Matrix::new(nodes, BOTH), by_sent.as_slice());
            multiply(values, sent, true, (Matrix::new(WIDTH, BOTH), gradient));
            let weights = (Matrix::new(WIDTH, BOTH).transposed(), &self.weights[self.layer(layer)]);
            multiply(sent, weights, false, (Matrix::new(nodes, WIDTH), &mut by_values));
        }
    }

    /// Mean squared error of the outputs, and its gradient by the weights; `pieces` are the graphs of the step.
    fn loss(&self, pieces: &[Graphs], targets: &[f32]) -> (f32, Vec<f32>) {
        let firsts: Vec<usize> = pieces.iter().scan(0, |at, p| Some(std::mem::replace(at, *at + p.len()))).collect();
        let of_piece = |(graphs, first): (&Graphs, &usize)| {
            let pass = self.forward(graphs);
            let mut gradient = vec![0.0; self.weights.len()];
            let errors = pass.outputs.iter().zip(&targets[*first..]).map(|(output, target)| output - target);
            let errors: Vec<f32> = errors.collect();
            let by_output: Vec<f32> = errors.iter().map(|e| 2.0 * e / targets.len() as f32).collect();
            self.backward(graphs, pass, &by_output, &mut gradient);
            (errors.iter().map(|e| e * e).sum::<f32>(), gradient)
        };
        let all: Vec<(f32, Vec<f32>)> = pieces.par_iter().zip(&firsts).map(of_piece).collect();
        let squares = all.iter().map(|(squares, _)| squares).sum::<f32>();
        let mut gradients = all.into_iter().map(|(_, gradient)| gradient);
        let mut sum = gradients.next().expect("a step has graphs");
        gradients.for_each(|gradient| sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g));
        (squares / targets.len() as f32, sum)
    }

    /// One step towards the targets; the mean squared error before it.
    pub(super) fn train_step(&mut self, pieces: &[Graphs], targets: &[f32], adam: &mut Adam, size: StepSize) -> f32 {
        let (loss, gradient) = self.loss(pieces, targets);
        adam.steps += 1;
        let StepSize { learning_rate, weight_decay } = size;
        let (beta1, beta2, epsilon, step) = (0.9, 0.999, 1e-8, adam.steps);
        let rule = adamw::Rule { learning_rate, beta1, beta2, epsilon, weight_decay, step };
        let all = 0..gradient.len();
        adamw::step(&mut self.weights, &gradient, &mut adam.mean, &mut adam.square, &rule, &[all]);
        loss
    }
}

impl Adam {
    pub(super) fn of(gcn: &Gcn) -> Adam {
        Adam { mean: vec![0.0; gcn.weights.len()], square: vec![0.0; gcn.weights.len()], steps: 0 }
    }
}

/// The graphs of a step, cut as [`Gcn::train_step`] takes them.
pub(super) fn pieces(dags: &[&Dag]) -> Vec<Graphs> {
    let together = dags.len().div_ceil(PIECES).max(FEWEST_TOGETHER);
    dags.chunks(together).map(Graphs::of).collect()
}

/// (graphs, width).
fn means_of_graphs(graphs: &Graphs, values: &[f32]) -> Vec<f32> {
    let mut means = vec![0.0; graphs.len() * WIDTH];
    for (mean, ends) in means.chunks_exact_mut(WIDTH).zip(graphs.first.windows(2)) {
        let share = 1.0 / (ends[1] - ends[0]) as f32;
        for row in values[ends[0] * WIDTH..ends[1] * WIDTH].chunks_exact(WIDTH) {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += share * value);
        }
    }
    means
}

/// The backward pass of [`means_of_graphs`].
fn spread_to_nodes(graphs: &Graphs, by_means: &[f32]) -> Vec<f32> {
    let mut by_values = Vec::with_capacity(graphs.nodes() * WIDTH);
    for (mean, ends) in by_means.chunks_exact(WIDTH).zip(graphs.first.windows(2)) {
        let share = 1.0 / (ends[1] - ends[0]) as f32;
        (ends[0]..ends[1]).for_each(|_| by_values.extend(mean.iter().map(|g| share * g)));
    }
    by_values
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor, Var};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Random cells of two to seven nodes.
    fn cells(count: usize, rng: &mut ChaCha8Rng) -> Vec<Dag> {
        let cell = |_| {
            let n = rng.random_range(2..=7);
            let pairs = (0..n).flat_map(|to| (0..to).map(move |from| (from, to)));
            let edges = pairs.filter(|_| rng.random_bool(0.5)).collect();
            Dag { kinds: (0..n).map(|_| rng.random_range(0..5)).collect(), edges }
        };
        (0..count).map(cell).collect()
    }

    /// One graph by the paper's formula, on candle's tape.
    fn on_the_tape(weights: &[Var], dag: &Dag) -> Result<Tensor> {
        let n = dag.len();
        let adjacency = |against: bool| {
            let mut rows = vec![0f32; n * n];
            (0..n).for_each(|i| rows[i * n + i] = 1.0);
            dag.edges.iter().for_each(|(f, t)| rows[if against { t * n + f } else { f * n + t }] = 1.0);
            let a = Tensor::from_vec(rows, (n, n), &Device::Cpu)?;
            a.broadcast_div(&a.sum_keepdim(1)?)
        };
        let (a, at) = (adjacency(false)?, adjacency(true)?);
        let one_hot = dag.kinds.iter().flat_map(|k| (0..5).map(move |i| (i == *k) as u8 as f32)).collect();
        let mut x = Tensor::from_vec(one_hot, (n, 5), &Device::Cpu)?;
        for w in &weights[..LAYERS] {
            let forth = a.matmul(&x.matmul(&w.narrow(1, 0, WIDTH)?)?)?.relu()?;
            let back = at.matmul(&x.matmul(&w.narrow(1, WIDTH, WIDTH)?)?)?.relu()?;
            x = ((forth + back)? * 0.5)?;
        }
        x.mean_keepdim(0)?.matmul(&weights[LAYERS])?.matmul(&weights[LAYERS + 1])?.squeeze(0)?.squeeze(0)
    }

    #[test]
    fn outputs_and_gradients_are_those_of_the_formula_on_the_tape() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let dags = cells(40, &mut rng);
        let dags: Vec<&Dag> = dags.iter().collect();
        let gcn = Gcn::random(5, &mut rng);
        let targets: Vec<f32> = (0..40).map(|_| rng.random_range(-1.0..1.0)).collect();
        let shapes = [(5, BOTH), (WIDTH, BOTH), (WIDTH, BOTH), (WIDTH, HIDDEN), (HIDDEN, 1)];
        let mut rest = gcn.weights.as_slice();
        let var = |shape: (usize, usize)| {
            let (own, others) = rest.split_at(shape.0 * shape.1);
            rest = others;
            Var::from_slice(own, shape, &Device::Cpu).unwrap()
        };
        let weights: Vec<Var> = shapes.into_iter().map(var).collect();
        let outputs: Vec<Tensor> = dags.iter().map(|dag| on_the_tape(&weights, dag).unwrap()).collect();
        let outputs = Tensor::stack(&outputs, 0).unwrap();
        for (fast, slow) in gcn.apply(&dags).iter().zip(outputs.to_vec1::<f32>().unwrap()) {
            assert!((fast - slow).abs() < 1e-5, "{fast} {slow}");
        }
        let expected = (outputs - Tensor::from_slice(&targets, 40, &Device::Cpu).unwrap()).unwrap();
        let expected = expected.sqr().unwrap().mean_all().unwrap();
        let (loss, gradient) = gcn.loss(&pieces(&dags), &targets);
        assert!((loss - expected.to_scalar::<f32>().unwrap()).abs() < 1e-5);
        let by = expected.backward().unwrap();
        let slow: Vec<f32> =
            weights.iter().flat_map(|w| by.get(w).unwrap().flatten_all().unwrap().to_vec1().unwrap()).collect();
        assert_eq!(slow.len(), gradient.len());
        for (at, (fast, slow)) in gradient.iter().zip(&slow).enumerate() {
            assert!((fast - slow).abs() < 1e-5 + 1e-4 * slow.abs(), "weight {at}: {fast} {slow}");
        }
    }

    #[test]
    fn training_brings_outputs_to_targets_with_the_same_bits_on_any_number_of_threads() {
        let fit = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut rng = ChaCha8Rng::seed_from_u64(2);
                let dags = cells(60, &mut rng);
                let dags: Vec<&Dag> = dags.iter().collect();
                // The number of edges: something that messages can count.
                let targets: Vec<f32> = dags.iter().map(|dag| dag.edges.len() as f32 / 10.0).collect();
                let mut gcn = Gcn::random(5, &mut rng);
                let (mut adam, pieces) = (Adam::of(&gcn), pieces(&dags));
                let size = StepSize { learning_rate: 1e-3, weight_decay: 1e-3 };
                let losses: Vec<f32> = (0..150).map(|_| gcn.train_step(&pieces, &targets, &mut adam, size)).collect();
                (losses[0], losses[149], gcn)
            })
        };
        let (first, last, gcn) = fit(1);
        assert!(last < 0.05 * first, "{first} {last}");
        assert_eq!(fit(3).2, gcn);
    }
}
