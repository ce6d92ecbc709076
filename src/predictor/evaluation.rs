//! How well a predictor ranks architectures that it has not seen.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{Kind, Prediction, PredictorError, Sample, check, fit};
use crate::stats;

/// Agreement of predictions with accuracies, over samples that were held out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The predictor.
    pub kind: Kind,
    /// Number of samples predicted.
    pub samples: usize,
    /// Number of folds.
    pub folds: usize,
    /// Kendall's τ-b of the pooled predictions.
    pub kendall_tau: f64,
    /// Spearman's rank correlation of the pooled predictions.
    pub spearman: f64,
    /// Mean squared error, in squared accuracy.
    pub mse: f64,
}

/// Predicts every sample by a predictor fitted to the other folds.
///
/// Predictions are pooled before they are ranked: a fold of the few samples a search starts with (24) holds four or
/// five, of which a rank correlation says nothing. The price is that each fold's predictions move a little against its
/// own mean, which lowers the correlation: pooled figures are cautious.
///
/// # Errors
/// As [`fit`], and if there are fewer than two folds or fewer samples than folds.
pub fn cross_validate(
    kind: Kind,
    samples: &[Sample],
    targets: &[f64],
    folds: usize,
    seed: u64,
) -> Result<Evaluation, PredictorError> {
    let predict =
        |fitted: &[Sample], known: &[f64], tested: &[Sample]| Ok(fit(kind, fitted, known, seed)?.predict(tested));
    by_folds(kind, samples, targets, (folds, seed), predict)
}

/// Predicts every sample by what `predict` makes of the samples and targets of the other folds.
pub(super) fn by_folds(
    kind: Kind,
    samples: &[Sample],
    targets: &[f64],
    (folds, seed): (usize, u64),
    predict: impl Fn(&[Sample], &[f64], &[Sample]) -> Result<Vec<Prediction>, PredictorError>,
) -> Result<Evaluation, PredictorError> {
    check(samples, targets)?;
    if folds < 2 {
        return Err(PredictorError::Folds(folds));
    }
    if samples.len() < folds {
        return Err(PredictorError::TooFew { found: samples.len(), needed: folds });
    }
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut predictions = vec![0.0; samples.len()];
    for fold in 0..folds {
        let (tested, fitted): (Vec<_>, Vec<_>) = order.iter().enumerate().partition(|(place, _)| place % folds == fold);
        let pick = |chosen: &[(usize, &usize)]| chosen.iter().map(|(_, i)| samples[**i].clone()).collect::<Vec<_>>();
        let fitted_targets: Vec<f64> = fitted.iter().map(|(_, i)| targets[**i]).collect();
        let found = predict(&pick(&fitted), &fitted_targets, &pick(&tested))?;
        for ((_, sample), prediction) in tested.iter().zip(found) {
            predictions[**sample] = prediction.mean;
        }
    }
    Ok(Evaluation::of(kind, folds, targets, &predictions))
}

impl Evaluation {
    fn of(kind: Kind, folds: usize, targets: &[f64], predictions: &[f64]) -> Evaluation {
        Evaluation {
            kind,
            samples: targets.len(),
            folds,
            kendall_tau: stats::kendall_tau(predictions, targets),
            spearman: stats::spearman(predictions, targets),
            mse: stats::mean_squared_error(targets, predictions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{made_up_accuracies, random_samples};
    use super::*;

    #[test]
    fn a_ridge_explains_made_up_accuracies_and_noise_it_does_not() {
        let samples = random_samples(48, 4);
        let targets = made_up_accuracies(&samples);
        let signal = cross_validate(Kind::Ridge, &samples, &targets, 6, 0).unwrap();
        assert!(signal.kendall_tau > 0.6 && signal.spearman > signal.kendall_tau, "{signal:?}");
        assert_eq!((signal.samples, signal.folds), (48, 6));
        let mut shuffled = targets.clone();
        shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(0));
        let noise = cross_validate(Kind::Ridge, &samples, &shuffled, 6, 0).unwrap();
        assert!(noise.kendall_tau < 0.3 && noise.mse > signal.mse, "{noise:?}");
    }

    #[test]
    fn impossible_folds_are_refused() {
        let samples = random_samples(6, 4);
        let targets = made_up_accuracies(&samples);
        assert!(matches!(cross_validate(Kind::Macs, &samples, &targets, 1, 0), Err(PredictorError::Folds(1))));
        assert!(matches!(cross_validate(Kind::Macs, &samples, &targets, 7, 0), Err(PredictorError::TooFew { .. })));
    }
}
