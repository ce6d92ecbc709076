//! Bundles: as many maps as a vector has lanes, transposed to (pixel, lane).

use super::simd::Simd;

/// Starts of the squares of `lanes` that cover `0..len`; the last one overlaps its neighbour. None if `len` is shorter.
pub(super) fn squares(len: usize, lanes: usize) -> impl Iterator<Item = usize> {
    let last = (len > lanes && !len.is_multiple_of(lanes)).then(|| len - lanes);
    (0..len / lanes).map(move |i| i * lanes).chain(last)
}

#[inline(always)]
pub(super) fn unfloored<S: Simd>() -> S::V {
    // SAFETY: only called from bodies that `on_each_isa!` compiles.
    unsafe { S::splat(f32::NEG_INFINITY) }
}

/// Transposes `lanes` maps into a bundle whose pixel `p` lies at `place(p)`; lanes without a map become zero.
#[inline(always)]
pub(super) fn gather<S: Simd>(x: &[f32], lanes: usize, relu: bool, place: impl Fn(usize) -> usize, bundle: &mut [f32]) {
    let plane = x.len() / lanes;
    if lanes == S::LANES && plane >= S::LANES {
        // SAFETY: only called from bodies that `on_each_isa!` compiles.
        let floor = if relu { unsafe { S::splat(0.0) } } else { unfloored::<S>() };
        let to = bundle.as_mut_ptr();
        // SAFETY: `LANES` maps of `plane` pixels each, of which `LANES` from `pixel` on; the bundle has `LANES` floats
        // at every place.
        for pixel in squares(plane, S::LANES) {
            unsafe { S::transpose(x.as_ptr().add(pixel), plane, floor, |j| to.add(place(pixel + j) * S::LANES)) }
        }
        return;
    }
    for pixel in 0..plane {
        let to = &mut bundle[place(pixel) * S::LANES..][..S::LANES];
        for (lane, to) in to.iter_mut().enumerate() {
            let x = if lane < lanes { x[lane * plane + pixel] } else { 0.0 };
            *to = if relu && x <= 0.0 { 0.0 } else { x };
        }
    }
}

/// Transposes a bundle (pixel, lane) back into `lanes` maps.
#[inline(always)]
pub(super) fn scatter<S: Simd>(bundle: &[f32], lanes: usize, y: &mut [f32]) {
    let plane = y.len() / lanes;
    if lanes == S::LANES && plane >= S::LANES {
        let to = y.as_mut_ptr();
        // SAFETY: the bundle has `LANES` pixels from `pixel` on, and so has every one of the `LANES` maps.
        for pixel in squares(plane, S::LANES) {
            unsafe {
                S::transpose(bundle.as_ptr().add(pixel * S::LANES), S::LANES, unfloored::<S>(), |j| {
                    to.add(j * plane + pixel)
                })
            }
        }
        return;
    }
    for (lane, y) in y.chunks_exact_mut(plane).enumerate() {
        for (pixel, y) in y.iter_mut().enumerate() {
            *y = bundle[pixel * S::LANES + lane];
        }
    }
}
