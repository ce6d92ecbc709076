//! Convolution with one kernel per channel.

mod correlate;
mod frame;
mod lanes;
mod rows;

use super::destination::Destination;
use super::plan::Direction;
use super::{Scratch, Window};
use frame::Frame;

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
    s: &mut Scratch,
) {
    check(w, channels, n, x.len(), y.len(), weight.len());
    let out = &mut Destination::plain(y);
    if by_rows(w) {
        return rows::convolve(&Frame::forward(w), w.kernel, channels, x, relu, weight, false, bias, out, s);
    }
    lanes::convolve(&s.plan(w, Direction::Forward), channels, w.taps(), x, relu, weight, bias, out, s);
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
    let out = &mut Destination::gradient(gx, relu_of, accumulate);
    if by_rows(w) {
        return rows::convolve(&Frame::backward(w), w.kernel, channels, gy, false, weight, true, None, out, s);
    }
    lanes::convolve(&s.plan(w, Direction::Backward), channels, w.taps(), gy, false, weight, None, out, s);
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
    s: &mut Scratch,
) {
    check(w, channels, n, x.len(), gy.len(), gw.len());
    if by_rows(w) {
        return correlate::backward_weight(&Frame::forward(w), w.kernel, channels, x, relu, gy, gw, s);
    }
    lanes::backward_weight(&s.plan(w, Direction::Forward), channels, w.taps(), x, relu, gy, gw, s);
}

/// Widest map that goes by lanes. Measured with AVX-512: at 16 columns both ways take the same time, at 32 rows need half
/// of it, below 16 they leave lanes idle.
const ROWS_FROM: usize = 16;

/// Small maps, strides and rare kernels go by lanes, the rest by rows.
fn by_rows(w: &Window) -> bool {
    rows::fits(w) && w.out_w > ROWS_FROM
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
