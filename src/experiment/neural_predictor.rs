//! The study of the second seed (Wen and others, Neural Predictor for Neural Architecture Search, 2019) on any table: its
//! network on its splits, and what its reproduction left open: the classifier before the regressor, hyper-parameters by
//! folds, and a whole selection of architectures.

use rand::seq::SliceRandom;
use serde::Serialize;

use crate::predictor::{GCN_SCHEDULE, GcnClassifier, GcnRegressor, GcnSchedule, PredictorError, Sample};
use crate::regress::folds;
use crate::seed;
use crate::stats;

/// Networks with what is known of them. Accuracies are shares.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// The networks.
    pub samples: Vec<Sample>,
    /// What predictors learn: validation accuracy.
    pub validation: Vec<f64>,
    /// What a selection is judged by: test accuracy, or the validation accuracy again.
    pub test: Vec<f64>,
}

/// One fit and its test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitResult {
    /// How the split is called.
    pub split: String,
    /// Networks fitted to.
    pub fitted: usize,
    /// Networks tested on.
    pub tested: usize,
    /// Mean squared error of accuracies as shares, times 10⁴, as the seed reports it.
    pub mse_e4: f64,
    /// Kendall's τ-b.
    pub kendall_tau: f64,
    /// Predicted and true accuracy of the networks tested on.
    #[serde(skip)]
    pub points: Vec<(f64, f64)>,
}

/// The cascade: a classifier rejects, a regressor ranks what is left.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CascadeResult {
    /// Networks fitted to.
    pub fitted: usize,
    /// Share of the networks tested on that the classifier judges right.
    pub classified_right: f64,
    /// Share of the networks tested on that it keeps.
    pub kept: f64,
    /// Error of the regressor on the kept networks that are of the class, times 10⁴.
    pub mse_e4: f64,
    /// Kendall's τ-b over all, rejected networks below all kept ones.
    pub kendall_tau: f64,
}

/// A point of the end-to-end selection.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Selection {
    /// Trained networks in all: N to fit, K chosen.
    pub trained: usize,
    /// Test accuracy of the trained network with the best validation accuracy.
    pub by_predictor: f64,
    /// The same after the cascade.
    pub by_cascade: f64,
    /// The same of as many random networks.
    pub by_chance: f64,
}

/// Hyper-parameters and their error over folds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tried {
    /// The schedule.
    pub schedule: GcnSchedule,
    /// Mean squared error on held-out folds, times 10⁴.
    pub mse_e4: f64,
}

/// Hyper-parameters that folds decide between.
pub fn grid() -> Vec<GcnSchedule> {
    let rates = [1e-4, 3e-4, 1e-3];
    let schedule = |width, learning_rate| GcnSchedule { width, learning_rate, ..GCN_SCHEDULE };
    [72, 144].into_iter().flat_map(|width| rates.map(|rate| schedule(width, rate))).collect()
}

impl Study {
    /// The splits of the seed: `N` random networks, tested on all others and on those others at or above the cut
    /// (`denoise`); and `cut-N`, fitted to networks at or above the cut alone.
    ///
    /// # Errors
    /// If there are too few networks to fit or to test.
    pub fn splits(
        &self,
        sizes: &[usize],
        cut: f64,
        schedule: &GcnSchedule,
        seed: u64,
    ) -> Result<Vec<SplitResult>, PredictorError> {
        let everything: Vec<usize> = (0..self.samples.len()).collect();
        let good: Vec<usize> = everything.iter().copied().filter(|i| self.validation[*i] >= cut).collect();
        let mut results = Vec::new();
        for size in sizes {
            let (fitted, tested) = divide(&everything, *size, seed)?;
            let regressor = self.regressor(&fitted, schedule, seed)?;
            results.push(self.test(format!("{size} → all"), &regressor, fitted.len(), &tested)?);
            let denoised: Vec<usize> = tested.into_iter().filter(|i| self.validation[*i] >= cut).collect();
            results.push(self.test(format!("{size} → denoise"), &regressor, fitted.len(), &denoised)?);
        }
        if let Some(size) = sizes.iter().min().filter(|size| **size < good.len()) {
            let (fitted, tested) = divide(&good, *size, seed)?;
            let regressor = self.regressor(&fitted, schedule, seed)?;
            results.push(self.test(format!("cut-{size} → denoise"), &regressor, fitted.len(), &tested)?);
        }
        Ok(results)
    }

    /// The first stage decides whether a network is at or above the cut, with probability ½ as its border; the second is
    /// fitted to the fitted networks that are.
    ///
    /// # Errors
    /// If there are too few networks.
    pub fn cascade(
        &self,
        size: usize,
        cut: f64,
        schedule: &GcnSchedule,
        seed: u64,
    ) -> Result<CascadeResult, PredictorError> {
        let everything: Vec<usize> = (0..self.samples.len()).collect();
        let (fitted, tested) = divide(&everything, size, seed)?;
        let stages = self.stages(&fitted, cut, schedule, seed)?;
        let samples = self.pick(&tested);
        let kept: Vec<bool> = stages.0.probabilities(&samples).iter().map(|p| *p >= 0.5).collect();
        let values = stages.1.predict(&samples);
        let is_good = |place: usize| self.validation[tested[place]] >= cut;
        let right = (0..tested.len()).filter(|place| kept[*place] == is_good(*place)).count();
        let (found, truth): (Vec<f64>, Vec<f64>) = (0..tested.len())
            .filter(|place| kept[*place] && is_good(*place))
            .map(|place| (values[place], self.validation[tested[place]]))
            .unzip();
        let scores: Vec<f64> = kept.iter().zip(&values).map(|(kept, value)| cascade_score(*kept, *value)).collect();
        let all: Vec<f64> = tested.iter().map(|i| self.validation[*i]).collect();
        Ok(CascadeResult {
            fitted: fitted.len(),
            classified_right: right as f64 / tested.len() as f64,
            kept: kept.iter().filter(|kept| **kept).count() as f64 / tested.len() as f64,
            mse_e4: 1e4 * stats::mean_squared_error(&truth, &found),
            kendall_tau: stats::kendall_tau(&scores, &all),
        })
    }

    /// The error of each schedule over folds of `size` networks, the best first. Nothing else is looked at.
    ///
    /// # Errors
    /// If there are too few networks.
    pub fn cross_validate(
        &self,
        size: usize,
        count: usize,
        schedules: &[GcnSchedule],
        seed: u64,
    ) -> Result<Vec<Tried>, PredictorError> {
        let everything: Vec<usize> = (0..self.samples.len()).collect();
        let (fitted, _) = divide(&everything, size, seed)?;
        if count < 2 {
            return Err(PredictorError::Folds(count));
        }
        let mut tried = Vec::new();
        for schedule in schedules {
            let mut errors = Vec::new();
            for (known, held) in folds(fitted.len(), count, seed) {
                let known: Vec<usize> = known.iter().map(|place| fitted[*place]).collect();
                let held: Vec<usize> = held.iter().map(|place| fitted[*place]).collect();
                let regressor = self.regressor(&known, schedule, seed)?;
                errors.push(self.test(String::new(), &regressor, known.len(), &held)?.mse_e4);
            }
            tried.push(Tried { schedule: *schedule, mse_e4: stats::mean(&errors) });
        }
        tried.sort_by(|a, b| a.mse_e4.total_cmp(&b.mse_e4));
        Ok(tried)
    }

    /// Trains N networks, predicts all, trains the K predicted best, keeps the one with the best validation accuracy; for
    /// each K.
    ///
    /// # Errors
    /// If there are too few networks.
    pub fn select(
        &self,
        size: usize,
        chosen: &[usize],
        cut: f64,
        schedule: &GcnSchedule,
        seed: u64,
    ) -> Result<Vec<Selection>, PredictorError> {
        let everything: Vec<usize> = (0..self.samples.len()).collect();
        let (fitted, rest) = divide(&everything, size, seed)?;
        let samples = self.pick(&rest);
        let values = self.regressor(&fitted, schedule, seed)?.predict(&samples);
        let (classifier, second) = self.stages(&fitted, cut, schedule, seed)?;
        let kept = classifier.probabilities(&samples).into_iter().map(|p| p >= 0.5);
        let cascaded: Vec<f64> = kept.zip(second.predict(&samples)).map(|(k, value)| cascade_score(k, value)).collect();
        let best_first = |scores: &[f64]| {
            let mut order: Vec<usize> = (0..rest.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            order.into_iter().map(|place| rest[place]).collect::<Vec<usize>>()
        };
        let (by_predictor, by_cascade) = (best_first(&values), best_first(&cascaded));
        let outcome = |more: &[usize]| {
            let trained = fitted.iter().chain(more);
            let best = trained.max_by(|a, b| self.validation[**a].total_cmp(&self.validation[**b]));
            best.map_or(0.0, |best| self.test[*best])
        };
        let at = |count: &usize| {
            let count = (*count).min(rest.len());
            Selection {
                trained: size + count,
                by_predictor: outcome(&by_predictor[..count]),
                by_cascade: outcome(&by_cascade[..count]),
                // The rest is in random order.
                by_chance: outcome(&rest[..count]),
            }
        };
        Ok(chosen.iter().map(at).collect())
    }

    /// Both stages of the cascade.
    fn stages(
        &self,
        fitted: &[usize],
        cut: f64,
        schedule: &GcnSchedule,
        seed: u64,
    ) -> Result<(GcnClassifier, GcnRegressor), PredictorError> {
        let is_good: Vec<bool> = fitted.iter().map(|i| self.validation[*i] >= cut).collect();
        let good: Vec<usize> = fitted.iter().copied().filter(|i| self.validation[*i] >= cut).collect();
        let classifier = GcnClassifier::fit(schedule, &self.pick(fitted), &is_good, seed)?;
        Ok((classifier, self.regressor(&good, schedule, seed)?))
    }

    fn regressor(&self, fitted: &[usize], schedule: &GcnSchedule, seed: u64) -> Result<GcnRegressor, PredictorError> {
        let known: Vec<f64> = fitted.iter().map(|i| self.validation[*i]).collect();
        GcnRegressor::fit(schedule, &self.pick(fitted), &known, seed)
    }

    fn test(
        &self,
        split: String,
        regressor: &GcnRegressor,
        fitted: usize,
        tested: &[usize],
    ) -> Result<SplitResult, PredictorError> {
        let found = regressor.predict(&self.pick(tested));
        let truth: Vec<f64> = tested.iter().map(|i| self.validation[*i]).collect();
        Ok(SplitResult {
            split,
            fitted,
            tested: tested.len(),
            mse_e4: 1e4 * stats::mean_squared_error(&truth, &found),
            kendall_tau: stats::kendall_tau(&found, &truth),
            points: found.into_iter().zip(truth).collect(),
        })
    }

    fn pick(&self, chosen: &[usize]) -> Vec<Sample> {
        chosen.iter().map(|i| self.samples[*i].clone()).collect()
    }
}

/// Rejected networks stand below all kept ones: accuracies are shares, and predictions do not leave them by one.
fn cascade_score(kept: bool, value: f64) -> f64 {
    if kept { value } else { value - 10.0 }
}

/// So many at random, and the others.
fn divide(members: &[usize], size: usize, seed: u64) -> Result<(Vec<usize>, Vec<usize>), PredictorError> {
    if size >= members.len() {
        return Err(PredictorError::TooFew { found: members.len(), needed: size + 1 });
    }
    let mut order = members.to_vec();
    order.shuffle(&mut seed::stream(seed, "split", 0));
    let rest = order.split_off(size);
    Ok((order, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Cost;
    use crate::space::Space;

    const SHORT: GcnSchedule = GcnSchedule { width: 16, learning_rate: 3e-3, epochs: 15, ..GCN_SCHEDULE };

    /// Cells of NAS-Bench-201 that are the better the more of their edges are convolutions.
    fn study() -> Study {
        let space = Space::named("nats-tss").unwrap();
        let mut rng = seed::stream(1, "cells", 0);
        let genotypes: Vec<_> = (0..150).map(|_| space.sample(&mut rng)).collect();
        let dag = |genotype| Sample { dag: space.dag(genotype), features: space.features(genotype, &Cost::default()) };
        let worth = |sample: &Sample| sample.dag.kinds.iter().filter(|kind| [4, 5].contains(*kind)).count() as f64;
        let samples: Vec<Sample> = genotypes.iter().map(dag).collect();
        let validation: Vec<f64> = samples.iter().map(|sample| 0.5 + worth(sample) / 20.0).collect();
        Study { test: validation.clone(), samples, validation }
    }

    #[test]
    fn every_part_of_the_protocol_runs_and_the_predictor_beats_chance() {
        let study = study();
        let splits = study.splits(&[40], 0.6, &SHORT, 1).unwrap();
        assert_eq!(
            splits.iter().map(|s| s.split.as_str()).collect::<Vec<_>>(),
            ["40 → all", "40 → denoise", "cut-40 → denoise"]
        );
        assert!(splits[0].kendall_tau > 0.3 && splits[0].tested == 110, "{:?}", splits[0].kendall_tau);
        let cascade = study.cascade(40, 0.6, &SHORT, 1).unwrap();
        assert!(cascade.classified_right > 0.6 && cascade.kendall_tau > 0.2, "{cascade:?}");
        let tried = study.cross_validate(40, 2, &[SHORT, GcnSchedule { epochs: 1, ..SHORT }], 1).unwrap();
        assert_eq!(tried[0].schedule.epochs, 15, "one epoch is too few: {tried:?}");
        let selected = study.select(20, &[0, 10], 0.6, &SHORT, 1).unwrap();
        assert!(
            selected[0].by_predictor == selected[0].by_chance && selected[1].by_predictor >= selected[0].by_predictor
        );
        assert!(matches!(study.splits(&[150], 0.6, &SHORT, 1), Err(PredictorError::TooFew { .. })));
    }
}
