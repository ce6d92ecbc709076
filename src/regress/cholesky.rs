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
        Cholesky::by_rows(a, size, |row, other| row.iter().zip(other).map(|(a, b)| a * b).sum())
    }

    /// The same with sums in another order, which is faster from some dozens of rows on.
    pub(super) fn of_many(a: &[f64], size: usize) -> Option<Cholesky> {
        Cholesky::by_rows(a, size, dot)
    }

    fn by_rows(a: &[f64], size: usize, dot: impl Fn(&[f64], &[f64]) -> f64) -> Option<Cholesky> {
        let mut lower = vec![0.0; size * size];
        for i in 0..size {
            for j in 0..=i {
                let known = dot(&lower[i * size..][..j], &lower[j * size..][..j]);
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

    /// A⁻¹ = L⁻ᵀ L⁻¹, rows one after another.
    pub(super) fn inverse(&self) -> Vec<f64> {
        let size = self.size;
        // Column c of L⁻¹, kept as row c: it is zero before place c.
        let mut columns = vec![0.0; size * size];
        for c in 0..size {
            let column = &mut columns[c * size..][..size];
            column[c] = 1.0 / self.lower[c * size + c];
            for i in c + 1..size {
                let known = dot(&self.lower[i * size + c..][..i - c], &column[c..i]);
                column[i] = -known / self.lower[i * size + i];
            }
        }
        let mut inverse = vec![0.0; size * size];
        for i in 0..size {
            for j in 0..=i {
                let entry = dot(&columns[i * size + i..][..size - i], &columns[j * size + i..][..size - i]);
                inverse[i * size + j] = entry;
                inverse[j * size + i] = entry;
            }
        }
        inverse
    }

    /// Logarithm of the determinant of A.
    #[cfg(test)]
    pub(super) fn log_determinant(&self) -> f64 {
        (0..self.size).map(|i| 2.0 * self.lower[i * self.size + i].ln()).sum()
    }
}

/// Σ aᵢ bᵢ in eight interleaved sums, which the compiler turns into vector instructions; one sum after the other may not be
/// reordered.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (chunks_a, chunks_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in chunks_a.zip(chunks_b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
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
    fn the_inverse_and_the_determinant_are_those_of_the_matrix() {
        let a = [4.0, 12.0, -16.0, 12.0, 37.0, -43.0, -16.0, -43.0, 98.0];
        let factor = Cholesky::of(&a, 3).unwrap();
        let inverse = factor.inverse();
        for i in 0..3 {
            for j in 0..3 {
                let product: f64 = (0..3).map(|k| a[i * 3 + k] * inverse[k * 3 + j]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-9, "{inverse:?}");
            }
        }
        assert!((factor.log_determinant() - 36f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn sums_in_another_order_give_the_same_factor_but_for_rounding() {
        let size = 40;
        let cell = |i: usize, j: usize| (-((i as f64 - j as f64) / 9.0).powi(2)).exp() + f64::from(u8::from(i == j));
        let a: Vec<f64> = (0..size * size).map(|at| cell(at / size, at % size)).collect();
        let (slow, fast) = (Cholesky::of(&a, size).unwrap(), Cholesky::of_many(&a, size).unwrap());
        assert!(slow.lower.iter().zip(&fast.lower).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn an_indefinite_matrix_has_no_factor() {
        assert!(Cholesky::of(&[1.0, 2.0, 2.0, 1.0], 2).is_none());
    }
}
