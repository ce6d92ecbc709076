//! The Cholesky factor of a small symmetric positive definite matrix, for solving its linear systems.

/// Lower triangular L with L Lᵀ = A, rows one after another.
pub(super) struct Cholesky {
    size: usize,
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors the symmetric (size, size) matrix `a`; `None` where it is not positive definite (Golub and Van Loan, Matrix
    /// Computations, algorithm 4.2.1, by rows).
    pub(super) fn of(a: &[f64], size: usize) -> Option<Cholesky> {
        let mut lower = vec![0.0; size * size];
        for i in 0..size {
            for j in 0..=i {
                let known: f64 = (0..j).map(|k| lower[i * size + k] * lower[j * size + k]).sum();
                let rest = a[i * size + j] - known;
                lower[i * size + j] = match i == j {
                    true if rest > 0.0 => rest.sqrt(),
                    true => return None,
                    false => rest / lower[j * size + j],
                };
            }
        }
        Some(Cholesky { size, lower })
    }

    /// The z with L z = b. Its squared length is bᵀ A⁻¹ b.
    pub(super) fn solve_lower(&self, b: &[f64]) -> Vec<f64> {
        let mut z = b.to_vec();
        for i in 0..self.size {
            let known: f64 = (0..i).map(|k| self.lower[i * self.size + k] * z[k]).sum();
            z[i] = (z[i] - known) / self.lower[i * self.size + i];
        }
        z
    }

    /// The x with A x = b.
    pub(super) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = self.solve_lower(b);
        for i in (0..self.size).rev() {
            let known: f64 = (i + 1..self.size).map(|k| self.lower[k * self.size + i] * x[k]).sum();
            x[i] = (x[i] - known) / self.lower[i * self.size + i];
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_solution_satisfies_its_system() {
        let a = [4.0, 12.0, -16.0, 12.0, 37.0, -43.0, -16.0, -43.0, 98.0];
        let factor = Cholesky::of(&a, 3).unwrap();
        assert_eq!(factor.lower, [2.0, 0.0, 0.0, 6.0, 1.0, 0.0, -8.0, 5.0, 3.0]);
        let x = factor.solve(&[1.0, 2.0, 3.0]);
        for (row, b) in a.chunks(3).zip([1.0, 2.0, 3.0]) {
            let product: f64 = row.iter().zip(&x).map(|(a, x)| a * x).sum();
            assert!((product - b).abs() < 1e-9);
        }
    }

    #[test]
    fn an_indefinite_matrix_has_no_factor() {
        assert!(Cholesky::of(&[1.0, 2.0, 2.0, 1.0], 2).is_none());
    }
}
