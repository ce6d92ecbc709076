//! Maximum and mean over windows, with padding that never counts.

use super::Window;

/// Largest value of each window and its index in the map (the first one among equals): `y` and `arg` (n, channels,
/// out). A window that holds padding only is an error of the caller.
pub fn max_forward(w: &Window, channels: usize, n: usize, x: &[f32], y: &mut [f32], arg: &mut [u32]) {
    check(w, channels * n, x.len(), y.len());
    assert_eq!(arg.len(), y.len());
    let outputs = y.chunks_exact_mut(w.out_plane()).zip(arg.chunks_exact_mut(w.out_plane()));
    for (x, (y, arg)) in x.chunks_exact(w.in_plane()).zip(outputs) {
        y.fill(f32::NEG_INFINITY);
        each_row_of_taps(w, |row| {
            for ox in row.outputs.clone() {
                let at = row.input_at(w, ox);
                let better = x[at] > y[row.output + ox];
                y[row.output + ox] = if better { x[at] } else { y[row.output + ox] };
                arg[row.output + ox] = if better { at as u32 } else { arg[row.output + ox] };
            }
        });
    }
}

/// Gradient of `max_forward` by its input: every output's gradient goes to the value it came from.
pub fn max_backward(w: &Window, channels: usize, n: usize, arg: &[u32], gy: &[f32], accumulate: bool, gx: &mut [f32]) {
    check(w, channels * n, gx.len(), gy.len());
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

/// Mean of the values of each window that lie inside the map.
pub fn average_forward(w: &Window, channels: usize, n: usize, x: &[f32], y: &mut [f32]) {
    check(w, channels * n, x.len(), y.len());
    let shares = shares(w);
    for (x, y) in x.chunks_exact(w.in_plane()).zip(y.chunks_exact_mut(w.out_plane())) {
        y.fill(0.0);
        each_row_of_taps(w, |row| {
            for ox in row.outputs.clone() {
                y[row.output + ox] += x[row.input_at(w, ox)];
            }
        });
        y.iter_mut().zip(&shares).for_each(|(y, share)| *y *= share);
    }
}

/// Gradient of `average_forward` by its input.
pub fn average_backward(w: &Window, channels: usize, n: usize, gy: &[f32], accumulate: bool, gx: &mut [f32]) {
    check(w, channels * n, gx.len(), gy.len());
    if !accumulate {
        gx.fill(0.0);
    }
    let shares = shares(w);
    for (gx, gy) in gx.chunks_exact_mut(w.in_plane()).zip(gy.chunks_exact(w.out_plane())) {
        each_row_of_taps(w, |row| {
            for ox in row.outputs.clone() {
                gx[row.input_at(w, ox)] += gy[row.output + ox] * shares[row.output + ox];
            }
        });
    }
}

/// One tap over one row of outputs.
struct Row {
    /// Index of the first output of the row.
    output: usize,
    /// Outputs of the row whose tap lies inside the map.
    outputs: std::ops::Range<usize>,
    /// Index of the first input of the row that the tap reads.
    input: usize,
    /// Columns by which the tap is shifted.
    shift: usize,
}

impl Row {
    #[inline(always)]
    fn input_at(&self, w: &Window, ox: usize) -> usize {
        self.input + ox * w.stride + self.shift - w.left
    }
}

/// Visits every tap inside the map, row by row, in the order of the taps for each output.
#[inline(always)]
fn each_row_of_taps(w: &Window, mut visit: impl FnMut(Row)) {
    for oy in 0..w.out_h {
        for ky in 0..w.kernel {
            let Some(y) = w.row(oy, ky) else { continue };
            for kx in 0..w.kernel {
                let (output, input, shift) = (oy * w.out_w, y * w.in_w, kx * w.dilation);
                visit(Row { output, outputs: w.columns_inside(kx), input, shift });
            }
        }
    }
}

/// One over the number of values that each output is the mean of.
fn shares(w: &Window) -> Vec<f32> {
    let rows: Vec<usize> = (0..w.out_h).map(|o| (0..w.kernel).filter(|k| w.row(o, *k).is_some()).count()).collect();
    let columns = (0..w.out_w).map(|o| (0..w.kernel).filter(|k| w.column(o, *k).is_some()).count());
    let columns: Vec<usize> = columns.collect();
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
