//! Matrix products over flat buffers: a checked view over the `gemm` crate, which picks its own vector instructions.

/// Shape and strides (in elements) of a matrix that lies in a flat buffer.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    pub rows: usize,
    pub columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl Matrix {
    /// Rows one after another.
    pub fn new(rows: usize, columns: usize) -> Matrix {
        Matrix { rows, columns, row_stride: columns, column_stride: 1 }
    }

    pub fn transposed(self) -> Matrix {
        Matrix {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    fn elements(&self) -> usize {
        match self.rows * self.columns {
            0 => 0,
            _ => (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1,
        }
    }
}

/// `product = left * right`, or `+=` with `accumulate`. One thread: the executor already keeps every core busy, and
/// `gemm`'s own threads lose time at these sizes.
pub fn multiply(
    (left, a): (Matrix, &[f32]),
    (right, b): (Matrix, &[f32]),
    accumulate: bool,
    (product, c): (Matrix, &mut [f32]),
) {
    assert_eq!((left.rows, left.columns, right.columns), (product.rows, right.rows, product.columns));
    assert!(a.len() >= left.elements() && b.len() >= right.elements() && c.len() >= product.elements());
    // SAFETY: the buffers hold every element of their matrices, and `c` is borrowed alone.
    unsafe {
        gemm::gemm(
            product.rows,
            product.columns,
            left.columns,
            c.as_mut_ptr(),
            product.column_stride as isize,
            product.row_stride as isize,
            accumulate,
            a.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            b.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            if accumulate { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_product_is_right_with_and_without_transposition() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, 2.0, 1.0, 0.0, 3.0]);
        let mut c = [10.0; 4];
        multiply((Matrix::new(2, 3), &a), (Matrix::new(3, 2), &b), false, (Matrix::new(2, 2), &mut c));
        assert_eq!(c, [5.0, 11.0, 14.0, 23.0]);
        multiply((Matrix::new(2, 3), &a), (Matrix::new(2, 3).transposed(), &b), true, (Matrix::new(2, 2), &mut c));
        assert_eq!(c, [5.0 + 7.0, 11.0 + 10.0, 14.0 + 16.0, 23.0 + 22.0]);
    }
}
