//! Accuracy of trained weights on images.

use std::rc::Rc;

use super::TrainError;
use crate::data::Images;
use crate::graph::{Graph, Weights};
use crate::nn::cuda::{self, Backend, DeviceImages};
use crate::nn::{Device, Net};

/// Images that a GPU evaluates at a time.
const ON_GPU_TOGETHER: usize = 256;

/// Logits (images, classes) with running statistics, in the order of the images.
pub fn logits(graph: &Graph, weights: &Weights, images: &Images) -> Vec<f32> {
    Net::logits(graph, weights, images.len(), |i, pixels| {
        pixels.iter_mut().zip(images.pixels(i)).for_each(|(p, byte)| *p = f32::from(*byte) / 255.0);
    })
}

/// Logits (images, classes) of `pixels` (images, channels, rows, columns; 0…1).
pub(super) fn logits_of(graph: &Graph, weights: &Weights, pixels: &[f32]) -> Vec<f32> {
    let size = graph.input_shape().elements();
    let image = |i: usize, out: &mut [f32]| out.copy_from_slice(&pixels[i * size..(i + 1) * size]);
    Net::logits(graph, weights, pixels.len() / size, image)
}

/// The same on a device.
///
/// # Errors
/// If a GPU fails.
pub fn logits_on(device: &Device, graph: &Graph, weights: &Weights, images: &Images) -> Result<Vec<f32>, TrainError> {
    match device {
        Device::Cpu => Ok(logits(graph, weights, images)),
        Device::Cuda(gpu) => logits_through(&Rc::new(gpu.lane()?), graph, weights, images),
    }
}

pub(super) fn logits_through<B: Backend>(
    backend: &Rc<B>,
    graph: &Graph,
    weights: &Weights,
    images: &Images,
) -> Result<Vec<f32>, TrainError> {
    if images.is_empty() {
        return Ok(Vec::new());
    }
    let labels = vec![0; images.len()];
    let on_device = DeviceImages::new(backend.clone(), images.shape(), images.all_pixels(), &labels)?;
    let numbers = (weights.trained.as_slice(), weights.buffers.as_slice());
    let batch = ON_GPU_TOGETHER.min(images.len());
    Ok(cuda::logits_on(backend.clone(), &on_device, images.len(), graph, numbers, batch)?)
}

/// Share of images whose label has the largest logit, on a device.
///
/// # Errors
/// If a GPU fails.
pub fn accuracy_on(device: &Device, graph: &Graph, weights: &Weights, images: &Images) -> Result<f64, TrainError> {
    Ok(share_right(graph, &logits_on(device, graph, weights, images)?, images))
}

/// Share of images whose label has the largest logit.
pub fn accuracy(graph: &Graph, weights: &Weights, images: &Images) -> f64 {
    share_right(graph, &logits(graph, weights, images), images)
}

fn share_right(graph: &Graph, logits: &[f32], images: &Images) -> f64 {
    let classes = graph.output_shape().elements();
    let right = (0..images.len()).filter(|i| top1(&logits[i * classes..(i + 1) * classes]) == images.label(*i)).count();
    right as f64 / images.len().max(1) as f64
}

/// Class with the largest logit; the first one of equals.
pub fn top1(logits: &[f32]) -> usize {
    let better = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
    (0..logits.len()).fold(0, better)
}
