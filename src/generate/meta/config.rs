//! Sizes and schedule of a meta-model.

use serde::{Deserialize, Serialize};

use crate::generate::VaeConfig;

/// Everything that a fit depends on beside its tasks and its seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetaConfig {
    /// Values of a data set's vector, and of the rows that attention reads.
    pub set: usize,
    /// Heads of attention; they share the values.
    pub heads: usize,
    /// Images of each class that one look at a data set takes.
    pub images_per_class: usize,
    /// Values of a node's state.
    pub hidden: usize,
    /// Values of a network's code.
    pub latent: usize,
    /// Units of the generator that decide a node's kind; half as many decide an edge.
    pub emitter: usize,
    /// Units of each of the two layers that predict.
    pub head: usize,
    /// Predictors whose mean is the prediction.
    pub members: usize,
    /// Passes of a predictor over the tasks.
    pub epochs: usize,
    /// Passes of the generator; without any, the model ranks networks but draws none worth having.
    pub generator_epochs: usize,
    /// Tasks of a step.
    pub batch: usize,
    /// Largest step size of AdamW.
    pub learning_rate: f64,
    /// Decay of maps, as AdamW has it.
    pub weight_decay: f64,
    /// Weight of the divergence of a data set's point from the normal distribution.
    pub divergence: f64,
    /// Scale of the noise at that point.
    pub noise: f64,
    /// Whether predictors see the data set; without, they rank networks alike for all tasks, which is what they are
    /// compared with.
    pub sees_data: bool,
    /// Whether accuracies are compared within tasks only, or all together: where tasks have one network each.
    pub within_tasks: bool,
}

impl Default for MetaConfig {
    /// Sizes were set once. The passes lie between the 8 and the 20 that were tried on sources set aside from those that the
    /// shipped model learned from.
    fn default() -> Self {
        MetaConfig {
            set: 32,
            heads: 4,
            images_per_class: 10,
            hidden: 32,
            latent: 24,
            emitter: 64,
            head: 48,
            members: 4,
            epochs: 12,
            generator_epochs: 20,
            batch: 16,
            learning_rate: 2e-3,
            weight_decay: 0.05,
            divergence: 0.005,
            noise: 0.1,
            sees_data: true,
            within_tasks: true,
        }
    }
}

impl MetaConfig {
    /// Sizes of the graphs' part: points of `latent` values.
    pub(super) fn graphs(&self, latent: usize) -> VaeConfig {
        VaeConfig { hidden: self.hidden, latent, emitter: self.emitter, head: self.head, ..VaeConfig::measured() }
    }
}
