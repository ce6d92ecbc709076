//! The same operators as anyone would write them first: plain loops, sums in `f64`. The fast kernels are tested against
//! these.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Window;

/// Reproducible values between -1 and 1.
pub fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Asserts that two results agree to what sums of `f32` allow.
#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 2e-5 * largest, "at {i}: {f} instead of {e}");
    }
}

/// A convolution of any kind: `ci` and `co` channels in `groups`, `n` images.
#[derive(Clone, Copy, Debug)]
pub struct Convolution {
    pub window: Window,
    pub ci: usize,
    pub co: usize,
    pub groups: usize,
    pub n: usize,
}

impl Convolution {
    pub fn inputs(&self) -> usize {
        self.n * self.ci * self.window.in_plane()
    }

    pub fn outputs(&self) -> usize {
        self.n * self.co * self.window.out_plane()
    }

    pub fn weights(&self) -> usize {
        self.co * self.ci / self.groups * self.window.taps()
    }

    /// Calls `visit(x index, weight index, y index)` for every product.
    fn products(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let (w, ci, co) = (&self.window, self.ci / self.groups, self.co / self.groups);
        for (image, o, i) in grid(self.n, self.co, ci) {
            let input = image * self.ci + o / co * ci + i;
            for (oy, ox, tap) in grid(w.out_h, w.out_w, w.taps()) {
                if let (Some(y), Some(x)) = (w.row(oy, tap / w.kernel), w.column(ox, tap % w.kernel)) {
                    let output = ((image * self.co + o) * w.out_h + oy) * w.out_w + ox;
                    visit((input * w.in_h + y) * w.in_w + x, (o * ci + i) * w.taps() + tap, output);
                }
            }
        }
    }

    pub fn forward(&self, x: &[f32], relu: bool, weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let plane = self.window.out_plane();
        let mut y: Vec<f64> =
            (0..self.outputs()).map(|i| bias.map_or(0.0, |b| b[i / plane % self.co] as f64)).collect();
        self.products(|i, w, o| y[o] += rectified(x[i], relu) * weight[w] as f64);
        single(y)
    }

    /// Gradient by the input, added to `gx` where `accumulate`.
    pub fn backward_input(
        &self,
        gy: &[f32],
        weight: &[f32],
        relu_of: Option<&[f32]>,
        accumulate: bool,
        gx: &[f32],
    ) -> Vec<f32> {
        let mut sums = vec![0.0; self.inputs()];
        self.products(|i, w, o| sums[i] += gy[o] as f64 * weight[w] as f64);
        for (i, sum) in sums.iter_mut().enumerate() {
            if relu_of.is_some_and(|x| x[i] <= 0.0) {
                *sum = 0.0;
            }
            if accumulate {
                *sum += gx[i] as f64;
            }
        }
        single(sums)
    }

    /// Gradient by the weight, added to `gw`.
    pub fn backward_weight(&self, x: &[f32], relu: bool, gy: &[f32], gw: &[f32]) -> Vec<f32> {
        let mut sums: Vec<f64> = gw.iter().map(|v| *v as f64).collect();
        self.products(|i, w, o| sums[w] += rectified(x[i], relu) * gy[o] as f64);
        single(sums)
    }
}

fn rectified(x: f32, relu: bool) -> f64 {
    if relu { x.max(0.0) as f64 } else { x as f64 }
}

fn single(values: Vec<f64>) -> Vec<f32> {
    values.into_iter().map(|v| v as f32).collect()
}

pub fn grid(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

/// The three kernels of one convolution, to be checked against the loops above.
pub struct Kernels<F, I, W> {
    pub forward: F,
    pub backward_input: I,
    pub backward_weight: W,
}

/// Checks values and both gradients with rectification, bias, mask and accumulation on and off.
pub fn check<F, I, W>(conv: &Convolution, kernels: &mut Kernels<F, I, W>)
where
    F: FnMut(&[f32], bool, &[f32], Option<&[f32]>, &mut [f32]),
    I: FnMut(&[f32], &[f32], Option<&[f32]>, bool, &mut [f32]),
    W: FnMut(&[f32], bool, &[f32], &mut [f32]),
{
    let (x, weight, gy) = (values(conv.inputs(), 1), values(conv.weights(), 2), values(conv.outputs(), 3));
    let bias = values(conv.co, 4);
    for (rectify, other) in [(false, false), (false, true), (true, false), (true, true)] {
        let bias = other.then_some(bias.as_slice());
        let mut y = vec![f32::NAN; conv.outputs()];
        (kernels.forward)(&x, rectify, &weight, bias, &mut y);
        assert_close(&y, &conv.forward(&x, rectify, &weight, bias));

        let relu_of = rectify.then_some(x.as_slice());
        let mut gx = if other { values(conv.inputs(), 5) } else { vec![f32::NAN; conv.inputs()] };
        let expected = conv.backward_input(&gy, &weight, relu_of, other, &gx);
        (kernels.backward_input)(&gy, &weight, relu_of, other, &mut gx);
        assert_close(&gx, &expected);

        let mut gw = values(conv.weights(), 6);
        let expected = conv.backward_weight(&x, rectify, &gy, &gw);
        (kernels.backward_weight)(&x, rectify, &gy, &mut gw);
        assert_close(&gw, &expected);
    }
}
