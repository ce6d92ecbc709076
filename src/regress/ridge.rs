//! Ridge regression: least squares with a penalty on the squared coefficients (Hoerl and Kennard, 1970).

use super::cholesky::Cholesky;

/// How strongly coefficients are drawn to zero: what is added to the diagonal of XᵀX, columns having mean 0 and
/// standard deviation 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lambda {
    /// This value.
    Fixed(f64),
    /// The value of a grid, 10⁻³ to 10² times the number of rows, whose leave-one-out error is smallest.
    LeaveOneOut,
}

/// Steps of the grid per factor of ten.
const STEPS_PER_DECADE: i32 = 4;
/// The grid, in powers of ten relative to the number of rows.
const DECADES: std::ops::RangeInclusive<i32> = -3..=2;

/// A fitted linear model.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    /// Value where every column is zero.
    pub intercept: f64,
    /// One coefficient per column, in the units of the column.
    pub coefficients: Vec<f64>,
    /// The penalty that was used.
    pub lambda: f64,
    /// Root mean square of the leave-one-out errors, in the units of the targets.
    pub leave_one_out_error: f64,
}

impl Ridge {
    /// Fits one target per row. Columns are standardised first; constant ones get no weight.
    ///
    /// # Panics
    /// If there is no row, rows differ in length, there are not as many targets as rows, or a fixed λ is not positive.
    pub fn fit(rows: &[Vec<f64>], targets: &[f64], lambda: Lambda) -> Ridge {
        assert!(!rows.is_empty(), "there is at least one row");
        Ridge::fit_columns(rows, targets, &vec![1.0; rows[0].len()], lambda)
    }

    /// As [`Ridge::fit`], with λ times its own factor for each column: below 1 for columns that are expected to matter.
    ///
    /// # Panics
    /// As [`Ridge::fit`], and if there are not as many factors as columns or one is not positive.
    pub fn fit_columns(rows: &[Vec<f64>], targets: &[f64], factors: &[f64], lambda: Lambda) -> Ridge {
        assert!(!rows.is_empty() && rows.len() == targets.len(), "one target per row, and at least one row");
        assert!(factors.len() == rows[0].len() && factors.iter().all(|f| *f > 0.0), "a positive factor per column");
        Problem::of(rows, targets, factors, &vec![1.0; rows.len()]).best(lambda)
    }

    /// As [`Ridge::fit`], with a weight for each row: its squared error counts that much, in the leave-one-out error too.
    ///
    /// # Panics
    /// As [`Ridge::fit`], and if there are not as many weights as rows or one is not positive.
    pub fn fit_rows(rows: &[Vec<f64>], targets: &[f64], weights: &[f64], lambda: Lambda) -> Ridge {
        assert!(!rows.is_empty() && rows.len() == targets.len(), "one target per row, and at least one row");
        assert!(weights.len() == rows.len() && weights.iter().all(|w| *w > 0.0), "a positive weight per row");
        Problem::of(rows, targets, &vec![1.0; rows[0].len()], weights).best(lambda)
    }

    /// One value per row.
    pub fn predict(&self, rows: &[Vec<f64>]) -> Vec<f64> {
        rows.iter().map(|row| self.intercept + dot(row, &self.coefficients)).collect()
    }
}

fn grid(rows: usize) -> impl Iterator<Item = f64> {
    let steps = DECADES.start() * STEPS_PER_DECADE..=DECADES.end() * STEPS_PER_DECADE;
    steps.map(move |step| rows as f64 * 10f64.powf(step as f64 / STEPS_PER_DECADE as f64))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Standardised columns and centred targets, with the products that every penalty shares.
struct Problem {
    means: Vec<f64>,
    /// What each column is divided by: its standard deviation, infinite for a constant one, times the root of its
    /// factor. Shrinking a column by √f multiplies its penalty by f.
    deviations: Vec<f64>,
    target_mean: f64,
    /// Of rows and targets, each is multiplied by the root of its weight; weights have mean 1.
    rows: Vec<Vec<f64>>,
    targets: Vec<f64>,
    weights: Vec<f64>,
    /// XᵀX, (columns, columns).
    gram: Vec<f64>,
    /// Xᵀy.
    moments: Vec<f64>,
}

/// The coefficients of standardised columns under one penalty.
struct Solution {
    lambda: f64,
    coefficients: Vec<f64>,
    /// Mean squared leave-one-out error.
    error: f64,
}

impl Problem {
    fn of(rows: &[Vec<f64>], targets: &[f64], factors: &[f64], weights: &[f64]) -> Problem {
        let (count, columns) = (rows.len() as f64, rows[0].len());
        assert!(rows.iter().all(|row| row.len() == columns), "rows are equally long");
        let mean_weight = weights.iter().sum::<f64>() / count;
        let weights: Vec<f64> = weights.iter().map(|weight| weight / mean_weight).collect();
        let column = |c: usize| rows.iter().zip(&weights).map(move |(row, weight)| (row[c], *weight));
        let means: Vec<f64> = (0..columns).map(|c| column(c).map(|(v, w)| v * w).sum::<f64>() / count).collect();
        let deviation = |c: usize| {
            let variance = column(c).map(|(v, w)| w * (v - means[c]).powi(2)).sum::<f64>() / count;
            // What is left of a constant column is rounding.
            let deviation = if variance.sqrt() > 1e-12 * means[c].abs() { variance.sqrt() } else { f64::INFINITY };
            deviation * factors[c].sqrt()
        };
        let deviations: Vec<f64> = (0..columns).map(deviation).collect();
        let standardise = |(row, weight): (&Vec<f64>, &f64)| {
            (0..columns).map(|c| weight.sqrt() * (row[c] - means[c]) / deviations[c]).collect()
        };
        let rows: Vec<Vec<f64>> = rows.iter().zip(&weights).map(standardise).collect();
        let target_mean = targets.iter().zip(&weights).map(|(t, w)| t * w).sum::<f64>() / count;
        let targets: Vec<f64> = targets.iter().zip(&weights).map(|(t, w)| w.sqrt() * (t - target_mean)).collect();
        let (gram, moments) = products(&rows, &targets);
        Problem { means, deviations, target_mean, rows, targets, weights, gram, moments }
    }

    fn best(&self, lambda: Lambda) -> Ridge {
        let best = match lambda {
            Lambda::Fixed(lambda) => self.solve(lambda),
            Lambda::LeaveOneOut => grid(self.rows.len())
                .map(|lambda| self.solve(lambda))
                .min_by(|a, b| a.error.total_cmp(&b.error))
                .expect("the grid is not empty"),
        };
        self.in_original_units(best)
    }

    /// Solves (XᵀX + λI) w = Xᵀy. The error left when a row is held out needs no second fit: it is the residual over one
    /// minus the row's leverage (Allen's PRESS, 1974; 1/n of the leverage is the intercept's).
    fn solve(&self, lambda: f64) -> Solution {
        let columns = self.means.len();
        let mut system = self.gram.clone();
        (0..columns).for_each(|c| system[c * columns + c] += lambda);
        let factor = Cholesky::of(&system, columns).expect("XᵀX plus a positive diagonal is positive definite");
        let coefficients = factor.solve(&self.moments);
        let held_out = |((row, target), weight): ((&Vec<f64>, &f64), &f64)| {
            let whitened = factor.solve_lower(row);
            let leverage = dot(&whitened, &whitened) + weight / self.rows.len() as f64;
            ((target - dot(row, &coefficients)) / (1.0 - leverage).max(f64::EPSILON)).powi(2)
        };
        let error =
            self.rows.iter().zip(&self.targets).zip(&self.weights).map(held_out).sum::<f64>() / self.rows.len() as f64;
        Solution { lambda, coefficients, error }
    }

    fn in_original_units(&self, solution: Solution) -> Ridge {
        let scaled = solution.coefficients.iter().zip(&self.deviations);
        let coefficients: Vec<f64> = scaled.map(|(weight, deviation)| weight / deviation).collect();
        Ridge {
            intercept: self.target_mean - dot(&coefficients, &self.means),
            coefficients,
            lambda: solution.lambda,
            leave_one_out_error: solution.error.sqrt(),
        }
    }
}

/// XᵀX and Xᵀy.
fn products(rows: &[Vec<f64>], targets: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let columns = rows[0].len();
    let (mut gram, mut moments) = (vec![0.0; columns * columns], vec![0.0; columns]);
    for (row, target) in rows.iter().zip(targets) {
        for (i, a) in row.iter().enumerate() {
            moments[i] += a * target;
            gram[i * columns..][..columns].iter_mut().zip(row).for_each(|(cell, b)| *cell += a * b);
        }
    }
    (gram, moments)
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Rows of five columns (the last constant) and a noisy linear target.
    fn noisy_line(count: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut row = |_| (0..5).map(|c| if c == 4 { 0.1 } else { rng.random::<f64>() * (c + 1) as f64 }).collect();
        let rows: Vec<Vec<f64>> = (0..count).map(&mut row).collect();
        let targets = rows.iter().map(|r| 2.0 + 3.0 * r[0] - r[3] + 0.3 * rng.random::<f64>()).collect();
        (rows, targets)
    }

    #[test]
    fn almost_no_penalty_finds_the_line() {
        let rows: Vec<Vec<f64>> = (0..10).map(|i| vec![i as f64, (i * i) as f64]).collect();
        let targets: Vec<f64> = rows.iter().map(|r| 1.0 + 2.0 * r[0] - 0.5 * r[1]).collect();
        let ridge = Ridge::fit(&rows, &targets, Lambda::Fixed(1e-9));
        assert!((ridge.intercept - 1.0).abs() < 1e-6);
        assert!((ridge.coefficients[0] - 2.0).abs() < 1e-6 && (ridge.coefficients[1] + 0.5).abs() < 1e-6);
    }

    #[test]
    fn a_strong_penalty_leaves_the_mean() {
        let (rows, targets) = noisy_line(30);
        let ridge = Ridge::fit(&rows, &targets, Lambda::Fixed(1e12));
        let mean = targets.iter().sum::<f64>() / 30.0;
        assert!(ridge.predict(&rows).iter().all(|p| (p - mean).abs() < 1e-6));
    }

    /// By hand: the squares of a standardised column sum to the number of rows, here 3, so that λ = 3 halves its slope.
    #[test]
    fn a_penalty_of_the_number_of_rows_halves_one_coefficient() {
        let rows = [vec![-1.0], vec![0.0], vec![1.0]];
        let ridge = Ridge::fit(&rows, &[1.0, 2.0, 3.0], Lambda::Fixed(3.0));
        assert!((ridge.coefficients[0] - 0.5).abs() < 1e-12 && (ridge.intercept - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_factor_is_a_penalty_of_its_own() {
        let rows = [vec![-1.0], vec![0.0], vec![1.0]];
        let ridge = Ridge::fit_columns(&rows, &[1.0, 2.0, 3.0], &[3.0], Lambda::Fixed(1.0));
        assert!((ridge.coefficients[0] - 0.5).abs() < 1e-12, "{ridge:?}");
    }

    #[test]
    fn a_row_of_weight_two_is_a_row_twice() {
        let (mut rows, mut targets) = noisy_line(12);
        let mut weights = vec![1.0; 12];
        weights[5] = 2.0;
        // Weights are relative, so the penalty is one for twelve rows of mean weight 1, and for thirteen rows.
        let weighted = Ridge::fit_rows(&rows, &targets, &weights, Lambda::Fixed(12.0 / 13.0));
        rows.push(rows[5].clone());
        targets.push(targets[5]);
        let twice = Ridge::fit(&rows, &targets, Lambda::Fixed(1.0));
        for (a, b) in weighted.coefficients.iter().zip(&twice.coefficients) {
            assert!((a - b).abs() < 1e-9, "{weighted:?} {twice:?}");
        }
    }

    #[test]
    fn the_closed_form_is_the_leave_one_out_error_but_for_standardising_anew() {
        let (rows, targets) = noisy_line(60);
        let ridge = Ridge::fit(&rows, &targets, Lambda::Fixed(0.5));
        let held_out = |i: usize| {
            let (mut rest, mut rest_targets) = (rows.clone(), targets.clone());
            rest.remove(i);
            rest_targets.remove(i);
            let without = Ridge::fit(&rest, &rest_targets, Lambda::Fixed(0.5));
            (targets[i] - without.predict(&rows[i..=i])[0]).powi(2)
        };
        let slow = ((0..60).map(held_out).sum::<f64>() / 60.0).sqrt();
        assert!((ridge.leave_one_out_error / slow - 1.0).abs() < 1e-2, "{} {slow}", ridge.leave_one_out_error);
    }

    #[test]
    fn leave_one_out_penalises_noise_more_than_signal() {
        let (rows, targets) = noisy_line(40);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let noise: Vec<f64> = (0..40).map(|_| rng.random()).collect();
        let signal = Ridge::fit(&rows, &targets, Lambda::LeaveOneOut);
        assert!(signal.lambda < Ridge::fit(&rows, &noise, Lambda::LeaveOneOut).lambda);
        assert_eq!(signal.coefficients[4], 0.0, "a constant column has no weight");
    }
}
