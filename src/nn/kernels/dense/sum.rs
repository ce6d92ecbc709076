//! Values and input gradients of a dense convolution: one computed channel per lane.
//!
//! Every product is one multiply-add of a vector of weights with one input, repeated in all lanes. Inputs stay in (channel,
//! row, column) order, so strides, dilations and small maps cost nothing, and sixteen or thirty-two outputs of several
//! pixels are summed in registers. Only results are transposed.

use super::super::Scratch;
use super::super::bundle::scatter;
use super::super::destination::Destination;
use super::super::isa::on_each_isa;
use super::super::plan::{Line, Plan, Tap};
use super::super::simd::Simd;
use super::packed::{Channels, Strides, pack};

on_each_isa! {
    /// Values of all images of `x`: follows `plan` over the maps of each group.
    pub fn convolve(
        plan: &Plan, c: &Channels, strides: &Strides, x: &[f32], relu: bool, weight: &[f32], bias: Option<&[f32]>,
        out: &mut Destination, s: &mut Scratch,
    ) = convolve_body
}

#[inline(always)]
fn convolve_body<S: Simd>(
    plan: &Plan,
    c: &Channels,
    strides: &Strides,
    x: &[f32],
    relu: bool,
    weight: &[f32],
    bias: Option<&[f32]>,
    out: &mut Destination,
    s: &mut Scratch,
) {
    // Eight pixels of two vectors need half of 32 registers; with 16 registers one vector has to do.
    match S::REGISTERS >= 32 && c.computed > S::LANES {
        true => groups_of::<S, 2>(plan, c, strides, x, relu, weight, bias, out, s),
        false => groups_of::<S, 1>(plan, c, strides, x, relu, weight, bias, out, s),
    }
}

/// `V` vectors of channels at once.
#[inline(always)]
fn groups_of<S: Simd, const V: usize>(
    plan: &Plan,
    c: &Channels,
    strides: &Strides,
    x: &[f32],
    relu: bool,
    weight: &[f32],
    bias: Option<&[f32]>,
    out: &mut Destination,
    s: &mut Scratch,
) {
    let (inputs, outputs, block) = (plan.pixels.len(), plan.outputs, V * S::LANES);
    let packed = s.weight.take(c.packed(block));
    pack::<S>(c, strides, block, weight, packed);
    let frames = s.input.zeros(c.summed * plan.padded);
    let sums = s.output.take(block * outputs);
    let flat = s.flat.take(block * outputs);
    assert!(weight.len() == c.groups * c.computed * c.products());
    for (i, x) in x.chunks_exact(c.summed * inputs).enumerate() {
        copy_in(plan, x, relu, frames);
        let group = i % c.groups;
        for b in 0..c.blocks(block) {
            let first = b * block;
            let packed = &packed[(group * c.blocks(block) + b) * c.products() * block..][..c.products() * block];
            let start = biases::<S, V>(bias.map(|b| &b[group * c.computed..][..c.computed]), first);
            for line in &plan.lines {
                // SAFETY: `Plan::new` placed every tap of every output inside the padded maps, of which there are
                // `summed`, and every output below `outputs`; `packed` holds a block for every product.
                unsafe {
                    match line.input_step {
                        1 => sum_line::<S, V>(plan, line, 1, c, frames, packed, start, sums),
                        2 => sum_line::<S, V>(plan, line, 2, c, frames, packed, start, sums),
                        step => sum_line::<S, V>(plan, line, step, c, frames, packed, start, sums),
                    }
                }
            }
            let lanes = block.min(c.computed - first);
            for (v, sums) in sums.chunks_exact(S::LANES * outputs).enumerate().take(lanes.div_ceil(S::LANES)) {
                let lanes = S::LANES.min(lanes - v * S::LANES);
                let at = (i * c.computed + first + v * S::LANES) * outputs;
                let range = at..at + lanes * outputs;
                if out.is_plain() {
                    scatter::<S>(sums, S::LANES, lanes, &mut out.to[range]);
                } else {
                    scatter::<S>(sums, S::LANES, lanes, &mut flat[..range.len()]);
                    out.combine::<S>(range, flat);
                }
            }
        }
    }
}

/// Biases of the lanes of the block that starts at channel `first`.
#[inline(always)]
fn biases<S: Simd, const V: usize>(bias: Option<&[f32]>, first: usize) -> [S::V; V] {
    // SAFETY: only called from bodies that `on_each_isa!` compiles; `load_part` reads channels that exist.
    unsafe {
        let mut start = [S::splat(0.0); V];
        if let Some(bias) = bias {
            for (v, start) in start.iter_mut().enumerate() {
                let from = (first + v * S::LANES).min(bias.len());
                *start = S::load_part(bias.as_ptr().add(from), S::LANES.min(bias.len() - from));
            }
        }
        start
    }
}

/// Sums of one line; `step` repeats its input step, as a constant where the caller knows it.
#[inline(always)]
unsafe fn sum_line<S: Simd, const V: usize>(
    plan: &Plan,
    line: &Line,
    step: usize,
    c: &Channels,
    frames: &[f32],
    packed: &[f32],
    start: [S::V; V],
    sums: &mut [f32],
) {
    let taps = &plan.taps[line.taps.clone()];
    let mut at = 0;
    while at < line.count {
        unsafe {
            let from = frames.as_ptr().add(at * step);
            let sums = sums.as_mut_ptr().add((line.first + at * line.step) * S::LANES);
            let to = (line.step * S::LANES, plan.outputs * S::LANES);
            at += match line.count - at {
                16.. if V == 1 && S::REGISTERS >= 32 => {
                    sum_block::<S, V, 16>(taps, c, from, plan.padded, step, packed.as_ptr(), start, sums, to)
                }
                8.. => sum_block::<S, V, 8>(taps, c, from, plan.padded, step, packed.as_ptr(), start, sums, to),
                4.. => sum_block::<S, V, 4>(taps, c, from, plan.padded, step, packed.as_ptr(), start, sums, to),
                2.. => sum_block::<S, V, 2>(taps, c, from, plan.padded, step, packed.as_ptr(), start, sums, to),
                _ => sum_block::<S, V, 1>(taps, c, from, plan.padded, step, packed.as_ptr(), start, sums, to),
            }
        }
    }
}

/// Sums of `B` pixels, stored `to.0` floats apart, the vectors `to.1` floats apart. Returns `B`.
#[inline(always)]
unsafe fn sum_block<S: Simd, const V: usize, const B: usize>(
    taps: &[Tap],
    c: &Channels,
    from: *const f32,
    padded: usize,
    step: usize,
    packed: *const f32,
    start: [S::V; V],
    sums: *mut f32,
    to: (usize, usize),
) -> usize {
    unsafe {
        let mut sum = [start; B];
        for channel in 0..c.summed {
            let from = from.add(channel * padded);
            let packed = packed.add(channel * c.taps * V * S::LANES);
            for tap in taps {
                let packed = packed.add(tap.weight * V * S::LANES);
                let mut weights = [S::splat(0.0); V];
                for (v, weight) in weights.iter_mut().enumerate() {
                    *weight = S::load(packed.add(v * S::LANES));
                }
                let from = from.add(tap.input);
                for (b, sum) in sum.iter_mut().enumerate() {
                    let x = S::splat(*from.add(b * step));
                    for (sum, weight) in sum.iter_mut().zip(weights) {
                        *sum = S::mul_add(x, weight, *sum);
                    }
                }
            }
        }
        for (b, sum) in sum.into_iter().enumerate() {
            for (v, sum) in sum.into_iter().enumerate() {
                S::store(sums.add(b * to.0 + v * to.1), sum);
            }
        }
        B
    }
}

/// Copies maps into their padded places.
#[inline(always)]
fn copy_in(plan: &Plan, x: &[f32], relu: bool, frames: &mut [f32]) {
    let maps = x.chunks_exact(plan.pixels.len()).zip(frames.chunks_exact_mut(plan.padded));
    for (map, frame) in maps {
        for (row, places) in map.chunks_exact(plan.width).zip(plan.pixels.chunks_exact(plan.width)) {
            let frame = &mut frame[places[0]..][..plan.width];
            match relu {
                true => frame.iter_mut().zip(row).for_each(|(f, x)| *f = if *x <= 0.0 { 0.0 } else { *x }),
                false => frame.copy_from_slice(row),
            }
        }
    }
}
