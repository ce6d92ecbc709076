//! Batches: the order of an epoch, and bytes turned into the numbers that a network reads.

use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::stream::{Purpose, stream};
use super::{Augment, Images};

/// Images that one thread fills at least, so that handing out work costs less than the work.
const LEAST_IMAGES: usize = 8;

/// Fills `x`, (batch, channel, row, column) in 0..1, and `labels`, (batch), with the images at `indices`. With
/// `augment`, a seed and an epoch each image is varied by draws that depend on seed, epoch and its index alone, not on
/// threads or on the rest of the batch.
///
/// # Panics
/// If `x` or `labels` has not the size of the batch.
pub fn fill_batch(
    images: &Images,
    indices: &[usize],
    augment: Option<(&Augment, u64, u64)>,
    x: &mut [f32],
    labels: &mut [u32],
) {
    let shape = images.shape();
    assert_eq!(x.len(), indices.len() * shape.elements(), "a batch of {} images of {shape}", indices.len());
    assert_eq!(labels.len(), indices.len(), "one label for each image");
    labels.iter_mut().zip(indices).for_each(|(label, i)| *label = images.label(*i) as u32);
    x.par_chunks_exact_mut(shape.elements()).zip(indices).with_min_len(LEAST_IMAGES).for_each(|(out, &i)| {
        let variation = augment.map(|(augment, seed, epoch)| augment.variation(seed, epoch, i));
        variation.unwrap_or_default().write(shape, images.pixels(i), out);
    });
}

/// The order in which an epoch goes through `len` images.
pub fn epoch_order(len: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    order.shuffle(&mut stream(seed, Purpose::Order, (epoch, 0)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Shape;

    fn gradient(n: usize) -> Images {
        let shape = Shape::new(3, 8, 8);
        let pixels = (0..n * shape.elements()).map(|i| (i * 7 % 256) as u8).collect();
        Images::new(shape, pixels, (0..n).map(|i| i % 5).collect())
    }

    fn batch(images: &Images, indices: &[usize], augment: Option<(&Augment, u64, u64)>) -> (Vec<f32>, Vec<u32>) {
        let mut x = vec![f32::NAN; indices.len() * images.shape().elements()];
        let mut labels = vec![0; indices.len()];
        fill_batch(images, indices, augment, &mut x, &mut labels);
        (x, labels)
    }

    #[test]
    fn without_augmentation_values_are_pixels_over_255() {
        let images = gradient(4);
        let (x, labels) = batch(&images, &[2, 0], None);
        let expected: Vec<f32> =
            [images.pixels(2), images.pixels(0)].concat().iter().map(|p| f32::from(*p) / 255.0).collect();
        assert_eq!(x, expected);
        assert_eq!(labels, [2, 0]);
        assert_eq!(x, batch(&images, &[2, 0], Some((&Augment::default(), 1, 1))).0);
    }

    #[test]
    fn a_varied_image_does_not_depend_on_its_batch() {
        let images = gradient(40);
        let augment = Augment { pad: 2, flip: true, cutout: 3 };
        let size = images.shape().elements();
        let all: Vec<usize> = (0..40).collect();
        let (together, _) = batch(&images, &all, Some((&augment, 3, 9)));
        for order in [epoch_order(40, 3, 9), all.iter().rev().copied().collect()] {
            let (x, labels) = batch(&images, &order, Some((&augment, 3, 9)));
            for (k, i) in order.iter().enumerate() {
                assert_eq!(x[k * size..(k + 1) * size], together[i * size..(i + 1) * size]);
                assert_eq!(labels[k] as usize, images.label(*i));
            }
        }
        assert_ne!(together, batch(&images, &all, Some((&augment, 3, 10))).0, "another epoch varies otherwise");
        assert_ne!(together, batch(&images, &all, Some((&augment, 4, 9))).0, "another seed varies otherwise");
    }

    #[test]
    fn an_epoch_visits_every_image_once() {
        let mut order = epoch_order(100, 1, 0);
        assert_eq!(order, epoch_order(100, 1, 0));
        assert_ne!(order, epoch_order(100, 1, 1));
        assert_ne!(order, epoch_order(100, 2, 0));
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
