//! Convolution of any kernel, stride, dilation, padding and number of groups: columns of patches, then a matrix product.

use super::elementwise::{relu as rectify, relu_backward};
use super::matrix::{Matrix, multiply};
use super::{Scratch, Window};

/// `y` (n, co, out) = `weight` (co, ci / groups, kernel, kernel) over `x` (n, ci, in), rectified first where `relu`.
pub fn forward(
    w: &Window,
    ci: usize,
    co: usize,
    groups: usize,
    n: usize,
    x: &[f32],
    relu: bool,
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    s: &mut Scratch,
) {
    check(w, ci, co, groups, n, x.len(), y.len(), weight.len());
    let (group_in, group_out) = (ci / groups, co / groups);
    let (patch, out) = (group_in * w.taps(), w.out_plane());
    if let Some(bias) = bias {
        y.chunks_exact_mut(out).enumerate().for_each(|(i, y)| y.fill(bias[i % co]));
    }
    let (inputs, outputs) = (x.chunks_exact(group_in * w.in_plane()), y.chunks_exact_mut(group_out * out));
    for (i, (x, y)) in inputs.zip(outputs).enumerate() {
        let weight = &weight[i % groups * group_out * patch..][..group_out * patch];
        let columns = s.input.take(patch * out);
        gather(w, x, relu, columns);
        let columns = (Matrix::new(patch, out), &*columns);
        multiply((Matrix::new(group_out, patch), weight), columns, bias.is_some(), (Matrix::new(group_out, out), y));
    }
}

/// Gradient by the input: stored in `gx` or added to it, zero where `relu_of` is not positive.
pub fn backward_input(
    w: &Window,
    ci: usize,
    co: usize,
    groups: usize,
    n: usize,
    gy: &[f32],
    weight: &[f32],
    relu_of: Option<&[f32]>,
    accumulate: bool,
    gx: &mut [f32],
    s: &mut Scratch,
) {
    check(w, ci, co, groups, n, gx.len(), gy.len(), weight.len());
    let (group_in, group_out) = (ci / groups, co / groups);
    let (patch, out, inputs) = (group_in * w.taps(), w.out_plane(), group_in * w.in_plane());
    for (i, (gx, gy)) in gx.chunks_exact_mut(inputs).zip(gy.chunks_exact(group_out * out)).enumerate() {
        let weight = &weight[i % groups * group_out * patch..][..group_out * patch];
        let weight = (Matrix::new(group_out, patch).transposed(), weight);
        let columns = s.input.take(patch * out);
        multiply(weight, (Matrix::new(group_out, out), gy), false, (Matrix::new(patch, out), columns));
        match relu_of {
            None => {
                if !accumulate {
                    gx.fill(0.0);
                }
                scatter(w, columns, gx);
            }
            Some(x) => {
                let free = s.output.zeros(inputs);
                scatter(w, columns, free);
                relu_backward(&x[i * inputs..][..inputs], free, accumulate, gx);
            }
        }
    }
}

/// Gradient by the weight, added to `gw`.
pub fn backward_weight(
    w: &Window,
    ci: usize,
    co: usize,
    groups: usize,
    n: usize,
    x: &[f32],
    relu: bool,
    gy: &[f32],
    gw: &mut [f32],
    s: &mut Scratch,
) {
    check(w, ci, co, groups, n, x.len(), gy.len(), gw.len());
    let (group_in, group_out) = (ci / groups, co / groups);
    let (patch, out) = (group_in * w.taps(), w.out_plane());
    let (inputs, outputs) = (x.chunks_exact(group_in * w.in_plane()), gy.chunks_exact(group_out * out));
    for (i, (x, gy)) in inputs.zip(outputs).enumerate() {
        let gw = &mut gw[i % groups * group_out * patch..][..group_out * patch];
        let columns = s.input.take(patch * out);
        gather(w, x, relu, columns);
        let columns = (Matrix::new(patch, out).transposed(), &*columns);
        multiply((Matrix::new(group_out, out), gy), columns, true, (Matrix::new(group_out, patch), gw));
    }
}

/// Columns of patches (channels * taps, out) of the maps `x` (channels, in), with zeros where a tap is outside.
fn gather(w: &Window, x: &[f32], relu: bool, columns: &mut [f32]) {
    let taps = columns.chunks_exact_mut(w.out_plane()).enumerate();
    for (row, column) in taps {
        let (map, tap) = (&x[row / w.taps() * w.in_plane()..][..w.in_plane()], row % w.taps());
        let (ky, kx) = (tap / w.kernel, tap % w.kernel);
        let inside = w.columns_inside(kx);
        for (oy, line) in column.chunks_exact_mut(w.out_w).enumerate() {
            line.fill(0.0);
            let (Some(y), false) = (w.row(oy, ky), inside.is_empty()) else { continue };
            let from = &map[y * w.in_w + inside.start * w.stride + kx * w.dilation - w.left..];
            let line = &mut line[inside.clone()];
            match (w.stride, relu) {
                (1, false) => line.copy_from_slice(&from[..line.len()]),
                (1, true) => rectify(&from[..line.len()], line),
                (_, false) => line.iter_mut().zip(from.iter().step_by(w.stride)).for_each(|(l, x)| *l = *x),
                (_, true) => line.iter_mut().zip(from.iter().step_by(w.stride)).for_each(|(l, x)| *l = x.max(0.0)),
            }
        }
    }
}

/// The transpose of `gather`: adds every column back to the values it came from.
fn scatter(w: &Window, columns: &[f32], gx: &mut [f32]) {
    for (row, column) in columns.chunks_exact(w.out_plane()).enumerate() {
        let (map, tap) = (&mut gx[row / w.taps() * w.in_plane()..][..w.in_plane()], row % w.taps());
        let (ky, kx) = (tap / w.kernel, tap % w.kernel);
        let inside = w.columns_inside(kx);
        for (oy, line) in column.chunks_exact(w.out_w).enumerate() {
            let (Some(y), false) = (w.row(oy, ky), inside.is_empty()) else { continue };
            let to = &mut map[y * w.in_w + inside.start * w.stride + kx * w.dilation - w.left..];
            for (g, to) in line[inside.clone()].iter().zip(to.iter_mut().step_by(w.stride)) {
                *to += g;
            }
        }
    }
}

fn check(w: &Window, ci: usize, co: usize, groups: usize, n: usize, inputs: usize, outputs: usize, weights: usize) {
    assert!(ci.is_multiple_of(groups) && co.is_multiple_of(groups), "{ci} and {co} channels in {groups} groups");
    assert!(inputs == n * ci * w.in_plane() && outputs == n * co * w.out_plane(), "{n} images of {w:?}");
    assert_eq!(weights, co * ci / groups * w.taps());
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::super::isa::tests::each;
    use super::super::reference::{self, Convolution, Kernels};
    use super::super::window;
    use super::*;

    fn compare(conv: Convolution) {
        let Convolution { window: w, ci, co, groups, n } = conv;
        let s = std::cell::RefCell::new(Scratch::default());
        let mut kernels = Kernels {
            forward: |x: &[f32], relu: bool, weight: &[f32], b: Option<&[f32]>, y: &mut [f32]| {
                forward(&w, ci, co, groups, n, x, relu, weight, b, y, &mut s.borrow_mut())
            },
            backward_input: |gy: &[f32], weight: &[f32], relu_of: Option<&[f32]>, accumulate: bool, gx: &mut [f32]| {
                backward_input(&w, ci, co, groups, n, gy, weight, relu_of, accumulate, gx, &mut s.borrow_mut())
            },
            backward_weight: |x: &[f32], relu: bool, gy: &[f32], gw: &mut [f32]| {
                backward_weight(&w, ci, co, groups, n, x, relu, gy, gw, &mut s.borrow_mut())
            },
        };
        each(|_| reference::check(&conv, &mut kernels));
    }

    #[test]
    fn values_and_gradients_equal_the_plain_loops() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        for groups in [1, 1, 1, 1, 2, 3] {
            for _ in 0..5 {
                let window = window::tests::random(&mut rng, 9);
                let (ci, co, n) =
                    (groups * rng.random_range(1..4), groups * rng.random_range(1..4), rng.random_range(1..=3));
                compare(Convolution { window, ci, co, groups, n });
            }
        }
        compare(Convolution { window: window::tests::same(32, 3, 1, 1), ci: 3, co: 16, groups: 1, n: 2 });
        compare(Convolution { window: window::tests::same(16, 3, 2, 1), ci: 8, co: 8, groups: 1, n: 2 });
    }
}
