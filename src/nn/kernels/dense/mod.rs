//! Convolution of any kernel, stride, dilation, padding and number of groups.

mod correlate;
mod packed;
mod sum;

use packed::{Channels, Strides};

use super::destination::Destination;
use super::plan::Direction;
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
    let channels = Channels { groups, summed: ci / groups, computed: co / groups, taps: w.taps() };
    let out = &mut Destination::plain(y);
    let strides = Strides::forward(&channels);
    sum::convolve(&s.plan(w, Direction::Forward), &channels, &strides, x, relu, weight, bias, out, s);
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
    let channels = Channels { groups, summed: co / groups, computed: ci / groups, taps: w.taps() };
    let out = &mut Destination::gradient(gx, relu_of, accumulate);
    let strides = Strides::backward(&channels);
    sum::convolve(&s.plan(w, Direction::Backward), &channels, &strides, gy, false, weight, None, out, s);
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
    let channels = Channels { groups, summed: ci / groups, computed: co / groups, taps: w.taps() };
    correlate::backward_weight(w, &channels, x, relu, gy, gw, s);
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
