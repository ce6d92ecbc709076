//! Accuracy of trained weights on images.

use crate::data::Images;
use crate::graph::{Graph, Weights};
use crate::nn::Net;

/// Logits (images, classes) with running statistics, in the order of the images.
pub fn logits(graph: &Graph, weights: &Weights, images: &Images) -> Vec<f32> {
    Net::logits(graph, weights, images.len(), |i, pixels| {
        pixels.iter_mut().zip(images.pixels(i)).for_each(|(p, byte)| *p = f32::from(*byte) / 255.0);
    })
}

/// Share of images whose label has the largest logit.
pub fn accuracy(graph: &Graph, weights: &Weights, images: &Images) -> f64 {
    let classes = graph.output_shape().elements();
    let logits = logits(graph, weights, images);
    let right = (0..images.len()).filter(|i| top1(&logits[i * classes..(i + 1) * classes]) == images.label(*i)).count();
    right as f64 / images.len().max(1) as f64
}

/// Class with the largest logit; the first one of equals.
pub fn top1(logits: &[f32]) -> usize {
    let better = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    (0..logits.len()).fold(0, better)
}
