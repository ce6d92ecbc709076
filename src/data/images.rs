//! Labelled images of one shape, as bytes in memory.

use rand::Rng;
use rand::seq::SliceRandom;

use crate::graph::Shape;

/// Labelled images of one shape.
#[derive(Clone, PartialEq, Eq)]
pub struct Images {
    shape: Shape,
    /// (image, channel, row, column).
    pixels: Vec<u8>,
    labels: Vec<usize>,
}

impl Images {
    /// Images from their pixels, (image, channel, row, column).
    ///
    /// # Panics
    /// If there are not as many pixels as `labels` and `shape` say.
    pub fn new(shape: Shape, pixels: Vec<u8>, labels: Vec<usize>) -> Self {
        assert_eq!(pixels.len(), labels.len() * shape.elements(), "{} images of {shape}", labels.len());
        Images { shape, pixels, labels }
    }

    /// Shape of each image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pixels of one image, (channel, row, column).
    pub fn pixels(&self, image: usize) -> &[u8] {
        let size = self.shape.elements();
        &self.pixels[image * size..(image + 1) * size]
    }

    /// Pixels of all images, (image, channel, row, column).
    pub fn all_pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Class of one image.
    pub fn label(&self, image: usize) -> usize {
        self.labels[image]
    }

    /// Class of every image.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The images at `places`, in that order.
    pub fn select(&self, places: &[usize]) -> Images {
        let mut pixels = Vec::with_capacity(places.len() * self.shape.elements());
        places.iter().for_each(|i| pixels.extend_from_slice(self.pixels(*i)));
        Images { shape: self.shape, pixels, labels: places.iter().map(|i| self.labels[*i]).collect() }
    }

    /// `n` images, or all if there are fewer, with the classes in the same proportions as here (by largest remainders),
    /// in the same order as here.
    pub fn take_stratified(&self, n: usize, rng: &mut impl Rng) -> Images {
        if n >= self.len() {
            return self.clone();
        }
        let mut classes = places_by_class(&self.labels);
        let shares = largest_remainders(n, &classes.iter().map(Vec::len).collect::<Vec<_>>());
        let mut chosen = Vec::with_capacity(n);
        for (places, share) in classes.iter_mut().zip(shares) {
            places.shuffle(rng);
            chosen.extend_from_slice(&places[..share]);
        }
        chosen.sort_unstable();
        self.select(&chosen)
    }
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} images of {}", self.len(), self.shape)
    }
}

/// For each class from 0 on, where its images are.
pub(super) fn places_by_class(labels: &[usize]) -> Vec<Vec<usize>> {
    let mut places = vec![Vec::new(); labels.iter().max().map_or(0, |m| m + 1)];
    labels.iter().enumerate().for_each(|(place, label)| places[*label].push(place));
    places
}

/// Shares of `n`, at most the sum of `sizes`, in proportion to `sizes`: each rounded down, the rest to those that lost
/// most by it.
fn largest_remainders(n: usize, sizes: &[usize]) -> Vec<usize> {
    let all: usize = sizes.iter().sum();
    let mut shares: Vec<usize> = sizes.iter().map(|size| n * size / all).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(n * sizes[*i] % all));
    let left = n - shares.iter().sum::<usize>();
    order[..left].iter().for_each(|i| shares[*i] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::stream::{Purpose, stream};

    fn numbered(labels: &[usize]) -> Images {
        Images::new(Shape::new(1, 1, 2), (0..labels.len() * 2).map(|i| i as u8).collect(), labels.to_vec())
    }

    #[test]
    fn selected_images_keep_their_labels() {
        let images = numbered(&[3, 1, 2]).select(&[2, 0]);
        assert_eq!((images.pixels(0), images.label(0)), ([4, 5].as_slice(), 2));
        assert_eq!((images.pixels(1), images.label(1)), ([0, 1].as_slice(), 3));
    }

    #[test]
    fn a_stratified_sample_keeps_the_proportions() {
        let labels: Vec<usize> = (0..100).map(|i| usize::from(i % 10 == 0) + usize::from(i % 2 == 0)).collect();
        let rng = || stream(7, Purpose::Limit, (0, 0));
        let sample = numbered(&labels).take_stratified(50, &mut rng());
        let sizes: Vec<usize> = places_by_class(sample.labels()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [25, 20, 5]);
        assert_eq!(sample, numbered(&labels).take_stratified(50, &mut rng()));
        assert_eq!(numbered(&labels).take_stratified(7, &mut rng()).len(), 7);
        assert_eq!(numbered(&labels).take_stratified(700, &mut rng()).len(), 100);
    }
}
