//! The predictor of the second seed (Wen et al., "Neural Predictor for Neural Architecture Search", 2019): its graph
//! convolutional network (see `convolution`) fitted to accuracies, or to a class as the first stage of its cascade.

use rand::seq::SliceRandom;

use super::convolution::{Adam, Network, Output, Step, pieces};
use super::{PredictorError, Sample, check, dags};
use crate::seed;
use crate::space::Dag;
use crate::stats;

/// How the network is trained.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct GcnSchedule {
    /// Values of a node.
    pub width: usize,
    /// Step size of Adam, falling to zero along a cosine.
    pub learning_rate: f64,
    /// Penalty of squared weights, halved, inside the loss as Adam (not AdamW) has it.
    pub weight_decay: f64,
    /// Passes over the samples.
    pub epochs: usize,
    /// Samples per step.
    pub batch: usize,
    /// Share of values set to zero after each layer while training.
    pub dropout: f64,
}

/// The published one.
pub const GCN_SCHEDULE: GcnSchedule =
    GcnSchedule { width: 144, learning_rate: 1e-4, weight_decay: 1e-3, epochs: 300, batch: 10, dropout: 0.1 };

/// The network fitted to accuracies.
#[derive(Debug, Clone, PartialEq)]
pub struct GcnRegressor {
    network: Network,
    mean: f64,
    deviation: f64,
}

impl GcnRegressor {
    /// Fits one accuracy per sample; only the graphs are looked at.
    ///
    /// # Errors
    /// As [`super::fit`].
    pub fn fit(
        schedule: &GcnSchedule,
        samples: &[Sample],
        accuracies: &[f64],
        seed: u64,
    ) -> Result<GcnRegressor, PredictorError> {
        check(samples, accuracies)?;
        let (mean, deviation) = (stats::mean(accuracies), stats::std_dev(accuracies).max(f64::MIN_POSITIVE));
        let targets: Vec<f32> = accuracies.iter().map(|accuracy| ((accuracy - mean) / deviation) as f32).collect();
        let network = train(schedule, Output::Value, &dags(samples), &targets, seed);
        Ok(GcnRegressor { network, mean, deviation })
    }

    /// One accuracy per sample.
    pub fn predict(&self, samples: &[Sample]) -> Vec<f64> {
        let outputs = self.network.apply(&dags(samples));
        outputs.into_iter().map(|output| self.mean + f64::from(output) * self.deviation).collect()
    }
}

/// The network fitted to a class: the first stage of the second seed's cascade.
#[derive(Debug, Clone, PartialEq)]
pub struct GcnClassifier(Network);

impl GcnClassifier {
    /// Fits whether each sample is of the class.
    ///
    /// # Errors
    /// As [`super::fit`].
    pub fn fit(
        schedule: &GcnSchedule,
        samples: &[Sample],
        is_member: &[bool],
        seed: u64,
    ) -> Result<GcnClassifier, PredictorError> {
        let targets: Vec<f32> = is_member.iter().map(|member| f32::from(u8::from(*member))).collect();
        check(samples, &targets.iter().map(|target| f64::from(*target)).collect::<Vec<f64>>())?;
        Ok(GcnClassifier(train(schedule, Output::Logit, &dags(samples), &targets, seed)))
    }

    /// Probability of the class, one per sample.
    pub fn probabilities(&self, samples: &[Sample]) -> Vec<f64> {
        let logits = self.0.apply(&dags(samples));
        logits.into_iter().map(|logit| 1.0 / (1.0 + (-f64::from(logit)).exp())).collect()
    }
}

/// Trains on standardised targets, or on targets of zero and one for a logit.
fn train(schedule: &GcnSchedule, output: Output, dags: &[&Dag], targets: &[f32], seed: u64) -> Network {
    let mut rng = seed::stream(seed, "gcn", 0);
    let kinds = 1 + dags.iter().flat_map(|dag| &dag.kinds).max().map_or(0, |kind| *kind as usize);
    let mut network = Network::random(kinds, schedule.width, &mut rng);
    let mut adam = Adam::of(&network);
    let mut order: Vec<usize> = (0..dags.len()).collect();
    let steps = order.len().div_ceil(schedule.batch) * schedule.epochs;
    let mut taken = 0;
    for _ in 0..schedule.epochs {
        order.shuffle(&mut rng);
        for chosen in order.chunks(schedule.batch) {
            let progress = taken as f64 / steps as f64;
            let rate = schedule.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
            let step = Step {
                output,
                learning_rate: rate as f32,
                weight_decay: schedule.weight_decay as f32,
                dropout: schedule.dropout,
                seed: seed::derive(seed, "step", taken as u64),
            };
            let graphs = pieces(&chosen.iter().map(|i| dags[*i]).collect::<Vec<&Dag>>());
            let wanted: Vec<f32> = chosen.iter().map(|i| targets[*i]).collect();
            network.train_step(&graphs, &wanted, &mut adam, &step);
            taken += 1;
        }
    }
    network
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{made_up_accuracies, random_samples};
    use super::*;

    const SHORT: GcnSchedule = GcnSchedule { width: 24, learning_rate: 3e-3, epochs: 40, ..GCN_SCHEDULE };

    #[test]
    fn it_learns_values_and_classes() {
        let (samples, unseen) = (random_samples(80, 1), random_samples(60, 2));
        let (known, truth) = (made_up_accuracies(&samples), made_up_accuracies(&unseen));
        let found = GcnRegressor::fit(&SHORT, &samples, &known, 1).unwrap().predict(&unseen);
        assert!(stats::kendall_tau(&found, &truth) > 0.4, "{found:?}");
        let middle = stats::median(&known);
        let classes: Vec<bool> = known.iter().map(|accuracy| *accuracy > middle).collect();
        let classifier = GcnClassifier::fit(&SHORT, &samples, &classes, 1).unwrap();
        let found = classifier.probabilities(&unseen);
        assert!(found.iter().all(|probability| (0.0..=1.0).contains(probability)));
        assert!(stats::kendall_tau(&found, &truth) > 0.3, "{found:?}");
    }
}
