//! What the networks of a space are for: the images they see and the classes they tell apart.

use super::SpaceError;
use crate::graph::Shape;

/// Images and classes. Every network subtracts `mean` and divides by `std` itself.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Task {
    /// Shape of the image.
    pub input: Shape,
    /// Number of classes.
    pub classes: usize,
    /// Mean of each image channel (0…1).
    pub mean: Vec<f32>,
    /// Standard deviation of each image channel.
    pub std: Vec<f32>,
}

impl Default for Task {
    /// CIFAR-10, which the published benchmarks are about.
    fn default() -> Self {
        Task {
            input: Shape::new(3, 32, 32),
            classes: 10,
            mean: vec![0.4914, 0.4822, 0.4465],
            std: vec![0.2023, 0.1994, 0.2010],
        }
    }
}

impl Task {
    pub(super) fn check(&self, space: &'static str) -> Result<(), SpaceError> {
        let wrong = |reason: &str| Err(SpaceError::Config { space, reason: reason.to_string() });
        if self.classes < 2 {
            return wrong("needs at least two classes");
        }
        let channels = self.input.channels;
        if self.mean.len() != channels || self.std.len() != channels || self.std.iter().any(|s| s.is_nan() || *s <= 0.0)
        {
            return wrong("needs a mean and a positive standard deviation for each image channel");
        }
        Ok(())
    }
}
