//! A data set for a smaller device: fewer rows and columns by area means, grey instead of colour.

use rayon::prelude::*;

use super::{Dataset, Images};
use crate::graph::Shape;

impl Dataset {
    /// The same images with fewer pixels, or in grey. The digest stays that of the data set as it was read.
    ///
    /// # Panics
    /// If the shape is larger in any direction, or has other channels than these or one.
    pub fn shrunk(self, shape: Shape) -> Dataset {
        if shape == self.shape() {
            return self;
        }
        let part = |images: &Images| shrink(images, shape);
        let (train, validation, test) = (part(&self.train), part(&self.validation), part(&self.test));
        let Dataset { digest, repeated, .. } = self;
        Dataset { digest, repeated, ..Dataset::new(&self.name, self.classes, train, validation, test) }
    }
}

fn shrink(images: &Images, to: Shape) -> Images {
    let from = images.shape();
    assert!(to.height <= from.height && to.width <= from.width, "{from} does not shrink to {to}");
    assert!(to.channels == from.channels || to.channels == 1, "{from} has no {} channels", to.channels);
    let (rows, columns) = (overlaps(from.height, to.height), overlaps(from.width, to.width));
    let image = |pixels: &[u8]| {
        let planes = if to.channels == from.channels { pixels.to_vec() } else { grey(pixels, from) };
        planes
            .chunks_exact(from.plane())
            .flat_map(|plane| area_means(plane, from, (&rows, &columns)))
            .collect::<Vec<u8>>()
    };
    let pixels: Vec<u8> = images.all_pixels().par_chunks_exact(from.elements()).flat_map_iter(image).collect();
    Images::new(to, pixels, images.labels().to_vec())
}

/// Luma of ITU-R BT.601; the mean of channels that are not three.
pub(super) fn grey(pixels: &[u8], shape: Shape) -> Vec<u8> {
    let weights: Vec<u32> = if shape.channels == 3 { vec![299, 587, 114] } else { vec![1; shape.channels] };
    let whole: u32 = weights.iter().sum();
    let value = |at: usize, c: usize| u32::from(pixels[c * shape.plane() + at]);
    let luma = |at: usize| weights.iter().enumerate().map(|(c, weight)| weight * value(at, c)).sum::<u32>();
    (0..shape.plane()).map(|at| ((luma(at) + whole / 2) / whole) as u8).collect()
}

/// For each of `to` equal parts of a line of `from` pixels, the pixels in it with the share of each that is, times `to`.
fn overlaps(from: usize, to: usize) -> Vec<Vec<(usize, u64)>> {
    let part = |at: usize| {
        let (start, end) = (at * from, (at + 1) * from);
        let share = |pixel: usize| ((pixel + 1) * to).min(end) - (pixel * to).max(start);
        (start / to..end.div_ceil(to)).map(|pixel| (pixel, share(pixel) as u64)).collect()
    };
    (0..to).map(part).collect()
}

type Overlaps = [Vec<(usize, u64)>];

fn area_means(plane: &[u8], shape: Shape, (rows, columns): (&Overlaps, &Overlaps)) -> Vec<u8> {
    let mut means = Vec::with_capacity(rows.len() * columns.len());
    for row in rows {
        for column in columns {
            let weighted = |(y, down): &(usize, u64)| -> u64 {
                column.iter().map(|(x, across)| down * across * u64::from(plane[y * shape.width + x])).sum()
            };
            let sum: u64 = row.iter().map(weighted).sum();
            let area = (shape.height * shape.width) as u64;
            means.push(((sum + area / 2) / area) as u8);
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BuiltIn;

    #[test]
    fn pixels_become_the_mean_of_the_area_they_cover() {
        let images = Images::new(Shape::new(1, 1, 3), vec![0, 90, 30], vec![0]);
        // Two parts of one and a half pixels each.
        assert_eq!(shrink(&images, Shape::new(1, 1, 2)).pixels(0), [30, 50]);
        let square = Images::new(Shape::new(1, 2, 2), vec![10, 20, 30, 40], vec![0]);
        assert_eq!(shrink(&square, Shape::new(1, 1, 1)).pixels(0), [25]);
    }

    #[test]
    fn colours_become_their_luma() {
        let images = Images::new(Shape::new(3, 1, 1), vec![255, 0, 0], vec![0]);
        assert_eq!(shrink(&images, Shape::new(1, 1, 1)).pixels(0), [76]);
    }

    #[test]
    fn a_shrunk_set_keeps_labels_and_digest_and_has_statistics_of_its_own() {
        let set = Dataset::built_in(&BuiltIn { seed: 1, train: 64, validation: 16, test: 16 });
        let small = set.clone().shrunk(Shape::new(1, 20, 20));
        assert_eq!((small.shape(), &small.digest), (Shape::new(1, 20, 20), &set.digest));
        assert_eq!(small.test.labels(), set.test.labels());
        assert_eq!((small.mean.len(), small.std.len()), (1, 1));
        let luma = 0.299 * set.mean[0] + 0.587 * set.mean[1] + 0.114 * set.mean[2];
        assert!((small.mean[0] - luma).abs() < 0.01, "{:?} against {luma}", small.mean);
        assert_eq!(set.clone().shrunk(set.shape()).train, set.train);
    }
}
