//! Symmetric matrices of one row for each image of a batch: eigenvalues and correlations.

/// Sweeps after which the largest matrix of a batch has long converged.
const MOST_SWEEPS: usize = 60;

/// Eigenvalues of a symmetric matrix (size, size), in no order, by Jacobi's rotations (Golub and Van Loan, Matrix
/// Computations, §8.5).
pub(super) fn eigenvalues(mut a: Vec<f64>, size: usize) -> Vec<f64> {
    let total: f64 = a.iter().map(|value| value * value).sum();
    for _ in 0..MOST_SWEEPS {
        let off: f64 = (0..size).flat_map(|i| (0..i).map(move |j| i * size + j)).map(|at| a[at] * a[at]).sum();
        if off <= f64::EPSILON.powi(2) * total {
            break;
        }
        for p in 0..size {
            for q in p + 1..size {
                rotate(&mut a, size, p, q);
            }
        }
    }
    (0..size).map(|i| a[i * size + i]).collect()
}

/// Makes `a[p][q]` zero.
fn rotate(a: &mut [f64], size: usize, p: usize, q: usize) {
    let apq = a[p * size + q];
    if apq == 0.0 {
        return;
    }
    let tau = (a[q * size + q] - a[p * size + p]) / (2.0 * apq);
    let t = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    for k in 0..size {
        let (x, y) = (a[k * size + p], a[k * size + q]);
        a[k * size + p] = c * x - s * y;
        a[k * size + q] = s * x + c * y;
    }
    for k in 0..size {
        let (x, y) = (a[p * size + k], a[q * size + k]);
        a[p * size + k] = c * x - s * y;
        a[q * size + k] = s * x + c * y;
    }
}

/// Pearson correlations of each two rows, (rows, rows); nothing if a row is constant.
pub(super) fn correlations(rows: &[&[f32]]) -> Option<Vec<f64>> {
    let centred: Vec<Vec<f64>> = rows.iter().map(|row| unit(row)).collect::<Option<_>>()?;
    let mut found = vec![1.0; rows.len() * rows.len()];
    for i in 0..rows.len() {
        for j in 0..i {
            let dot: f64 = centred[i].iter().zip(&centred[j]).map(|(a, b)| a * b).sum();
            found[i * rows.len() + j] = dot;
            found[j * rows.len() + i] = dot;
        }
    }
    Some(found)
}

/// A row less its mean, of length one.
fn unit(row: &[f32]) -> Option<Vec<f64>> {
    let mean = row.iter().map(|value| f64::from(*value)).sum::<f64>() / row.len() as f64;
    let centred: Vec<f64> = row.iter().map(|value| f64::from(*value) - mean).collect();
    let length = centred.iter().map(|value| value * value).sum::<f64>().sqrt();
    (length > 0.0 && length.is_finite()).then(|| centred.into_iter().map(|value| value / length).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_are_those_of_a_known_matrix() {
        // The second difference of n points: 2 - 2 cos(kπ / (n + 1)).
        let n = 12;
        let entry = |at: usize| match (at / n).abs_diff(at % n) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        };
        let mut found = eigenvalues((0..n * n).map(entry).collect(), n);
        found.sort_by(f64::total_cmp);
        for (k, value) in found.iter().enumerate() {
            let expected = 2.0 - 2.0 * ((k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64).cos();
            assert!((value - expected).abs() < 1e-12, "{value} {expected}");
        }
    }

    #[test]
    fn a_constant_row_correlates_with_nothing() {
        let found = correlations(&[&[1.0, 2.0, 3.0], &[-2.0, -4.0, -6.0], &[1.0, 0.0, 1.0]]).unwrap();
        assert!((found[1] + 1.0).abs() < 1e-12 && found[2].abs() < 1e-12, "{found:?}");
        assert_eq!(correlations(&[&[1.0, 2.0], &[3.0, 3.0]]), None);
    }
}
