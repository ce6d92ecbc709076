//! Depthwise convolution with one row piece per vector: for stride 1 and maps at least as wide as a vector.
//!
//! Each map is copied into a frame of zeros that stays in the first-level cache (rectified on the way). A block of
//! output rows is summed in registers, tap column by tap column, so that each piece of input is loaded once for all the
//! rows that see it. A dilation only spreads the rows of a block.

use super::super::destination::Destination;
use super::super::isa::on_each_isa;
use super::super::simd::Simd;
use super::super::{Scratch, Window};

/// A map to read, and how it lies in its frame. Also describes the backward pass, which is a convolution of the output
/// gradient with the kernel turned around.
#[derive(Clone, Copy)]
pub struct Frame {
    height: usize,
    width: usize,
    out_h: usize,
    out_w: usize,
    dilation: usize,
    /// Row of the frame at which the map starts.
    top: usize,
    left: usize,
    reach: usize,
}

impl Frame {
    pub fn forward(w: &Window) -> Frame {
        let reach = w.dilation * (w.kernel - 1);
        Frame {
            height: w.in_h,
            width: w.in_w,
            out_h: w.out_h,
            out_w: w.out_w,
            dilation: w.dilation,
            top: w.top,
            left: w.left,
            reach,
        }
    }

    pub fn backward(w: &Window) -> Frame {
        let reach = w.dilation * (w.kernel - 1);
        Frame {
            height: w.out_h,
            width: w.out_w,
            out_h: w.in_h,
            out_w: w.in_w,
            dilation: w.dilation,
            top: reach - w.top,
            left: reach - w.left,
            reach,
        }
    }

    /// Column of the frame at which the map starts: a whole number of vectors, so that the copy never straddles cache
    /// lines.
    fn lead(&self, lanes: usize) -> usize {
        self.left.next_multiple_of(lanes)
    }

    fn pitch(&self, lanes: usize) -> usize {
        let lead = self.lead(lanes);
        let read = lead - self.left + self.out_w.next_multiple_of(lanes) + self.reach;
        read.max(lead + self.width).next_multiple_of(lanes)
    }

    /// Rows of the frame when outputs are computed in blocks of `block` rows.
    fn rows(&self, block: usize) -> usize {
        let outputs = self.out_h.div_ceil(self.dilation).next_multiple_of(block) * self.dilation;
        (outputs + self.reach).max(self.top + self.height)
    }

    /// Rows of outputs whose number has the remainder `phase`, which share their input rows.
    fn phase_rows(&self, phase: usize) -> usize {
        (self.out_h - phase).div_ceil(self.dilation)
    }
}

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
        copy_in::<S>(frame, x, relu, padded, pitch);
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

/// Copies a map into its frame; what surrounds it there stays zero.
#[inline(always)]
fn copy_in<S: Simd>(frame: &Frame, x: &[f32], relu: bool, padded: &mut [f32], pitch: usize) {
    let (lead, width) = (frame.lead(S::LANES), frame.width);
    assert!(padded.len() >= (frame.top + frame.height) * pitch && x.len() == frame.height * width);
    assert!(lead + width.next_multiple_of(S::LANES) <= pitch);
    // SAFETY: the rows of `x` are `width` long and are read no further; a row of the frame has room for whole vectors,
    // whose lanes beyond the map are zero.
    unsafe {
        let floor = S::splat(if relu { 0.0 } else { f32::NEG_INFINITY });
        for row in 0..frame.height {
            let from = x.as_ptr().add(row * width);
            let to = padded.as_mut_ptr().add((frame.top + row) * pitch + lead);
            let mut column = 0;
            while column + S::LANES <= width {
                S::store(to.add(column), S::max(floor, S::load(from.add(column))));
                column += S::LANES;
            }
            if column < width {
                S::store(to.add(column), S::max(floor, S::load_part(from.add(column), width - column)));
            }
        }
    }
}

on_each_isa! {
    /// Gradients by the weights, added to `gw` (channels, kernel, kernel).
    pub fn backward_weight(
        frame: &Frame, kernel: usize, channels: usize, x: &[f32], relu: bool, gy: &[f32], gw: &mut [f32],
        s: &mut Scratch,
    ) = backward_weight_body
}

#[inline(always)]
fn backward_weight_body<S: Simd>(
    frame: &Frame,
    kernel: usize,
    channels: usize,
    x: &[f32],
    relu: bool,
    gy: &[f32],
    gw: &mut [f32],
    s: &mut Scratch,
) {
    let maps = x.len() / (frame.height * frame.width);
    assert!(gy.len() == maps * frame.out_h * frame.out_w && gw.len() == channels * kernel * kernel);
    // As many tap columns at once as there are registers for their sums.
    match (kernel, S::REGISTERS >= 32) {
        (3, _) => channels_of::<S, 3, 3>(frame, channels, x, relu, gy, gw, s),
        (5, true) => channels_of::<S, 5, 5>(frame, channels, x, relu, gy, gw, s),
        (5, false) => channels_of::<S, 5, 1>(frame, channels, x, relu, gy, gw, s),
        (7, _) => channels_of::<S, 7, 1>(frame, channels, x, relu, gy, gw, s),
        _ => unreachable!("`fits` admits kernels 3, 5 and 7"),
    }
}

/// `X` divides `K`.
#[inline(always)]
fn channels_of<S: Simd, const K: usize, const X: usize>(
    frame: &Frame,
    channels: usize,
    x: &[f32],
    relu: bool,
    gy: &[f32],
    gw: &mut [f32],
    s: &mut Scratch,
) {
    let (inputs, outputs) = (frame.height * frame.width, frame.out_h * frame.out_w);
    let pitch = frame.pitch(S::LANES);
    let padded = s.input.zeros(pitch * frame.rows(1));
    let origin = frame.lead(S::LANES) - frame.left;
    // The gradient is a map without padding. It needs a frame as well where its rows are no whole vectors, and where a
    // dilation would visit them in an order that no prefetcher expects (2x slower from memory).
    let whole = frame.out_w.next_multiple_of(S::LANES);
    let bare = Frame { height: frame.out_h, width: frame.out_w, top: 0, left: 0, ..*frame };
    let framed = s.output.zeros(whole * frame.out_h);
    for channel in 0..channels {
        // SAFETY: only called from bodies that `on_each_isa!` compiles.
        let mut sums = [[unsafe { S::splat(0.0) }; K]; K];
        for map in (channel..x.len() / inputs).step_by(channels) {
            copy_in::<S>(frame, &x[map * inputs..][..inputs], relu, padded, pitch);
            let mut gradient = &gy[map * outputs..][..outputs];
            if whole != frame.out_w || frame.dilation > 1 {
                copy_in::<S>(&bare, gradient, false, framed, whole);
                gradient = framed;
            }
            for kx in (0..K).step_by(X) {
                // SAFETY: the frame holds every piece that an output row sees; the gradient's rows are whole vectors.
                unsafe {
                    let from = padded.as_ptr().add(origin + kx * frame.dilation);
                    correlate::<S, K, X>(frame, from, pitch, gradient.as_ptr(), whole, &mut sums, kx);
                }
            }
        }
        for ky in 0..K {
            for kx in 0..K {
                // SAFETY: only called from bodies that `on_each_isa!` compiles.
                gw[(channel * K + ky) * K + kx] += unsafe { S::sum(sums[kx][ky]) };
            }
        }
    }
}

/// Adds one map's products to the sums of tap columns `kx..kx + X`.
#[inline(always)]
unsafe fn correlate<S: Simd, const K: usize, const X: usize>(
    frame: &Frame,
    from: *const f32,
    pitch: usize,
    gradient: *const f32,
    whole: usize,
    sums: &mut [[S::V; K]; K],
    kx: usize,
) {
    unsafe {
        let mut held = [[S::splat(0.0); K]; X];
        held.copy_from_slice(&sums[kx..kx + X]);
        let (row_step, d) = (frame.dilation * pitch, frame.dilation);
        for phase in 0..d.min(frame.out_h) {
            let rows = frame.phase_rows(phase);
            for column in (0..whole).step_by(S::LANES) {
                let mut row = 0;
                while row < rows {
                    let first = phase + row * d;
                    let (from, gradient) = (from.add(first * pitch + column), gradient.add(first * whole + column));
                    if row + 4 <= rows {
                        correlate_rows::<S, K, X, 4>(from, row_step, d, gradient, d * whole, &mut held);
                        row += 4;
                    } else {
                        correlate_rows::<S, K, X, 1>(from, row_step, d, gradient, d * whole, &mut held);
                        row += 1;
                    }
                }
            }
        }
        sums[kx..kx + X].copy_from_slice(&held);
    }
}

#[inline(always)]
unsafe fn correlate_rows<S: Simd, const K: usize, const X: usize, const R: usize>(
    from: *const f32,
    row: usize,
    dilation: usize,
    gradient: *const f32,
    gradient_row: usize,
    held: &mut [[S::V; K]; X],
) {
    unsafe {
        let mut gradients = [S::splat(0.0); R];
        for r in 0..R {
            gradients[r] = S::load(gradient.add(r * gradient_row));
        }
        for kx in 0..X {
            for i in 0..R + K - 1 {
                let piece = S::load(from.add(kx * dilation + i * row));
                for r in 0..R {
                    if r <= i && i - r < K {
                        held[kx][i - r] = S::mul_add(piece, gradients[r], held[kx][i - r]);
                    }
                }
            }
        }
    }
}
