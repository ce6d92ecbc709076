//! The fully connected layer: `y (n, co) = x (n, ci) * weight (co, ci) transposed + bias`.

use super::elementwise::add_assign;
use super::matrix::{Matrix, multiply};

pub fn forward(ci: usize, co: usize, n: usize, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    if let Some(bias) = bias {
        y.chunks_exact_mut(co).for_each(|y| y.copy_from_slice(bias));
    }
    let weight = (Matrix::new(co, ci).transposed(), weight);
    multiply((Matrix::new(n, ci), x), weight, bias.is_some(), (Matrix::new(n, co), y));
}

/// Gradient by the input, stored in `gx` (n, ci) or added to it.
pub fn backward_input(ci: usize, co: usize, n: usize, gy: &[f32], weight: &[f32], accumulate: bool, gx: &mut [f32]) {
    multiply((Matrix::new(n, co), gy), (Matrix::new(co, ci), weight), accumulate, (Matrix::new(n, ci), gx));
}

/// Gradients by weight and bias, added to `gw` (co, ci) and `gb` (co).
pub fn backward_weight(ci: usize, co: usize, n: usize, x: &[f32], gy: &[f32], gw: &mut [f32], gb: Option<&mut [f32]>) {
    multiply((Matrix::new(n, co).transposed(), gy), (Matrix::new(n, ci), x), true, (Matrix::new(co, ci), gw));
    if let Some(gb) = gb {
        gy.chunks_exact(co).for_each(|gy| add_assign(gb, gy));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Window;
    use super::super::reference::{Convolution, Kernels, assert_close, check, values};
    use super::*;

    #[test]
    fn a_linear_layer_is_a_convolution_of_one_pixel() {
        let window =
            Window { in_h: 1, in_w: 1, out_h: 1, out_w: 1, kernel: 1, stride: 1, dilation: 1, top: 0, left: 0 };
        let (ci, co, n) = (13, 7, 5);
        let rectified =
            |x: &[f32], relu: bool| -> Vec<f32> { x.iter().map(|x| if relu { x.max(0.0) } else { *x }).collect() };
        let mut kernels = Kernels {
            forward: |x: &[f32], relu: bool, w: &[f32], b: Option<&[f32]>, y: &mut [f32]| {
                forward(ci, co, n, &rectified(x, relu), w, b, y)
            },
            backward_input: |gy: &[f32], w: &[f32], relu_of: Option<&[f32]>, accumulate: bool, gx: &mut [f32]| {
                let before = gx.to_vec();
                backward_input(ci, co, n, gy, w, accumulate, gx);
                for (i, x) in relu_of.unwrap_or_default().iter().enumerate().filter(|(_, x)| **x <= 0.0) {
                    gx[i] = if accumulate { before[i] } else { 0.0 * x };
                }
            },
            backward_weight: |x: &[f32], relu: bool, gy: &[f32], gw: &mut [f32]| {
                backward_weight(ci, co, n, &rectified(x, relu), gy, gw, None)
            },
        };
        check(&Convolution { window, ci, co, groups: 1, n }, &mut kernels);
    }

    #[test]
    fn the_bias_gradient_is_the_sum_over_images() {
        let gy = values(6, 1);
        let (mut gw, mut gb) = (vec![0.0; 2], vec![1.0, 2.0]);
        backward_weight(1, 2, 3, &[0.0; 3], &gy, &mut gw, Some(&mut gb));
        assert_close(&gb, &[1.0 + gy[0] + gy[2] + gy[4], 2.0 + gy[1] + gy[3] + gy[5]]);
    }
}
