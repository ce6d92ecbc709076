//! The graph convolutional network of Wen et al., "Neural Predictor for Neural Architecture Search" (2019), on flat arrays
//! with its own backward pass: `V' = ½ ReLU(Ā V W⁺) + ½ ReLU(Āᵀ V W⁻)` three times with Ā the rows of A + I divided by their
//! sums, the mean over the nodes that have an edge or are an end, one hidden layer, one output.
//!
//! A step cuts its graphs into pieces that are computed whole, forward and backward, each on one thread; sums over pieces run
//! in their order, so results do not depend on threads.

use std::collections::HashMap;
use std::iter;
use std::ops::Range;

use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::nn::kernels::adamw;
use crate::nn::kernels::matrix::{Matrix, multiply};
use crate::nn::kernels::messages::{self, Columns, Links};
use crate::seed;
use crate::space::Dag;

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
    /// Ā and its transpose.
    directions: [Links; 2],
    /// Entries of each node's row of A + I.
    rows: Vec<u32>,
    /// What each node has in the mean of its graph.
    shares: Vec<f32>,
}

impl Graphs {
    /// Graphs as the network sees them: along the edges and against them.
    pub(super) fn of(dags: &[&Dag]) -> Graphs {
        let mut graphs = Graphs {
            kinds: Vec::new(),
            first: vec![0],
            directions: Default::default(),
            rows: Vec::new(),
            shares: Vec::new(),
        };
        graphs.directions.iter_mut().for_each(|links| links.first.push(0));
        for dag in dags {
            let start = graphs.kinds.len() as u32;
            graphs.kinds.extend(&dag.kinds);
            graphs.first.push(graphs.kinds.len());
            graphs.shares.extend(shares(dag));
            let mut row = vec![1u32; dag.len()];
            dag.edges.iter().for_each(|(from, _)| row[*from] += 1);
            graphs.rows.extend(&row);
            let [along, against] = &mut graphs.directions;
            for node in 0..dag.len() {
                let reads = dag.edges.iter().filter_map(|(from, to)| (*from == node).then_some(*to));
                let read_by = dag.edges.iter().filter_map(|(from, to)| (*to == node).then_some(*from));
                for other in iter::once(node).chain(reads) {
                    along.push(start + other as u32, 1.0 / row[node] as f32);
                }
                for other in iter::once(node).chain(read_by) {
                    against.push(start + other as u32, 1.0 / row[other] as f32);
                }
                along.end_node();
                against.end_node();
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

    /// For each node the class of those of its kind that hear the same, and a node of each class not `known` before.
    fn classes(&self, known: &mut HashMap<Box<[u32]>, u32>) -> (Vec<u32>, Vec<usize>) {
        let (mut classes, mut new, mut key) = (Vec::with_capacity(self.nodes()), Vec::new(), Vec::new());
        // A message depends on the kind of who speaks and, against the edges, on the length of its row.
        let spoken = |node: usize| u32::from(self.kinds[node]) << 24 | self.rows[node];
        for node in 0..self.nodes() {
            key.clear();
            key.push(u32::from(self.kinds[node]));
            for links in &self.directions {
                let heard = &links.from[links.first[node] as usize..links.first[node + 1] as usize];
                key.push(heard.len() as u32);
                let start = key.len();
                key.extend(heard.iter().map(|other| spoken(*other as usize)));
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

/// Equal for all nodes that have an edge or are an end of the graph, zero for others.
fn shares(dag: &Dag) -> Vec<f32> {
    let mut counts = vec![false; dag.len()];
    let ends = dag.edges.iter().flat_map(|(from, to)| [*from, *to]).chain([0, dag.len() - 1]);
    ends.for_each(|node| counts[node] = true);
    let share = 1.0 / counts.iter().filter(|counted| **counted).count() as f32;
    counts.into_iter().map(|counted| if counted { share } else { 0.0 }).collect()
}

/// The network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Network {
    kinds: usize,
    /// Values of a node after each convolution.
    width: usize,
    /// Convolutions (inputs, both directions), hidden units (width, hidden) and their biases, output (hidden) and its bias.
    weights: Vec<f32>,
}

/// What an output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// A standardised accuracy; squared error.
    Value,
    /// The logit of a probability; cross-entropy.
    Logit,
}

impl Output {
    /// Loss of one output and its gradient.
    fn loss(self, output: f32, target: f32) -> (f32, f32) {
        match self {
            Output::Value => ((output - target).powi(2), 2.0 * (output - target)),
            Output::Logit => {
                // softplus(z) - t z, without overflow.
                let loss = output.max(0.0) - target * output + (-output.abs()).exp().ln_1p();
                (loss, 1.0 / (1.0 + (-output).exp()) - target)
            }
        }
    }
}

/// Sets values to zero at random while training (Srivastava et al., 2014) and scales the others up.
pub(super) struct Dropout {
    /// Share of values set to zero.
    pub(super) rate: f64,
    pub(super) rng: ChaCha8Rng,
}

impl Dropout {
    fn apply(&mut self, values: &mut [f32]) {
        let (limit, kept) = ((self.rate * f64::from(u32::MAX)) as u32, self.kept());
        values.iter_mut().for_each(|value| *value *= if self.rng.next_u32() < limit { 0.0 } else { kept });
    }

    fn kept(&self) -> f32 {
        (1.0 / (1.0 - self.rate)) as f32
    }
}

/// What training remembers between steps.
pub(super) struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    steps: u32,
}

/// A training step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub(super) output: Output,
    pub(super) learning_rate: f32,
    /// Penalty of squared weights, halved, inside the loss as Adam (not AdamW) has it.
    pub(super) weight_decay: f32,
    /// Share of values set to zero after each layer.
    pub(super) dropout: f64,
    /// Decides which.
    pub(super) seed: u64,
}

/// What scoring works with.
#[derive(Default)]
struct Buffers {
    /// (nodes, both directions).
    sent: Vec<f32>,
    /// (nodes, width).
    values: Vec<f32>,
    /// Classes of nodes after the first convolution, by their descriptions.
    known: HashMap<Box<[u32]>, u32>,
    /// What the classes send in the second convolution, (classes, both directions).
    of_classes: Vec<f32>,
    /// (both directions).
    row: Vec<f32>,
}

/// Values of a forward pass over some graphs.
struct Pass {
    /// Values after each convolution, (nodes, width).
    values: Vec<Vec<f32>>,
    /// What each convolution's nodes received, (nodes, both directions).
    received: Vec<Vec<f32>>,
    /// Means over the nodes of each graph, (graphs, width).
    means: Vec<f32>,
    /// (graphs, hidden).
    hidden: Vec<f32>,
    outputs: Vec<f32>,
    /// What dropout multiplied the values by that it kept.
    kept: f32,
}

impl Network {
    /// Glorot's uniform start (2010); biases begin at zero.
    pub(super) fn random(kinds: usize, width: usize, rng: &mut impl Rng) -> Network {
        let mut network = Network { kinds, width, weights: Vec::new() };
        let convolutions = (0..LAYERS).map(|layer| (network.inputs(layer), 2 * width, width));
        let drawn: Vec<(usize, usize, usize)> = convolutions.chain([(width, HIDDEN, HIDDEN)]).collect();
        let mut draw = |(inputs, outputs, fan): (usize, usize, usize)| -> Vec<f32> {
            let bound = (6.0 / (inputs + fan) as f32).sqrt();
            (0..inputs * outputs).map(|_| rng.random_range(-bound..bound)).collect()
        };
        network.weights = drawn.into_iter().flat_map(&mut draw).collect();
        network.weights.extend([0.0; HIDDEN]);
        network.weights.extend(draw((HIDDEN, 1, 1)));
        network.weights.push(0.0);
        network
    }

    fn inputs(&self, layer: usize) -> usize {
        if layer == 0 { self.kinds } else { self.width }
    }

    /// Columns of a convolution's product: one half for each direction.
    fn both(&self) -> usize {
        2 * self.width
    }

    /// Where the weights (inputs, both directions) of a convolution lie; after the last, those of the hidden units.
    fn layer(&self, layer: usize) -> Range<usize> {
        let start = (0..layer).map(|l| self.inputs(l) * self.both()).sum();
        let len = if layer < LAYERS { self.inputs(layer) * self.both() } else { self.width * HIDDEN };
        start..start + len
    }

    fn hidden(&self) -> Range<usize> {
        self.layer(LAYERS)
    }

    fn hidden_bias(&self) -> Range<usize> {
        self.hidden().end..self.hidden().end + HIDDEN
    }

    fn output(&self) -> Range<usize> {
        self.hidden_bias().end..self.hidden_bias().end + HIDDEN
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

    /// The outputs of [`Network::forward`], which keeps what the backward pass needs. After the first convolution, nodes of
    /// one kind that hear the same are equal: only one of them goes into the next product.
    fn score(&self, graphs: &Graphs, buffers: &mut Buffers) -> Vec<f32> {
        let (nodes, width) = (graphs.nodes(), self.width);
        let Buffers { sent, values, known, of_classes, row } = buffers;
        values.resize(nodes * width, 0.0);
        row.resize(self.both(), 0.0);
        let kinds: Vec<u32> = graphs.kinds.iter().map(|kind| u32::from(*kind)).collect();
        messages::hear(&graphs.directions, &kinds, width, &self.weights[self.layer(0)], row, values);
        let (classes, new) = graphs.classes(known);
        let distinct: Vec<f32> = new.iter().flat_map(|node| &values[node * width..][..width]).copied().collect();
        self.send(1, &distinct, sent);
        of_classes.extend_from_slice(sent);
        messages::hear(&graphs.directions, &classes, width, of_classes, row, values);
        let themselves: Vec<u32> = (0..nodes as u32).collect();
        for layer in 2..LAYERS {
            self.send(layer, values, sent);
            messages::hear(&graphs.directions, &themselves, width, sent, row, values);
        }
        self.read(&self.hidden_units(&means_of_graphs(graphs, values, width)))
    }

    /// `sent` (rows, both directions): `values` (rows, width) times the weights of a convolution after the first.
    fn send(&self, layer: usize, values: &[f32], sent: &mut Vec<f32>) {
        let (rows, both) = (values.len() / self.width, self.both());
        sent.resize(rows * both, 0.0);
        let weights = (Matrix::new(self.width, both), &self.weights[self.layer(layer)]);
        multiply((Matrix::new(rows, self.width), values), weights, false, (Matrix::new(rows, both), sent));
    }

    /// (graphs, hidden), rectified.
    fn hidden_units(&self, means: &[f32]) -> Vec<f32> {
        let rows = means.len() / self.width;
        let mut hidden = self.weights[self.hidden_bias()].repeat(rows);
        let weights = (Matrix::new(self.width, HIDDEN), &self.weights[self.hidden()]);
        multiply((Matrix::new(rows, self.width), means), weights, true, (Matrix::new(rows, HIDDEN), &mut hidden));
        hidden.iter_mut().for_each(|h| *h = h.max(0.0));
        hidden
    }

    /// One output for each row of hidden units.
    fn read(&self, hidden: &[f32]) -> Vec<f32> {
        let (output, bias) = (&self.weights[self.output()], self.weights[self.weights.len() - 1]);
        hidden.chunks(HIDDEN).map(|row| bias + row.iter().zip(output).map(|(h, w)| h * w).sum::<f32>()).collect()
    }

    fn forward(&self, graphs: &Graphs, mut dropout: Option<Dropout>) -> Pass {
        let (width, both) = (self.width, self.both());
        let mut drop = |values: &mut [f32]| dropout.iter_mut().for_each(|dropout| dropout.apply(values));
        let (mut values, mut received) = (Vec::with_capacity(LAYERS), Vec::with_capacity(LAYERS));
        let mut sent = self.first_sent(graphs);
        for layer in 0..LAYERS {
            let mut sums = vec![0.0; graphs.nodes() * both];
            for (links, at) in graphs.directions.iter().zip([0, width]) {
                messages::receive(links, Columns { at, width, pitch: both }, &sent, &mut sums);
            }
            let mut after = vec![0.0; graphs.nodes() * width];
            messages::rectified_mean(width, &sums, &mut after);
            drop(&mut after);
            received.push(sums);
            if layer + 1 < LAYERS {
                self.send(layer + 1, &after, &mut sent);
            }
            values.push(after);
        }
        let means = means_of_graphs(graphs, &values[LAYERS - 1], width);
        let mut hidden = self.hidden_units(&means);
        drop(&mut hidden);
        let outputs = self.read(&hidden);
        Pass { values, received, means, hidden, outputs, kept: dropout.map_or(1.0, |dropout| dropout.kept()) }
    }

    /// One-hot kinds times the first weights: rows of them.
    fn first_sent(&self, graphs: &Graphs) -> Vec<f32> {
        let (weights, both) = (&self.weights[self.layer(0)], self.both());
        graphs.kinds.iter().flat_map(|kind| &weights[*kind as usize * both..][..both]).copied().collect()
    }

    /// Adds the gradient by the weights to `gradient`, from that by the outputs.
    fn backward(&self, graphs: &Graphs, mut pass: Pass, by_output: &[f32], gradient: &mut [f32]) {
        let (nodes, count, width, both) = (graphs.nodes(), graphs.len(), self.width, self.both());
        let by_hidden = self.backward_output(&pass, by_output, gradient);
        let hidden = (Matrix::new(count, HIDDEN), by_hidden.as_slice());
        let means = (Matrix::new(count, width).transposed(), pass.means.as_slice());
        multiply(means, hidden, true, (Matrix::new(width, HIDDEN), &mut gradient[self.hidden()]));
        let mut by_means = vec![0.0; count * width];
        let weights = (Matrix::new(width, HIDDEN).transposed(), &self.weights[self.hidden()]);
        multiply(hidden, weights, false, (Matrix::new(count, width), &mut by_means));
        let mut by_values = spread_to_nodes(graphs, &by_means, width);
        let mut by_sent = vec![0.0; nodes * both];
        for layer in (0..LAYERS).rev() {
            // A value of zero was dropped, or comes from two rectified sums, whose gradient is zero anyway.
            let kept = by_values.iter_mut().zip(&pass.values[layer]);
            kept.for_each(|(by, value)| *by *= if *value == 0.0 { 0.0 } else { pass.kept });
            let sums = &mut pass.received[layer];
            messages::rectified_mean_backward(width, &by_values, sums);
            by_sent.fill(0.0);
            for (links, at) in graphs.directions.iter().zip([0, width]) {
                messages::receive_backward(links, Columns { at, width, pitch: both }, sums, &mut by_sent);
            }
            let gradient = &mut gradient[self.layer(layer)];
            if layer == 0 {
                for (kind, row) in graphs.kinds.iter().zip(by_sent.chunks(both)) {
                    let sum = &mut gradient[*kind as usize * both..][..both];
                    sum.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
                }
                return;
            }
            let values = (Matrix::new(nodes, width).transposed(), pass.values[layer - 1].as_slice());
            let sent = (Matrix::new(nodes, both), by_sent.as_slice());
            multiply(values, sent, true, (Matrix::new(width, both), gradient));
            let weights = (Matrix::new(width, both).transposed(), &self.weights[self.layer(layer)]);
            multiply(sent, weights, false, (Matrix::new(nodes, width), &mut by_values));
        }
    }

    /// Gradients of output and hidden biases; returns that by the hidden units before they are rectified.
    fn backward_output(&self, pass: &Pass, by_output: &[f32], gradient: &mut [f32]) -> Vec<f32> {
        let output = &self.weights[self.output()];
        let mut by_hidden = Vec::with_capacity(pass.hidden.len());
        for (g, hidden) in by_output.iter().zip(pass.hidden.chunks(HIDDEN)) {
            gradient[self.output()].iter_mut().zip(hidden).for_each(|(sum, h)| *sum += g * h);
            let positive = hidden.iter().zip(output).map(|(h, w)| if *h > 0.0 { g * w * pass.kept } else { 0.0 });
            by_hidden.extend(positive);
            gradient[self.weights.len() - 1] += g;
        }
        for row in by_hidden.chunks(HIDDEN) {
            gradient[self.hidden_bias()].iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
        }
        by_hidden
    }

    /// Mean loss of the outputs, and its gradient by the weights; `pieces` are the graphs of the step.
    fn loss(&self, pieces: &[Graphs], targets: &[f32], step: &Step) -> (f32, Vec<f32>) {
        let firsts: Vec<usize> = pieces.iter().scan(0, |at, p| Some(std::mem::replace(at, *at + p.len()))).collect();
        let of_piece = |(place, graphs): (usize, &Graphs)| {
            let rng = || seed::stream(step.seed, "dropout", place as u64);
            let dropout = (step.dropout > 0.0).then(|| Dropout { rate: step.dropout, rng: rng() });
            let pass = self.forward(graphs, dropout);
            let mut gradient = vec![0.0; self.weights.len()];
            let of = |(output, target): (&f32, &f32)| step.output.loss(*output, *target);
            let (losses, mut by_output): (Vec<f32>, Vec<f32>) =
                pass.outputs.iter().zip(&targets[firsts[place]..]).map(of).unzip();
            by_output.iter_mut().for_each(|g| *g /= targets.len() as f32);
            self.backward(graphs, pass, &by_output, &mut gradient);
            (losses.iter().sum::<f32>(), gradient)
        };
        let all: Vec<(f32, Vec<f32>)> = pieces.par_iter().enumerate().map(of_piece).collect();
        let loss = all.iter().map(|(loss, _)| loss).sum::<f32>() / targets.len() as f32;
        let mut gradients = all.into_iter().map(|(_, gradient)| gradient);
        let mut sum = gradients.next().expect("a step has graphs");
        gradients.for_each(|gradient| sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g));
        (loss, sum)
    }

    /// One step towards the targets; the mean loss before it, without the penalty.
    pub(super) fn train_step(&mut self, pieces: &[Graphs], targets: &[f32], adam: &mut Adam, step: &Step) -> f32 {
        let (loss, mut gradient) = self.loss(pieces, targets, step);
        gradient.iter_mut().zip(&self.weights).for_each(|(g, w)| *g += step.weight_decay * w);
        adam.steps += 1;
        let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8);
        let (learning_rate, weight_decay) = (step.learning_rate, 0.0);
        let rule = adamw::Rule { learning_rate, beta1, beta2, epsilon, weight_decay, step: adam.steps };
        adamw::step(&mut self.weights, &gradient, &mut adam.mean, &mut adam.square, &rule, &[]);
        loss
    }
}

impl Adam {
    pub(super) fn of(network: &Network) -> Adam {
        let len = network.weights.len();
        Adam { mean: vec![0.0; len], square: vec![0.0; len], steps: 0 }
    }
}

/// The graphs of a step, cut as [`Network::train_step`] takes them.
pub(super) fn pieces(dags: &[&Dag]) -> Vec<Graphs> {
    let together = dags.len().div_ceil(PIECES).max(FEWEST_TOGETHER);
    dags.chunks(together).map(Graphs::of).collect()
}

/// (graphs, width).
fn means_of_graphs(graphs: &Graphs, values: &[f32], width: usize) -> Vec<f32> {
    let mut means = vec![0.0; graphs.len() * width];
    for (mean, ends) in means.chunks_exact_mut(width).zip(graphs.first.windows(2)) {
        for (row, share) in values[ends[0] * width..].chunks_exact(width).zip(&graphs.shares[ends[0]..ends[1]]) {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += share * value);
        }
    }
    means
}

/// The backward pass of [`means_of_graphs`].
fn spread_to_nodes(graphs: &Graphs, by_means: &[f32], width: usize) -> Vec<f32> {
    let mut by_values = Vec::with_capacity(graphs.nodes() * width);
    for (mean, ends) in by_means.chunks_exact(width).zip(graphs.first.windows(2)) {
        graphs.shares[ends[0]..ends[1]].iter().for_each(|share| by_values.extend(mean.iter().map(|g| share * g)));
    }
    by_values
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result, Tensor, Var};
    use rand::SeedableRng;

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

    const WIDTH: usize = 24;
    const STEP: Step = Step { output: Output::Value, learning_rate: 1e-3, weight_decay: 1e-3, dropout: 0.0, seed: 1 };

    /// One graph by the paper's formula, on candle's tape.
    fn on_the_tape(weights: &[Var], dag: &Dag) -> Result<Tensor> {
        let n = dag.len();
        let mut rows = vec![0f32; n * n];
        (0..n).for_each(|i| rows[i * n + i] = 1.0);
        dag.edges.iter().for_each(|(f, t)| rows[f * n + t] = 1.0);
        let a = Tensor::from_vec(rows, (n, n), &Device::Cpu)?;
        let a = a.broadcast_div(&a.sum_keepdim(1)?)?;
        let at = a.t()?.contiguous()?;
        let one_hot = dag.kinds.iter().flat_map(|k| (0..5).map(move |i| (i == *k) as u8 as f32)).collect();
        let mut x = Tensor::from_vec(one_hot, (n, 5), &Device::Cpu)?;
        for w in &weights[..LAYERS] {
            let forth = a.matmul(&x.matmul(&w.narrow(1, 0, WIDTH)?)?)?.relu()?;
            let back = at.matmul(&x.matmul(&w.narrow(1, WIDTH, WIDTH)?)?)?.relu()?;
            x = ((forth + back)? * 0.5)?;
        }
        let shares = Tensor::from_vec(shares(dag), (1, n), &Device::Cpu)?;
        let hidden = shares.matmul(&x)?.matmul(&weights[LAYERS])?.broadcast_add(&weights[LAYERS + 1])?.relu()?;
        hidden.matmul(&weights[LAYERS + 2])?.broadcast_add(&weights[LAYERS + 3])?.squeeze(0)?.squeeze(0)
    }

    /// The weights, moved away from their start, as variables.
    fn variables(network: &Network) -> Vec<Var> {
        let shapes =
            [(5, 2 * WIDTH), (WIDTH, 2 * WIDTH), (WIDTH, 2 * WIDTH), (WIDTH, HIDDEN), (1, HIDDEN), (HIDDEN, 1), (1, 1)];
        let mut rest = network.weights.as_slice();
        let var = |shape: (usize, usize)| {
            let (own, others) = rest.split_at(shape.0 * shape.1);
            rest = others;
            Var::from_slice(own, shape, &Device::Cpu).unwrap()
        };
        shapes.into_iter().map(var).collect()
    }

    #[test]
    fn outputs_and_gradients_are_those_of_the_formula_on_the_tape() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let dags = cells(40, &mut rng);
        let dags: Vec<&Dag> = dags.iter().collect();
        let mut network = Network::random(5, WIDTH, &mut rng);
        network.weights.iter_mut().for_each(|w| *w += rng.random_range(-0.05..0.05));
        let targets: Vec<f32> = (0..40).map(|i| (i % 2) as f32).collect();
        let wanted = Tensor::from_slice(&targets, 40, &Device::Cpu).unwrap();
        for output in [Output::Value, Output::Logit] {
            let weights = variables(&network);
            let outputs: Vec<Tensor> = dags.iter().map(|dag| on_the_tape(&weights, dag).unwrap()).collect();
            let outputs = Tensor::stack(&outputs, 0).unwrap();
            for (fast, slow) in network.apply(&dags).iter().zip(outputs.to_vec1::<f32>().unwrap()) {
                assert!((fast - slow).abs() < 1e-5, "{fast} {slow}");
            }
            let expected = match output {
                Output::Value => (&outputs - &wanted).unwrap().sqr().unwrap(),
                Output::Logit => {
                    let softplus = (outputs.exp().unwrap() + 1.0).unwrap().log().unwrap();
                    (softplus - (&outputs * &wanted).unwrap()).unwrap()
                }
            };
            let expected = expected.mean_all().unwrap();
            let (loss, gradient) = network.loss(&pieces(&dags), &targets, &Step { output, ..STEP });
            assert!((loss - expected.to_scalar::<f32>().unwrap()).abs() < 1e-5);
            let by = expected.backward().unwrap();
            let values = |w: &Var| by.get(w).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let slow: Vec<f32> = weights.iter().flat_map(values).collect();
            assert_eq!(slow.len(), gradient.len());
            for (at, (fast, slow)) in gradient.iter().zip(&slow).enumerate() {
                assert!((fast - slow).abs() < 1e-5 + 1e-4 * slow.abs(), "{output:?}, weight {at}: {fast} {slow}");
            }
        }
    }

    /// With its masks fixed, the loss under dropout is a function like any other.
    #[test]
    fn the_gradient_under_dropout_is_that_of_central_differences() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let dags = cells(30, &mut rng);
        let pieces = pieces(&dags.iter().collect::<Vec<&Dag>>());
        let targets: Vec<f32> = (0..30).map(|_| rng.random_range(-1.0..1.0)).collect();
        let network = Network::random(5, WIDTH, &mut rng);
        let step = Step { dropout: 0.3, ..STEP };
        let (_, gradient) = network.loss(&pieces, &targets, &step);
        for at in (0..network.weights.len()).step_by(network.weights.len() / 40) {
            let moved = |by: f32| {
                let mut moved = network.clone();
                moved.weights[at] += by;
                f64::from(moved.loss(&pieces, &targets, &step).0)
            };
            let (found, expected) = (f64::from(gradient[at]), (moved(1e-2) - moved(-1e-2)) / 2e-2);
            assert!((found - expected).abs() < 2e-3 + 0.05 * expected.abs(), "weight {at}: {found} {expected}");
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
                let mut network = Network::random(5, WIDTH, &mut rng);
                let (mut adam, pieces) = (Adam::of(&network), pieces(&dags));
                let losses: Vec<f32> =
                    (0..300).map(|_| network.train_step(&pieces, &targets, &mut adam, &STEP)).collect();
                (losses[0], losses[299], network)
            })
        };
        let (first, last, network) = fit(1);
        assert!(last < 0.1 * first, "{first} {last}");
        assert_eq!(fit(3).2, network);
    }
}
