//! Weight gradients of a depthwise convolution by rows: the sums of all weights, or of one column of them, stay in
//! registers while the rows of a channel's maps pass.

use super::super::Scratch;
use super::super::isa::on_each_isa;
use super::super::simd::Simd;
use super::frame::Frame;

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
    // A vector of partial sums for every weight, so that the maps are visited in the order in which they lie in memory.
    let sums = s.weight.zeros(channels * K * K * S::LANES);
    for (map, (x, gy)) in x.chunks_exact(inputs).zip(gy.chunks_exact(outputs)).enumerate() {
        frame.copy_in::<S>(x, relu, padded, pitch);
        let mut gradient = gy;
        if whole != frame.out_w || frame.dilation > 1 {
            bare.copy_in::<S>(gradient, false, framed, whole);
            gradient = framed;
        }
        let sums = &mut sums[map % channels * K * K * S::LANES..][..K * K * S::LANES];
        for (kx, sums) in (0..K).step_by(X).zip(sums.chunks_exact_mut(X * K * S::LANES)) {
            // SAFETY: the frame holds every piece that an output row sees; the gradient's rows are whole vectors; there
            // are `X * K` sums.
            unsafe {
                let from = padded.as_ptr().add(origin + kx * frame.dilation);
                correlate::<S, K, X>(frame, from, pitch, gradient.as_ptr(), whole, sums.as_mut_ptr());
            }
        }
    }
    for (i, sums) in sums.chunks_exact(S::LANES).enumerate() {
        let (channel, kx, ky) = (i / (K * K), i % (K * K) / K, i % K);
        // SAFETY: only called from bodies that `on_each_isa!` compiles; every chunk is a vector.
        gw[(channel * K + ky) * K + kx] += unsafe { S::sum(S::load(sums.as_ptr())) };
    }
}

/// Adds one map's products to the sums of `X` tap columns, (column, row, lane).
#[inline(always)]
unsafe fn correlate<S: Simd, const K: usize, const X: usize>(
    frame: &Frame,
    from: *const f32,
    pitch: usize,
    gradient: *const f32,
    whole: usize,
    sums: *mut f32,
) {
    unsafe {
        let mut held = [[S::splat(0.0); K]; X];
        for x in 0..X {
            for ky in 0..K {
                held[x][ky] = S::load(sums.add((x * K + ky) * S::LANES));
            }
        }
        let (row_step, d) = (frame.dilation * pitch, frame.dilation);
        for phase in 0..d.min(frame.out_h) {
            let rows = frame.phase_rows(phase);
            let mut row = 0;
            while row < rows {
                let block = if row + 4 <= rows { 4 } else { 1 };
                for column in (0..whole).step_by(S::LANES) {
                    let first = phase + row * d;
                    let (from, gradient) = (from.add(first * pitch + column), gradient.add(first * whole + column));
                    match block {
                        4 => correlate_rows::<S, K, X, 4>(from, row_step, d, gradient, d * whole, &mut held),
                        _ => correlate_rows::<S, K, X, 1>(from, row_step, d, gradient, d * whole, &mut held),
                    }
                }
                row += block;
            }
        }
        for x in 0..X {
            for ky in 0..K {
                S::store(sums.add((x * K + ky) * S::LANES), held[x][ky]);
            }
        }
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
