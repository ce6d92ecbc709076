//! What a search believes of networks when it knows few: a Gaussian process with a fixed prior over what can be counted in
//! the graphs and over the columns beside them, which is the less certain of a network the less it resembles those trained.

use super::ranked::Rows;
use super::scores::Scores;
use super::{PredictorError, Sample, check};
use crate::regress::{Kernel, Posterior, moments, standardise};
use crate::stats;

/// Variances of the prior, of scores whose own variance is 1: of smooth functions of everything, of what is counted in the
/// graph alone and of the columns beside it alone, of linear functions of either, and of the noise. Set by hand and left
/// alone but for the comparisons in benches/README.md, on labels of CIFAR-100 and ImageNet16-120.
const TOGETHER: f64 = 0.3;
const ALONE: f64 = 0.2;
const LINEAR: f64 = 0.15;
const NOISE: f64 = 0.15;
/// Differences over which functions of everything change, and functions of one sort of columns.
const LONG: f64 = 2.0;
const SHORT: f64 = 1.0;

/// How networks become rows of columns, standardised among some of them.
pub struct Described {
    rows: Rows,
    means: Vec<f64>,
    deviations: Vec<f64>,
    kernels: Vec<Kernel>,
}

impl Described {
    /// The columns of networks like these, with their rows.
    ///
    /// # Panics
    /// If there is none, or they are of different spaces.
    pub fn among(samples: &[Sample]) -> (Described, Vec<Vec<f64>>) {
        let rows = Rows::of(samples);
        let table = rows.all(samples);
        let (means, deviations) = moments(&table);
        let varying: Vec<usize> = (0..means.len()).filter(|column| deviations[*column].is_finite()).collect();
        let is_bit = |column: &usize| table.iter().all(|row| [0.0, 1.0].contains(&row[*column]));
        // Bits of the genotype say what the graph says.
        let (beside, counted): (Vec<usize>, Vec<usize>) =
            varying.iter().copied().partition(|column| *column < rows.kept() && !is_bit(column));
        let described = Described { kernels: prior(varying, counted, beside), rows, means, deviations };
        let standard = table.iter().map(|row| described.standard(row)).collect();
        (described, standard)
    }

    /// A row for each network.
    pub fn rows(&self, samples: &[Sample]) -> Vec<Vec<f64>> {
        self.rows.all(samples).iter().map(|row| self.standard(row)).collect()
    }

    fn standard(&self, row: &[f64]) -> Vec<f64> {
        standardise(row, &self.means, &self.deviations)
    }
}

/// The terms of the prior over the columns that there are.
fn prior(all: Vec<usize>, counted: Vec<usize>, beside: Vec<usize>) -> Vec<Kernel> {
    let smooth = |columns: &[usize], length, weight| Kernel { columns: columns.to_vec(), length: Some(length), weight };
    let linear = |columns: &[usize]| Kernel { columns: columns.to_vec(), length: None, weight: LINEAR };
    let of_sort = |columns: &Vec<usize>| [smooth(columns, SHORT, ALONE), linear(columns)];
    let sorts = [&counted, &beside].into_iter().flat_map(of_sort);
    let terms = std::iter::once(smooth(&all, LONG, TOGETHER)).chain(sorts);
    terms.filter(|kernel| !kernel.columns.is_empty()).collect()
}

/// What is believed after some trainings.
pub struct Belief {
    scale: Scores,
    posterior: Posterior,
    best: f64,
}

impl Belief {
    /// The belief after networks, given by their rows, reached these accuracies.
    ///
    /// # Errors
    /// If there are fewer than four, or an accuracy is not finite.
    pub fn after(
        described: &Described,
        samples: &[Sample],
        rows: &[Vec<f64>],
        accuracies: &[f64],
    ) -> Result<Belief, PredictorError> {
        check(samples, accuracies)?;
        let (scale, scores) = Scores::squared(accuracies);
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let posterior = Posterior::after(rows, &scores, &described.kernels, NOISE);
        Ok(Belief { scale, posterior, best })
    }

    /// For each row, by how much the network is expected to be better than the best so far, in scores of ranks, and the
    /// accuracy that is expected of it (expected improvement: Jones, Schonlau and Welch, Efficient Global Optimization of
    /// Expensive Black-Box Functions, 1998).
    pub fn hopes(&self, rows: &[Vec<f64>]) -> Vec<Hope> {
        let hope = |(mean, spread): (f64, f64)| Hope {
            improvement: expected_improvement(mean - self.best, spread),
            accuracy: self.scale.accuracy(mean),
        };
        self.posterior.predict(rows).into_iter().map(hope).collect()
    }
}

/// What is hoped of a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hope {
    /// By how much it is expected to be better than the best so far; what is worse counts as nothing.
    pub improvement: f64,
    /// The accuracy that is expected of it.
    pub accuracy: f64,
}

/// Mean of what a normal variable is above zero.
fn expected_improvement(mean: f64, spread: f64) -> f64 {
    if spread <= 0.0 {
        return mean.max(0.0);
    }
    let z = mean / spread;
    mean * stats::normal_share(z) + spread * stats::normal_density(z)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{made_up_accuracies, random_samples};
    use super::*;

    #[test]
    fn expected_improvement_is_the_mean_of_what_is_above() {
        // By the trapezoidal rule.
        for (mean, spread) in [(0.3, 1.0), (-2.0, 0.5), (1.0, 0.1), (0.0, 2.0)] {
            let step = spread * 1e-3;
            let at = |i: i32| mean + f64::from(i) * step;
            let sum: f64 = (-9000..9000).map(|i| at(i).max(0.0) * stats::normal_density((at(i) - mean) / spread)).sum();
            let found = expected_improvement(mean, spread);
            assert!((found - sum * step / spread).abs() < 1e-5, "{mean} {spread}: {found}");
        }
        assert_eq!(expected_improvement(0.25, 0.0), 0.25);
        assert_eq!(expected_improvement(-0.25, 0.0), 0.0);
    }

    #[test]
    fn a_belief_ranks_what_it_has_not_seen_and_hopes_for_little_from_what_it_has() {
        let samples = random_samples(160, 4);
        let truth = made_up_accuracies(&samples);
        let (described, rows) = Described::among(&samples);
        let belief = Belief::after(&described, &samples[..60], &rows[..60], &truth[..60]).unwrap();
        let hopes = belief.hopes(&rows);
        let expected: Vec<f64> = hopes[60..].iter().map(|hope| hope.accuracy).collect();
        let tau = stats::kendall_tau(&expected, &truth[60..]);
        assert!(tau > 0.3, "{tau}");
        let worst = (0..60).min_by(|a, b| truth[*a].total_cmp(&truth[*b])).unwrap();
        let most = hopes[60..].iter().map(|hope| hope.improvement).fold(0.0, f64::max);
        assert!(hopes[worst].improvement < 0.1 * most, "{} {most}", hopes[worst].improvement);
        assert_eq!(described.rows(&samples[..3]), rows[..3]);
        assert!(matches!(
            Belief::after(&described, &samples[..3], &rows[..3], &truth[..3]),
            Err(PredictorError::TooFew { .. })
        ));
    }
}
