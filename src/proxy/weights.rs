//! Weights that proxies look at: of networks that nobody has trained.

use rand::Rng;

use super::bare::Bare;
use crate::graph::{Graph, ParamSpec, Role, Weights};
use crate::seed;

/// Weights and biases as PyTorch's layers start, uniformly within 1 / sqrt(fan-in): most proxies were published on those.
pub(super) fn published(bare: &Bare, seed: u64) -> Weights {
    let mut rng = seed::stream(seed, "proxy weights", 0);
    let mut weights = Weights::neutral(&bare.graph);
    for spec in drawn(&weights, &[Role::Weight, Role::Bias]) {
        let fan_in = weights.layout.find(spec.node, Role::Weight).map_or(1, |w| w.dims[1..].iter().product());
        let bound = 1.0 / (fan_in as f32).sqrt();
        weights.values_mut(&spec).fill_with(|| rng.random_range(-bound..=bound));
    }
    bare.pass_the_image_on(&mut weights);
    weights
}

/// Weights from the standard normal distribution and no biases: what Zen-NAS prescribes.
pub(super) fn gaussian(graph: &Graph, seed: u64) -> Weights {
    let mut rng = seed::stream(seed, "zen weights", 0);
    let mut weights = Weights::neutral(graph);
    for spec in drawn(&weights, &[Role::Weight]) {
        weights.values_mut(&spec).fill_with(|| standard_normal(&mut rng));
    }
    weights
}

fn drawn(weights: &Weights, roles: &[Role]) -> Vec<ParamSpec> {
    weights.layout.specs().filter(|spec| roles.contains(&spec.role)).cloned().collect()
}

/// One draw from the standard normal distribution (Box and Muller, 1958).
pub(super) fn standard_normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}
