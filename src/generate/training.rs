//! Fitting all four parts of a graph autoencoder together.

use rand::Rng;
use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::GenerateError;
use super::adam::Adam;
use super::config::VaeConfig;
use super::decoder::Decoder;
use super::plan::{Batch, Plan, Record};
use super::tape::{Id, Tape};
use super::vae::{GraphVae, Scale};
use crate::seed;
use crate::space::Dag;

/// A graph with what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The graph.
    pub dag: Dag,
    /// What the predictor of performance learns; not a number if it is not known.
    pub performance: f64,
    /// What the predictor of complexity learns, a positive number.
    pub complexity: f64,
}

/// Mean losses of one pass over the graphs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Losses {
    /// Negative logarithm of the probability that a graph is drawn from its point.
    pub reconstruction: f64,
    /// Divergence of its point from the normal distribution.
    pub divergence: f64,
    /// Squared error of the standardised performance.
    pub performance: f64,
    /// Squared error of the standardised logarithm of complexity.
    pub complexity: f64,
}

impl Losses {
    pub(super) fn add(&mut self, other: &Losses) {
        self.reconstruction += other.reconstruction;
        self.divergence += other.divergence;
        self.performance += other.performance;
        self.complexity += other.complexity;
    }

    pub(super) fn divided(self, by: f64) -> Losses {
        Losses {
            reconstruction: self.reconstruction / by,
            divergence: self.divergence / by,
            performance: self.performance / by,
            complexity: self.complexity / by,
        }
    }
}

/// Graphs that one task computes forward and backward: results do not depend on threads.
const PIECE: usize = 64;
/// Fewest graphs that a fit makes sense with.
const FEWEST: usize = 16;

/// A graph, its standardised performance (if known) and its standardised logarithm of complexity.
struct Known {
    record: Record,
    performance: Option<f32>,
    complexity: f32,
}

impl GraphVae {
    /// Fits weights and scales. `watch` is told the losses of each pass and its number, from 1.
    ///
    /// # Errors
    /// If there are too few graphs, a complexity is no positive number, or the weights diverge.
    pub fn fit(
        &mut self,
        examples: &[Example],
        seed: u64,
        watch: &mut dyn FnMut(usize, Losses),
    ) -> Result<(), GenerateError> {
        if examples.len() < FEWEST {
            return Err(GenerateError::TooFew { found: examples.len(), needed: FEWEST });
        }
        if let Some(index) = examples.iter().position(|e| !(e.complexity.is_finite() && e.complexity > 0.0)) {
            return Err(GenerateError::Complexity { index, value: examples[index].complexity });
        }
        self.performance_scale = Scale::of(&examples.iter().map(|e| e.performance).collect::<Vec<f64>>());
        self.complexity_scale = Scale::of(&examples.iter().map(|e| e.complexity.ln()).collect::<Vec<f64>>());
        let known: Vec<Known> = examples.iter().map(|example| self.known(example)).collect();
        let steps = self.config.epochs * known.len().div_ceil(self.config.batch);
        let VaeConfig { learning_rate, weight_decay, .. } = self.config;
        let mut optimiser = Adam::new(&self.layout, learning_rate, weight_decay, steps);
        let mut order: Vec<usize> = (0..known.len()).collect();
        for epoch in 0..self.config.epochs {
            order.shuffle(&mut seed::stream(seed, "latent order", epoch as u64));
            let mut losses = Losses::default();
            for (step, chosen) in order.chunks(self.config.batch).enumerate() {
                let noise_seed = seed::derive(seed, "latent noise", (epoch * known.len() + step) as u64);
                let (gradient, of_step) = self.gradient(&known, chosen, noise_seed);
                losses.add(&of_step);
                optimiser.step(&mut self.weights, gradient);
            }
            let losses = losses.divided(known.len() as f64);
            if !losses.reconstruction.is_finite() {
                return Err(GenerateError::Diverged { epoch: epoch + 1 });
            }
            watch(epoch + 1, losses);
        }
        Ok(())
    }

    fn known(&self, example: &Example) -> Known {
        let performance = example.performance.is_finite().then(|| self.performance_scale.down(example.performance));
        let complexity = self.complexity_scale.down(example.complexity.ln());
        Known { record: self.plan.record(&example.dag), performance, complexity }
    }

    /// Gradient of the mean loss of some graphs, and the sums of their losses.
    fn gradient(&self, known: &[Known], chosen: &[usize], noise_seed: u64) -> (Vec<f32>, Losses) {
        let piece = |(index, piece): (usize, &[usize])| {
            let members: Vec<&Known> = piece.iter().map(|at| &known[*at]).collect();
            self.piece_gradient(&members, &mut seed::stream(noise_seed, "piece", index as u64))
        };
        let parts: Vec<(Vec<f32>, Losses)> = chosen.par_chunks(PIECE).enumerate().map(piece).collect();
        let mut parts = parts.into_iter();
        let (mut gradient, mut losses) = parts.next().expect("a step has graphs");
        for (part, of_part) in parts {
            gradient.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
            losses.add(&of_part);
        }
        let share = 1.0 / chosen.len() as f32;
        gradient.iter_mut().for_each(|g| *g *= share);
        (gradient, losses)
    }

    fn piece_gradient(&self, members: &[&Known], rng: &mut impl Rng) -> (Vec<f32>, Losses) {
        let records: Vec<&Record> = members.iter().map(|known| &known.record).collect();
        let batch = Batch::of(&records, self.plan.nodes());
        let mut tape = Tape::new(&self.weights);
        let (mean, log_variance) = self.encoder.apply(&mut tape, &self.plan, &batch);
        let noise = (0..tape.data(mean).len()).map(|_| normal(rng)).collect();
        let points = tape.perturb(mean, log_variance, noise, self.config.noise as f32);
        let mut losses = Losses::default();
        let mut seeds = self.decoder.reconstruction(&mut tape, &self.plan, &batch, &records, points, &mut losses);
        let performance = self.performance.apply(&mut tape, mean);
        let complexity = self.complexity.apply(&mut tape, mean);
        let error = |weight: f64, found: &f32, target: f32| {
            let difference = found - target;
            (f64::from(difference).powi(2), weight as f32 * 2.0 * difference)
        };
        let mut of_performance = Vec::with_capacity(members.len());
        let mut of_complexity = Vec::with_capacity(members.len());
        for ((known, p), c) in members.iter().zip(tape.data(performance)).zip(tape.data(complexity)) {
            let (loss, slope) = known.performance.map_or((0.0, 0.0), |t| error(self.config.performance, p, t));
            losses.performance += loss;
            of_performance.push(slope);
            let (loss, slope) = error(self.config.complexity, c, known.complexity);
            losses.complexity += loss;
            of_complexity.push(slope);
        }
        seeds.extend([(performance, of_performance), (complexity, of_complexity)]);
        seeds.extend(divergence(&tape, (mean, log_variance), self.config.divergence as f32, &mut losses));
        (tape.backward(seeds).of_weights, losses)
    }
}

impl Decoder {
    /// The decoder is shown each graph as far as it is decided and asked for the next choice.
    pub(super) fn reconstruction(
        &self,
        tape: &mut Tape,
        plan: &Plan,
        batch: &Batch,
        records: &[&Record],
        points: Id,
        losses: &mut Losses,
    ) -> Vec<(Id, Vec<f32>)> {
        let (graphs, kinds) = (records.len(), plan.codec.kinds());
        let mut seeds = Vec::new();
        let mut decoding = self.begin(tape, points);
        for (level, nodes) in plan.levels.iter().enumerate() {
            let is_open = |node: usize| records.iter().any(|record| record.open_kinds[node].count_ones() > 1);
            if nodes.clone().any(is_open) {
                let logits = self.kinds(tape, plan, batch, &decoding);
                let mut slopes = vec![0.0; nodes.len() * graphs * kinds];
                for node in nodes.clone() {
                    for (graph, record) in records.iter().enumerate() {
                        let at = plan.row(node, graph, graphs) as usize * kinds;
                        let (logits, slopes) = (&tape.data(logits)[at..][..kinds], &mut slopes[at..][..kinds]);
                        losses.reconstruction +=
                            cross_entropy(logits, record.open_kinds[node], record.kinds[node], slopes);
                    }
                }
                seeds.push((logits, slopes));
            }
            if let Some(logits) = self.edges(tape, plan, batch, &decoding) {
                let mut slopes = vec![0.0; tape.data(logits).len()];
                for (place, choice) in plan.choices_into(level).into_iter().enumerate() {
                    for (graph, record) in records.iter().enumerate() {
                        let at = place * graphs + graph;
                        if let Some(there) = record.open_edges[choice] {
                            let (loss, slope) = logistic(tape.data(logits)[at], there);
                            losses.reconstruction += loss;
                            slopes[at] = slope;
                        }
                    }
                }
                seeds.push((logits, slopes));
            }
            if level + 1 < plan.levels.len() {
                self.take_in(tape, plan, batch, &mut decoding);
            }
        }
        seeds
    }
}

/// ½ Σ (μ² + σ² - 1 - ln σ²) of each point, with gradients of `weight` times as much.
pub(super) fn divergence(
    tape: &Tape,
    (mean, log_variance): (Id, Id),
    weight: f32,
    losses: &mut Losses,
) -> [(Id, Vec<f32>); 2] {
    let (means, variances) = (tape.data(mean), tape.data(log_variance));
    let terms = means.iter().zip(variances).map(|(m, v)| m * m + v.exp() - 1.0 - v);
    losses.divergence += terms.map(f64::from).sum::<f64>() / 2.0;
    let of_mean = means.iter().map(|m| weight * m).collect();
    [(mean, of_mean), (log_variance, variances.iter().map(|v| weight * (v.exp() - 1.0) / 2.0).collect())]
}

/// Loss of the kind among those allowed; its slopes are written.
fn cross_entropy(logits: &[f32], allowed: u32, kind: u8, slopes: &mut [f32]) -> f64 {
    if allowed.count_ones() == 1 {
        return 0.0;
    }
    let open = || (0..logits.len()).filter(|kind| allowed >> kind & 1 == 1);
    let largest = open().map(|kind| logits[kind]).fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = open().map(|kind| (logits[kind] - largest).exp()).sum();
    for kind in open() {
        slopes[kind] = (logits[kind] - largest).exp() / sum;
    }
    slopes[usize::from(kind)] -= 1.0;
    f64::from(largest + sum.ln() - logits[usize::from(kind)])
}

/// Loss of a choice between two and its slope.
fn logistic(logit: f32, chosen: bool) -> (f64, f32) {
    let target = f32::from(u8::from(chosen));
    // softplus(x) - t x, without overflow.
    let loss = logit.max(0.0) - target * logit + (-logit.abs()).exp().ln_1p();
    (f64::from(loss), 1.0 / (1.0 + (-logit).exp()) - target)
}

/// A normal draw (Box and Muller, 1958).
pub(super) fn normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (2.0 * std::f32::consts::PI * rng.random::<f32>()).cos()
}
