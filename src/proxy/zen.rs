//! The score of Zen-NAS (Lin and others, 2021): how far a small change of a random image moves the features before the
//! mean, in logarithm, and the logarithms of what each normalisation divided by.

use super::bare::Bare;
use super::weights::{gaussian, standard_normal};
use crate::graph::{Op, Role};
use crate::nn::{Net, Workspace};
use crate::seed;

/// Size of the change.
const CHANGE: f32 = 1e-2;

/// The score on as many images of normal noise as the batch has.
///
/// As in the code behind the published columns, features are normalised by the batch, and what is added are the running
/// variances after two passes, which have gone a fifth of the way.
pub(super) fn zen(bare: &Bare, images: usize, seed: u64) -> f64 {
    let graph = bare.features();
    let weights = gaussian(&graph, seed);
    let mut rng = seed::stream(seed, "zen images", 0);
    let elements = images * graph.input_shape().elements();
    let mut noise = || (0..elements).map(|_| standard_normal(&mut rng)).collect::<Vec<f32>>();
    let (first, second) = (noise(), noise());
    let changed: Vec<f32> = first.iter().zip(&second).map(|(a, b)| a + CHANGE * b).collect();
    let (net, mut buffers, mut w) = (Net::new(&graph), weights.buffers.clone(), Workspace::default());
    let mut features = |images: &[f32]| net.forward(&weights.trained, &mut buffers, images, &mut w);
    let (before, after) = (features(&first), features(&changed));
    let moved: f64 = before.iter().zip(&after).map(|(a, b)| f64::from((a - b).abs())).sum();
    let norms = graph.nodes().iter().enumerate().filter(|(_, node)| node.op == Op::BatchNorm);
    let divided_by = |(id, _)| {
        let spec = weights.layout.find(id, Role::RunningVar).expect("a normalisation has a running variance");
        let variances = &buffers[spec.offset..spec.offset + spec.elements()];
        let mean = variances.iter().map(|v| f64::from(*v)).sum::<f64>() / variances.len() as f64;
        mean.sqrt().ln()
    };
    (moved / images as f64).ln() + norms.map(divided_by).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2d, GraphBuilder, Linear, Shape};

    #[test]
    fn a_deeper_and_a_wider_network_score_higher() {
        let score = |depth: usize, width: usize| {
            let mut b = GraphBuilder::new(Shape::new(3, 8, 8)).unwrap();
            let mut x = 0;
            for layer in 0..depth {
                x = b.push(format!("{layer}.conv"), Op::Conv2d(Conv2d::dense(width, 3)), &[x]).unwrap();
                x = b.push(format!("{layer}.norm"), Op::BatchNorm, &[x]).unwrap();
                x = b.push(format!("{layer}.relu"), Op::Relu, &[x]).unwrap();
            }
            let x = b.push("mean", Op::GlobalMean, &[x]).unwrap();
            b.push("classifier", Op::Linear(Linear { out: 3, bias: true }), &[x]).unwrap();
            zen(&Bare::of(&b.finish().unwrap()), 8, 1)
        };
        assert!(score(4, 8) > score(2, 8) && score(2, 32) > score(2, 8));
    }
}
