//! Depthwise convolution with one row piece per vector: for stride 1 and maps at least as wide as a vector.
//!
//! Each map is copied into a frame of zeros that stays in the first-level cache (rectified on the way). A block of
//! output rows is summed in registers, tap column by tap column, so that each piece of input is loaded once for all the
//! rows that see it. A dilation only spreads the rows of a block.

use super::super::destination::Destination;
use super::super::isa::on_each_isa;
use super::super::simd::Simd;
use super::super::{Scratch, Window};
use super::frame::Frame;

/// Whether this file has code for the window.
pub fn fits(w: &Window) -> bool {
    let reach = w.dilation * (w.kernel - 1);
    w.stride == 1 && matches!(w.kernel, 3 | 5 | 7) && w.top <= reach && w.left <= reach
}

on_each_isa! {
    /// Values of all maps of `x`: follows `frame` with a kernel of `kernel` rows, turned around where `turned`.
    pub fn convolve(
        frame: &Frame, kernel: usize, channels: usize, x: &[f32], relu: bool, weight: &[f32], turned: bool,
        bias: Option<&[f32]>, out: &mut Destination, s: &mut Scratch,
    ) = convolve_body
}

#[inline(always)]
fn convolve_body<S: Simd>(
    frame: &Frame,
    kernel: usize,
    channels: usize,
    x: &[f32],
    relu: bool,
    weight: &[f32],
    turned: bool,
    bias: Option<&[f32]>,
    out: &mut Destination,
    s: &mut Scratch,
) {
    let maps = x.len() / (frame.height * frame.width);
    assert!(out.to.len() == maps * frame.out_h * frame.out_w && weight.len() == channels * kernel * kernel);
    // Eight rows need half of 32 vector registers, four rows half of 16.
    match (kernel, S::REGISTERS >= 32) {
        (3, true) => maps_of::<S, 3, 8>(frame, channels, x, relu, weight, turned, bias, out, s),
        (5, true) => maps_of::<S, 5, 8>(frame, channels, x, relu, weight, turned, bias, out, s),
        (7, true) => maps_of::<S, 7, 8>(frame, channels, x, relu, weight, turned, bias, out, s),
        (3, false) => maps_of::<S, 3, 4>(frame, channels, x, relu, weight, turned, bias, out, s),
        (5, false) => maps_of::<S, 5, 4>(frame, channels, x, relu, weight, turned, bias, out, s),
        (7, false) => maps_of::<S, 7, 4>(frame, channels, x, relu, weight, turned, bias, out, s),
        _ => unreachable!("`fits` admits kernels 3, 5 and 7"),
    }
}

#[inline(always)]
fn maps_of<S: Simd, const K: usize, const R: usize>(
    frame: &Frame,
    channels: usize,
    x: &[f32],
    relu: bool,
    weight: &[f32],
    turned: bool,
    bias: Option<&[f32]>,
    out: &mut Destination,
    s: &mut Scratch,
) {
    let pitch = frame.pitch(S::LANES);
    let padded = s.input.zeros(pitch * frame.rows(R));
    let origin = frame.lead(S::LANES) - frame.left;
    let outputs = frame.out_h * frame.out_w;
    for (i, x) in x.chunks_exact(frame.height * frame.width).enumerate() {
        let channel = i % channels;
        frame.copy_in::<S>(x, relu, padded, pitch);
        let mut taps = [[0.0; K]; K];
        for (tap, weight) in weight[channel * K * K..][..K * K].iter().enumerate() {
            let tap = if turned { K * K - 1 - tap } else { tap };
            taps[tap / K][tap % K] = *weight;
        }
        let bias = bias.map_or(0.0, |b| b[channel]);
        // Phases inside blocks, so that memory is walked from top to bottom, as the prefetcher expects.
        for row in (0..frame.phase_rows(0)).step_by(R) {
            for phase in 0..frame.dilation.min(frame.out_h) {
                let count = R.min(frame.phase_rows(phase).saturating_sub(row));
                for column in (0..frame.out_w).step_by(S::LANES) {
                    let first = phase + row * frame.dilation;
                    // SAFETY: `Frame::rows` and `Frame::pitch` count every row and column that a block reads; `put`
                    // writes the first `count` rows, which exist, and the columns below `out_w`.
                    unsafe {
                        let from = padded.as_ptr().add(first * pitch + origin + column);
                        let sums = block::<S, K, R>(from, frame.dilation * pitch, frame.dilation, &taps, bias);
                        let at = i * outputs + first * frame.out_w + column;
                        let lanes = S::LANES.min(frame.out_w - column);
                        for (r, sum) in sums.into_iter().enumerate() {
                            if r < count {
                                out.put::<S>(at + r * frame.dilation * frame.out_w, sum, lanes);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Sums of `R` rows of outputs, `row` floats apart, for one vector of columns.
#[inline(always)]
unsafe fn block<S: Simd, const K: usize, const R: usize>(
    from: *const f32,
    row: usize,
    dilation: usize,
    taps: &[[f32; K]; K],
    bias: f32,
) -> [S::V; R] {
    unsafe {
        let mut sums = [S::splat(bias); R];
        for kx in 0..K {
            let from = from.add(kx * dilation);
            for i in 0..R + K - 1 {
                let piece = S::load(from.add(i * row));
                for r in 0..R {
                    if r <= i && i - r < K {
                        sums[r] = S::mul_add(piece, S::splat(taps[i - r][kx]), sums[r]);
                    }
                }
            }
        }
        sums
    }
}
