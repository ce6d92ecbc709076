//! AdamW with the schedule of every fit in this room: the step size rises in the first twentieth of all steps, then falls
//! to zero along a cosine.

use super::weights::WeightLayout;
use crate::nn::kernels::adamw;

/// Longest gradient of a step; a longer one is shortened (Pascanu and others, 2013).
const LONGEST_GRADIENT: f32 = 5.0;
/// Share of the steps in which the step size rises.
const WARM_UP: f64 = 0.05;

/// AdamW with its schedule.
pub(super) struct Adam {
    mean: Vec<f32>,
    square: Vec<f32>,
    decayed: Vec<std::ops::Range<usize>>,
    rate: f64,
    weight_decay: f64,
    done: usize,
    steps: usize,
}

impl Adam {
    /// Of weights that lie as a layout has them, for so many steps.
    pub fn new(layout: &WeightLayout, rate: f64, weight_decay: f64, steps: usize) -> Adam {
        let zeros = vec![0.0; layout.len()];
        Adam { mean: zeros.clone(), square: zeros, decayed: layout.maps(), rate, weight_decay, done: 0, steps }
    }

    pub fn step(&mut self, weights: &mut [f32], mut gradient: Vec<f32>) {
        let length = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt() as f32;
        if length > LONGEST_GRADIENT {
            gradient.iter_mut().for_each(|g| *g *= LONGEST_GRADIENT / length);
        }
        self.done += 1;
        let at = self.done as f64 / self.steps as f64;
        let fall = (at - WARM_UP).max(0.0) / (1.0 - WARM_UP);
        let share = (at / WARM_UP).min(1.0) * 0.5 * (1.0 + (std::f64::consts::PI * fall).cos());
        let rule = adamw::Rule {
            learning_rate: (self.rate * share) as f32,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: self.weight_decay as f32,
            step: self.done as u32,
        };
        adamw::step(weights, &gradient, &mut self.mean, &mut self.square, &rule, &self.decayed);
    }
}
