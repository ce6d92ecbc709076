//! Batch normalisation as the four passes that touch the maps. The executor combines the sums of images into batch
//! statistics between the passes.

use super::elementwise::{fold, halve, scale_shift, sum};
use super::isa::on_each_isa;
use super::simd::Simd;

on_each_isa! {
    /// Mean and sum of squared deviations from it (M2) of every map: `moments` (n, channels) from `x` (n, channels,
    /// plane). Two passes over a map that is in cache: the variance of a far-off mean does not cancel away, and the
    /// pairs combine by Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm" (1979).
    pub fn image_moments(
        channels: usize, plane: usize, n: usize, x: &[f32], moments: &mut [(f32, f32)],
    ) = image_moments_body
}

#[inline(always)]
fn image_moments_body<S: Simd>(channels: usize, plane: usize, n: usize, x: &[f32], moments: &mut [(f32, f32)]) {
    assert!(x.len() == n * channels * plane && moments.len() == n * channels);
    for (x, moments) in x.chunks_exact(plane).zip(moments) {
        let mean = sum(x) / plane as f32;
        *moments = (mean, fold(x, |x| (x - mean) * (x - mean)));
    }
}

/// `y = x * scale[c] + shift[c]`.
pub fn apply(channels: usize, plane: usize, n: usize, x: &[f32], scale: &[f32], shift: &[f32], y: &mut [f32]) {
    scale_shift(channels, plane, n, x, scale, shift, y);
}

on_each_isa! {
    /// Sum of `gy` and of `gy * xhat` over every map, with `xhat = (x - mean[c]) * inv_std[c]`: `sums` (n, channels).
    pub fn backward_sums(
        channels: usize, plane: usize, n: usize, x: &[f32], gy: &[f32], mean: &[f32], inv_std: &[f32],
        sums: &mut [(f32, f32)],
    ) = backward_sums_body
}

#[inline(always)]
fn backward_sums_body<S: Simd>(
    channels: usize,
    plane: usize,
    n: usize,
    x: &[f32],
    gy: &[f32],
    mean: &[f32],
    inv_std: &[f32],
    sums: &mut [(f32, f32)],
) {
    assert!(x.len() == n * channels * plane && gy.len() == x.len() && sums.len() == n * channels);
    assert!(mean.len() == channels && inv_std.len() == channels);
    for (i, (x, gy)) in x.chunks_exact(plane).zip(gy.chunks_exact(plane)).enumerate() {
        let (plain, products) = plane_sums(x, gy, mean[i % channels]);
        sums[i] = (plain, products * inv_std[i % channels]);
    }
}

/// Sums of `gy` and of `gy * (x - mean)` in one pass.
#[inline(always)]
fn plane_sums(x: &[f32], gy: &[f32], mean: f32) -> (f32, f32) {
    let (mut plain, mut products) = ([0.0; 32], [0.0; 32]);
    let ((x, x_tail), (gy, gy_tail)) = (x.as_chunks::<32>(), gy.as_chunks::<32>());
    for (x, gy) in x.iter().zip(gy) {
        for i in 0..32 {
            plain[i] += gy[i];
            products[i] += gy[i] * (x[i] - mean);
        }
    }
    for (i, (x, gy)) in x_tail.iter().zip(gy_tail).enumerate() {
        plain[i] += gy;
        products[i] += gy * (x - mean);
    }
    (halve(plain), halve(products))
}

on_each_isa! {
    /// `gx = a[c] * gy + b[c] * x + d[c]`, stored or added.
    pub fn backward_apply(
        channels: usize, plane: usize, n: usize, x: &[f32], gy: &[f32], a: &[f32], b: &[f32], d: &[f32],
        accumulate: bool, gx: &mut [f32],
    ) = backward_apply_body
}

#[inline(always)]
fn backward_apply_body<S: Simd>(
    channels: usize,
    plane: usize,
    n: usize,
    x: &[f32],
    gy: &[f32],
    a: &[f32],
    b: &[f32],
    d: &[f32],
    accumulate: bool,
    gx: &mut [f32],
) {
    assert!(x.len() == n * channels * plane && gy.len() == x.len() && gx.len() == x.len());
    assert!(a.len() == channels && b.len() == channels && d.len() == channels);
    let planes = gx.chunks_exact_mut(plane).zip(x.chunks_exact(plane).zip(gy.chunks_exact(plane)));
    for (i, (gx, (x, gy))) in planes.enumerate() {
        let (a, b, d) = (a[i % channels], b[i % channels], d[i % channels]);
        let each = gx.iter_mut().zip(x).zip(gy);
        match accumulate {
            true => each.for_each(|((gx, x), gy)| *gx += a * gy + (b * x + d)),
            false => each.for_each(|((gx, x), gy)| *gx = a * gy + (b * x + d)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{isa::tests::each, reference};
    use super::*;

    const CHANNELS: usize = 3;
    const PLANE: usize = 45;
    const IMAGES: usize = 2;

    /// Values of channel `c` over the batch, in `f64`.
    fn channel(x: &[f32], c: usize) -> Vec<f64> {
        let planes = x.chunks(PLANE).enumerate().filter(|(i, _)| i % CHANNELS == c);
        planes.flat_map(|(_, plane)| plane.iter().map(|v| *v as f64)).collect()
    }

    #[test]
    fn moments_survive_a_mean_far_from_zero() {
        let x: Vec<f32> = reference::values(CHANNELS * PLANE * IMAGES, 1).iter().map(|v| v + 1000.0).collect();
        each(|_| {
            let mut moments = vec![(0.0, 0.0); CHANNELS * IMAGES];
            image_moments(CHANNELS, PLANE, IMAGES, &x, &mut moments);
            for (x, (mean, m2)) in x.chunks(PLANE).zip(&moments) {
                let expected = x.iter().map(|v| *v as f64).sum::<f64>() / PLANE as f64;
                let deviations: f64 = x.iter().map(|v| (*v as f64 - expected).powi(2)).sum();
                assert!((*mean as f64 - expected).abs() < 1e-4);
                assert!((*m2 as f64 - deviations).abs() < 1e-3 * deviations);
            }
        });
    }

    /// The textbook backward pass (Ioffe and Szegedy 2015) with gamma 1 equals the three passes put together.
    #[test]
    fn the_backward_passes_make_the_textbook_gradient() {
        let len = CHANNELS * PLANE * IMAGES;
        let (x, gy) = (reference::values(len, 1), reference::values(len, 2));
        let count = (PLANE * IMAGES) as f64;
        each(|_| {
            let mut gx = vec![0.5; len];
            let (mut mean, mut inv_std) = (vec![0.0; CHANNELS], vec![0.0; CHANNELS]);
            for c in 0..CHANNELS {
                let values = channel(&x, c);
                let m = values.iter().sum::<f64>() / count;
                mean[c] = m as f32;
                inv_std[c] = (values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / count + 1e-5).powf(-0.5) as f32;
            }
            let mut sums = vec![(0.0, 0.0); CHANNELS * IMAGES];
            backward_sums(CHANNELS, PLANE, IMAGES, &x, &gy, &mean, &inv_std, &mut sums);
            let (mut a, mut b, mut d) = (vec![0.0; CHANNELS], vec![0.0; CHANNELS], vec![0.0; CHANNELS]);
            let mut expected = vec![0.0; len];
            for c in 0..CHANNELS {
                let total = |f: fn(&(f32, f32)) -> f32| -> f32 {
                    (0..IMAGES).map(|i| f(&sums[i * CHANNELS + c])).sum::<f32>() / count as f32
                };
                let (g, h) = (total(|s| s.0), total(|s| s.1));
                let s = inv_std[c];
                (a[c], b[c], d[c]) = (s, -s * s * h, -s * g + s * s * h * mean[c]);
                let hat = |x: f64| (x - mean[c] as f64) * s as f64;
                let (xs, gs) = (channel(&x, c), channel(&gy, c));
                let g = gs.iter().sum::<f64>() / count;
                let h = xs.iter().zip(&gs).map(|(x, g)| hat(*x) * g).sum::<f64>() / count;
                for (i, (x, gy)) in xs.iter().zip(&gs).enumerate() {
                    let at = (i / PLANE * CHANNELS + c) * PLANE + i % PLANE;
                    expected[at] = (0.5 + s as f64 * (gy - g - hat(*x) * h)) as f32;
                }
            }
            backward_apply(CHANNELS, PLANE, IMAGES, &x, &gy, &a, &b, &d, true, &mut gx);
            reference::assert_close(&gx, &expected);
        });
    }
}
