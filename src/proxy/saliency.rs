//! What the first gradient of a training says about each weight.

use super::bare::Bare;
use super::batch::Batch;
use super::norm;
use crate::graph::{NodeId, Weights};
use crate::nn::{Net, Workspace};

/// Proxies of one forward and backward pass of the cross entropy.
pub(super) struct Saliency {
    /// Sum of |weight · gradient|.
    pub snip: f64,
    /// Sum over layers of the norm of the gradient.
    pub grad_norm: f64,
    /// Sum of weight · gradient.
    pub plain: f64,
    /// Over channels, half the mean over images of (Σ activation · gradient)², once for each weight of the channel. Zero if
    /// nobody asked.
    pub fisher: f64,
}

impl Saliency {
    pub fn of(bare: &Bare, weights: &Weights, batch: &Batch, with_fisher: bool) -> Self {
        let layers: Vec<NodeId> = bare.layers(&weights.layout).map(|spec| spec.node).collect();
        let observed = if with_fisher { layers.as_slice() } else { &[] };
        let (net, mut w) = (Net::keeping(&bare.graph, observed, observed), Workspace::default());
        let logits = net.forward(&weights.trained, &mut weights.buffers.clone(), batch.images(), &mut w);
        let by_logits = cross_entropy_gradient(&logits, batch.labels());
        let gradient = net.backward(&weights.trained, batch.images(), &by_logits, &mut w);
        let mut found = Saliency { snip: 0.0, grad_norm: 0.0, plain: 0.0, fisher: 0.0 };
        for spec in bare.layers(&weights.layout) {
            let of_layer = &gradient[spec.offset..spec.offset + spec.elements()];
            let products = || weights.values(spec).iter().zip(of_layer).map(|(w, g)| f64::from(*w) * f64::from(*g));
            found.snip += products().map(f64::abs).sum::<f64>();
            found.plain += products().sum::<f64>();
            found.grad_norm += norm(of_layer);
            if with_fisher {
                let per_channel = spec.dims[1..].iter().product::<usize>() as f64;
                let (value, gradient) = (net.value(spec.node, &w), net.gradient(spec.node, &w));
                let plane = bare.graph.node(spec.node).shape.plane();
                found.fisher += per_channel * fisher(&value, &gradient, plane, batch.len());
            }
        }
        found
    }
}

/// The gradient of the mean cross entropy by the logits (images, classes).
fn cross_entropy_gradient(logits: &[f32], labels: &[usize]) -> Vec<f32> {
    let classes = logits.len() / labels.len();
    let mut gradient = Vec::with_capacity(logits.len());
    for (row, label) in logits.chunks(classes).zip(labels) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponentials: Vec<f32> = row.iter().map(|logit| (logit - largest).exp()).collect();
        let sum: f32 = exponentials.iter().sum();
        let of = |(class, e): (usize, &f32)| (e / sum - f32::from(class == *label)) / labels.len() as f32;
        gradient.extend(exponentials.iter().enumerate().map(of));
    }
    gradient
}

/// Over channels, half the mean over images of (Σ activation · gradient)².
fn fisher(value: &[f32], gradient: &[f32], plane: usize, images: usize) -> f64 {
    let maps = value.chunks(plane).zip(gradient.chunks(plane));
    let product = |(value, gradient): (&[f32], &[f32])| -> f64 {
        value.iter().zip(gradient).map(|(v, g)| f64::from(*v) * f64::from(*g)).sum()
    };
    maps.map(|map| product(map).powi(2)).sum::<f64>() / images as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::super::weights::published;
    use super::*;
    use crate::seed;
    use crate::space::Space;

    #[test]
    fn the_gradient_of_the_loss_is_that_of_softmax_less_truth() {
        let gradient = cross_entropy_gradient(&[0.0, 0.0, 3f32.ln(), 0.0], &[1, 0]);
        let expected = [0.25, -0.25, -0.125, 0.125];
        assert!(gradient.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{gradient:?}");
    }

    #[test]
    fn what_normalisation_scales_away_has_no_plain_saliency() {
        // Σ weight · gradient of a layer before a normalisation is the slope along its own length, which is zero; what is
        // left are the layers that no normalisation follows.
        let space = Space::named("nats-tss").unwrap();
        let bare = Bare::of(&space.lower(&space.sample(&mut seed::stream(7, "test", 0))));
        let weights = published(&bare, 1);
        let batch = Batch::random(&bare.graph, 8, 1);
        let found = Saliency::of(&bare, &weights, &batch, true);
        assert!(found.plain.abs() < 0.1 * found.snip, "{} {}", found.plain, found.snip);
        assert!(found.fisher > 0.0 && found.grad_norm > 0.0);
    }

    #[test]
    fn fisher_is_computed_by_hand() {
        // Two images of one channel with two pixels: products 1·2 + 3·4 = 14 and 1·1 + 1·1 = 2.
        let found = fisher(&[1.0, 3.0, 1.0, 1.0], &[2.0, 4.0, 1.0, 1.0], 2, 2);
        assert_eq!(found, (196.0 + 4.0) / 2.0 / 2.0);
    }
}
