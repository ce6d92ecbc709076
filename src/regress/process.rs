//! A Gaussian process whose kernel is a weighted sum of given parts, the weights being those under which the targets are
//! most likely (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, §5.4.1).
//!
//! With the scales of the parts fixed, weights and noise are variance components: the MM iteration of Zhou, Hu, Qiao and
//! Lange (MM Algorithms for Variance Components Models, 2019) raises the likelihood in every step without a step size.

use super::cholesky::{Cholesky, dot};

/// How alike two rows are, by their standardised columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Product of the columns over their number: linear regression.
    Linear,
    /// Matérn's kernel of smoothness 5/2; `length` is in root mean squares of the columns' differences.
    Matern {
        /// Differences over which a function changes.
        length: f64,
    },
    /// Product of the linear kernels of a block and of the next: how the columns of neighbours act together.
    Neighbours,
}

/// One term of the kernel: the mean over blocks of columns, so that with several blocks the function is a sum of functions
/// of one block each.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Columns of each block.
    pub blocks: Vec<Vec<usize>>,
    /// The kernel on a block.
    pub shape: Shape,
}

/// A fitted process.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    means: Vec<f64>,
    deviations: Vec<f64>,
    target_mean: f64,
    weights: Weights,
    terms: Vec<Term>,
    /// (C⁻¹ y), one for each fitted row.
    duals: Vec<f64>,
    leave_one_out: Vec<f64>,
    leave_one_out_error: f64,
}

/// Variance that each part explains, and what none does, of targets with their own scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// One for each part.
    pub parts: Vec<f64>,
    /// Variance of the noise.
    pub noise: f64,
}

/// Rows that the weights are learned from; the cost grows with their cube, and a handful of numbers needs no more.
const ROWS_FOR_WEIGHTS: usize = 300;
/// Steps towards the likeliest weights; the first ones go farthest.
const STEPS: usize = 40;
/// Weight relative to the variance of the targets below which a part is left out of predictions.
const NEGLIGIBLE: f64 = 1e-4;

impl Process {
    /// Learns the weights and fits one target per row. Columns are standardised first.
    ///
    /// # Panics
    /// If there are not two rows or no part, rows differ in length, or there are not as many targets as rows.
    pub fn fit(rows: &[Vec<f64>], targets: &[f64], parts: &[Part]) -> Process {
        let stride = rows.len().div_ceil(ROWS_FOR_WEIGHTS).max(1);
        let chosen: Vec<usize> = (0..rows.len()).step_by(stride).collect();
        let some_rows: Vec<Vec<f64>> = chosen.iter().map(|row| rows[*row].clone()).collect();
        let some_targets: Vec<f64> = chosen.iter().map(|row| targets[*row]).collect();
        let weights = likeliest_weights(&some_rows, &some_targets, parts, STEPS);
        Process::fit_with(rows, targets, parts, &weights)
    }

    /// Fits with known weights, for example those of a fit to more rows.
    ///
    /// # Panics
    /// As [`Process::fit`], and if there are not as many weights as parts.
    pub fn fit_with(rows: &[Vec<f64>], targets: &[f64], parts: &[Part], weights: &Weights) -> Process {
        assert!(rows.len() > 1 && rows.len() == targets.len(), "one target per row, and at least two rows");
        assert!(!parts.is_empty() && parts.len() == weights.parts.len(), "one weight per part");
        let (means, deviations) = moments(rows);
        let standard: Vec<Vec<f64>> = rows.iter().map(|row| standardise(row, &means, &deviations)).collect();
        let target_mean = targets.iter().sum::<f64>() / targets.len() as f64;
        let centred: Vec<f64> = targets.iter().map(|target| target - target_mean).collect();
        let grams: Vec<Vec<f64>> = parts.iter().map(|part| gram(part, &standard)).collect();
        let factor = factor(&grams, weights, rows.len());
        let duals = factor.solve(&centred);
        // Sundararajan and Keerthi (2001): the error left when a row is held out needs no second fit.
        let inverse = factor.inverse();
        let held_out = |i: usize| targets[i] - duals[i] / inverse[i * rows.len() + i];
        let leave_one_out: Vec<f64> = (0..rows.len()).map(held_out).collect();
        let squares = leave_one_out.iter().zip(targets).map(|(found, target)| (found - target).powi(2)).sum::<f64>();
        let leave_one_out_error = (squares / rows.len() as f64).sqrt();
        let total = weights.parts.iter().sum::<f64>() + weights.noise;
        let matters = |(_, weight): &(&Part, &f64)| **weight > NEGLIGIBLE * total;
        let terms = parts.iter().zip(&weights.parts).filter(matters);
        let terms =
            terms.flat_map(|(part, weight)| Term::all(part, *weight, &standard, &duals)).fold(Vec::new(), merged);
        let weights = weights.clone();
        Process { means, deviations, target_mean, weights, terms, duals, leave_one_out, leave_one_out_error }
    }

    /// One value per row.
    pub fn predict(&self, rows: &[Vec<f64>]) -> Vec<f64> {
        let value = |row: &Vec<f64>| {
            let row = standardise(row, &self.means, &self.deviations);
            self.target_mean + self.terms.iter().map(|term| term.value(&row, &self.duals)).sum::<f64>()
        };
        rows.iter().map(value).collect()
    }

    /// A row's value and how it changes with each column.
    pub fn slope(&self, row: &[f64]) -> (f64, Vec<f64>) {
        let standard = standardise(row, &self.means, &self.deviations);
        let mut slope = vec![0.0; row.len()];
        let mut value = self.target_mean;
        for term in &self.terms {
            value += term.value(&standard, &self.duals);
            term.add_slope(&standard, &self.duals, &mut slope);
        }
        slope.iter_mut().zip(&self.deviations).for_each(|(slope, deviation)| *slope /= deviation);
        (value, slope)
    }

    /// What is predicted of each fitted row from the others.
    pub fn leave_one_out(&self) -> &[f64] {
        &self.leave_one_out
    }

    /// Root mean square of the leave-one-out errors, in the units of the targets.
    pub fn leave_one_out_error(&self) -> f64 {
        self.leave_one_out_error
    }

    /// The weights it was fitted with.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }
}

/// What one block of a part adds to a prediction.
#[derive(Debug, Clone, PartialEq)]
enum Term {
    /// The coefficients of the columns: a linear kernel needs no fitted rows.
    Linear { columns: Vec<usize>, coefficients: Vec<f64> },
    /// Coefficients of the products of the columns, (columns, others).
    Neighbours { columns: Vec<usize>, others: Vec<usize>, coefficients: Vec<f64> },
    /// Weights and inverse lengths of kernels on the same columns, and the fitted rows, one after another.
    Matern { columns: Vec<usize>, scales: Vec<(f64, f64)>, rows: Vec<f64> },
}

/// Adds a term; kernels on the same columns share their distances.
fn merged(mut terms: Vec<Term>, term: Term) -> Vec<Term> {
    if let Term::Matern { columns: own, scales: new, .. } = &term {
        for known in &mut terms {
            match known {
                Term::Matern { columns, scales, .. } if columns == own => {
                    scales.extend_from_slice(new);
                    return terms;
                }
                Term::Matern { .. } | Term::Linear { .. } | Term::Neighbours { .. } => {}
            }
        }
    }
    terms.push(term);
    terms
}

impl Term {
    fn all(part: &Part, weight: f64, rows: &[Vec<f64>], duals: &[f64]) -> Vec<Term> {
        let blocks = part.blocks.iter();
        match part.shape {
            Shape::Linear => {
                let share = weight / part.blocks.len() as f64;
                blocks.map(|columns| Term::linear(columns, share, rows, duals)).collect()
            }
            Shape::Matern { length } => {
                let share = weight / part.blocks.len() as f64;
                let term = |columns: &Vec<usize>| Term::Matern {
                    columns: columns.clone(),
                    scales: vec![(share, inverse_length(length, columns.len()))],
                    rows: rows.iter().flat_map(|row| pick(row, columns)).collect(),
                };
                blocks.map(term).collect()
            }
            Shape::Neighbours => {
                let share = weight / (part.blocks.len() - 1) as f64;
                part.blocks.windows(2).map(|pair| Term::neighbours(&pair[0], &pair[1], share, rows, duals)).collect()
            }
        }
    }

    fn linear(columns: &[usize], weight: f64, rows: &[Vec<f64>], duals: &[f64]) -> Term {
        let each = weight / columns.len() as f64;
        let coefficient = |c: &usize| each * rows.iter().zip(duals).map(|(row, dual)| row[*c] * dual).sum::<f64>();
        Term::Linear { columns: columns.to_vec(), coefficients: columns.iter().map(coefficient).collect() }
    }

    fn neighbours(columns: &[usize], others: &[usize], weight: f64, rows: &[Vec<f64>], duals: &[f64]) -> Term {
        let each = weight / (columns.len() * others.len()) as f64;
        let coefficient = |(a, b): (usize, usize)| {
            each * rows.iter().zip(duals).map(|(row, dual)| row[a] * row[b] * dual).sum::<f64>()
        };
        let pairs = columns.iter().flat_map(|a| others.iter().map(move |b| (*a, *b)));
        let coefficients = pairs.map(coefficient).collect();
        Term::Neighbours { columns: columns.to_vec(), others: others.to_vec(), coefficients }
    }

    fn value(&self, row: &[f64], duals: &[f64]) -> f64 {
        match self {
            Term::Linear { columns, coefficients } => columns.iter().zip(coefficients).map(|(c, w)| row[*c] * w).sum(),
            Term::Neighbours { columns, others, coefficients } => {
                let others = pick(row, others);
                let lines = coefficients.chunks(others.len());
                columns.iter().zip(lines).map(|(column, line)| row[*column] * dot(line, &others)).sum()
            }
            Term::Matern { columns, scales, rows } => {
                let own = pick(row, columns);
                let distances: Vec<f64> =
                    rows.chunks(columns.len()).map(|known| squared_distance(&own, known).sqrt()).collect();
                scales.iter().map(|(weight, inverse)| weight * likeness(&distances, *inverse, duals)).sum()
            }
        }
    }
}

impl Term {
    /// Adds how the term changes with each standardised column.
    fn add_slope(&self, row: &[f64], duals: &[f64], slope: &mut [f64]) {
        match self {
            Term::Linear { columns, coefficients } => {
                columns.iter().zip(coefficients).for_each(|(column, w)| slope[*column] += w);
            }
            Term::Neighbours { columns, others, coefficients } => {
                for (column, line) in columns.iter().zip(coefficients.chunks(others.len())) {
                    for (other, w) in others.iter().zip(line) {
                        slope[*column] += w * row[*other];
                        slope[*other] += w * row[*column];
                    }
                }
            }
            Term::Matern { columns, scales, rows } => {
                let own = pick(row, columns);
                for (known, dual) in rows.chunks(columns.len()).zip(duals) {
                    let distance = squared_distance(&own, known).sqrt();
                    // k' / distance = -5/3 inverse² (1 + s) exp(-s) with s = √5 distance inverse.
                    let by_distance = |(weight, inverse): &(f64, f64)| {
                        let scaled = 5f64.sqrt() * distance * inverse;
                        -weight * 5.0 / 3.0 * inverse * inverse * (1.0 + scaled) * (-scaled).exp()
                    };
                    let factor = dual * scales.iter().map(by_distance).sum::<f64>();
                    for ((column, own), known) in columns.iter().zip(&own).zip(known) {
                        slope[*column] += factor * (own - known);
                    }
                }
            }
        }
    }
}

pub(super) fn pick(row: &[f64], columns: &[usize]) -> Vec<f64> {
    columns.iter().map(|column| row[*column]).collect()
}

pub(super) fn inverse_length(length: f64, columns: usize) -> f64 {
    1.0 / (length * (columns as f64).sqrt())
}

/// Matérn's kernel of smoothness 5/2 (Rasmussen and Williams, equation 4.17) at a distance in lengths.
pub(super) fn matern(distance: f64) -> f64 {
    let scaled = 5f64.sqrt() * distance;
    (1.0 + scaled + scaled * scaled / 3.0) * falling_exponential(scaled)
}

/// Sum of the kernel at the distances, each with its dual.
fn likeness(distances: &[f64], inverse: f64, duals: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (near, weighted) = (distances.chunks_exact(LANES), duals.chunks_exact(LANES));
    let rest = near.remainder().iter().zip(weighted.remainder()).map(|(d, dual)| dual * matern(d * inverse));
    let rest: f64 = rest.sum();
    for (near, weighted) in near.zip(weighted) {
        for lane in 0..LANES {
            sums[lane] += weighted[lane] * matern(near[lane] * inverse);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// e⁻ˣ of an x that is not negative, to within a few units of the last place; about 0 beyond 700. Unlike the library's
/// function it has no branch, so that several are computed at once: predictions spend most of their time here.
fn falling_exponential(x: f64) -> f64 {
    /// Added and taken away again it leaves a whole number, whose last bits are also those of the sum.
    const ROUNDING: f64 = 6_755_399_441_055_744.0;
    /// ln 2 in two parts; the first has so few bits that its multiples are exact.
    const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
    /// 1 / k!, from the highest power down.
    const TAYLOR: [f64; 12] = [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    let inside = if x > 700.0 { 700.0 } else { x };
    let sum = ROUNDING - inside * std::f64::consts::LOG2_E;
    let whole = sum - ROUNDING;
    let rest = -inside - whole * LN_2[0] - whole * LN_2[1];
    let power = f64::from_bits(sum.to_bits().wrapping_add(1023) << 52);
    power * TAYLOR[1..].iter().fold(TAYLOR[0], |sum, coefficient| sum * rest + coefficient)
}

pub(super) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (chunks_a, chunks_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in chunks_a.zip(chunks_b) {
        for lane in 0..LANES {
            sums[lane] += (a[lane] - b[lane]) * (a[lane] - b[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Means and standard deviations of the columns; a constant column has an infinite one, so that it becomes zero.
///
/// # Panics
/// If rows differ in length.
pub fn moments(rows: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
    let (count, columns) = (rows.len() as f64, rows[0].len());
    assert!(rows.iter().all(|row| row.len() == columns), "rows are equally long");
    let column = |c: usize| rows.iter().map(move |row| row[c]);
    let means: Vec<f64> = (0..columns).map(|c| column(c).sum::<f64>() / count).collect();
    let deviation = |c: usize| {
        let deviation = (column(c).map(|v| (v - means[c]).powi(2)).sum::<f64>() / count).sqrt();
        if deviation > 1e-12 * means[c].abs() { deviation } else { f64::INFINITY }
    };
    let deviations = (0..columns).map(deviation).collect();
    (means, deviations)
}

/// A row without the means of its columns, in their standard deviations.
///
/// # Panics
/// If it has other columns.
pub fn standardise(row: &[f64], means: &[f64], deviations: &[f64]) -> Vec<f64> {
    assert_eq!(row.len(), means.len(), "a row has the columns that were fitted");
    row.iter().zip(means.iter().zip(deviations)).map(|(value, (mean, deviation))| (value - mean) / deviation).collect()
}

/// The part's kernel between all rows, (rows, rows).
fn gram(part: &Part, rows: &[Vec<f64>]) -> Vec<f64> {
    let blocks: Vec<Vec<f64>> = part.blocks.iter().map(|columns| block_gram(columns, part.shape, rows)).collect();
    let terms: Vec<Vec<f64>> = match part.shape {
        Shape::Linear | Shape::Matern { .. } => blocks,
        Shape::Neighbours => {
            assert!(blocks.len() > 1, "neighbours are two blocks or more");
            blocks.windows(2).map(|pair| pair[0].iter().zip(&pair[1]).map(|(a, b)| a * b).collect()).collect()
        }
    };
    let share = 1.0 / terms.len() as f64;
    (0..rows.len() * rows.len()).map(|cell| share * terms.iter().map(|term| term[cell]).sum::<f64>()).collect()
}

/// The kernel of one block, symmetric.
fn block_gram(columns: &[usize], shape: Shape, rows: &[Vec<f64>]) -> Vec<f64> {
    let count = rows.len();
    let picked: Vec<Vec<f64>> = rows.iter().map(|row| pick(row, columns)).collect();
    let likeness = |a: &[f64], b: &[f64]| match shape {
        Shape::Linear | Shape::Neighbours => dot(a, b) / columns.len() as f64,
        Shape::Matern { length } => matern(squared_distance(a, b).sqrt() * inverse_length(length, columns.len())),
    };
    let mut gram = vec![0.0; count * count];
    for i in 0..count {
        for j in 0..=i {
            gram[i * count + j] = likeness(&picked[i], &picked[j]);
            gram[j * count + i] = gram[i * count + j];
        }
    }
    gram
}

/// The factor of C = Σ wᵢ Kᵢ + noise · I.
fn factor(grams: &[Vec<f64>], weights: &Weights, count: usize) -> Cholesky {
    let mut system = vec![0.0; count * count];
    for (gram, weight) in grams.iter().zip(&weights.parts) {
        system.iter_mut().zip(gram).for_each(|(cell, value)| *cell += weight * value);
    }
    (0..count).for_each(|i| system[i * count + i] += weights.noise);
    Cholesky::of_many(&system, count).expect("kernels are positive semidefinite and noise is positive")
}

/// Weights and noise under which the centred targets are most likely.
fn likeliest_weights(rows: &[Vec<f64>], targets: &[f64], parts: &[Part], steps: usize) -> Weights {
    let count = rows.len();
    let (means, deviations) = moments(rows);
    let standard: Vec<Vec<f64>> = rows.iter().map(|row| standardise(row, &means, &deviations)).collect();
    let target_mean = targets.iter().sum::<f64>() / count as f64;
    let centred: Vec<f64> = targets.iter().map(|target| target - target_mean).collect();
    // Constant targets have no variance to divide; any positive weights predict the constant.
    let variance = (dot(&centred, &centred) / count as f64).max(1e-12);
    let grams: Vec<Vec<f64>> = parts.iter().map(|part| gram(part, &standard)).collect();
    let mut weights = Weights { parts: vec![0.7 * variance / parts.len() as f64; parts.len()], noise: 0.3 * variance };
    for _ in 0..steps {
        let factor = factor(&grams, &weights, count);
        let (duals, inverse) = (factor.solve(&centred), factor.inverse());
        for (weight, gram) in weights.parts.iter_mut().zip(&grams) {
            let explained: f64 = gram.chunks(count).zip(&duals).map(|(row, dual)| dual * dot(row, &duals)).sum();
            *weight *= (explained.max(0.0) / dot(gram, &inverse).max(f64::MIN_POSITIVE)).sqrt();
        }
        let trace: f64 = (0..count).map(|i| inverse[i * count + i]).sum();
        // Noise below a thousandth of the variance is none that accuracies have, and keeps the factor well conditioned.
        weights.noise = (weights.noise * (dot(&duals, &duals) / trace).sqrt()).max(1e-3 * variance);
    }
    weights
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::stats;

    fn draw(count: usize, seed: u64) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rows: Vec<Vec<f64>> = (0..count).map(|_| (0..3).map(|_| rng.random()).collect()).collect();
        let targets = rows.iter().map(|x| (5.0 * x[0]).sin() + x[1] + 0.1 * rng.random::<f64>()).collect();
        (rows, targets)
    }

    fn parts() -> Vec<Part> {
        vec![
            Part { blocks: vec![vec![0, 1, 2]], shape: Shape::Linear },
            Part { blocks: vec![vec![0], vec![1], vec![2]], shape: Shape::Matern { length: 1.0 } },
        ]
    }

    #[test]
    fn a_sum_of_functions_is_learned() {
        let ((rows, targets), (unseen, truth)) = (draw(80, 1), draw(200, 2));
        let process = Process::fit(&rows, &targets, &parts());
        let explained = stats::r_squared(&truth, &process.predict(&unseen));
        assert!(explained > 0.97, "{explained}");
        // Uniform noise of width .1 has a variance of .00083.
        let noise = process.weights().noise;
        assert!((3e-4..3e-3).contains(&noise), "{noise}");
    }

    #[test]
    fn the_exponential_is_that_of_the_library() {
        for x in (0..70_000).map(|i| f64::from(i) * 0.01) {
            let (found, expected) = (falling_exponential(x), (-x).exp());
            assert!((found / expected - 1.0).abs() < 1e-14, "{x}: {found} {expected}");
        }
        assert_eq!(falling_exponential(0.0), 1.0);
        assert!(falling_exponential(1e300) < 1e-300 && falling_exponential(f64::INFINITY) < 1e-300);
    }

    #[test]
    fn the_slope_is_that_of_the_predictions() {
        let (rows, targets) = draw(40, 5);
        let with_pairs = Part { blocks: vec![vec![0, 1], vec![2]], shape: Shape::Neighbours };
        let parts = [parts(), vec![with_pairs]].concat();
        let process = Process::fit(&rows, &targets, &parts);
        const STEP: f64 = 1e-5;
        for row in &draw(10, 6).0 {
            let (value, slope) = process.slope(row);
            assert!((value - process.predict(std::slice::from_ref(row))[0]).abs() < 1e-9);
            for column in 0..3 {
                let shifted = |by: f64| {
                    let mut row = row.clone();
                    row[column] += by;
                    process.predict(&[row])[0]
                };
                let expected = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
                assert!((slope[column] - expected).abs() < 1e-5, "{} {expected}", slope[column]);
            }
        }
    }

    #[test]
    fn held_out_predictions_are_those_of_fits_without_the_row() {
        let (rows, targets) = draw(12, 3);
        let process = Process::fit(&rows, &targets, &parts());
        // By the plain formula, with the columns and the mean as they were: k (C + σ² I)⁻¹ y of the others.
        let (means, deviations) = moments(&rows);
        let standard: Vec<Vec<f64>> = rows.iter().map(|row| standardise(row, &means, &deviations)).collect();
        let grams: Vec<Vec<f64>> = parts().iter().map(|part| gram(part, &standard)).collect();
        let weights = process.weights();
        let kernel = |i: usize, j: usize| -> f64 {
            grams.iter().zip(&weights.parts).map(|(gram, weight)| weight * gram[i * 12 + j]).sum()
        };
        let mean = stats::mean(&targets);
        let others: Vec<usize> = (1..12).collect();
        let mut system: Vec<f64> =
            others.iter().flat_map(|i| others.iter().map(move |j| (*i, *j))).map(|(i, j)| kernel(i, j)).collect();
        (0..11).for_each(|i| system[i * 11 + i] += weights.noise);
        let rest: Vec<f64> = others.iter().map(|i| targets[*i] - mean).collect();
        let duals = Cholesky::of(&system, 11).unwrap().solve(&rest);
        let found: f64 = mean + others.iter().zip(&duals).map(|(i, dual)| kernel(0, *i) * dual).sum::<f64>();
        assert!((found - process.leave_one_out()[0]).abs() < 1e-9);
    }

    #[test]
    fn a_product_of_neighbours_is_learned_where_no_sum_is_enough() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let mut draw = |count: usize| -> (Vec<Vec<f64>>, Vec<f64>) {
            let rows: Vec<Vec<f64>> =
                (0..count).map(|_| (0..3).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
            let targets = rows.iter().map(|x| x[0] * x[1] - 2.0 * x[1] * x[2]).collect();
            (rows, targets)
        };
        let ((rows, targets), (unseen, truth)) = (draw(60), draw(100));
        let blocks = vec![vec![0], vec![1], vec![2]];
        let explained =
            |parts: &[Part]| stats::r_squared(&truth, &Process::fit(&rows, &targets, parts).predict(&unseen));
        let mut parts = vec![Part { blocks: blocks.clone(), shape: Shape::Linear }];
        assert!(explained(&parts) < 0.2, "{}", explained(&parts));
        parts.push(Part { blocks, shape: Shape::Neighbours });
        assert!(explained(&parts) > 0.98, "{}", explained(&parts));
    }

    /// What is predicted of fitted rows through terms is what the kernel says: y − noise · C⁻¹ y.
    #[test]
    fn terms_are_the_kernel() {
        let (rows, targets) = draw(30, 7);
        let mut all = parts();
        all.push(Part { blocks: vec![vec![0], vec![1, 2]], shape: Shape::Neighbours });
        all.push(Part { blocks: vec![vec![0, 1, 2]], shape: Shape::Matern { length: 2.0 } });
        let weights = Weights { parts: vec![0.3; 4], noise: 0.05 };
        let process = Process::fit_with(&rows, &targets, &all, &weights);
        for ((found, target), dual) in process.predict(&rows).iter().zip(&targets).zip(&process.duals) {
            assert!((found - (target - weights.noise * dual)).abs() < 1e-9, "{found} {target} {dual}");
        }
    }

    #[test]
    fn steps_raise_the_likelihood() {
        let (rows, mut targets) = draw(40, 4);
        // Noise far above the least that is believed.
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        targets.iter_mut().for_each(|target| *target += rng.random_range(-0.5..0.5));
        let (means, deviations) = moments(&rows);
        let standard: Vec<Vec<f64>> = rows.iter().map(|row| standardise(row, &means, &deviations)).collect();
        let grams: Vec<Vec<f64>> = parts().iter().map(|part| gram(part, &standard)).collect();
        let mean = stats::mean(&targets);
        let centred: Vec<f64> = targets.iter().map(|target| target - mean).collect();
        let likelihood = |weights: &Weights| {
            let factor = factor(&grams, weights, 40);
            -0.5 * (dot(&centred, &factor.solve(&centred)) + factor.log_determinant())
        };
        let after = |steps| likelihood(&likeliest_weights(&rows, &targets, &parts(), steps));
        let path = [0, 1, 2, 4, 8, 16, 32, 64, 500].map(after);
        assert!(path.windows(2).all(|pair| pair[1] > pair[0] - 1e-9), "{path:?}");
        assert!(path[8] - path[7] < 0.5 && path[7] - path[0] > 5.0, "most is gained early: {path:?}");
        let best = likeliest_weights(&rows, &targets, &parts(), 500);
        for factor in [1.5, 0.7] {
            let scaled = best.parts.iter().map(|weight| weight * factor).collect();
            assert!(likelihood(&Weights { parts: scaled, noise: best.noise }) < path[8] + 0.1);
            assert!(likelihood(&Weights { parts: best.parts.clone(), noise: best.noise * factor }) < path[8] + 0.1);
        }
    }

    #[test]
    fn constant_targets_are_predicted_as_they_are() {
        let (rows, _) = draw(10, 5);
        let process = Process::fit(&rows, &[0.5; 10], &parts());
        assert!(process.predict(&rows).iter().all(|value| (value - 0.5).abs() < 1e-9));
    }
}
