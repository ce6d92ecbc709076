//! Options of a training that not everyone needs.

use clap::Args;

use crate::train::{ClassWeights, Schedule, TrainConfig};

/// How networks train; what is not given stays as it is.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "Training")]
pub(super) struct TrainingArgs {
    /// How the learning rate falls: half a cosine, or to a tenth after each 5/12 of the epochs.
    #[arg(long, value_enum)]
    schedule: Option<Schedule>,
    /// Side in pixels of a square that is cut out of every training image; 0 for none.
    #[arg(long, value_name = "PIXELS")]
    cutout: Option<usize>,
    /// Train as ever, but keep a running mean of the weights: share of it that a step keeps, such as 0.99; 0 for none.
    #[arg(long, value_name = "DECAY", value_parser = decay)]
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
    /// The configuration with what was given.
    pub fn applied_to(&self, config: TrainConfig) -> TrainConfig {
        TrainConfig {
            schedule: self.schedule.unwrap_or(config.schedule),
            cutout: self.cutout.unwrap_or(config.cutout),
            ema: self.ema.map_or(config.ema, |decay| (decay > 0.0).then_some(decay)),
            recalibrate: self.recalibrate || config.recalibrate,
            class_weights: self.class_weights.unwrap_or(config.class_weights),
            patience: self.patience.map_or(config.patience, |epochs| Some(epochs as usize)),
            ..config
        }
    }
}

fn decay(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(decay) if (0.0..1.0).contains(&decay) => Ok(decay),
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
}
