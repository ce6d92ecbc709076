//! Training of the two networks: schedules, the loop, ensembles of members that differ in their seed.

use candle_core::{Device, Result, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, ops::sigmoid};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::colouring::Messages;
use super::gnn::{Gnn, View};
use super::gnn_tape::{GraphBatch, TapedGnn};
use super::mlp::{Mlp, TapedMlp};
use crate::space::Dag;
use crate::stats;

/// How a network is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Values of a node's state, or units of a hidden layer.
    pub width: usize,
    /// Step size of Adam.
    pub learning_rate: f64,
    /// Whether the step size falls to zero along a cosine.
    pub cosine: bool,
    /// Decoupled weight decay (Loshchilov and Hutter, 2019).
    pub weight_decay: f64,
    /// Passes over the samples.
    pub epochs: usize,
    /// Samples per step.
    pub batch: usize,
    /// Networks that differ in their random start.
    pub members: usize,
    /// Whether the output is an accuracy through a sigmoid, as the seed had it; otherwise it is what a line through the
    /// size of the network leaves of the accuracy, standardised.
    pub squashed: bool,
    /// Whether nodes also receive from the nodes that read them.
    pub both_ways: bool,
}

/// The first seed's: Adam 10⁻⁴, one graph per step, 50 epochs, a sigmoid at the end.
pub const SEED_SCHEDULE: Schedule = Schedule {
    width: 128,
    learning_rate: 1e-4,
    cosine: false,
    weight_decay: 0.0,
    epochs: 50,
    batch: 1,
    members: 1,
    squashed: true,
    both_ways: false,
};

/// Ours for graphs: all graphs in one step, so that a search can afford to fit again whenever it has learnt something.
/// Messages in both directions were tried and changed nothing; wider states neither.
pub const GNN_SCHEDULE: Schedule = Schedule {
    width: 32,
    learning_rate: 1e-3,
    cosine: true,
    weight_decay: 1e-1,
    epochs: 100,
    batch: usize::MAX,
    members: 3,
    squashed: false,
    both_ways: false,
};

/// Ours for columns.
pub const MLP_SCHEDULE: Schedule = Schedule {
    width: 64,
    learning_rate: 3e-3,
    cosine: true,
    weight_decay: 1e-1,
    epochs: 100,
    batch: usize::MAX,
    members: 3,
    squashed: false,
    both_ways: false,
};

/// From accuracies to what a network puts out, and back.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    Squashed,
    Standard { mean: f64, deviation: f64 },
}

impl Scale {
    fn of(targets: &[f64], squashed: bool) -> Scale {
        let deviation = stats::std_dev(targets);
        match squashed {
            true => Scale::Squashed,
            false => {
                Scale::Standard { mean: stats::mean(targets), deviation: if deviation > 0.0 { deviation } else { 1.0 } }
            }
        }
    }

    fn target(&self, accuracy: f64) -> f32 {
        match self {
            Scale::Squashed => accuracy as f32,
            Scale::Standard { mean, deviation } => ((accuracy - mean) / deviation) as f32,
        }
    }

    fn accuracy(&self, output: f32) -> f64 {
        match self {
            Scale::Squashed => 1.0 / (1.0 + (-output as f64).exp()),
            Scale::Standard { mean, deviation } => output as f64 * deviation + mean,
        }
    }
}

/// Networks that differ in their random start, and the scale of their targets.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ensemble<N> {
    members: Vec<N>,
    scale: Scale,
}

impl<N> Ensemble<N> {
    /// For each sample, the accuracies that the members predict.
    pub(super) fn accuracies(&self, apply: impl Fn(&N) -> Vec<f32>) -> Vec<Vec<f64>> {
        let outputs: Vec<Vec<f32>> = self.members.iter().map(apply).collect();
        let of = |sample: usize| outputs.iter().map(|member| self.scale.accuracy(member[sample])).collect();
        (0..outputs[0].len()).map(of).collect()
    }

    /// The first member, which knows what all have in common.
    pub(super) fn first(&self) -> &N {
        &self.members[0]
    }
}

/// Fits graph networks to accuracies.
pub(super) fn fit_gnn(schedule: &Schedule, dags: &[&Dag], accuracies: &[f64], seed: u64) -> Result<Ensemble<Gnn>> {
    let messages = if schedule.both_ways { Messages::Both } else { Messages::Forward };
    let view = View::of(dags, messages);
    let scale = Scale::of(accuracies, schedule.squashed);
    let member = |mut rng: ChaCha8Rng| {
        let network = TapedGnn::of(&Gnn::random(view, schedule.width, &mut rng))?;
        let batch = |chosen: &[usize]| {
            let dags: Vec<&Dag> = chosen.iter().map(|i| dags[*i]).collect();
            GraphBatch::of(&view.colouring(&dags), &view)
        };
        let batches = batches(schedule, accuracies, scale, batch, &mut rng)?;
        train(schedule, network.variables(), batches, |batch| network.forward(batch), &mut rng)?;
        network.plain()
    };
    Ok(Ensemble { members: generators(schedule, seed).map(member).collect::<Result<_>>()?, scale })
}

/// Fits networks on rows of standardised columns to accuracies.
pub(super) fn fit_mlp(schedule: &Schedule, rows: &[Vec<f32>], accuracies: &[f64], seed: u64) -> Result<Ensemble<Mlp>> {
    let scale = Scale::of(accuracies, schedule.squashed);
    let columns = rows[0].len();
    let member = |mut rng: ChaCha8Rng| {
        let network = TapedMlp::of(&Mlp::random(columns, schedule.width, &mut rng))?;
        let batch = |chosen: &[usize]| {
            let values: Vec<f32> = chosen.iter().flat_map(|i| &rows[*i]).copied().collect();
            Tensor::from_vec(values, (chosen.len(), columns), &Device::Cpu)
        };
        let batches = batches(schedule, accuracies, scale, batch, &mut rng)?;
        train(schedule, network.variables(), batches, |batch| network.forward(batch), &mut rng)?;
        network.plain()
    };
    Ok(Ensemble { members: generators(schedule, seed).map(member).collect::<Result<_>>()?, scale })
}

/// One stream of randomness per member.
fn generators(schedule: &Schedule, seed: u64) -> impl Iterator<Item = ChaCha8Rng> {
    (0..schedule.members as u64).map(move |member| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(member);
        rng
    })
}

/// Samples dealt into batches, each with its targets. Who shares a batch is drawn once, the order of batches anew in
/// each epoch.
fn batches<B>(
    schedule: &Schedule,
    accuracies: &[f64],
    scale: Scale,
    batch: impl Fn(&[usize]) -> Result<B>,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<(B, Tensor)>> {
    let mut order: Vec<usize> = (0..accuracies.len()).collect();
    order.shuffle(rng);
    let with_targets = |chosen: &[usize]| {
        let targets: Vec<f32> = chosen.iter().map(|i| scale.target(accuracies[*i])).collect();
        Ok((batch(chosen)?, Tensor::from_vec(targets, chosen.len(), &Device::Cpu)?))
    };
    order.chunks(schedule.batch.min(order.len())).map(with_targets).collect()
}

/// Minimises the mean squared error.
fn train<B>(
    schedule: &Schedule,
    variables: Vec<Var>,
    mut batches: Vec<(B, Tensor)>,
    forward: impl Fn(&B) -> Result<Tensor>,
    rng: &mut ChaCha8Rng,
) -> Result<()> {
    let start = ParamsAdamW { lr: schedule.learning_rate, weight_decay: schedule.weight_decay, ..Default::default() };
    let mut optimizer = AdamW::new(variables, start)?;
    for epoch in 0..schedule.epochs {
        optimizer.set_learning_rate(step_size(schedule, epoch));
        batches.shuffle(rng);
        for (batch, targets) in &batches {
            let output = forward(batch)?;
            let output = if schedule.squashed { sigmoid(&output)? } else { output };
            optimizer.backward_step(&(output - targets)?.sqr()?.mean_all()?)?;
        }
    }
    Ok(())
}

fn step_size(schedule: &Schedule, epoch: usize) -> f64 {
    let progress = epoch as f64 / schedule.epochs as f64;
    let left = if schedule.cosine { 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()) } else { 1.0 };
    schedule.learning_rate * left
}
