//! A Gaussian process with given weights that says of every value how uncertain it is (Rasmussen and Williams, Gaussian
//! Processes for Machine Learning, 2006, equations 2.25 and 2.26): what a search needs that knows ten labels, too few to
//! learn weights from. [`Process`](super::Process) learns them, and says one error for all.

use rayon::prelude::*;

use super::cholesky::{Cholesky, dot};
use super::process::{inverse_length, matern, pick, squared_distance};

/// One term of the covariance: how alike two rows are by some of their columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernel {
    /// The columns.
    pub columns: Vec<usize>,
    /// Differences over which a function changes, in root mean squares of the columns' (Matérn, smoothness 5/2); none for
    /// linear functions.
    pub length: Option<f64>,
    /// Variance of the functions.
    pub weight: f64,
}

impl Kernel {
    fn between(&self, a: &[f64], b: &[f64]) -> f64 {
        let likeness = match self.length {
            None => dot(a, b) / a.len() as f64,
            Some(length) => matern(squared_distance(a, b).sqrt() * inverse_length(length, a.len())),
        };
        self.weight * likeness
    }
}

/// The process after some targets were seen.
pub struct Posterior {
    /// The terms, each with its columns of the rows seen.
    terms: Vec<(Kernel, Vec<Vec<f64>>)>,
    target_mean: f64,
    factor: Cholesky,
    duals: Vec<f64>,
}

impl Posterior {
    /// Sees one target per row of standardised columns, each with noise of this variance.
    ///
    /// # Panics
    /// If there is no row, there are not as many targets as rows, or the noise is not positive.
    pub fn after(rows: &[Vec<f64>], targets: &[f64], kernels: &[Kernel], noise: f64) -> Posterior {
        assert!(!rows.is_empty() && rows.len() == targets.len(), "one target per row, and at least one row");
        let count = rows.len();
        let target_mean = targets.iter().sum::<f64>() / count as f64;
        let centred: Vec<f64> = targets.iter().map(|target| target - target_mean).collect();
        let seen = |kernel: &Kernel| rows.iter().map(|row| pick(row, &kernel.columns)).collect();
        let terms: Vec<(Kernel, Vec<Vec<f64>>)> = kernels.iter().map(|kernel| (kernel.clone(), seen(kernel))).collect();
        let mut system = vec![0.0; count * count];
        for (kernel, seen) in &terms {
            for (i, a) in seen.iter().enumerate() {
                seen.iter().zip(&mut system[i * count..]).for_each(|(b, cell)| *cell += kernel.between(a, b));
            }
        }
        (0..count).for_each(|i| system[i * count + i] += noise);
        let factor =
            Cholesky::of_many(&system, count).expect("kernels are positive semidefinite and noise is positive");
        let duals = factor.solve(&centred);
        Posterior { terms, target_mean, factor, duals }
    }

    /// Mean and standard deviation of each row's value, without noise. No row looks at another, so threads change no bit.
    pub fn predict(&self, rows: &[Vec<f64>]) -> Vec<(f64, f64)> {
        rows.par_iter().map(|row| self.predict_one(row)).collect()
    }

    fn predict_one(&self, row: &[f64]) -> (f64, f64) {
        let (mut covariances, mut variance) = (vec![0.0; self.duals.len()], 0.0);
        for (kernel, seen) in &self.terms {
            let own = pick(row, &kernel.columns);
            seen.iter().zip(&mut covariances).for_each(|(other, sum)| *sum += kernel.between(&own, other));
            variance += kernel.between(&own, &own);
        }
        let explained = self.factor.solve_lower(&covariances);
        let rest = (variance - dot(&explained, &explained)).max(0.0);
        (self.target_mean + dot(&covariances, &self.duals), rest.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::super::process::{Part, Process, Shape, Weights, moments, standardise};
    use super::*;

    /// Columns of mean 0 and deviation 1, so that both kinds of process see the same.
    fn rows() -> Vec<Vec<f64>> {
        let raw: Vec<Vec<f64>> = (0..20).map(|i| [i, i * 7 % 20, i * i % 11].map(f64::from).to_vec()).collect();
        let (means, deviations) = moments(&raw);
        raw.iter().map(|row| standardise(row, &means, &deviations)).collect()
    }

    fn smooth(weight: f64) -> Kernel {
        Kernel { columns: vec![0, 1, 2], length: Some(1.0), weight }
    }

    #[test]
    fn its_means_are_those_of_the_process_with_the_same_weights() {
        let rows = rows();
        let targets: Vec<f64> = rows.iter().map(|row| row[0].sin() + row[1] * row[2]).collect();
        let parts = [
            Part { blocks: vec![vec![0, 1, 2]], shape: Shape::Matern { length: 1.0 } },
            Part { blocks: vec![vec![0, 1]], shape: Shape::Linear },
        ];
        let weights = Weights { parts: vec![0.5, 0.3], noise: 0.2 };
        let expected = Process::fit_with(&rows, &targets, &parts, &weights).predict(&rows);
        let kernels = [smooth(0.5), Kernel { columns: vec![0, 1], length: None, weight: 0.3 }];
        for ((mean, _), expected) in
            Posterior::after(&rows, &targets, &kernels, 0.2).predict(&rows).iter().zip(expected)
        {
            assert!((mean - expected).abs() < 1e-9, "{mean} {expected}");
        }
    }

    #[test]
    fn what_was_seen_is_less_uncertain_than_what_was_not() {
        let rows = rows();
        let found = Posterior::after(&rows[..5], &[0.0, 1.0, 0.0, 1.0, 0.0], &[smooth(0.5)], 0.01).predict(&rows);
        let most_seen = found[..5].iter().map(|(_, spread)| *spread).fold(0.0, f64::max);
        let prior = 0.5f64.sqrt();
        assert!(found[5..].iter().all(|(_, spread)| (most_seen..=prior + 1e-12).contains(spread)), "{found:?}");
        // One row: the variance that is left is k - k² / (k + noise).
        let (mean, spread) = Posterior::after(&rows[..1], &[2.0], &[smooth(0.5)], 0.25).predict(&rows[..1])[0];
        assert!((spread.powi(2) - (0.5 - 0.25 / 0.75)).abs() < 1e-12 && (mean - 2.0).abs() < 1e-12, "{mean} {spread}");
    }
}
