//! Options of a training that not everyone needs.

use clap::Args;

use crate::train::{ClassWeights, OptimiserKind, Schedule, TrainConfig};

/// How networks train; what is not given stays as it is.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Training")]
pub(super) struct TrainingArgs {
    /// How weights move along their gradient, in cheap trainings too.
    #[arg(long, value_enum)]
    optimiser: Option<OptimiserKind>,
    /// Highest learning rate, in cheap trainings too; by default .1 for `sgd` and .006 for `adamw`.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    learning_rate: Option<f64>,
    /// Weight decay, 0 for none, in cheap trainings too; by default .0004 for `sgd` and .01 for `adamw`.
    #[arg(long, value_name = "DECAY", value_parser = share)]
    weight_decay: Option<f64>,
    /// Share of a training, from 0 to below 1, in which the learning rate rises, in cheap trainings too; by default .4,
    /// and .2 for `--schedule step`.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    warm_up: Option<f64>,
    /// Pixels by which training images are shifted at random, in cheap trainings too; by default 2, and 0 in cheap ones of
    /// fewer than ten epochs.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(0..=64))]
    shift: Option<u32>,
    /// How the learning rate falls: half a cosine, or to a tenth after each 5/12 of the epochs.
    #[arg(long, value_enum)]
    schedule: Option<Schedule>,
    /// Side in pixels of a square that is cut out of every training image; 0 for none.
    #[arg(long, value_name = "PIXELS")]
    cutout: Option<usize>,
    /// Train as ever, but keep a running mean of the weights: share of it that a step keeps, such as 0.99; 0 for none.
    #[arg(long, value_name = "DECAY", value_parser = share)]
    ema: Option<f64>,
    /// Take the statistics of normalisations anew in the end, on images that are not varied.
    #[arg(long)]
    recalibrate: bool,
    /// In an unbalanced set (the largest class has over 1.5 times the images of the smallest), images of rare classes
    /// weigh more.
    #[arg(long, value_enum)]
    class_weights: Option<ClassWeights>,
    /// Stop after so many epochs without a better accuracy on the validation images, with the weights of the best one.
    #[arg(long, value_name = "EPOCHS", value_parser = clap::value_parser!(u32).range(1..))]
    patience: Option<u32>,
}

impl TrainingArgs {
    /// The configuration with the optimiser that was given, its learning rate, its weight decay and its warm-up, and the
    /// shift of images.
    pub fn optimised(&self, config: TrainConfig) -> TrainConfig {
        let config = match self.optimiser {
            Some(optimiser) => config.optimised_by(optimiser),
            None => config,
        };
        TrainConfig {
            learning_rate: self.learning_rate.unwrap_or(config.learning_rate),
            weight_decay: self.weight_decay.unwrap_or(config.weight_decay),
            warm_up: self.warm_up.unwrap_or(config.warm_up),
            shift: self.shift.map_or(config.shift, |pixels| pixels as usize),
            ..config
        }
    }

    /// The configuration with all that was given.
    pub fn applied_to(&self, config: TrainConfig) -> TrainConfig {
        let config = match self.schedule {
            Some(schedule) => config.scheduled_by(schedule),
            None => config,
        };
        let config = self.optimised(config);
        TrainConfig {
            cutout: self.cutout.unwrap_or(config.cutout),
            ema: self.ema.map_or(config.ema, |decay| (decay > 0.0).then_some(decay)),
            recalibrate: self.recalibrate || config.recalibrate,
            class_weights: self.class_weights.unwrap_or(config.class_weights),
            patience: self.patience.map_or(config.patience, |epochs| Some(epochs as usize)),
            ..config
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (1e-9..=100.0).contains(&rate) => Ok(rate),
        _ => Err("write a small number above zero, for example 0.05".to_string()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("write a share from 0 to below 1, for example 0.99".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays_and_zero_takes_away() {
        let config = TrainConfig { ema: Some(0.99), cutout: 4, ..TrainConfig::default() };
        assert_eq!(TrainingArgs::default().applied_to(config.clone()), config);
        let none = TrainingArgs { ema: Some(0.0), cutout: Some(0), ..TrainingArgs::default() };
        assert_eq!(none.applied_to(config), TrainConfig::default());
    }

    #[test]
    fn an_optimiser_brings_its_learning_rate_unless_one_is_given() {
        let adamw = TrainingArgs { optimiser: Some(OptimiserKind::Adamw), ..TrainingArgs::default() };
        let config = adamw.optimised(TrainConfig::default());
        assert_eq!(config, TrainConfig::default().optimised_by(OptimiserKind::Adamw));
        let slower = TrainingArgs { learning_rate: Some(0.001), cutout: Some(4), shift: Some(0), ..adamw };
        let expected = TrainConfig { learning_rate: 0.001, shift: 0, ..config };
        assert_eq!(slower.optimised(TrainConfig::default()), expected);
        assert_eq!(slower.applied_to(TrainConfig::default()), TrainConfig { cutout: 4, ..expected });
        let step = TrainingArgs { schedule: Some(Schedule::Step), ..TrainingArgs::default() };
        assert_eq!(step.applied_to(TrainConfig::default()), TrainConfig::default().scheduled_by(Schedule::Step));
        let faster = TrainingArgs { warm_up: Some(0.1), ..step };
        assert_eq!(faster.applied_to(TrainConfig::default()).warm_up, 0.1);
    }
}
