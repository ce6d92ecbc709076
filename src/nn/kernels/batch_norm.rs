//! Batch normalisation as the four passes that touch the maps. The executor combines the sums of images into batch
//! statistics between the passes.

use super::elementwise::scale_shift;
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
        let mean = total::<S>(x) / plane as f32;
        *moments = (mean, deviations::<S>(x, mean));
    }
}

#[inline(always)]
fn total<S: Simd>(x: &[f32]) -> f32 {
    let (pairs, tail) = pairs::<S>(x);
    // SAFETY: only called from bodies that `on_each_isa!` compiles; a pair is two vectors long.
    unsafe {
        let (mut even, mut odd) = (S::splat(0.0), S::splat(0.0));
        for pair in pairs {
            even = S::add(even, S::load(pair.as_ptr()));
            odd = S::add(odd, S::load(pair.as_ptr().add(S::LANES)));
        }
        for (at, count) in pieces::<S>(tail) {
            even = S::add(even, S::load_part(tail.as_ptr().add(at), count));
        }
        S::sum(S::add(even, odd))
    }
}

/// Sum of squared distances from `mean`.
#[inline(always)]
fn deviations<S: Simd>(x: &[f32], mean: f32) -> f32 {
    let (pairs, tail) = pairs::<S>(x);
    // SAFETY: only called from bodies that `on_each_isa!` compiles; a pair is two vectors long.
    unsafe {
        let (shift, mut even, mut odd) = (S::splat(-mean), S::splat(0.0), S::splat(0.0));
        for pair in pairs {
            let (a, b) = (S::load(pair.as_ptr()), S::load(pair.as_ptr().add(S::LANES)));
            let (a, b) = (S::add(a, shift), S::add(b, shift));
            even = S::mul_add(a, a, even);
            odd = S::mul_add(b, b, odd);
        }
        let mut rest = 0.0;
        for (at, count) in pieces::<S>(tail) {
            if count == S::LANES {
                let a = S::add(S::load(tail.as_ptr().add(at)), shift);
                even = S::mul_add(a, a, even);
            } else {
                // Lanes beyond the map would count as values far from the mean.
                rest = tail[at..].iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
            }
        }
        S::sum(S::add(even, odd)) + rest
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
        let (plain, products) = gradient_sums::<S>(x, gy, mean[i % channels]);
        sums[i] = (plain, products * inv_std[i % channels]);
    }
}

/// Sums of `gy` and of `gy * (x - mean)` over a map in one pass.
#[inline(always)]
fn gradient_sums<S: Simd>(x: &[f32], gy: &[f32], mean: f32) -> (f32, f32) {
    let ((x_pairs, x_tail), (g_pairs, g_tail)) = (pairs::<S>(x), pairs::<S>(gy));
    // SAFETY: only called from bodies that `on_each_isa!` compiles; a pair is two vectors long. Beyond the maps, the
    // gradient's lanes are zero.
    unsafe {
        let (shift, zero) = (S::splat(-mean), S::splat(0.0));
        let (mut plain, mut plain_odd, mut products, mut products_odd) = (zero, zero, zero, zero);
        for (x, g) in x_pairs.zip(g_pairs) {
            let (a, b) = (S::load(g.as_ptr()), S::load(g.as_ptr().add(S::LANES)));
            plain = S::add(plain, a);
            plain_odd = S::add(plain_odd, b);
            products = S::mul_add(a, S::add(S::load(x.as_ptr()), shift), products);
            products_odd = S::mul_add(b, S::add(S::load(x.as_ptr().add(S::LANES)), shift), products_odd);
        }
        for (at, count) in pieces::<S>(g_tail) {
            let g = S::load_part(g_tail.as_ptr().add(at), count);
            plain = S::add(plain, g);
            products = S::mul_add(g, S::add(S::load_part(x_tail.as_ptr().add(at), count), shift), products);
        }
        (S::sum(S::add(plain, plain_odd)), S::sum(S::add(products, products_odd)))
    }
}

/// A map as pairs of vectors, which keep two sums in flight, and what is left.
#[inline(always)]
fn pairs<S: Simd>(x: &[f32]) -> (std::slice::ChunksExact<'_, f32>, &[f32]) {
    let pairs = x.chunks_exact(2 * S::LANES);
    let tail = pairs.remainder();
    (pairs, tail)
}

/// Starts and lengths of the vectors of a rest, of which the last may be short.
fn pieces<S: Simd>(tail: &[f32]) -> impl Iterator<Item = (usize, usize)> {
    let len = tail.len();
    (0..len).step_by(S::LANES).map(move |at| (at, S::LANES.min(len - at)))
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
