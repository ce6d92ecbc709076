//! What the images of a batch do to an untrained network: which ReLUs they switch on, and the gradients by their pixels.

use std::collections::BTreeMap;

use super::bare::Bare;
use super::batch::Batch;
use super::spectrum::{correlations, eigenvalues};
use crate::graph::{NodeId, Op, Weights};
use crate::nn::{Net, Workspace};

/// Added to what could be zero, as the published code does.
const SMALL: f64 = 1e-5;
/// Above so many classes the published code compares classes with each other.
const MANY_CLASSES: usize = 100;

/// One forward pass, and one backward pass of the sum of all logits.
pub(super) struct Activity {
    images: usize,
    classes: usize,
    /// In how many ReLUs each two images agree, (images, images).
    agreement: Vec<f64>,
    /// Gradient of the sum of logits by the image, (image, channel, row, column); empty if nobody asked.
    jacobian: Vec<f32>,
}

impl Activity {
    pub fn of(bare: &Bare, weights: &Weights, batch: &Batch, with_jacobian: bool) -> Self {
        let read = read_by_relus(bare);
        let sources: Vec<NodeId> = read.keys().copied().collect();
        let (net, mut w) = (Net::keeping(&bare.graph, &sources, &[bare.image]), Workspace::default());
        let logits = net.forward(&weights.trained, &mut weights.buffers.clone(), batch.images(), &mut w);
        let images = batch.len();
        let mut agreement = vec![0.0; images * images];
        for (source, readers) in read {
            count_agreement(&net.value(source, &w), images, readers as f64, &mut agreement);
        }
        let mut jacobian = Vec::new();
        if with_jacobian {
            net.backward(&weights.trained, batch.images(), &vec![1.0; logits.len()], &mut w);
            jacobian = net.gradient(bare.image, &w);
        }
        Activity { images, classes: logits.len() / images, agreement, jacobian }
    }

    /// Log-determinant of the agreement. Two images in the same place make it minus infinity.
    pub fn nwot(&self) -> f64 {
        eigenvalues(self.agreement.clone(), self.images).iter().map(|value| value.ln()).sum()
    }

    /// `-Σ (ln(λ + ε) + 1 / (λ + ε))` over the eigenvalues of the correlations between the images' gradients.
    pub fn jacov(&self) -> Option<f64> {
        let spectrum = eigenvalues(correlations(&self.rows())?, self.images);
        Some(-spectrum.iter().map(|v| (v + SMALL).ln() + 1.0 / (v + SMALL)).sum::<f64>())
    }

    /// For each class, `|Σ ln(|ρ| + ε)|` over the correlations between gradients of its images; their sum, or with many
    /// classes the mean of their distances.
    pub fn epe_nas(&self, labels: &[usize]) -> Option<f64> {
        let rows = self.rows();
        let mut scores = Vec::new();
        for class in 0..self.classes {
            let own: Vec<&[f32]> =
                rows.iter().zip(labels).filter(|(_, label)| **label == class).map(|(r, _)| *r).collect();
            if own.is_empty() {
                continue;
            }
            let score: f64 = correlations(&own)?.iter().map(|rho| (rho.abs() + SMALL).ln()).sum();
            scores.push(if self.classes > MANY_CLASSES { score / own.len() as f64 } else { score });
        }
        Some(match self.classes > MANY_CLASSES {
            false => scores.iter().map(|score| score.abs()).sum(),
            true => {
                scores.iter().flat_map(|a| scores.iter().map(move |b| (a - b).abs())).sum::<f64>() / scores.len() as f64
            }
        })
    }

    fn rows(&self) -> Vec<&[f32]> {
        self.jacobian.chunks(self.jacobian.len() / self.images).collect()
    }
}

/// The nodes that ReLUs read, with the number of ReLUs that read them.
fn read_by_relus(bare: &Bare) -> BTreeMap<NodeId, usize> {
    let mut read = BTreeMap::new();
    for node in bare.graph.nodes().iter().filter(|node| matches!(node.op, Op::Relu | Op::Relu6)) {
        *read.entry(node.inputs[0]).or_default() += 1;
    }
    read
}

/// Adds for each two images the number of values that are above zero in both or in neither, times `weight`.
fn count_agreement(values: &[f32], images: usize, weight: f64, agreement: &mut [f64]) {
    let elements = values.len() / images;
    let word = |values: &[f32]| values.iter().fold(0u64, |bits, value| bits << 1 | u64::from(*value > 0.0));
    let codes: Vec<Vec<u64>> = values.chunks(elements).map(|image| image.chunks(64).map(word).collect()).collect();
    for i in 0..images {
        for j in 0..=i {
            let differ: u32 = codes[i].iter().zip(&codes[j]).map(|(a, b)| (a ^ b).count_ones()).sum();
            let agree = weight * (elements - differ as usize) as f64;
            agreement[i * images + j] += agree;
            if i != j {
                agreement[j * images + i] += agree;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::weights::published;
    use super::*;
    use crate::seed;
    use crate::space::Space;

    fn bare() -> Bare {
        let space = Space::named("nats-tss").unwrap();
        Bare::of(&space.lower(&space.sample(&mut seed::stream(7, "test", 0))))
    }

    #[test]
    fn agreement_is_counted_by_hand() {
        let mut agreement = vec![0.0; 9];
        let image = |signs: &str| signs.chars().map(|c| if c == '+' { 0.5 } else { -0.5 }).collect::<Vec<f32>>();
        let values = [image("++--+"), image("++-++"), image("--++-")].concat();
        count_agreement(&values, 3, 2.0, &mut agreement);
        assert_eq!(agreement, [10.0, 8.0, 0.0, 8.0, 10.0, 2.0, 0.0, 2.0, 10.0]);
    }

    #[test]
    fn the_jacobian_is_that_of_central_differences() {
        let bare = bare();
        let weights = published(&bare, 1);
        let batch = Batch::random(&bare.graph, 4, 1);
        let activity = Activity::of(&bare, &weights, &batch, true);
        let net = Net::new(&bare.graph);
        let total = |images: &[f32]| -> f64 {
            let logits = net.forward(&weights.trained, &mut weights.buffers.clone(), images, &mut Workspace::default());
            logits.iter().map(|v| f64::from(*v)).sum()
        };
        // The direction of the gradient itself: its slope is the gradient's length, far above what rounding leaves.
        let length = activity.jacobian.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let moved = |by: f64| -> Vec<f32> {
            let step = |(x, g): (&f32, &f32)| x + (by * f64::from(*g) / length) as f32;
            batch.images().iter().zip(&activity.jacobian).map(step).collect()
        };
        let step = 1e-3;
        let slope = (total(&moved(step)) - total(&moved(-step))) / (2.0 * step);
        assert!((slope - length).abs() < 0.03 * length, "{slope} {length}");
    }

    #[test]
    fn images_that_are_the_same_tell_nothing_apart() {
        let bare = bare();
        let weights = published(&bare, 1);
        let batch = Batch::random(&bare.graph, 4, 1);
        let activity = Activity::of(&bare, &weights, &batch, true);
        assert!(activity.nwot().is_finite() && activity.jacov().unwrap() < -4.0);
        let same = Activity { agreement: vec![7.0; 16], jacobian: Vec::new(), ..activity };
        assert!(same.nwot() < -50.0 || !same.nwot().is_finite(), "{}", same.nwot());
    }
}
