//! Augmentation: a random crop of the padded image, a random mirror image, a square cut out.

use rand::RngCore;
use rayon::prelude::*;

use super::stream::{Purpose, stream};
use crate::graph::Shape;

/// How training images are varied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Augment {
    /// Pixels added on each side by reflection (without repeating the border) before a crop of the image's own size is
    /// taken at random.
    pub pad: usize,
    /// Whether half of the images are mirrored left to right.
    pub flip: bool,
    /// Side of the square that is cut out around a random pixel (DeVries and Taylor, 2017); 0 for none.
    pub cutout: usize,
}

/// One variation: where the crop starts, relative to the image, whether it is mirrored, and what is cut out then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Variation {
    down: isize,
    right: isize,
    flip: bool,
    cut: Option<Cut>,
}

/// A square, clipped at the borders of the image: the draws decide its centre, whatever the size of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    side: usize,
    draws: [u32; 2],
}

impl Augment {
    /// The variation of an image in an epoch.
    pub(super) fn variation(&self, seed: u64, epoch: u64, image: usize) -> Variation {
        let mut rng = stream(seed, Purpose::Augment, (epoch, image as u64));
        let pad = self.pad as isize;
        // The remainder's bias is below 2⁻²⁵ for any sensible padding.
        let mut shift = || (rng.next_u32() as usize % (2 * self.pad + 1)) as isize - pad;
        let (down, right) = (shift(), shift());
        let flip = self.flip && rng.next_u32() & 1 == 1;
        let cut = (self.cutout > 0).then(|| Cut { side: self.cutout, draws: [rng.next_u32(), rng.next_u32()] });
        Variation { down, right, flip, cut }
    }

    /// The variations of `images` in an epoch, for a device that varies them itself: rows down and columns right by which
    /// the image is read, and 1 where it is then mirrored. The same draws as on the CPU; nothing is cut out.
    pub fn variations(&self, seed: u64, epoch: u64, images: &[usize]) -> Vec<[i16; 3]> {
        let shift = |by: isize| by.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        let of = |image: &usize| self.variation(seed, epoch, *image);
        images.par_iter().map(of).map(|v| [shift(v.down), shift(v.right), i16::from(v.flip)]).collect()
    }
}

impl Variation {
    /// Writes the varied image, scaled to 0..1.
    pub(super) fn write(&self, shape: Shape, pixels: &[u8], out: &mut [f32]) {
        if *self == Variation::default() {
            out.iter_mut().zip(pixels).for_each(|(o, p)| *o = unit(*p));
            return;
        }
        let (height, width) = (shape.height, shape.width);
        let columns = Columns::new(self.right, width);
        for (plane, out) in pixels.chunks_exact(shape.plane()).zip(out.chunks_exact_mut(shape.plane())) {
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                let from = reflect(row as isize + self.down, height) * width;
                columns.write(&plane[from..from + width], out);
                if self.flip {
                    out.reverse();
                }
            }
        }
        if let Some(cut) = self.cut {
            cut.write(shape, out);
        }
    }
}

impl Cut {
    /// Fills the square with the image's mean, which says nothing about its content.
    fn write(self, shape: Shape, image: &mut [f32]) {
        let [rows, columns] =
            [(self.draws[0], shape.height), (self.draws[1], shape.width)].map(|(draw, size)| self.span(draw, size));
        for plane in image.chunks_exact_mut(shape.plane()) {
            let mean = plane.iter().sum::<f32>() / plane.len() as f32;
            for row in plane.chunks_exact_mut(shape.width).skip(rows.start).take(rows.len()) {
                row[columns.clone()].fill(mean);
            }
        }
    }

    fn span(self, draw: u32, size: usize) -> std::ops::Range<usize> {
        let centre = draw as usize % size;
        let start = centre.saturating_sub(self.side / 2);
        start..(centre + self.side.div_ceil(2)).min(size)
    }
}

/// Which columns of a row stand where: a run that lies inside the image, and reflected ones beside it.
struct Columns {
    shift: isize,
    inside: std::ops::Range<usize>,
}

impl Columns {
    fn new(shift: isize, width: usize) -> Self {
        let w = width as isize;
        Columns { shift, inside: (-shift).clamp(0, w) as usize..(w - shift).clamp(0, w) as usize }
    }

    fn write(&self, row: &[u8], out: &mut [f32]) {
        let inside = self.inside.clone();
        for column in (0..inside.start).chain(inside.end..row.len()) {
            out[column] = unit(row[reflect(column as isize + self.shift, row.len())]);
        }
        if !inside.is_empty() {
            let from = (inside.start as isize + self.shift) as usize;
            out[inside].iter_mut().zip(&row[from..]).for_each(|(o, p)| *o = unit(*p));
        }
    }
}

fn unit(pixel: u8) -> f32 {
    f32::from(pixel) / 255.0
}

/// The place inside `0..size` that mirrors `at`, with the border as the mirror: -1 is 1, `size` is `size - 2`.
fn reflect(at: isize, size: usize) -> usize {
    let period = (2 * size as isize - 2).max(1);
    let at = at.rem_euclid(period);
    at.min(period - at).min(size as isize - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_does_not_repeat_the_border() {
        let places: Vec<usize> = (-3..6).map(|at| reflect(at, 4)).collect();
        assert_eq!(places, [3, 2, 1, 0, 1, 2, 3, 2, 1]);
        assert_eq!([reflect(-2, 1), reflect(3, 1), reflect(-1, 2), reflect(2, 2)], [0, 0, 1, 0]);
    }

    #[test]
    fn a_variation_moves_and_mirrors_as_the_slow_definition_says() {
        let shape = Shape::new(2, 5, 4);
        let pixels: Vec<u8> = (0..40).collect();
        for (down, right, flip) in [(0, 0, true), (2, -3, false), (-1, 3, true), (0, 6, true), (-7, -9, false)] {
            let mut out = vec![f32::NAN; 40];
            Variation { down, right, flip, cut: None }.write(shape, &pixels, &mut out);
            for (i, value) in out.iter().enumerate() {
                let (c, y, x) = (i / 20, i / 4 % 5, i % 4);
                let x = if flip { 3 - x } else { x };
                let from = c * 20 + reflect(y as isize + down, 5) * 4 + reflect(x as isize + right, 4);
                assert_eq!(*value, f32::from(pixels[from]) / 255.0, "{down} {right} {flip} at {i}");
            }
        }
    }

    #[test]
    fn variations_cover_every_shift_and_both_mirror_images() {
        let augment = Augment { pad: 1, flip: true, cutout: 0 };
        let drawn: Vec<Variation> = (0..400).map(|image| augment.variation(1, 2, image)).collect();
        for (down, right) in (-1..=1).flat_map(|d| (-1..=1).map(move |r| (d, r))) {
            for flip in [false, true] {
                assert!(drawn.contains(&Variation { down, right, flip, cut: None }));
            }
        }
    }

    #[test]
    fn a_square_is_cut_out_and_nothing_else_changes() {
        let shape = Shape::new(2, 6, 5);
        let pixels: Vec<u8> = (0..60).map(|i| (i * 4) as u8).collect();
        let whole = Augment { pad: 1, flip: true, cutout: 0 };
        let mut sizes = std::collections::BTreeSet::new();
        for image in 0..200 {
            let [mut expected, mut found] = [vec![0.0; 60], vec![0.0; 60]];
            whole.variation(3, 1, image).write(shape, &pixels, &mut expected);
            Augment { cutout: 3, ..whole }.variation(3, 1, image).write(shape, &pixels, &mut found);
            for (found, expected) in found.chunks(30).zip(expected.chunks(30)) {
                let mean = expected.iter().sum::<f32>() / 30.0;
                let changed: Vec<usize> = (0..30).filter(|i| found[*i] != expected[*i]).collect();
                assert!(changed.iter().all(|i| found[*i] == mean));
                let rows = changed.iter().map(|i| i / 5).collect::<std::collections::BTreeSet<_>>();
                assert!(rows.len() <= 3);
                sizes.insert(changed.len());
            }
        }
        // Clipped in a corner, and whole; a pixel that happens to be the mean is not seen to change.
        assert!(sizes.contains(&4) && sizes.contains(&9) && sizes.iter().all(|size| *size <= 9), "{sizes:?}");
    }
}
