//! Sizes and schedule of a graph autoencoder.

use serde::{Deserialize, Serialize};

/// Everything that a fit depends on beside its data and its seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaeConfig {
    /// Values of a node's state.
    pub hidden: usize,
    /// Dimensions of the latent space.
    pub latent: usize,
    /// Units that decide a node's kind; half as many decide an edge.
    pub emitter: usize,
    /// Units of each of the two layers of a predictor.
    pub head: usize,
    /// Passes over the graphs.
    pub epochs: usize,
    /// Graphs of a step.
    pub batch: usize,
    /// Step size of AdamW, after a twentieth of all steps; from there it falls to zero along a cosine.
    pub learning_rate: f64,
    /// Decay of maps, as AdamW has it.
    pub weight_decay: f64,
    /// Weight of the divergence from the normal distribution.
    pub divergence: f64,
    /// Scale of the noise in the latent space while training.
    pub noise: f64,
    /// Weight of the squared error of standardised performance.
    pub performance: f64,
    /// Weight of the squared error of standardised logarithms of complexity.
    pub complexity: f64,
}

impl VaeConfig {
    /// Sizes chosen by measuring on `enas6`: see the benches.
    pub fn measured() -> Self {
        VaeConfig {
            hidden: 96,
            latent: 56,
            emitter: 128,
            head: 128,
            epochs: 120,
            batch: 128,
            learning_rate: 2e-3,
            weight_decay: 0.01,
            divergence: 0.005,
            noise: 0.01,
            performance: 10.0,
            complexity: 10.0,
        }
    }

    /// Sizes, passes, batch and step size of NGAE and D-VAE; takes hours on a processor. Their step size falls where the
    /// loss no longer does, ours along a cosine.
    pub fn published() -> Self {
        VaeConfig {
            hidden: 501,
            emitter: 1002,
            head: 501,
            epochs: 300,
            batch: 32,
            learning_rate: 1e-4,
            weight_decay: 0.0,
            performance: 1.0,
            complexity: 1.0,
            ..VaeConfig::measured()
        }
    }
}
