//! The graph autoencoder: encoder, decoder and both predictors, whose weights lie in one buffer.

use rand::Rng;
use rayon::prelude::*;

use super::GenerateError;
use super::config::VaeConfig;
use super::decoder::Decoder;
use super::encoder::Encoder;
use super::head::Head;
use super::plan::{Batch, MOST_NODES, Plan, Record};
use super::tape::Tape;
use super::weights::WeightLayout;
use crate::seed;
use crate::space::{Codec, Dag, Space};

/// Graphs or points that one task computes together.
const TOGETHER: usize = 128;

/// A variational autoencoder of the graphs of a space (D-VAE, Zhang and others, 2019) with predictors of performance and of
/// complexity on its latent space (NGAE, Li and others, 2020).
#[derive(Debug, Clone, PartialEq)]
pub struct GraphVae {
    pub(super) config: VaeConfig,
    pub(super) plan: Plan,
    pub(super) layout: WeightLayout,
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
    pub(super) performance: Head,
    pub(super) complexity: Head,
    pub(super) weights: Vec<f32>,
    /// How predictions of performance are scaled back.
    pub(super) performance_scale: Scale,
    /// How predictions of the logarithm of complexity are scaled back.
    pub(super) complexity_scale: Scale,
}

/// Mean and standard deviation of what a predictor learns.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scale {
    /// Mean.
    pub mean: f64,
    /// Standard deviation, never zero.
    pub deviation: f64,
}

impl Scale {
    /// Of all numbers among the values; of none, the numbers themselves.
    pub fn of(values: &[f64]) -> Scale {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let deviation = crate::stats::std_dev(&finite);
        match deviation.is_finite() && deviation > 0.0 {
            true => Scale { mean: crate::stats::mean(&finite), deviation },
            false => Scale { mean: finite.first().copied().unwrap_or(0.0), deviation: 1.0 },
        }
    }

    /// Whether a scale from a file measures anything.
    pub(super) fn is_sound(&self) -> bool {
        self.mean.is_finite() && self.deviation.is_finite() && self.deviation > 0.0
    }

    pub(super) fn down(self, value: f64) -> f32 {
        ((value - self.mean) / self.deviation) as f32
    }

    pub(super) fn up(self, value: f32) -> f64 {
        f64::from(value) * self.deviation + self.mean
    }
}

/// A point of the latent space.
pub type Point = Vec<f32>;

/// What the predictors say of a point, with slopes along its dimensions.
#[derive(Debug, Clone, PartialEq)]
pub struct Slopes {
    /// Predicted performance, in the units of the labels.
    pub performance: f64,
    /// Predicted complexity.
    pub complexity: f64,
    /// Gradient of the standardised performance.
    pub of_performance: Vec<f32>,
    /// Gradient of the natural logarithm of complexity.
    pub of_complexity: Vec<f32>,
}

impl GraphVae {
    /// A model with random weights.
    ///
    /// # Errors
    /// If the space has no codec.
    pub fn new(space: &Space, config: VaeConfig, seed: u64) -> Result<GraphVae, GenerateError> {
        let plan = Plan::of(Codec::of(space)?);
        if plan.nodes() > MOST_NODES {
            return Err(GenerateError::TooLarge { nodes: plan.nodes(), most: MOST_NODES });
        }
        let mut layout = WeightLayout::default();
        let encoder = Encoder::new(&mut layout, &plan, &config);
        let decoder = Decoder::new(&mut layout, &plan, &config);
        let performance = Head::new(&mut layout, "performance", config.latent, config.head);
        let complexity = Head::new(&mut layout, "complexity", config.latent, config.head);
        let weights = layout.random(&mut seed::stream(seed, "latent weights", 0));
        let scale = Scale { mean: 0.0, deviation: 1.0 };
        Ok(GraphVae {
            config,
            plan,
            layout,
            encoder,
            decoder,
            performance,
            complexity,
            weights,
            performance_scale: scale,
            complexity_scale: scale,
        })
    }

    /// Sizes and schedule.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Scales of performance and of the logarithm of complexity.
    pub fn scales(&self) -> (Scale, Scale) {
        (self.performance_scale, self.complexity_scale)
    }

    /// Number of weights.
    pub fn weight_count(&self) -> usize {
        self.weights.len()
    }

    /// Mean and standard deviation of each dimension, for each graph.
    pub fn encode(&self, dags: &[Dag]) -> Vec<(Point, Point)> {
        let encode = |dags: &[Dag]| -> Vec<(Point, Point)> {
            let records: Vec<Record> = dags.iter().map(|dag| self.plan.record(dag)).collect();
            let batch = Batch::of(&records.iter().collect::<Vec<&Record>>(), self.plan.nodes());
            let mut tape = Tape::new(&self.weights);
            let (mean, log_variance) = self.encoder.apply(&mut tape, &self.plan, &batch);
            let rows = |id| tape.data(id).chunks(self.config.latent);
            let deviation = |row: &[f32]| row.iter().map(|v| (v / 2.0).exp()).collect();
            rows(mean).zip(rows(log_variance)).map(|(mean, row)| (mean.to_vec(), deviation(row))).collect()
        };
        dags.par_chunks(TOGETHER).flat_map_iter(encode).collect()
    }

    /// The most probable graph of each point, choice by choice.
    pub fn decode(&self, points: &[Point]) -> Vec<Dag> {
        let decode = |points: &[Point]| self.decode_together(points, None::<&mut rand_chacha::ChaCha8Rng>);
        points.par_chunks(TOGETHER).flat_map_iter(decode).collect()
    }

    /// A graph drawn from each point, every choice by its probability; draws follow from the seed.
    pub fn draw(&self, points: &[Point], seed: u64) -> Vec<Dag> {
        let draw = |(index, points): (usize, &[Point])| {
            self.decode_together(points, Some(&mut seed::stream(seed, "latent decode", index as u64)))
        };
        points.par_chunks(TOGETHER).enumerate().flat_map_iter(draw).collect()
    }

    fn decode_together(&self, points: &[Point], rng: Option<&mut impl Rng>) -> Vec<Dag> {
        let mut tape = Tape::new(&self.weights);
        let id = tape.leaf(self.config.latent, points.concat());
        self.decoder.decode(&mut tape, &self.plan, id, points.len(), rng)
    }

    /// Predicted performance and complexity of each point.
    pub fn predict(&self, points: &[Point]) -> Vec<(f64, f64)> {
        let predict = |points: &[Point]| -> Vec<(f64, f64)> {
            let mut tape = Tape::new(&self.weights);
            let id = tape.leaf(self.config.latent, points.concat());
            let (performance, complexity) =
                (self.performance.apply(&mut tape, id), self.complexity.apply(&mut tape, id));
            let both = tape.data(performance).iter().zip(tape.data(complexity));
            both.map(|(p, c)| (self.performance_scale.up(*p), self.complexity_scale.up(*c).exp())).collect()
        };
        points.par_chunks(TOGETHER).flat_map_iter(predict).collect()
    }

    /// Predictions at each point and their slopes.
    pub fn slopes(&self, points: &[Point]) -> Vec<Slopes> {
        let latent = self.config.latent;
        let slopes = |points: &[Point]| -> Vec<Slopes> {
            let mut tape = Tape::new(&self.weights);
            let id = tape.leaf(latent, points.concat());
            let (performance, complexity) =
                (self.performance.apply(&mut tape, id), self.complexity.apply(&mut tape, id));
            // No point enters the prediction of another: the gradient of the sum is that of each.
            let of_performance = tape.backward(vec![(performance, vec![1.0; points.len()])]);
            let deviation = self.complexity_scale.deviation as f32;
            let of_complexity = tape.backward(vec![(complexity, vec![deviation; points.len()])]);
            let of = |row: usize| Slopes {
                performance: self.performance_scale.up(tape.data(performance)[row]),
                complexity: self.complexity_scale.up(tape.data(complexity)[row]).exp(),
                of_performance: of_performance.of(id)[row * latent..][..latent].to_vec(),
                of_complexity: of_complexity.of(id)[row * latent..][..latent].to_vec(),
            };
            (0..points.len()).map(of).collect()
        };
        points.par_chunks(TOGETHER).flat_map_iter(slopes).collect()
    }
}
