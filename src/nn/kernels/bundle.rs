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

/// Transposes a bundle (pixel, lane), whose pixels are `pitch` floats apart, back into `lanes` maps.
#[inline(always)]
pub(super) fn scatter<S: Simd>(bundle: &[f32], pitch: usize, lanes: usize, y: &mut [f32]) {
    let plane = y.len() / lanes;
    if plane < S::LANES {
        for (lane, y) in y.chunks_exact_mut(plane).enumerate() {
            for (pixel, y) in y.iter_mut().enumerate() {
                *y = bundle[pixel * pitch + lane];
            }
        }
        return;
    }
    assert!(bundle.len() >= (plane - 1) * pitch + S::LANES);
    let (to, mut nowhere) = (y.as_mut_ptr(), [0.0; MOST_LANES]);
    let nowhere = nowhere.as_mut_ptr();
    for pixel in squares(plane, S::LANES) {
        // SAFETY: the bundle has `LANES` pixels from `pixel` on, and so has every one of the maps; a lane without a map
        // goes nowhere.
        unsafe {
            let place = |lane: usize| if lane < lanes { to.add(lane * plane + pixel) } else { nowhere };
            S::transpose(bundle.as_ptr().add(pixel * pitch), pitch, unfloored::<S>(), place)
        }
    }
}

/// The widest vector of any instruction set.
const MOST_LANES: usize = 16;

/// Transposes `rows` (`LANES` of `columns` floats, `pitch` apart) to `to` (columns, lane), whose rows are `to_pitch`
/// apart. Where a row is shorter than a vector, what follows it in memory is read and dropped.
#[inline(always)]
pub(super) fn transpose_rows<S: Simd>(rows: &[f32], pitch: usize, columns: usize, to: &mut [f32], to_pitch: usize) {
    assert!(to.len() >= (columns - 1) * to_pitch + S::LANES);
    if columns < S::LANES && rows.len() < (S::LANES - 1) * pitch + S::LANES {
        for (lane, column) in (0..S::LANES).flat_map(|lane| (0..columns).map(move |column| (lane, column))) {
            to[column * to_pitch + lane] = rows[lane * pitch + column];
        }
        return;
    }
    assert!(rows.len() >= (S::LANES - 1) * pitch + columns);
    let (to, mut nowhere) = (to.as_mut_ptr(), [0.0; MOST_LANES]);
    let nowhere = nowhere.as_mut_ptr();
    for first in squares(columns.max(S::LANES), S::LANES) {
        // SAFETY: `LANES` rows hold `LANES` floats from `first` on, and `to` has a vector for each of the `columns`.
        unsafe {
            let place = |j: usize| if first + j < columns { to.add((first + j) * to_pitch) } else { nowhere };
            S::transpose(rows.as_ptr().add(first), pitch, unfloored::<S>(), place)
        }
    }
}
