//! Maximum and mean over windows, with padding that never counts.

//!
//! A window is a row of columns: each map is reduced along its rows first, then along its columns, 2 K steps instead of
//! K * K. Maps lie in a frame whose rows leave room for the padding, so that a step along the rows is one long loop over
//! the whole frame, which the compiler turns into vectors.

use super::Window;
use super::isa::on_each_isa;
use super::simd::Simd;

on_each_isa! {
    /// Largest value of each window and its index in the map (the first one among equals, row by row): `y` and `arg`
    /// (n, channels, out). A window that holds padding only is an error of the caller.
    pub fn max_forward(
        w: &Window, channels: usize, n: usize, x: &[f32], y: &mut [f32], arg: &mut [u32],
    ) = max_forward_body
}

#[inline(always)]
fn max_forward_body<S: Simd>(w: &Window, channels: usize, n: usize, x: &[f32], y: &mut [f32], arg: &mut [u32]) {
    check(w, channels * n, x.len(), y.len());
    assert_eq!(arg.len(), y.len());
    let frame = Frame::new(w);
    let mut padded = vec![f32::NEG_INFINITY; frame.inputs()];
    // What each place of the frame is called in the map; places in the padding are never chosen.
    let names: Vec<u32> = (0..frame.inputs())
        .map(|i| ((i / frame.pitch * w.in_w) as u32).wrapping_add((i % frame.pitch) as u32).wrapping_sub(w.left as u32))
        .collect();
    let (mut wide, mut wide_at) = (vec![0.0; frame.inputs()], vec![0; frame.inputs()]);
    let (mut high, mut high_at) = (vec![0.0; frame.outputs()], vec![0; frame.outputs()]);
    let outputs = y.chunks_exact_mut(w.out_plane()).zip(arg.chunks_exact_mut(w.out_plane()));
    for (x, (y, arg)) in x.chunks_exact(w.in_plane()).zip(outputs) {
        frame.copy_in(w, x, &mut padded);
        wide.fill(f32::NEG_INFINITY);
        for shift in frame.shifts(w) {
            larger(&mut wide, &mut wide_at, &padded[shift..], &names[shift..]);
        }
        high.fill(f32::NEG_INFINITY);
        frame.each_run(w, |input, output, len| {
            let (input, output) = (input..input + len, output..output + len);
            larger(&mut high[output.clone()], &mut high_at[output], &wide[input.clone()], &wide_at[input]);
        });
        frame.take_outputs(w, &high, y);
        frame.take_outputs(w, &high_at, arg);
    }
}

/// Keeps the larger of each pair and its name; the one already there if they are equal.
#[inline(always)]
fn larger(best: &mut [f32], best_at: &mut [u32], x: &[f32], at: &[u32]) {
    let len = x.len().min(best.len());
    let (best, best_at, x, at) = (&mut best[..len], &mut best_at[..len], &x[..len], &at[..len]);
    // Indices and no early exit: this is the form that the compiler vectorises.
    for i in 0..len {
        let better = x[i] > best[i];
        best_at[i] = if better { at[i] } else { best_at[i] };
        best[i] = if better { x[i] } else { best[i] };
    }
}

/// Gradient of `max_forward` by its input: every output's gradient goes to the value it came from.
pub fn max_backward(w: &Window, channels: usize, n: usize, arg: &[u32], gy: &[f32], accumulate: bool, gx: &mut [f32]) {
    check(w, channels * n, gx.len(), gy.len());
    assert_eq!(arg.len(), gy.len());
    if !accumulate {
        gx.fill(0.0);
    }
    let outputs = gy.chunks_exact(w.out_plane()).zip(arg.chunks_exact(w.out_plane()));
    for (gx, (gy, arg)) in gx.chunks_exact_mut(w.in_plane()).zip(outputs) {
        for (gy, at) in gy.iter().zip(arg) {
            gx[*at as usize] += gy;
        }
    }
}

on_each_isa! {
    /// Mean of the values of each window that lie inside the map.
    pub fn average_forward(w: &Window, channels: usize, n: usize, x: &[f32], y: &mut [f32]) = average_forward_body
}

#[inline(always)]
fn average_forward_body<S: Simd>(w: &Window, channels: usize, n: usize, x: &[f32], y: &mut [f32]) {
    check(w, channels * n, x.len(), y.len());
    let (frame, shares) = (Frame::new(w), shares(w));
    let mut padded = vec![0.0; frame.inputs()];
    let (mut wide, mut high) = (vec![0.0; frame.inputs()], vec![0.0; frame.outputs()]);
    for (x, y) in x.chunks_exact(w.in_plane()).zip(y.chunks_exact_mut(w.out_plane())) {
        frame.copy_in(w, x, &mut padded);
        wide.fill(0.0);
        for shift in frame.shifts(w) {
            add(&mut wide, &padded[shift..]);
        }
        high.fill(0.0);
        frame.each_run(w, |input, output, len| add(&mut high[output..][..len], &wide[input..][..len]));
        frame.take_outputs(w, &high, y);
        y.iter_mut().zip(&shares).for_each(|(y, share)| *y *= share);
    }
}

on_each_isa! {
    /// Gradient of `average_forward` by its input: the same steps backwards.
    pub fn average_backward(
        w: &Window, channels: usize, n: usize, gy: &[f32], accumulate: bool, gx: &mut [f32],
    ) = average_backward_body
}

#[inline(always)]
fn average_backward_body<S: Simd>(w: &Window, channels: usize, n: usize, gy: &[f32], accumulate: bool, gx: &mut [f32]) {
    check(w, channels * n, gx.len(), gy.len());
    let (frame, shares) = (Frame::new(w), shares(w));
    let mut padded = vec![0.0; frame.inputs()];
    let (mut wide, mut high) = (vec![0.0; frame.inputs()], vec![0.0; frame.outputs()]);
    for (gx, gy) in gx.chunks_exact_mut(w.in_plane()).zip(gy.chunks_exact(w.out_plane())) {
        for ((gy, shares), high) in
            gy.chunks_exact(w.out_w).zip(shares.chunks_exact(w.out_w)).zip(high.chunks_exact_mut(frame.pitch))
        {
            let high = high.iter_mut().step_by(w.stride);
            high.zip(gy.iter().zip(shares)).for_each(|(high, (gy, share))| *high = gy * share);
        }
        wide.fill(0.0);
        frame.each_run(w, |input, output, len| add(&mut wide[input..][..len], &high[output..][..len]));
        padded.fill(0.0);
        for shift in frame.shifts(w) {
            add(&mut padded[shift..], &wide);
        }
        for (gx, row) in gx.chunks_exact_mut(w.in_w).zip(padded.chunks_exact(frame.pitch)) {
            match accumulate {
                true => add(gx, &row[w.left..]),
                false => gx.copy_from_slice(&row[w.left..][..w.in_w]),
            }
        }
    }
}

#[inline(always)]
fn add(y: &mut [f32], x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
}

/// A map whose rows are long enough for every tap of every output. Between the two steps a place of the frame stands
/// for the window that begins there, so an output lies `stride` places after its neighbour.
struct Frame {
    in_h: usize,
    out_h: usize,
    pitch: usize,
}

impl Frame {
    fn new(w: &Window) -> Frame {
        let reach = w.dilation * (w.kernel - 1) + 1;
        Frame { in_h: w.in_h, out_h: w.out_h, pitch: (w.left + w.in_w).max((w.out_w - 1) * w.stride + reach) }
    }

    fn inputs(&self) -> usize {
        self.in_h * self.pitch
    }

    fn outputs(&self) -> usize {
        self.out_h * self.pitch
    }

    #[inline(always)]
    fn copy_in(&self, w: &Window, x: &[f32], padded: &mut [f32]) {
        for (x, row) in x.chunks_exact(w.in_w).zip(padded.chunks_exact_mut(self.pitch)) {
            row[w.left..][..w.in_w].copy_from_slice(x);
        }
    }

    /// Distances of the taps along a row.
    fn shifts(&self, w: &Window) -> impl Iterator<Item = usize> {
        (0..w.kernel).map({
            let dilation = w.dilation;
            move |kx| kx * dilation
        })
    }

    /// Visits runs of places that meet along the columns, in the order of the taps: (first place in the input, first
    /// place in the output, length). With stride 1, all rows of a tap are one run.
    #[inline(always)]
    fn each_run(&self, w: &Window, mut visit: impl FnMut(usize, usize, usize)) {
        for ky in 0..w.kernel {
            let rows = w.rows_inside(ky);
            let input = |oy: usize| (oy * w.stride + ky * w.dilation - w.top) * self.pitch;
            match w.stride {
                _ if rows.is_empty() => {}
                1 => visit(input(rows.start), rows.start * self.pitch, rows.len() * self.pitch),
                _ => rows.for_each(|oy| visit(input(oy), oy * self.pitch, self.pitch)),
            }
        }
    }

    /// Takes the outputs out of the frame.
    #[inline(always)]
    fn take_outputs<T: Copy>(&self, w: &Window, frame: &[T], y: &mut [T]) {
        for (y, row) in y.chunks_exact_mut(w.out_w).zip(frame.chunks_exact(self.pitch)) {
            match w.stride {
                1 => y.copy_from_slice(&row[..w.out_w]),
                stride => y.iter_mut().zip(row.iter().step_by(stride)).for_each(|(y, v)| *y = *v),
            }
        }
    }
}

/// One over the number of values that each output is the mean of.
fn shares(w: &Window) -> Vec<f32> {
    let rows: Vec<usize> = (0..w.out_h).map(|o| (0..w.kernel).filter(|k| w.row(o, *k).is_some()).count()).collect();
    let columns: Vec<usize> =
        (0..w.out_w).map(|o| (0..w.kernel).filter(|k| w.column(o, *k).is_some()).count()).collect();
    rows.iter().flat_map(|r| columns.iter().map(move |c| 1.0 / (r * c).max(1) as f32)).collect()
}

fn check(w: &Window, planes: usize, inputs: usize, outputs: usize) {
    assert!(inputs == planes * w.in_plane() && outputs == planes * w.out_plane(), "{planes} maps of {w:?}");
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::{reference, window};
    use super::*;

    /// Indices inside the map that output `o` sees.
    fn seen(w: &Window, o: usize) -> Vec<usize> {
        let (oy, ox) = (o / w.out_w, o % w.out_w);
        let taps = reference::grid(1, w.kernel, w.kernel);
        taps.filter_map(|(_, ky, kx)| Some(w.row(oy, ky)? * w.in_w + w.column(ox, kx)?)).collect()
    }

    #[test]
    fn among_equals_the_first_one_row_by_row_is_the_largest() {
        let w = window::tests::same(4, 3, 1, 1);
        let (mut y, mut arg) = (vec![0.0; 16], vec![9; 16]);
        max_forward(&w, 1, 1, &[0.0; 16], &mut y, &mut arg);
        let first = |o: usize| ((o / 4).max(1) - 1) * 4 + (o % 4).max(1) - 1;
        assert!((0..16).all(|o| arg[o] as usize == first(o)), "{arg:?}");
    }

    #[test]
    fn pooling_and_its_gradient_equal_plain_loops() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        for _ in 0..100 {
            let w = window::tests::random(&mut rng, 9);
            let (inputs, outputs) = (w.in_plane(), w.out_plane());
            if (0..outputs).any(|o| seen(&w, o).is_empty()) {
                continue;
            }
            let (x, gy) = (reference::values(6 * inputs, 1), reference::values(6 * outputs, 2));
            let (mut largest, mut mean) = (vec![0.0; 6 * outputs], vec![0.0; 6 * outputs]);
            let mut arg = vec![0; 6 * outputs];
            let (mut g_largest, mut g_mean) = (vec![0.5; 6 * inputs], vec![f32::NAN; 6 * inputs]);
            max_forward(&w, 3, 2, &x, &mut largest, &mut arg);
            max_backward(&w, 3, 2, &arg, &gy, true, &mut g_largest);
            average_forward(&w, 3, 2, &x, &mut mean);
            average_backward(&w, 3, 2, &gy, false, &mut g_mean);
            let (mut expected_largest, mut expected_mean) = (vec![0.5; 6 * inputs], vec![0.0; 6 * inputs]);
            for i in 0..6 * outputs {
                let map = i / outputs * inputs;
                let taps = seen(&w, i % outputs);
                let values = taps.iter().map(|t| x[map + t]);
                assert_eq!(largest[i], values.clone().fold(f32::NEG_INFINITY, f32::max));
                assert_eq!(largest[i], x[map + arg[i] as usize]);
                assert!((mean[i] - values.sum::<f32>() / taps.len() as f32).abs() < 1e-5);
                expected_largest[map + arg[i] as usize] += gy[i];
                taps.iter().for_each(|t| expected_mean[map + t] += gy[i] / taps.len() as f32);
            }
            reference::assert_close(&g_largest, &expected_largest);
            reference::assert_close(&g_mean, &expected_mean);
        }
    }
}
