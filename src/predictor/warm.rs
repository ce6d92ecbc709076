//! Fits that begin with an expectation from elsewhere: a line through it and the size of a network lies under the
//! predictor, if the run's own trials agree that it explains them better than the size alone.

use super::size::with_edges;
use super::{Evaluation, Fitted, Kind, Prediction, PredictorError, Sample, evaluation, fit};
use crate::regress::{Lambda, Ridge};

/// A predictor over a line through an expectation, or alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Warm {
    line: Option<Ridge>,
    rest: Fitted,
}

/// Fits a predictor to samples whose last column is the expectation. By the leave-one-out errors of two small regressions,
/// on size with and without it, the trials decide whether it is used. With a dozen trials that decision errs: on 24 networks
/// trained on built-in images, predictors fitted to 12 lost .04 to .08 of Kendall tau (`netwright predictor pretrain
/// --against`), which is why runs begin without.
///
/// # Errors
/// As [`fit`].
pub fn fit_warm(kind: Kind, samples: &[Sample], accuracies: &[f64], seed: u64) -> Result<Warm, PredictorError> {
    super::check(samples, accuracies)?;
    let own: Vec<Sample> = samples.iter().map(without_last).collect();
    let rows: Vec<Vec<f64>> = samples.iter().map(size_and_expectation).collect();
    let sizes: Vec<Vec<f64>> = rows.iter().map(|row| row[..2].to_vec()).collect();
    let line = Ridge::fit(&rows, accuracies, Lambda::LeaveOneOut);
    let alone = Ridge::fit(&sizes, accuracies, Lambda::LeaveOneOut);
    if line.leave_one_out_error >= alone.leave_one_out_error {
        return Ok(Warm { line: None, rest: fit(kind, &own, accuracies, seed)? });
    }
    let rest: Vec<f64> = line.predict(&rows).iter().zip(accuracies).map(|(on, accuracy)| accuracy - on).collect();
    Ok(Warm { line: Some(line), rest: fit(kind, &own, &rest, seed)? })
}

impl Warm {
    /// Whether the trials agreed with the expectation.
    pub fn is_used(&self) -> bool {
        self.line.is_some()
    }

    /// One prediction per sample, whose last column is the expectation.
    ///
    /// # Panics
    /// As [`Fitted::predict`].
    pub fn predict(&self, samples: &[Sample]) -> Vec<Prediction> {
        let own: Vec<Sample> = samples.iter().map(without_last).collect();
        let mut predictions = self.rest.predict(&own);
        if let Some(line) = &self.line {
            let rows: Vec<Vec<f64>> = samples.iter().map(size_and_expectation).collect();
            predictions.iter_mut().zip(line.predict(&rows)).for_each(|(found, on_line)| found.mean += on_line);
        }
        predictions
    }
}

/// [`super::cross_validate`] of a warm fit.
///
/// # Errors
/// As there.
pub fn cross_validate_warm(
    kind: Kind,
    samples: &[Sample],
    accuracies: &[f64],
    folds: usize,
    seed: u64,
) -> Result<Evaluation, PredictorError> {
    let predict =
        |fitted: &[Sample], known: &[f64], tested: &[Sample]| Ok(fit_warm(kind, fitted, known, seed)?.predict(tested));
    evaluation::by_folds(kind, samples, accuracies, (folds, seed), predict)
}

fn without_last(sample: &Sample) -> Sample {
    let columns = sample.features.len() - 1;
    Sample { dag: sample.dag.clone(), features: sample.features[..columns].to_vec() }
}

/// Number of edges, logarithm of the MACs, expectation.
fn size_and_expectation(sample: &Sample) -> Vec<f64> {
    let row = &with_edges(std::slice::from_ref(sample))[0];
    vec![row[0], row[1], *sample.features.last().expect("a sample has columns")]
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{made_up_accuracies, random_samples};
    use super::*;
    use crate::stats;
    use rand::Rng;

    fn with_column(samples: &[Sample], column: &[f64]) -> Vec<Sample> {
        let add = |(sample, value): (&Sample, &f64)| {
            let features = sample.features.iter().copied().chain([*value]).collect();
            Sample { features, ..sample.clone() }
        };
        samples.iter().zip(column).map(add).collect()
    }

    /// Tau on 200 unseen networks of predictors fitted to 16: with an expectation, and without.
    fn taus(expectation: impl Fn(&[Sample]) -> Vec<f64>) -> (f64, f64) {
        let (samples, unseen) = (random_samples(16, 5), random_samples(200, 6));
        let (known, truth) = (made_up_accuracies(&samples), made_up_accuracies(&unseen));
        let warm_samples = with_column(&samples, &expectation(&samples));
        let warm = fit_warm(Kind::Ridge, &warm_samples, &known, 1).unwrap();
        let tau =
            |found: Vec<Prediction>| stats::kendall_tau(&found.iter().map(|p| p.mean).collect::<Vec<f64>>(), &truth);
        let with = tau(warm.predict(&with_column(&unseen, &expectation(&unseen))));
        (with, tau(fit(Kind::Ridge, &samples, &known, 1).unwrap().predict(&unseen)))
    }

    #[test]
    fn an_expectation_that_knows_the_order_helps_few_trials() {
        let (with, without) = taus(made_up_accuracies);
        assert!(with > 0.9 && with > without + 0.1, "{with} {without}");
    }

    #[test]
    fn an_expectation_of_noise_is_left_out() {
        let samples = random_samples(24, 5);
        let known = made_up_accuracies(&samples);
        let used = |seed| {
            let mut rng = crate::seed::stream(seed, "noise", 0);
            let noise: Vec<f64> = samples.iter().map(|_| rng.random()).collect();
            fit_warm(Kind::Ridge, &with_column(&samples, &noise), &known, 1).unwrap().is_used()
        };
        // By chance, noise explains something of 24 trials now and then.
        let often = (0..20).filter(|seed| used(*seed)).count();
        assert!(often <= 8, "{often} of 20");
        let constant = with_column(&samples, &[1.0; 24]);
        let warm = fit_warm(Kind::Ridge, &constant, &known, 1).unwrap();
        assert!(!warm.is_used());
        assert_eq!(warm.predict(&constant), fit(Kind::Ridge, &samples, &known, 1).unwrap().predict(&samples));
    }
}
