//! What a training step minimises: cross entropy against smoothed labels, images of rare classes weighing more if asked
//! for, and the answers of a teacher if there is one.

use candle_core::Tensor;

use super::{ClassWeights, TrainConfig, TrainError, logits_of};
use crate::data::Images;
use crate::graph::{Graph, Weights};
use crate::nn::{cross_entropy, soft_cross_entropy};

/// A trained network whose answers another one learns (Hinton, Vinyals and Dean, 2015). Both see the same varied images
/// (Beyer and others, 2022: a consistent teacher).
#[derive(Debug, Clone, Copy)]
pub struct Teacher<'a> {
    /// The network; its classes are those of the pupil.
    pub graph: &'a Graph,
    /// Its weights.
    pub weights: &'a Weights,
}

/// Share of the teacher in the loss.
const TEACHER_SHARE: f64 = 0.5;
/// By what the logits of both are divided before they are compared.
const TEMPERATURE: f64 = 2.0;
/// The largest class of a balanced set has at most so many times the images of the smallest.
const BALANCED: f64 = 1.5;
/// What one image more of a class adds to its first ones (Cui and others, 2019, β).
const NEXT_IMAGE: f64 = 0.999;

/// The loss of a training.
pub(super) struct Loss<'a> {
    smoothing: f32,
    class_weights: Option<Vec<f32>>,
    teacher: Option<Teacher<'a>>,
}

/// The loss of a batch.
pub(super) struct BatchLoss {
    /// What is minimised.
    pub total: Tensor,
    /// The part of the labels.
    pub of_labels: Tensor,
}

impl<'a> Loss<'a> {
    pub fn new(config: &TrainConfig, images: &Images, classes: usize, teacher: Option<Teacher<'a>>) -> Self {
        let class_weights = class_weights(config, images, classes);
        Loss { smoothing: config.label_smoothing as f32, class_weights, teacher }
    }

    /// The loss of logits (batch, classes) for `pixels` (batch, channels, rows, columns).
    pub fn of(&self, logits: &Tensor, pixels: &[f32], labels: &[u32]) -> Result<BatchLoss, TrainError> {
        let of_labels = match &self.class_weights {
            None => cross_entropy(logits, labels, self.smoothing)?,
            Some(weights) => self.weighted(logits, labels, weights)?,
        };
        let total = match &self.teacher {
            None => of_labels.clone(),
            Some(teacher) => {
                let answers = logits_of(teacher.graph, teacher.weights, pixels);
                let cooled = logits.affine(1.0 / TEMPERATURE, 0.0)?;
                let of_teacher = soft_cross_entropy(&cooled, soft_answers(&answers, logits.dims2()?.1))?;
                let share = TEACHER_SHARE * TEMPERATURE * TEMPERATURE;
                (of_labels.affine(1.0 - TEACHER_SHARE, 0.0)? + of_teacher.affine(share, 0.0)?)?
            }
        };
        Ok(BatchLoss { total, of_labels })
    }

    /// A mean over the batch by the weights of its images.
    fn weighted(&self, logits: &Tensor, labels: &[u32], weights: &[f32]) -> Result<Tensor, TrainError> {
        let (batch, classes) = logits.dims2()?;
        let all: f32 = labels.iter().map(|label| weights[*label as usize]).sum();
        let mut target = vec![0.0; batch * classes];
        for (row, label) in target.chunks_mut(classes).zip(labels) {
            let weight = weights[*label as usize] * batch as f32 / all;
            row.fill(weight * self.smoothing / classes as f32);
            row[*label as usize] += weight * (1.0 - self.smoothing);
        }
        Ok(soft_cross_entropy(logits, target)?)
    }
}

/// What an image of each class weighs by the effective number of images of its class (Cui and others, 2019); nothing if
/// all weigh the same.
pub(super) fn class_weights(config: &TrainConfig, images: &Images, classes: usize) -> Option<Vec<f32>> {
    let mut counts = vec![0usize; classes];
    images.labels().iter().for_each(|label| counts[*label] += 1);
    let present = || counts.iter().copied().filter(|count| *count > 0);
    let (fewest, most) = (present().min().unwrap_or(0), present().max().unwrap_or(0));
    if config.class_weights == ClassWeights::None || most as f64 <= BALANCED * fewest as f64 {
        return None;
    }
    let weight = |count: usize| (1.0 - NEXT_IMAGE) / (1.0 - NEXT_IMAGE.powi(count.max(1) as i32));
    Some(counts.into_iter().map(|count| weight(count) as f32).collect())
}

/// Probabilities of cooled logits (batch, classes).
fn soft_answers(logits: &[f32], classes: usize) -> Vec<f32> {
    let row = |row: &[f32]| -> Vec<f32> {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = row.iter().map(|l| ((l - most) / TEMPERATURE as f32).exp()).collect();
        let sum: f32 = powers.iter().sum();
        powers.into_iter().map(|p| p / sum).collect()
    };
    logits.chunks(classes).flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::graph::Shape;

    fn images(counts: &[usize]) -> Images {
        let labels: Vec<usize> = counts.iter().enumerate().flat_map(|(c, n)| std::iter::repeat_n(c, *n)).collect();
        Images::new(Shape::new(1, 1, 1), vec![0; labels.len()], labels)
    }

    fn auto() -> TrainConfig {
        TrainConfig { class_weights: ClassWeights::Auto, label_smoothing: 0.1, ..TrainConfig::default() }
    }

    #[test]
    fn rare_classes_weigh_more_in_unbalanced_sets_only() {
        assert_eq!(class_weights(&auto(), &images(&[30, 21]), 2), None);
        assert_eq!(class_weights(&TrainConfig::default(), &images(&[30, 3]), 2), None);
        let weights = class_weights(&auto(), &images(&[5_000, 50, 5]), 3).unwrap();
        // A few images weigh by their number, many by less than it.
        assert!((weights[2] / weights[1] - 9.8).abs() < 0.1 && weights[1] / weights[0] < 25.0, "{weights:?}");
    }

    #[test]
    fn equal_weights_give_the_plain_loss() {
        let logits = Tensor::from_vec(vec![0.3f32, -1.0, 2.0, 0.1, 0.2, -0.4], (2, 3), &Device::Cpu).unwrap();
        let plain = cross_entropy(&logits, &[2, 0], 0.1).unwrap().to_scalar::<f32>().unwrap();
        let loss = Loss { smoothing: 0.1, class_weights: Some(vec![0.2; 3]), teacher: None };
        let weighted = loss.of(&logits, &[], &[2, 0]).unwrap().total.to_scalar::<f32>().unwrap();
        assert!((plain - weighted).abs() < 1e-6, "{plain} {weighted}");
        let one_sided = Loss { smoothing: 0.1, class_weights: Some(vec![0.0, 1.0, 1.0]), teacher: None };
        let only_first =
            cross_entropy(&logits.narrow(0, 0, 1).unwrap(), &[2], 0.1).unwrap().to_scalar::<f32>().unwrap();
        let found = one_sided.of(&logits, &[], &[2, 0]).unwrap().total.to_scalar::<f32>().unwrap();
        assert!((found - only_first).abs() < 1e-6, "{found} {only_first}");
    }

    #[test]
    fn soft_answers_are_probabilities_that_keep_the_order() {
        let soft = soft_answers(&[4.0, 0.0, 2.0, 1000.0, 0.0, -1000.0], 3);
        assert!(soft.chunks(3).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
        assert!((soft[0] / soft[2] - 1f32.exp()).abs() < 1e-4 && soft[2] > soft[1], "{soft:?}");
    }
}
