//! Depthwise convolution with one map per vector lane: for small maps, and for strides.
//!
//! As many maps as a vector has lanes are transposed into a bundle (pixel, lane). Then every tap of every window is one
//! multiply-add of whole vectors: no lane is wasted on narrow rows, strides and dilations cost nothing, and rows outside
//! the map are never visited. A vector may hold maps of two images; its weights come from a table that wraps around.

use super::super::Scratch;
use super::super::bundle::{gather, scatter, transpose_rows};
use super::super::destination::Destination;
use super::super::isa::on_each_isa;
use super::super::plan::{Line, Plan, Tap};
use super::super::simd::Simd;

on_each_isa! {
    /// Values of all maps, or gradients by all inputs: follows `plan` over the maps of `x`.
    pub fn convolve(
        plan: &Plan, channels: usize, taps: usize, x: &[f32], relu: bool, weight: &[f32], bias: Option<&[f32]>,
        out: &mut Destination, s: &mut Scratch,
    ) = convolve_body
}

#[inline(always)]
fn convolve_body<S: Simd>(
    plan: &Plan,
    channels: usize,
    taps: usize,
    x: &[f32],
    relu: bool,
    weight: &[f32],
    bias: Option<&[f32]>,
    out: &mut Destination,
    s: &mut Scratch,
) {
    let (inputs, outputs) = (plan.pixels.len(), plan.outputs);
    let maps = x.len() / inputs;
    assert!(out.to.len() == maps * outputs && weight.len() == channels * taps);
    let table = Table { pitch: channels + S::LANES, channels };
    let weights = s.weight.take((taps + 1) * table.pitch);
    table.fill::<S>(taps, weight, bias, weights);
    let bundle = s.input.zeros(plan.padded * S::LANES);
    let (sums, flat) = s.output.take(2 * outputs * S::LANES).split_at_mut(outputs * S::LANES);
    for first in (0..maps).step_by(S::LANES) {
        let lanes = S::LANES.min(maps - first);
        gather::<S>(&x[first * inputs..][..lanes * inputs], lanes, relu, |pixel| plan.pixels[pixel], bundle);
        let weights = &weights[first % channels..];
        for line in &plan.lines {
            // SAFETY: `Plan::new` placed every tap of every output inside the padded bundle and every output below
            // `outputs`; the table has `LANES` columns from any channel on, and a row for every weight and the bias.
            unsafe {
                match line.input_step {
                    1 => sum_line::<S>(plan, line, 1, bundle, weights, table.pitch, taps, sums),
                    2 => sum_line::<S>(plan, line, 2, bundle, weights, table.pitch, taps, sums),
                    step => sum_line::<S>(plan, line, step, bundle, weights, table.pitch, taps, sums),
                }
            }
        }
        let range = first * outputs..(first + lanes) * outputs;
        if out.is_plain() {
            scatter::<S>(sums, S::LANES, lanes, &mut out.to[range]);
        } else {
            scatter::<S>(sums, S::LANES, lanes, &mut flat[..range.len()]);
            out.combine::<S>(range, flat);
        }
    }
}

/// Sums of one line; `step` repeats its input step, as a constant where the caller knows it.
#[inline(always)]
unsafe fn sum_line<S: Simd>(
    plan: &Plan,
    line: &Line,
    step: usize,
    bundle: &[f32],
    weights: &[f32],
    pitch: usize,
    bias: usize,
    sums: &mut [f32],
) {
    let taps = &plan.taps[line.taps.clone()];
    let start = unsafe { S::load(weights.as_ptr().add(bias * pitch)) };
    let mut at = 0;
    while at < line.count {
        let block = block(line.count - at);
        unsafe {
            let bundle = bundle.as_ptr().add(at * step * S::LANES);
            let sums = sums.as_mut_ptr().add((line.first + at * line.step) * S::LANES);
            let (from, to) = (step * S::LANES, line.step * S::LANES);
            match block {
                8 => sum_block::<S, 8>(taps, bundle, from, weights.as_ptr(), pitch, start, sums, to),
                4 => sum_block::<S, 4>(taps, bundle, from, weights.as_ptr(), pitch, start, sums, to),
                _ => sum_block::<S, 1>(taps, bundle, from, weights.as_ptr(), pitch, start, sums, to),
            }
        }
        at += block;
    }
}

#[inline(always)]
unsafe fn sum_block<S: Simd, const B: usize>(
    taps: &[Tap],
    bundle: *const f32,
    from: usize,
    weights: *const f32,
    pitch: usize,
    start: S::V,
    sums: *mut f32,
    to: usize,
) {
    unsafe {
        let mut sum = [start; B];
        for tap in taps {
            let weight = S::load(weights.add(tap.weight * pitch));
            let input = bundle.add(tap.input * S::LANES);
            for (b, sum) in sum.iter_mut().enumerate() {
                *sum = S::mul_add(S::load(input.add(b * from)), weight, *sum);
            }
        }
        for (b, sum) in sum.into_iter().enumerate() {
            S::store(sums.add(b * to), sum);
        }
    }
}

on_each_isa! {
    /// Gradients by the weights, added to `gw` (channels, taps); `plan` is the forward one.
    pub fn backward_weight(
        plan: &Plan, channels: usize, taps: usize, x: &[f32], relu: bool, gy: &[f32], gw: &mut [f32], s: &mut Scratch,
    ) = backward_weight_body
}

#[inline(always)]
fn backward_weight_body<S: Simd>(
    plan: &Plan,
    channels: usize,
    taps: usize,
    x: &[f32],
    relu: bool,
    gy: &[f32],
    gw: &mut [f32],
    s: &mut Scratch,
) {
    let (inputs, outputs) = (plan.pixels.len(), plan.outputs);
    let maps = x.len() / inputs;
    assert!(gy.len() == maps * outputs && gw.len() == channels * taps);
    let table = Table { pitch: channels + S::LANES, channels };
    let sums = s.weight.zeros(taps * table.pitch);
    let bundle = s.input.zeros(plan.padded * S::LANES);
    let gradients = s.output.take(outputs * S::LANES);
    for first in (0..maps).step_by(S::LANES) {
        let lanes = S::LANES.min(maps - first);
        gather::<S>(&x[first * inputs..][..lanes * inputs], lanes, relu, |pixel| plan.pixels[pixel], bundle);
        gather::<S>(&gy[first * outputs..][..lanes * outputs], lanes, false, |pixel| pixel, gradients);
        let sums = &mut sums[first % channels..];
        for line in &plan.lines {
            // SAFETY: as in `convolve_body`; the table has a row for every weight.
            unsafe {
                match line.input_step {
                    1 => correlate_line::<S>(plan, line, 1, bundle, gradients, sums, table.pitch),
                    2 => correlate_line::<S>(plan, line, 2, bundle, gradients, sums, table.pitch),
                    step => correlate_line::<S>(plan, line, step, bundle, gradients, sums, table.pitch),
                }
            }
        }
    }
    table.add_to(taps, sums, gw);
}

#[inline(always)]
unsafe fn correlate_line<S: Simd>(
    plan: &Plan,
    line: &Line,
    step: usize,
    bundle: &[f32],
    gradients: &[f32],
    sums: &mut [f32],
    pitch: usize,
) {
    let taps = &plan.taps[line.taps.clone()];
    let mut at = 0;
    while at < line.count {
        let block = block(line.count - at);
        unsafe {
            let bundle = bundle.as_ptr().add(at * step * S::LANES);
            let gradients = gradients.as_ptr().add((line.first + at) * S::LANES);
            let (from, sums) = (step * S::LANES, sums.as_mut_ptr());
            match block {
                8 => correlate_block::<S, 8>(taps, bundle, from, gradients, sums, pitch),
                4 => correlate_block::<S, 4>(taps, bundle, from, gradients, sums, pitch),
                _ => correlate_block::<S, 1>(taps, bundle, from, gradients, sums, pitch),
            }
        }
        at += block;
    }
}

/// The output gradients stay in registers; each tap's sum makes one trip to memory, which overlaps with its neighbours'.
#[inline(always)]
unsafe fn correlate_block<S: Simd, const B: usize>(
    taps: &[Tap],
    bundle: *const f32,
    from: usize,
    gradients: *const f32,
    sums: *mut f32,
    pitch: usize,
) {
    unsafe {
        let mut held = [S::splat(0.0); B];
        for (b, held) in held.iter_mut().enumerate() {
            *held = S::load(gradients.add(b * S::LANES));
        }
        for tap in taps {
            let to = sums.add(tap.weight * pitch);
            let input = bundle.add(tap.input * S::LANES);
            let mut sum = S::load(to);
            for (b, gradient) in held.iter().enumerate() {
                sum = S::mul_add(S::load(input.add(b * from)), *gradient, sum);
            }
            S::store(to, sum);
        }
    }
}

/// How many of `left` outputs to compute at once. These are loops and not iterators: a closure would not be compiled
/// with the vector instructions of the function it stands in.
#[inline(always)]
fn block(left: usize) -> usize {
    match left {
        8.. => 8,
        4.. => 4,
        _ => 1,
    }
}

/// Weights as rows per tap and columns per channel. The columns begin again after the last channel, so that the lanes
/// of a bundle that straddles two images are consecutive too.
struct Table {
    pitch: usize,
    channels: usize,
}

impl Table {
    /// Rows of weights, then the row of biases.
    #[inline(always)]
    fn fill<S: Simd>(&self, taps: usize, weight: &[f32], bias: Option<&[f32]>, table: &mut [f32]) {
        let whole = self.channels / S::LANES * S::LANES;
        for first in (0..whole).step_by(S::LANES) {
            transpose_rows::<S>(&weight[first * taps..], taps, taps, &mut table[first..], self.pitch);
        }
        for channel in whole..self.channels {
            for tap in 0..taps {
                table[tap * self.pitch + channel] = weight[channel * taps + tap];
            }
        }
        for (channel, to) in table[taps * self.pitch..][..self.channels].iter_mut().enumerate() {
            *to = bias.map_or(0.0, |b| b[channel]);
        }
        for row in table.chunks_exact_mut(self.pitch) {
            for column in self.channels..self.pitch {
                row[column] = row[column - self.channels];
            }
        }
    }

    /// Adds the columns back to the weights they stand for.
    fn add_to(&self, taps: usize, table: &[f32], gw: &mut [f32]) {
        for column in 0..self.pitch {
            let gw = &mut gw[column % self.channels * taps..][..taps];
            for (tap, gw) in gw.iter_mut().enumerate() {
                *gw += table[tap * self.pitch + column];
            }
        }
    }
}
