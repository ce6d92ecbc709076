//! Statistics of plain arrays: averages, quantiles, rank correlations, errors, bootstrap intervals. Each function cites
//! its source.
//!
//! Values are expected to be finite. Nothing here returns NaN for finite input: what is undefined (the correlation with
//! a constant, the mean of nothing) is 0, so that a table of results needs no special cases.

use std::cmp::Ordering;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Arithmetic mean; 0 of no values.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard deviation of a sample, with n − 1 in the denominator (Bessel's correction); 0 below two values.
pub fn std_dev(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let centre = mean(values);
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// The middle value, or the mean of the two middle ones; 0 of no values.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// The `p`-th percentile, `p` in 0..=100, by linear interpolation between order statistics (definition 7 of Hyndman and
/// Fan, Sample Quantiles in Statistical Packages, 1996; the default of R and NumPy); 0 of no values.
pub fn percentile(values: &[f64], p: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let position = p.clamp(0.0, 100.0) / 100.0 * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

/// Ranks from 1, equal values sharing the mean of their ranks.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let shared = first as f64 + (group.len() + 1) as f64 / 2.0;
        group.iter().for_each(|i| ranks[*i] = shared);
        first += group.len();
    }
    ranks
}

/// Pearson's product-moment correlation of `x` and `y`; 0 where either is constant.
///
/// # Panics
/// If the lengths differ.
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "a correlation is of pairs");
    let (centre_x, centre_y) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        let (a, b) = (a - centre_x, b - centre_y);
        xx += a * a;
        yy += b * b;
        xy += a * b;
    }
    if xx == 0.0 || yy == 0.0 {
        return 0.0;
    }
    (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0)
}

/// Spearman's rank correlation: Pearson's of the ranks, ties by mean ranks (Spearman, The Proof and Measurement of
/// Association between Two Things, 1904); 0 where either is constant.
///
/// # Panics
/// If the lengths differ.
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    pearson(&ranks(x), &ranks(y))
}

/// Kendall's τ-b, which corrects for ties, in O(n log n) (Knight, A Computer Method for Calculating Kendall's Tau with
/// Ungrouped Data, 1966); 0 where either is constant.
///
/// # Panics
/// If the lengths differ.
pub fn kendall_tau(x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "a correlation is of pairs");
    // Zero is added to turn −0 into +0: the total order tells them apart, equality does not.
    let mut pairs: Vec<(f64, f64)> = x.iter().zip(y).map(|(a, b)| (a + 0.0, b + 0.0)).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let tied_x = tied_pairs(&pairs, |a, b| a.0 == b.0);
    let tied_both = tied_pairs(&pairs, |a, b| a == b);
    let mut by_y: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
    let discordant = count_exchanges(&mut by_y);
    let tied_y = tied_pairs(&by_y, |a, b| a == b);

    let all = choose_two(pairs.len());
    let score = (all - tied_x - tied_y + tied_both) as i64 - 2 * discordant as i64;
    let scale = ((all - tied_x) as f64).sqrt() * ((all - tied_y) as f64).sqrt();
    if scale == 0.0 { 0.0 } else { (score as f64 / scale).clamp(-1.0, 1.0) }
}

/// Share of the variance of `targets` that `predictions` explain, 1 − SS_res / SS_tot; negative when they are worse than
/// the mean of the targets, 0 where the targets are constant.
///
/// # Panics
/// If the lengths differ.
pub fn r_squared(targets: &[f64], predictions: &[f64]) -> f64 {
    let centre = mean(targets);
    let total: f64 = targets.iter().map(|t| (t - centre).powi(2)).sum();
    let residual = mean_squared_error(targets, predictions) * targets.len() as f64;
    if total == 0.0 { 0.0 } else { 1.0 - residual / total }
}

/// Mean of the squared differences; 0 of no values.
///
/// # Panics
/// If the lengths differ.
pub fn mean_squared_error(targets: &[f64], predictions: &[f64]) -> f64 {
    assert_eq!(targets.len(), predictions.len(), "an error is of pairs");
    let squares: Vec<f64> = targets.iter().zip(predictions).map(|(t, p)| (t - p).powi(2)).collect();
    mean(&squares)
}

/// Interval of `statistic` that covers `level` (0.95 for 95 %), from the percentiles of its values on `resamples` draws
/// with replacement (the percentile bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, §13.3).
/// Both ends are 0 of no values.
pub fn bootstrap_interval(
    values: &[f64],
    statistic: impl Fn(&[f64]) -> f64,
    level: f64,
    resamples: usize,
    seed: u64,
) -> (f64, f64) {
    if values.is_empty() {
        return (0.0, 0.0);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || -> Vec<f64> { values.iter().map(|_| values[rng.random_range(0..values.len())]).collect() };
    let found: Vec<f64> = (0..resamples).map(|_| statistic(&draw())).collect();
    let outside = (1.0 - level) / 2.0 * 100.0;
    (percentile(&found, outside), percentile(&found, 100.0 - outside))
}

/// The value that a standard normal variable stays below with this probability, within 10⁻⁸ (Acklam, An Algorithm for
/// Computing the Inverse Normal Cumulative Distribution Function, 2003).
pub fn normal_quantile(probability: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 6] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 5] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1.0];
    /// Below it, the tail's approximation holds.
    const TAIL: f64 = 0.02425;
    let horner = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        horner(&C, q) / horner(&D, q)
    };
    if probability < TAIL {
        tail(probability)
    } else if probability > 1.0 - TAIL {
        -tail(1.0 - probability)
    } else {
        let q = probability - 0.5;
        q * horner(&A, q * q) / horner(&B, q * q)
    }
}

/// Probability that a standard normal variable stays below a value.
pub fn normal_share(value: f64) -> f64 {
    0.5 * libm::erfc(-value * std::f64::consts::FRAC_1_SQRT_2)
}

/// Density of the standard normal distribution.
pub fn normal_density(value: f64) -> f64 {
    (-0.5 * value * value).exp() / std::f64::consts::TAU.sqrt()
}

/// Number of pairs among `n` things.
fn choose_two(n: usize) -> u64 {
    n as u64 * (n as u64).saturating_sub(1) / 2
}

/// Number of pairs that are equal, given that equal elements stand together.
fn tied_pairs<T>(sorted: &[T], equal: impl Fn(&T, &T) -> bool) -> u64 {
    sorted.chunk_by(equal).map(|group| choose_two(group.len())).sum()
}

/// Sorts by merging and counts the exchanges that bubble sort would have made.
fn count_exchanges(values: &mut [f64]) -> u64 {
    if values.len() < 2 {
        return 0;
    }
    let (left, right) = values.split_at_mut(values.len() / 2);
    let mut exchanges = count_exchanges(left) + count_exchanges(right);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut l, mut r) = (0, 0);
    while l < left.len() && r < right.len() {
        if left[l].total_cmp(&right[r]) == Ordering::Greater {
            exchanges += (left.len() - l) as u64;
            merged.push(right[r]);
            r += 1;
        } else {
            merged.push(left[l]);
            l += 1;
        }
    }
    merged.extend_from_slice(&left[l..]);
    merged.extend_from_slice(&right[r..]);
    values.copy_from_slice(&merged);
    exchanges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn averages_and_quantiles_equal_numpy() {
        close(mean(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), 5.0);
        close(std_dev(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), (32.0_f64 / 7.0).sqrt());
        close(median(&[3.0, 1.0, 2.0, 10.0]), 2.5);
        close(percentile(&[1.0, 2.0, 3.0, 4.0, 10.0], 90.0), 7.6);
        close(percentile(&[5.0], 25.0), 5.0);
    }

    /// The examples of scipy's reference pages of `kendalltau`, `spearmanr`, `pearsonr` and `rankdata`.
    #[test]
    fn correlations_equal_scipy() {
        close(kendall_tau(&[12.0, 2.0, 1.0, 12.0, 2.0], &[1.0, 4.0, 7.0, 1.0, 0.0]), -0.471_404_520_791_031_7);
        close(spearman(&[1.0, 2.0, 3.0, 4.0, 5.0], &[5.0, 6.0, 7.0, 8.0, 7.0]), 0.820_782_681_668_123_3);
        let falling = [10.0, 9.0, 2.5, 6.0, 4.0, 3.0, 2.0];
        close(pearson(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], &falling), -0.828_503_883_588_428);
        assert_eq!(ranks(&[0.0, 2.0, 3.0, 2.0]), [1.0, 2.5, 4.0, 2.5]);
    }

    /// `scipy.stats.norm.ppf`.
    #[test]
    fn quantiles_equal_scipy() {
        for (probability, expected) in
            [(0.5, 0.0), (0.975, 1.959963984540054), (0.01, -2.3263478740408408), (0.3, -0.5244005127080409)]
        {
            assert!((normal_quantile(probability) - expected).abs() < 1e-8, "{probability}");
        }
    }

    #[test]
    fn kendall_tau_equals_counting_all_pairs() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for n in [2, 3, 10, 57] {
            let x: Vec<f64> = (0..n).map(|_| rng.random_range(-5..6) as f64).collect();
            let y: Vec<f64> = (0..n).map(|_| rng.random_range(-9..10) as f64 * 0.5).collect();
            close(kendall_tau(&x, &y), kendall_tau_by_pairs(&x, &y));
        }
    }

    /// τ-b straight from its definition.
    fn kendall_tau_by_pairs(x: &[f64], y: &[f64]) -> f64 {
        let sign = |d: f64| if d == 0.0 { 0.0 } else { d.signum() };
        let (mut score, mut untied_x, mut untied_y) = (0.0, 0.0_f64, 0.0_f64);
        for i in 0..x.len() {
            for j in 0..i {
                let (a, b) = (sign(x[i] - x[j]), sign(y[i] - y[j]));
                score += a * b;
                untied_x += a.abs();
                untied_y += b.abs();
            }
        }
        if untied_x * untied_y == 0.0 { 0.0 } else { score / (untied_x * untied_y).sqrt() }
    }

    #[test]
    fn what_is_undefined_is_zero() {
        assert_eq!(kendall_tau(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), 0.0);
        assert_eq!(spearman(&[1.0, 2.0], &[4.0, 4.0]), 0.0);
        assert_eq!((mean(&[]), median(&[]), std_dev(&[1.0])), (0.0, 0.0, 0.0));
        assert_eq!((kendall_tau(&[], &[]), mean_squared_error(&[], &[])), (0.0, 0.0));
        assert_eq!(bootstrap_interval(&[], mean, 0.95, 10, 0), (0.0, 0.0));
    }

    #[test]
    fn errors_and_explained_variance_follow_their_definitions() {
        close(mean_squared_error(&[3.0, -0.5, 2.0, 7.0], &[2.5, 0.0, 2.0, 8.0]), 0.375);
        close(r_squared(&[3.0, -0.5, 2.0, 7.0], &[2.5, 0.0, 2.0, 8.0]), 1.0 - 1.5 / 29.1875);
    }

    #[test]
    fn the_share_below_is_the_inverse_of_the_quantile_and_its_slope_the_density() {
        for probability in [1e-6, 0.01, 0.3, 0.5, 0.8, 0.999] {
            let value = normal_quantile(probability);
            assert!((normal_share(value) - probability).abs() < 1e-8, "{probability}");
            let slope = (normal_share(value + 1e-5) - normal_share(value - 1e-5)) / 2e-5;
            assert!((slope - normal_density(value)).abs() < 1e-8, "{probability}");
        }
    }

    #[test]
    fn a_bootstrap_interval_of_a_mean_is_as_wide_as_the_normal_one() {
        let values: Vec<f64> = (0..200).map(|i| (i as f64 * 0.37).sin()).collect();
        let (low, high) = bootstrap_interval(&values, mean, 0.95, 4000, 1);
        let expected = 2.0 * 1.96 * std_dev(&values) / (values.len() as f64).sqrt();
        assert!((high - low - expected).abs() < 0.1 * expected, "[{low}, {high}] against a width of {expected}");
        assert!(low < mean(&values) && mean(&values) < high);
        assert_eq!((low, high), bootstrap_interval(&values, mean, 0.95, 4000, 1));
    }
}
