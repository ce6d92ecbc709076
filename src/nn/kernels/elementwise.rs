//! Operators that treat every value, or every channel, alike.
//!
//! The bodies are plain loops: compiled once per instruction set they become the widest vectors of the machine.

use super::isa::on_each_isa;
use super::simd::Simd;

on_each_isa! {
    /// `y = max(x, 0)`.
    pub fn relu(x: &[f32], y: &mut [f32]) = relu_body
}

#[inline(always)]
fn relu_body<S: Simd>(x: &[f32], y: &mut [f32]) {
    map(x, y, |x| if x <= 0.0 { 0.0 } else { x });
}

on_each_isa! {
    /// `y = min(max(x, 0), 6)`.
    pub fn relu6(x: &[f32], y: &mut [f32]) = relu6_body
}

#[inline(always)]
fn relu6_body<S: Simd>(x: &[f32], y: &mut [f32]) {
    map(x, y, |x| x.clamp(0.0, 6.0));
}

on_each_isa! {
    /// Gradient of `relu` by its input: `gy` where `x > 0`, else 0; stored in `gx`, or added to it.
    pub fn relu_backward(x: &[f32], gy: &[f32], accumulate: bool, gx: &mut [f32]) = relu_backward_body
}

#[inline(always)]
fn relu_backward_body<S: Simd>(x: &[f32], gy: &[f32], accumulate: bool, gx: &mut [f32]) {
    zip(x, gy, accumulate, gx, |x, gy| if x > 0.0 { gy } else { 0.0 });
}

on_each_isa! {
    /// Gradient of `relu6` by its input: `gy` where `0 < x < 6`, else 0; stored in `gx`, or added to it.
    pub fn relu6_backward(x: &[f32], gy: &[f32], accumulate: bool, gx: &mut [f32]) = relu6_backward_body
}

#[inline(always)]
fn relu6_backward_body<S: Simd>(x: &[f32], gy: &[f32], accumulate: bool, gx: &mut [f32]) {
    zip(x, gy, accumulate, gx, |x, gy| if x > 0.0 && x < 6.0 { gy } else { 0.0 });
}

on_each_isa! {
    /// `y += x`.
    pub fn add_assign(y: &mut [f32], x: &[f32]) = add_assign_body
}

#[inline(always)]
fn add_assign_body<S: Simd>(y: &mut [f32], x: &[f32]) {
    assert_eq!(x.len(), y.len());
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

on_each_isa! {
    /// `y` = sum of `inputs`, added from the first to the last, with one pass over `y` for up to three inputs.
    pub fn add_many(inputs: &[&[f32]], y: &mut [f32]) = add_many_body
}

#[inline(always)]
fn add_many_body<S: Simd>(inputs: &[&[f32]], y: &mut [f32]) {
    assert!(inputs.iter().all(|x| x.len() == y.len()));
    let rest = match inputs {
        [] => return y.fill(0.0),
        [a] => return y.copy_from_slice(a),
        [a, b] => return y.iter_mut().zip(*a).zip(*b).for_each(|((y, a), b)| *y = a + b),
        [a, b, c, rest @ ..] => {
            y.iter_mut().zip(*a).zip(*b).zip(*c).for_each(|(((y, a), b), c)| *y = a + b + c);
            rest
        }
    };
    for x in rest {
        add_assign_body::<S>(y, x);
    }
}

on_each_isa! {
    /// `y = x * scale[c] + shift[c]` over (n, channels, plane).
    pub fn scale_shift(
        channels: usize, plane: usize, n: usize, x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32],
    ) = scale_shift_body
}

#[inline(always)]
fn scale_shift_body<S: Simd>(
    channels: usize,
    plane: usize,
    n: usize,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    y: &mut [f32],
) {
    assert!(x.len() == n * channels * plane && y.len() == x.len());
    assert!(scale.len() == channels && shift.len() == channels);
    for (i, (x, y)) in x.chunks_exact(plane).zip(y.chunks_exact_mut(plane)).enumerate() {
        let (scale, shift) = (scale[i % channels], shift[i % channels]);
        map(x, y, |x| x * scale + shift);
    }
}

on_each_isa! {
    /// Mean of every map: `y` (n, channels) from `x` (n, channels, plane).
    pub fn global_mean(channels: usize, plane: usize, n: usize, x: &[f32], y: &mut [f32]) = global_mean_body
}

#[inline(always)]
fn global_mean_body<S: Simd>(channels: usize, plane: usize, n: usize, x: &[f32], y: &mut [f32]) {
    assert!(x.len() == n * channels * plane && y.len() == n * channels);
    for (x, y) in x.chunks_exact(plane).zip(y) {
        *y = sum(x) / plane as f32;
    }
}

on_each_isa! {
    /// Gradient of `global_mean` by its input: `gy` (n, channels) spread evenly over `gx` (n, channels, plane).
    pub fn global_mean_backward(
        channels: usize, plane: usize, n: usize, gy: &[f32], accumulate: bool, gx: &mut [f32],
    ) = global_mean_backward_body
}

#[inline(always)]
fn global_mean_backward_body<S: Simd>(
    channels: usize,
    plane: usize,
    n: usize,
    gy: &[f32],
    accumulate: bool,
    gx: &mut [f32],
) {
    assert!(gx.len() == n * channels * plane && gy.len() == n * channels);
    for (gx, gy) in gx.chunks_exact_mut(plane).zip(gy) {
        let share = gy / plane as f32;
        match accumulate {
            true => gx.iter_mut().for_each(|gx| *gx += share),
            false => gx.fill(share),
        }
    }
}

on_each_isa! {
    /// Gradient of a bias per channel: adds the sum of `gy` (n, channels, plane) over images and plane to `gb`.
    pub fn bias_gradient(channels: usize, plane: usize, n: usize, gy: &[f32], gb: &mut [f32]) = bias_gradient_body
}

#[inline(always)]
fn bias_gradient_body<S: Simd>(channels: usize, plane: usize, n: usize, gy: &[f32], gb: &mut [f32]) {
    assert!(gy.len() == n * channels * plane && gb.len() == channels);
    for (i, gy) in gy.chunks_exact(plane).enumerate() {
        gb[i % channels] += sum(gy);
    }
}

#[inline(always)]
fn map(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    assert_eq!(x.len(), y.len());
    for (y, x) in y.iter_mut().zip(x) {
        *y = f(*x);
    }
}

#[inline(always)]
fn zip(x: &[f32], gy: &[f32], accumulate: bool, gx: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    assert!(x.len() == gx.len() && gy.len() == gx.len());
    let each = gx.iter_mut().zip(x).zip(gy);
    match accumulate {
        true => each.for_each(|((gx, x), gy)| *gx += f(*x, *gy)),
        false => each.for_each(|((gx, x), gy)| *gx = f(*x, *gy)),
    }
}

/// Lanes of the sums below. Fixed, so that a sum has the same order with every instruction set; 32 keeps two of the
/// widest vectors in flight.
const SUM_LANES: usize = 32;

/// Sum of a map in an order that vectorises: lanes first, then halves of the lanes.
#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0; SUM_LANES];
    let (chunks, tail) = x.as_chunks::<SUM_LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    for (lane, x) in lanes.iter_mut().zip(tail) {
        *lane += x;
    }
    let mut half = SUM_LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::super::{isa::tests::each, reference};
    use super::*;

    #[test]
    fn maps_and_their_gradients_equal_the_formulas() {
        let (x, gy) = (reference::values(300, 1), reference::values(300, 2));
        each(|_| {
            let mut y = vec![0.0; 300];
            relu(&x, &mut y);
            assert!(x.iter().zip(&y).all(|(x, y)| *y == x.max(0.0)));
            let wide: Vec<f32> = x.iter().map(|x| x * 8.0).collect();
            relu6(&wide, &mut y);
            assert!(wide.iter().zip(&y).all(|(x, y)| *y == x.clamp(0.0, 6.0)));
            relu_backward(&x, &gy, false, &mut y);
            relu_backward(&x, &gy, true, &mut y);
            assert!((0..300).all(|i| y[i] == if x[i] > 0.0 { 2.0 * gy[i] } else { 0.0 }));
            relu6_backward(&wide, &gy, false, &mut y);
            assert!((0..300).all(|i| y[i] == if wide[i] > 0.0 && wide[i] < 6.0 { gy[i] } else { 0.0 }));
        });
    }

    #[test]
    fn a_sum_of_tensors_adds_from_first_to_last() {
        let inputs: Vec<Vec<f32>> = (0..6).map(|i| reference::values(77, i)).collect();
        each(|_| {
            for count in 0..=inputs.len() {
                let views: Vec<&[f32]> = inputs[..count].iter().map(Vec::as_slice).collect();
                let mut y = vec![5.0; 77];
                add_many(&views, &mut y);
                let expected = |i: usize| views.iter().map(|x| x[i]).reduce(|a, b| a + b).unwrap_or(0.0);
                assert!((0..77).all(|i| y[i] == expected(i)));
            }
        });
    }

    #[test]
    fn channel_sums_and_means_equal_plain_sums() {
        let (channels, plane, n) = (3, 35, 2);
        let x = reference::values(channels * plane * n, 4);
        each(|_| {
            let (mut mean, mut bias) = (vec![0.0; 6], vec![1.0; 3]);
            global_mean(channels, plane, n, &x, &mut mean);
            bias_gradient(channels, plane, n, &x, &mut bias);
            let plain: Vec<f32> = x.chunks(plane).map(|x| x.iter().sum()).collect();
            reference::assert_close(&mean, &plain.iter().map(|s| s / 35.0).collect::<Vec<_>>());
            reference::assert_close(&bias, &(0..3).map(|c| 1.0 + plain[c] + plain[c + 3]).collect::<Vec<_>>());
            let mut gx = vec![1.0; x.len()];
            global_mean_backward(channels, plane, n, &mean, true, &mut gx);
            assert!((0..x.len()).all(|i| gx[i] == 1.0 + mean[i / plane] / 35.0));
            let mut y = vec![0.0; x.len()];
            scale_shift(channels, plane, n, &x, &[1.0, 2.0, 3.0], &[0.5, 0.0, -1.0], &mut y);
            assert_eq!(y[plane * 4], x[plane * 4] * 2.0);
        });
    }
}
