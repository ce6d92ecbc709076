//! Convolution with a 1x1 kernel, stride 1 and one group: a matrix product per image.

//!
//! Large maps are multiplied where they lie, image by image. The images of small maps are first lined up as one matrix
//! (channel, image, pixel), so that the product is not tiny.

mod correlate;

use super::Scratch;
use super::destination::Destination;
use super::isa::on_each_isa;
use super::matrix::{Matrix, multiply};
use super::simd::Simd;

/// Largest map whose images are lined up. Measured with AVX-512: at 4x4 one product over 16 images takes 0.6 times as
/// long as 16 products, at 8x8 1.4 times.
const SMALL_PLANE: usize = 36;

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
    let images = lined_up(plane, n);
    let (columns, out) = (images * plane, &mut Destination::plain(y));
    for (i, x) in x.chunks_exact(images * ci * plane).enumerate() {
        let x = line_up(ci, plane, images, x, relu, s.input.take(x.len()));
        let (left, right) = ((Matrix::new(co, ci), weight), (Matrix::new(ci, columns), x));
        let (at, len) = (i * co * columns, co * columns);
        if images == 1 {
            multiply_with_bias(left, right, bias, &mut out.to[at..at + len]);
        } else {
            let line = s.output.take(len);
            multiply_with_bias(left, right, bias, line);
            put_back(co, plane, images, at, line, out);
        }
    }
}

/// `y` = `left` times `right`, plus a bias per row.
fn multiply_with_bias(left: (Matrix, &[f32]), right: (Matrix, &[f32]), bias: Option<&[f32]>, y: &mut [f32]) {
    let (rows, columns) = (left.0.rows, right.0.columns);
    if let Some(bias) = bias {
        y.chunks_exact_mut(columns).zip(bias).for_each(|(y, b)| y.fill(*b));
    }
    multiply(left, right, bias.is_some(), (Matrix::new(rows, columns), y));
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
    let images = lined_up(plane, n);
    let (columns, out) = (images * plane, &mut Destination::gradient(gx, relu_of, accumulate));
    for (i, gy) in gy.chunks_exact(images * co * plane).enumerate() {
        let gy = line_up(co, plane, images, gy, false, s.input.take(gy.len()));
        let (left, right) = ((Matrix::new(co, ci).transposed(), weight), (Matrix::new(co, columns), gy));
        let (at, len) = (i * ci * columns, ci * columns);
        if images == 1 && relu_of.is_none() {
            multiply(left, right, accumulate, (Matrix::new(ci, columns), &mut out.to[at..at + len]));
            continue;
        }
        let line = s.output.take(len);
        multiply(left, right, false, (Matrix::new(ci, columns), line));
        put_back(ci, plane, images, at, line, out);
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
    if plane > SMALL_PLANE {
        return correlate::backward_weight(ci, co, plane, x, relu, gy, gw);
    }
    let columns = n * plane;
    let x = line_up(ci, plane, n, x, relu, s.input.take(x.len()));
    let gy = line_up(co, plane, n, gy, false, s.output.take(gy.len()));
    let (left, right) = ((Matrix::new(co, columns), gy), (Matrix::new(ci, columns).transposed(), x));
    multiply(left, right, true, (Matrix::new(co, ci), gw));
}

/// How many images make one matrix: all of a small map, else one.
fn lined_up(plane: usize, n: usize) -> usize {
    if plane <= SMALL_PLANE { n.max(1) } else { 1 }
}

/// `x` (images, c, plane) as (c, images, plane), rectified where `relu`. One image that stays as it is is not copied.
fn line_up<'a>(c: usize, plane: usize, images: usize, x: &'a [f32], relu: bool, line: &'a mut [f32]) -> &'a [f32] {
    if images == 1 && !relu {
        return x;
    }
    copy_maps(c, plane, images, x, relu, line);
    line
}

on_each_isa! {
    fn copy_maps(c: usize, plane: usize, images: usize, x: &[f32], relu: bool, line: &mut [f32]) = copy_maps_body
}

#[inline(always)]
fn copy_maps_body<S: Simd>(c: usize, plane: usize, images: usize, x: &[f32], relu: bool, line: &mut [f32]) {
    for (i, x) in x.chunks_exact(plane).enumerate() {
        let line = &mut line[(i % c * images + i / c) * plane..][..plane];
        match relu {
            true => line.iter_mut().zip(x).for_each(|(l, x)| *l = if *x <= 0.0 { 0.0 } else { *x }),
            false => line.iter_mut().zip(x).for_each(|(l, x)| *l = *x),
        }
    }
}

on_each_isa! {
    /// `line` (c, images, plane) back to (images, c, plane), from index `at` of the destination on.
    fn put_back(
        c: usize, plane: usize, images: usize, at: usize, line: &[f32], out: &mut Destination,
    ) = put_back_body
}

#[inline(always)]
fn put_back_body<S: Simd>(c: usize, plane: usize, images: usize, at: usize, line: &[f32], out: &mut Destination) {
    for (i, line) in line.chunks_exact(plane).enumerate() {
        let at = at + (i % images * c + i / images) * plane;
        out.combine::<S>(at..at + plane, line);
    }
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
