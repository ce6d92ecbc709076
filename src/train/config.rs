//! How a network is trained.

use std::f64::consts::PI;

use super::TrainError;
use super::loss::class_weights;
use crate::data::Images;
use crate::nn::cuda::StepSettings;
use crate::nn::{Device, Method};

/// Settings of one training: SGD with Nesterov momentum or AdamW, a schedule with warm-up, label smoothing, random crop and
/// flip, and what not every training needs.
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
    /// How the learning rate falls.
    #[serde(default)]
    pub schedule: Schedule,
    /// Side of the square that is cut out of every image; 0 for none.
    #[serde(default)]
    pub cutout: usize,
    /// Share of the running mean of the weights that a step keeps; the result is the mean. Without it, the last weights.
    #[serde(default)]
    pub ema: Option<f64>,
    /// Whether the statistics of normalisations are taken anew in the end, on images that are not varied. Averaged
    /// weights always get their own.
    #[serde(default)]
    pub recalibrate: bool,
    /// What an image of a rare class weighs.
    #[serde(default)]
    pub class_weights: ClassWeights,
    /// Epochs without a better accuracy on the validation images after which training ends, with the weights of the best
    /// epoch.
    #[serde(default)]
    pub patience: Option<usize>,
}

/// An optimiser by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OptimiserKind {
    /// Stochastic gradient descent with Nesterov momentum (Sutskever et al., 2013).
    Sgd,
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
    Adamw,
}

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine down to zero (Loshchilov and Hutter, 2017).
    #[default]
    Cosine,
    /// To a tenth after each 5/12 of all steps: 25 of 60 epochs, as NAS_with_GNN_predictor (2020) trained.
    Step,
}

/// What an image weighs in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// All the same.
    #[default]
    None,
    /// In an unbalanced set more where its class has few images; in a balanced one all the same.
    Auto,
}

/// Share of all steps after which the step schedule lowers the learning rate, each time.
const STEP_SHARE: f64 = 5.0 / 12.0;
/// By what.
const STEP_FACTOR: f64 = 0.1;

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
            warm_up: 0.4,
            shift: 2,
            mirror: true,
            schedule: Schedule::Cosine,
            cutout: 0,
            ema: None,
            recalibrate: false,
            class_weights: ClassWeights::None,
            patience: None,
        }
    }
}

impl TrainConfig {
    /// These settings with another optimiser, at the learning rate, the longest gradient and the weight decay that suit it
    /// (benches/README.md has the trainings that they were chosen on).
    pub fn optimised_by(self, optimiser: OptimiserKind) -> TrainConfig {
        match optimiser {
            OptimiserKind::Sgd => {
                let TrainConfig { learning_rate, clip_norm, optimiser, weight_decay, .. } = TrainConfig::default();
                TrainConfig { learning_rate, clip_norm, optimiser, weight_decay, ..self }
            }
            OptimiserKind::Adamw => TrainConfig {
                learning_rate: 0.006,
                clip_norm: 8.0,
                optimiser: Method::AdamW { beta1: 0.9, beta2: 0.99 },
                weight_decay: 0.01,
                ..self
            },
        }
    }

    /// These settings with another schedule and the warm-up that suits it: a rate that drops early cannot rise for long.
    pub fn scheduled_by(self, schedule: Schedule) -> TrainConfig {
        let warm_up = match schedule {
            Schedule::Cosine => TrainConfig::default().warm_up,
            Schedule::Step => 0.2,
        };
        TrainConfig { schedule, warm_up, ..self }
    }

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

    /// Learning rate at `step` of `steps`: linear warm-up, then down by the schedule.
    pub fn learning_rate_at(&self, step: usize, steps: usize) -> f64 {
        let warm_up = (self.warm_up * steps as f64).max(1.0);
        let at = step as f64 + 1.0;
        if at <= warm_up {
            return self.learning_rate * at / warm_up;
        }
        match self.schedule {
            Schedule::Cosine => {
                let progress = (at - warm_up) / (steps as f64 - warm_up).max(1.0);
                self.learning_rate * 0.5 * (1.0 + (PI * progress.min(1.0)).cos())
            }
            Schedule::Step => {
                let drops = (step as f64 / (STEP_SHARE * steps as f64)).floor();
                self.learning_rate * STEP_FACTOR.powi(drops as i32)
            }
        }
    }

    /// Share of the mean of the weights that the step after `steps` others keeps: little at first, so that the mean soon
    /// forgets the first weights.
    pub(super) fn ema_at(&self, decay: f64, steps: usize) -> f32 {
        let young = (1.0 + steps as f64) / (10.0 + steps as f64);
        decay.min(young) as f32
    }

    /// Whether a network of so many classes can be trained with these settings on `images` and a device.
    ///
    /// # Errors
    /// If a setting is out of its range, or the device cannot train with it.
    pub fn check_for(&self, device: &Device, images: &Images, classes: usize) -> Result<(), TrainError> {
        self.check()?;
        match device {
            Device::Cpu => Ok(()),
            Device::Cuda(_) => self.check_for_gpu(images, classes),
        }
    }

    /// Whether a GPU can train with these settings.
    pub(super) fn check_for_gpu(&self, images: &Images, classes: usize) -> Result<(), TrainError> {
        let all = [
            (self.cutout > 0, "cutout"),
            (self.ema.is_some(), "ema"),
            (self.patience.is_some(), "patience"),
            (class_weights(self, images, classes).is_some(), "class-weights"),
        ];
        let unknown: Vec<&str> = all.into_iter().filter_map(|(is_used, name)| is_used.then_some(name)).collect();
        if unknown.is_empty() { Ok(()) } else { Err(TrainError::OnlyOnCpu(unknown)) }
    }

    /// Whether the settings make a training.
    pub(super) fn check(&self) -> Result<(), TrainError> {
        let wrong = |reason: String| Err(TrainError::Config { reason });
        if let Some(decay) = self.ema.filter(|decay| !(0.0..1.0).contains(decay)) {
            return wrong(format!("`ema` is {decay}, expected a share from 0 to below 1"));
        }
        match self.patience {
            Some(0) => wrong("`patience` is 0, expected at least one epoch".to_string()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_stochastic_gradient_descent() {
        let config = TrainConfig::default();
        assert_eq!(config.clone().optimised_by(OptimiserKind::Sgd), config);
        let back = config.clone().optimised_by(OptimiserKind::Adamw).optimised_by(OptimiserKind::Sgd);
        assert_eq!(back, config);
        assert_eq!(config.clone().scheduled_by(Schedule::Step).scheduled_by(Schedule::Cosine), config);
    }

    #[test]
    fn the_learning_rate_rises_then_falls_to_zero() {
        let config = TrainConfig { learning_rate: 1.0, warm_up: 0.1, ..TrainConfig::default() };
        let rates: Vec<f64> = (0..100).map(|step| config.learning_rate_at(step, 100)).collect();
        assert!((rates[9] - 1.0).abs() < 1e-9 && rates[0] < 0.11 && rates[99] < 1e-9);
        assert!(rates[9..].is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn the_step_schedule_is_that_of_the_first_seed() {
        let config =
            TrainConfig { learning_rate: 0.1, warm_up: 0.0, schedule: Schedule::Step, ..TrainConfig::default() };
        // 60 epochs of seven steps: a tenth from epoch 25 on, a hundredth from epoch 50 on.
        let rate = |epoch: usize, step: usize| config.learning_rate_at(epoch * 7 + step, 420);
        for (epoch, step, expected) in [(0, 1, 0.1), (24, 6, 0.1), (25, 0, 0.01), (49, 6, 0.01), (50, 0, 1e-3)] {
            assert!((rate(epoch, step) - expected).abs() < 1e-12, "{epoch} {step}");
        }
    }

    #[test]
    fn a_configuration_written_before_there_were_extras_is_read() {
        let mut old = serde_json::to_value(TrainConfig::default()).unwrap();
        let fields = old.as_object_mut().unwrap();
        for extra in ["schedule", "cutout", "ema", "recalibrate", "class_weights", "patience"] {
            fields.remove(extra).unwrap();
        }
        assert_eq!(serde_json::from_value::<TrainConfig>(old).unwrap(), TrainConfig::default());
    }
}
