//! The batch that proxies look at: images as a network sees them, after normalisation.

use rand::Rng;
use rand::seq::SliceRandom;

use super::ProxyError;
use super::weights::standard_normal;
use crate::data::Dataset;
use crate::graph::{Graph, Shape};
use crate::seed;

/// Normalised images with their classes.
#[derive(Debug, Clone)]
pub struct Batch {
    shape: Shape,
    /// (image, channel, row, column); each channel of the data set has mean zero and variance one.
    images: Vec<f32>,
    labels: Vec<usize>,
}

impl Batch {
    /// Images of normal noise with random classes, as a network takes them.
    pub fn random(graph: &Graph, images: usize, seed: u64) -> Self {
        let (shape, classes) = (graph.input_shape(), graph.output_shape().elements());
        let mut rng = seed::stream(seed, "proxy batch", 0);
        let pixels = (0..images * shape.elements()).map(|_| standard_normal(&mut rng)).collect();
        let labels = (0..images).map(|_| rng.random_range(0..classes)).collect();
        Batch { shape, images: pixels, labels }
    }

    /// Random training images of a data set; all of them if there are fewer.
    pub fn of(dataset: &Dataset, images: usize, seed: u64) -> Self {
        let (all, shape) = (&dataset.train, dataset.shape());
        let mut places: Vec<usize> = (0..all.len()).collect();
        let (chosen, _) = places.partial_shuffle(&mut seed::stream(seed, "proxy batch", 0), images);
        let normalised = |(at, pixel): (usize, &u8)| {
            let channel = at / shape.plane();
            (f32::from(*pixel) / 255.0 - dataset.mean[channel]) / dataset.std[channel]
        };
        let images = chosen.iter().flat_map(|image| all.pixels(*image).iter().enumerate().map(normalised)).collect();
        Batch { shape, images, labels: chosen.iter().map(|image| all.label(*image)).collect() }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Class of every image.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Values of all images, (image, channel, row, column).
    pub(super) fn images(&self) -> &[f32] {
        &self.images
    }

    pub(super) fn check(&self, graph: &Graph) -> Result<(), ProxyError> {
        let (expected, classes) = (graph.input_shape(), graph.output_shape().elements());
        if self.len() < 2 {
            return Err(ProxyError::TooFew(self.len()));
        }
        if self.shape != expected {
            return Err(ProxyError::Shape { expected, found: self.shape });
        }
        match self.labels.iter().find(|label| **label >= classes) {
            Some(label) => Err(ProxyError::Label { classes, label: *label }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BuiltIn;
    use crate::space::{Space, Task};

    fn graph(classes: usize) -> Graph {
        let space = Space::for_task("nats-tss", Task { classes, ..Task::default() }).unwrap();
        space.lower(&space.sample(&mut seed::stream(1, "test", 0)))
    }

    #[test]
    fn images_of_a_data_set_are_normalised_and_keep_their_classes() {
        let dataset = Dataset::built_in(&BuiltIn { seed: 1, train: 400, validation: 32, test: 32 });
        let batch = Batch::of(&dataset, 300, 1);
        assert_eq!((batch.len(), batch.labels().len()), (300, 300));
        let mean = batch.images().iter().map(|v| f64::from(*v)).sum::<f64>() / batch.images().len() as f64;
        assert!(mean.abs() < 0.05, "{mean}");
        assert_eq!(Batch::of(&dataset, 10_000, 1).len(), 400);
    }

    #[test]
    fn a_batch_that_does_not_suit_says_why() {
        let batch = Batch::random(&graph(10), 64, 1);
        assert!(batch.check(&graph(10)).is_ok());
        assert!(batch.check(&graph(2)).unwrap_err().to_string().contains("tells 2 classes apart"));
        let error = Batch::random(&graph(10), 1, 1).check(&graph(10)).unwrap_err().to_string();
        assert!(error.contains("hint: take 16"), "{error}");
    }
}
