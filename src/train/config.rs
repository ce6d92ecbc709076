//! How a network is trained.

use std::f64::consts::PI;

use crate::nn::Method;
use crate::nn::cuda::StepSettings;

/// Settings of one training: SGD with Nesterov momentum or AdamW, a full cosine schedule with warm-up, label smoothing,
/// random crop and flip.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training images.
    pub epochs: usize,
    /// Images in a step.
    pub batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Longest gradient of a step; a longer one is shortened.
    pub clip_norm: f64,
    /// How parameters move along their gradient.
    pub optimiser: Method,
    /// Weight decay of convolutions and linear layers.
    pub weight_decay: f64,
    /// Probability mass that the target spreads over all classes.
    pub label_smoothing: f64,
    /// Share of all steps in which the learning rate rises from zero.
    pub warm_up: f64,
    /// Pixels by which images are shifted at random.
    pub shift: usize,
    /// Whether images are mirrored at random.
    pub mirror: bool,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            epochs: 10,
            batch: 32,
            learning_rate: 0.1,
            clip_norm: 2.0,
            optimiser: Method::Sgd { momentum: 0.9 },
            weight_decay: 4e-4,
            label_smoothing: 0.05,
            warm_up: 0.2,
            shift: 2,
            mirror: true,
        }
    }
}

impl TrainConfig {
    /// What a GPU's training step takes from the configuration, for batches of `batch` images and epochs of `steps` steps.
    pub fn step_settings(&self, batch: usize, steps: usize) -> StepSettings {
        StepSettings {
            batch,
            steps,
            label_smoothing: self.label_smoothing as f32,
            method: self.optimiser,
            weight_decay: self.weight_decay as f32,
            clip_norm: self.clip_norm as f32,
        }
    }

    /// Learning rate at `step` of `steps`: linear warm-up, then half a cosine down to zero (Loshchilov and Hutter, 2017).
    pub fn learning_rate_at(&self, step: usize, steps: usize) -> f64 {
        let warm_up = (self.warm_up * steps as f64).max(1.0);
        let at = step as f64 + 1.0;
        if at <= warm_up {
            return self.learning_rate * at / warm_up;
        }
        let progress = (at - warm_up) / (steps as f64 - warm_up).max(1.0);
        self.learning_rate * 0.5 * (1.0 + (PI * progress.min(1.0)).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_rises_then_falls_to_zero() {
        let config = TrainConfig { learning_rate: 1.0, warm_up: 0.1, ..TrainConfig::default() };
        let rates: Vec<f64> = (0..100).map(|step| config.learning_rate_at(step, 100)).collect();
        assert!((rates[9] - 1.0).abs() < 1e-9 && rates[0] < 0.11 && rates[99] < 1e-9);
        assert!(rates[9..].is_sorted_by(|a, b| a >= b));
    }
}
