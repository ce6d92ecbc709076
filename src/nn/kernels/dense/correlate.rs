//! Weight gradients of a dense convolution: one output channel per lane.
//!
//! The output gradient is transposed to (pixel, lane); every product is one multiply-add of such a vector with one input,
//! repeated in all lanes. The sums of several weights stay in registers while all pixels of an image pass.

use super::super::bundle::{gather, scatter};
use super::super::isa::on_each_isa;
use super::super::simd::Simd;
use super::super::{Scratch, Window};
use super::packed::Channels;

/// A map with zeros on all sides, so that every tap of every output lies inside.
struct Frame {
    pitch: usize,
    rows: usize,
}

impl Frame {
    fn new(w: &Window) -> Frame {
        let reach = w.dilation * (w.kernel - 1) + 1;
        Frame {
            pitch: (w.left + w.in_w).max((w.out_w - 1) * w.stride + reach),
            rows: (w.top + w.in_h).max((w.out_h - 1) * w.stride + reach),
        }
    }

    fn len(&self) -> usize {
        self.pitch * self.rows
    }

    #[inline(always)]
    fn copy_in(&self, w: &Window, x: &[f32], relu: bool, frames: &mut [f32]) {
        for (x, frame) in x.chunks_exact(w.in_plane()).zip(frames.chunks_exact_mut(self.len())) {
            for (row, x) in x.chunks_exact(w.in_w).enumerate() {
                let frame = &mut frame[(w.top + row) * self.pitch + w.left..][..w.in_w];
                match relu {
                    true => frame.iter_mut().zip(x).for_each(|(f, x)| *f = if *x <= 0.0 { 0.0 } else { *x }),
                    false => frame.copy_from_slice(x),
                }
            }
        }
    }

    /// Where the inputs of each weight begin, in the order of the weights: (summed channel, tap).
    fn starts(&self, w: &Window, c: &Channels) -> Vec<usize> {
        let start = |i: usize| {
            let (channel, ky, kx) = (i / c.taps, i % c.taps / w.kernel, i % w.kernel);
            channel * self.len() + (ky * self.pitch + kx) * w.dilation
        };
        (0..c.products()).map(start).collect()
    }
}

on_each_isa! {
    /// Adds the gradients by the weights to `gw` (groups * computed, summed, taps).
    pub fn backward_weight(
        w: &Window, c: &Channels, x: &[f32], relu: bool, gy: &[f32], gw: &mut [f32], s: &mut Scratch,
    ) = backward_weight_body
}

#[inline(always)]
fn backward_weight_body<S: Simd>(
    w: &Window,
    c: &Channels,
    x: &[f32],
    relu: bool,
    gy: &[f32],
    gw: &mut [f32],
    s: &mut Scratch,
) {
    match S::REGISTERS >= 32 && c.computed > S::LANES {
        true => groups_of::<S, 2>(w, c, x, relu, gy, gw, s),
        false => groups_of::<S, 1>(w, c, x, relu, gy, gw, s),
    }
}

#[inline(always)]
fn groups_of<S: Simd, const V: usize>(
    w: &Window,
    c: &Channels,
    x: &[f32],
    relu: bool,
    gy: &[f32],
    gw: &mut [f32],
    s: &mut Scratch,
) {
    let (block, outputs, frame) = (V * S::LANES, w.out_plane(), Frame::new(w));
    let starts = frame.starts(w, c);
    let frames = s.input.zeros(c.summed * frame.len());
    let bundles = s.output.take(block * outputs);
    let sums = s.weight.zeros(c.packed(block));
    let images = x.chunks_exact(c.summed * w.in_plane()).zip(gy.chunks_exact(c.computed * outputs));
    for (i, (x, gy)) in images.enumerate() {
        frame.copy_in(w, x, relu, frames);
        for b in 0..c.blocks(block) {
            for (v, bundle) in bundles.chunks_exact_mut(S::LANES * outputs).enumerate() {
                let first = (b * block + v * S::LANES).min(c.computed);
                let lanes = S::LANES.min(c.computed - first);
                match lanes {
                    0 => bundle.fill(0.0),
                    _ => gather::<S>(&gy[first * outputs..][..lanes * outputs], lanes, false, |pixel| pixel, bundle),
                }
            }
            let sums = &mut sums[(i % c.groups * c.blocks(block) + b) * c.products() * block..];
            let mut at = 0;
            while at < starts.len() {
                // SAFETY: the frame holds the input of every weight for every output; the bundles hold `V` vectors for
                // every output; there are `V` sums for every weight.
                unsafe {
                    let sums = sums.as_mut_ptr().add(at * block);
                    let (starts, frames, bundles) = (&starts[at..], frames.as_ptr(), bundles.as_ptr());
                    at += match starts.len() {
                        8.. => correlate::<S, V, 8>(w, frame.pitch, starts, frames, bundles, sums),
                        4.. => correlate::<S, V, 4>(w, frame.pitch, starts, frames, bundles, sums),
                        _ => correlate::<S, V, 1>(w, frame.pitch, starts, frames, bundles, sums),
                    }
                }
            }
        }
    }
    unpack::<S>(c, block, sums, s.flat.take(S::LANES * c.products()), gw);
}

/// Adds the products of `E` weights over all outputs to their sums. Returns `E`.
#[inline(always)]
unsafe fn correlate<S: Simd, const V: usize, const E: usize>(
    w: &Window,
    pitch: usize,
    starts: &[usize],
    frames: *const f32,
    bundles: *const f32,
    sums: *mut f32,
) -> usize {
    unsafe {
        let mut held = [[S::splat(0.0); V]; E];
        let mut from = [frames; E];
        for e in 0..E {
            from[e] = frames.add(starts[e]);
            for v in 0..V {
                held[e][v] = S::load(sums.add((e * V + v) * S::LANES));
            }
        }
        for row in 0..w.out_h {
            for column in 0..w.out_w {
                let input = row * w.stride * pitch + column * w.stride;
                let output = row * w.out_w + column;
                let mut gradients = [S::splat(0.0); V];
                for (v, gradient) in gradients.iter_mut().enumerate() {
                    *gradient = S::load(bundles.add((v * w.out_plane() + output) * S::LANES));
                }
                for e in 0..E {
                    let x = S::splat(*from[e].add(input));
                    for v in 0..V {
                        held[e][v] = S::mul_add(x, gradients[v], held[e][v]);
                    }
                }
            }
        }
        for e in 0..E {
            for v in 0..V {
                S::store(sums.add((e * V + v) * S::LANES), held[e][v]);
            }
        }
        E
    }
}

/// Adds sums (group, block, product, lane) to the weights they belong to (group, computed, product).
#[inline(always)]
fn unpack<S: Simd>(c: &Channels, block: usize, sums: &[f32], flat: &mut [f32], gw: &mut [f32]) {
    for (i, sums) in sums.chunks_exact(c.products() * block).enumerate() {
        let (group, first) = (i / c.blocks(block), i % c.blocks(block) * block);
        for channel in (first..c.computed.min(first + block)).step_by(S::LANES) {
            let lanes = S::LANES.min(c.computed - channel);
            let flat = &mut flat[..lanes * c.products()];
            scatter::<S>(&sums[channel - first..], block, lanes, flat);
            let gw = &mut gw[(group * c.computed + channel) * c.products()..];
            gw.iter_mut().zip(flat).for_each(|(gw, sum)| *gw += *sum);
        }
    }
}
