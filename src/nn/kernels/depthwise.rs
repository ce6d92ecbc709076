//! Convolution with one kernel per channel.

use super::{Scratch, Window};

/// `y` (n, channels, out) = `weight` (channels, kernel, kernel) over `x` (n, channels, in), rectified first where
/// `relu`.
pub fn forward(
    w: &Window,
    channels: usize,
    n: usize,
    x: &[f32],
    relu: bool,
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    _s: &mut Scratch,
) {
    check(w, channels, n, x.len(), y.len(), weight.len());
    for (i, (x, y)) in x.chunks_exact(w.in_plane()).zip(y.chunks_exact_mut(w.out_plane())).enumerate() {
        let weight = &weight[i % channels * w.taps()..][..w.taps()];
        y.fill(bias.map_or(0.0, |b| b[i % channels]));
        each_tap_row(w, |tap, input, output, len| {
            for j in 0..len {
                let x = x[input + j * w.stride];
                y[output + j] += weight[tap] * if relu { x.max(0.0) } else { x };
            }
        });
    }
}

/// Gradient by the input: stored in `gx` or added to it, zero where `relu_of` is not positive.
pub fn backward_input(
    w: &Window,
    channels: usize,
    n: usize,
    gy: &[f32],
    weight: &[f32],
    relu_of: Option<&[f32]>,
    accumulate: bool,
    gx: &mut [f32],
    s: &mut Scratch,
) {
    check(w, channels, n, gx.len(), gy.len(), weight.len());
    for (i, (gx, gy)) in gx.chunks_exact_mut(w.in_plane()).zip(gy.chunks_exact(w.out_plane())).enumerate() {
        let weight = &weight[i % channels * w.taps()..][..w.taps()];
        let sums = s.input.zeros(w.in_plane());
        each_tap_row(w, |tap, input, output, len| {
            for j in 0..len {
                sums[input + j * w.stride] += weight[tap] * gy[output + j];
            }
        });
        for (j, gx) in gx.iter_mut().enumerate() {
            let masked = relu_of.is_some_and(|x| x[i * w.in_plane() + j] <= 0.0);
            *gx = if accumulate { *gx } else { 0.0 } + if masked { 0.0 } else { sums[j] };
        }
    }
}

/// Gradient by the weight, added to `gw` (channels, kernel, kernel).
pub fn backward_weight(
    w: &Window,
    channels: usize,
    n: usize,
    x: &[f32],
    relu: bool,
    gy: &[f32],
    gw: &mut [f32],
    _s: &mut Scratch,
) {
    check(w, channels, n, x.len(), gy.len(), gw.len());
    for (i, (x, gy)) in x.chunks_exact(w.in_plane()).zip(gy.chunks_exact(w.out_plane())).enumerate() {
        let gw = &mut gw[i % channels * w.taps()..][..w.taps()];
        each_tap_row(w, |tap, input, output, len| {
            for j in 0..len {
                let x = x[input + j * w.stride];
                gw[tap] += gy[output + j] * if relu { x.max(0.0) } else { x };
            }
        });
    }
}

/// Visits every tap and row of outputs: (tap, first input, first output, number of outputs inside).
#[inline(always)]
fn each_tap_row(w: &Window, mut visit: impl FnMut(usize, usize, usize, usize)) {
    for oy in 0..w.out_h {
        for tap in 0..w.taps() {
            let (ky, kx) = (tap / w.kernel, tap % w.kernel);
            let inside = w.columns_inside(kx);
            let (Some(y), false) = (w.row(oy, ky), inside.is_empty()) else { continue };
            let input = y * w.in_w + inside.start * w.stride + kx * w.dilation - w.left;
            visit(tap, input, oy * w.out_w + inside.start, inside.len());
        }
    }
}

fn check(w: &Window, channels: usize, n: usize, inputs: usize, outputs: usize, weights: usize) {
    let maps = n * channels;
    assert!(inputs == maps * w.in_plane() && outputs == maps * w.out_plane(), "{maps} maps of {w:?}");
    assert_eq!(weights, channels * w.taps());
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};

    use super::super::isa::tests::each;
    use super::super::reference::{self, Convolution, Kernels};
    use super::super::window;
    use super::*;

    fn compare(w: Window, channels: usize, n: usize) {
        let s = std::cell::RefCell::new(Scratch::default());
        let mut kernels = Kernels {
            forward: |x: &[f32], relu: bool, weight: &[f32], b: Option<&[f32]>, y: &mut [f32]| {
                forward(&w, channels, n, x, relu, weight, b, y, &mut s.borrow_mut())
            },
            backward_input: |gy: &[f32], weight: &[f32], relu_of: Option<&[f32]>, accumulate: bool, gx: &mut [f32]| {
                backward_input(&w, channels, n, gy, weight, relu_of, accumulate, gx, &mut s.borrow_mut())
            },
            backward_weight: |x: &[f32], relu: bool, gy: &[f32], gw: &mut [f32]| {
                backward_weight(&w, channels, n, x, relu, gy, gw, &mut s.borrow_mut())
            },
        };
        each(|_| {
            reference::check(&Convolution { window: w, ci: channels, co: channels, groups: channels, n }, &mut kernels)
        });
    }

    #[test]
    fn values_and_gradients_equal_the_plain_loops_on_any_geometry() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        for largest in [5, 9, 20, 40] {
            for _ in 0..30 {
                let w = window::tests::random(&mut rng, largest);
                compare(w, rng.random_range(1..20), rng.random_range(1..=3));
            }
        }
    }

    #[test]
    fn values_and_gradients_equal_the_plain_loops_in_the_shapes_of_networks() {
        for side in [4, 8, 16, 32] {
            for (kernel, stride, dilation) in
                [(3, 1, 1), (5, 1, 1), (7, 1, 1), (3, 1, 2), (5, 1, 2), (3, 2, 1), (5, 2, 1), (7, 2, 1)]
            {
                compare(window::tests::same(side, kernel, stride, dilation), 20, 2);
            }
        }
    }
}
