//! Convolution with a 1x1 kernel, stride 1 and one group: a matrix product per image.

use super::Scratch;
use super::elementwise::{relu as rectify, relu_backward};
use super::matrix::{Matrix, multiply};

/// `y` (n, co, plane) = `weight` (co, ci) times `x` (n, ci, plane), rectified first where `relu`.
pub fn forward(
    ci: usize,
    co: usize,
    plane: usize,
    n: usize,
    x: &[f32],
    relu: bool,
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    s: &mut Scratch,
) {
    assert!(x.len() == n * ci * plane && y.len() == n * co * plane && weight.len() == co * ci);
    for (x, y) in x.chunks_exact(ci * plane).zip(y.chunks_exact_mut(co * plane)) {
        let x = rectified(x, relu, s);
        if let Some(bias) = bias {
            y.chunks_exact_mut(plane).zip(bias).for_each(|(y, b)| y.fill(*b));
        }
        multiply(
            (Matrix::new(co, ci), weight),
            (Matrix::new(ci, plane), x),
            bias.is_some(),
            (Matrix::new(co, plane), y),
        );
    }
}

/// Gradient by the input: stored in `gx` or added to it, zero where `relu_of` is not positive.
pub fn backward_input(
    ci: usize,
    co: usize,
    plane: usize,
    n: usize,
    gy: &[f32],
    weight: &[f32],
    relu_of: Option<&[f32]>,
    accumulate: bool,
    gx: &mut [f32],
    s: &mut Scratch,
) {
    assert!(gx.len() == n * ci * plane && gy.len() == n * co * plane && weight.len() == co * ci);
    let weight = (Matrix::new(co, ci).transposed(), weight);
    for (i, (gx, gy)) in gx.chunks_exact_mut(ci * plane).zip(gy.chunks_exact(co * plane)).enumerate() {
        let gy = (Matrix::new(co, plane), gy);
        match relu_of {
            None => multiply(weight, gy, accumulate, (Matrix::new(ci, plane), gx)),
            Some(x) => {
                let free = s.input.take(ci * plane);
                multiply(weight, gy, false, (Matrix::new(ci, plane), free));
                relu_backward(&x[i * ci * plane..][..ci * plane], free, accumulate, gx);
            }
        }
    }
}

/// Gradient by the weight, added to `gw` (co, ci).
pub fn backward_weight(
    ci: usize,
    co: usize,
    plane: usize,
    n: usize,
    x: &[f32],
    relu: bool,
    gy: &[f32],
    gw: &mut [f32],
    s: &mut Scratch,
) {
    assert!(x.len() == n * ci * plane && gy.len() == n * co * plane && gw.len() == co * ci);
    for (x, gy) in x.chunks_exact(ci * plane).zip(gy.chunks_exact(co * plane)) {
        let x = (Matrix::new(ci, plane).transposed(), rectified(x, relu, s));
        multiply((Matrix::new(co, plane), gy), x, true, (Matrix::new(co, ci), gw));
    }
}

fn rectified<'a>(x: &'a [f32], relu: bool, s: &'a mut Scratch) -> &'a [f32] {
    if !relu {
        return x;
    }
    let copy = s.input.take(x.len());
    rectify(x, copy);
    copy
}

#[cfg(test)]
mod tests {
    use super::super::isa::tests::each;
    use super::super::reference::{Convolution, Kernels, check};
    use super::super::window::tests::same;
    use super::*;

    #[test]
    fn values_and_gradients_equal_the_plain_loops() {
        for (ci, co, side, n) in [(1, 1, 1, 1), (3, 5, 4, 3), (16, 8, 7, 2), (20, 33, 16, 2), (8, 16, 9, 17)] {
            let (window, plane, mut s) = (same(side, 1, 1, 1), side * side, Scratch::default());
            let s = std::cell::RefCell::new(&mut s);
            let mut kernels = Kernels {
                forward: |x: &[f32], relu: bool, w: &[f32], b: Option<&[f32]>, y: &mut [f32]| {
                    forward(ci, co, plane, n, x, relu, w, b, y, &mut s.borrow_mut())
                },
                backward_input: |gy: &[f32], w: &[f32], relu_of: Option<&[f32]>, accumulate: bool, gx: &mut [f32]| {
                    backward_input(ci, co, plane, n, gy, w, relu_of, accumulate, gx, &mut s.borrow_mut())
                },
                backward_weight: |x: &[f32], relu: bool, gy: &[f32], gw: &mut [f32]| {
                    backward_weight(ci, co, plane, n, x, relu, gy, gw, &mut s.borrow_mut())
                },
            };
            each(|_| check(&Convolution { window, ci, co, groups: 1, n }, &mut kernels));
        }
    }
}
