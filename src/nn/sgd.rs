//! Stochastic gradient descent with Nesterov momentum and weight decay, in one pass over flat buffers.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Mutex;

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, Var};

use super::kernels::sgd::{self, Rule};
use super::network_op::contiguous;
use crate::graph::{self, Role};

/// The optimiser and its velocity. Batch normalisation and biases do not decay.
pub struct Sgd {
    clip_norm: f32,
    momentum: f32,
    weight_decay: f32,
    /// Where weight decay acts.
    decayed: Vec<Range<usize>>,
    velocity: Mutex<Vec<f32>>,
}

impl Sgd {
    /// An optimiser at rest. A gradient longer than `clip_norm` is shortened to it (Pascanu et al., 2013).
    pub fn new(layout: &graph::Layout, momentum: f32, weight_decay: f32, clip_norm: f32) -> Self {
        let weights = layout.specs().filter(|s| s.role == Role::Weight);
        let decayed = weights.map(|s| s.offset..s.offset + s.elements()).collect();
        let velocity = Mutex::new(vec![0.0; layout.trained()]);
        Sgd { clip_norm, momentum, weight_decay, decayed, velocity }
    }

    /// The velocity, for a checkpoint.
    pub fn velocity(&self) -> Vec<f32> {
        self.velocity.lock().expect("no thread panics while it holds the velocity").clone()
    }

    /// Goes on from a checkpoint's velocity.
    pub fn set_velocity(&self, velocity: Vec<f32>) {
        *self.velocity.lock().expect("no thread panics while it holds the velocity") = velocity;
    }

    /// One step of flat parameters along their gradient.
    pub fn step(&self, params: &Var, gradient: &Tensor, learning_rate: f32) -> Result<()> {
        params.inplace_op2(gradient, &Step { sgd: self, learning_rate })
    }
}

struct Step<'a> {
    sgd: &'a Sgd,
    learning_rate: f32,
}

impl InplaceOp2 for Step<'_> {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn cpu_fwd(&self, params: &mut CpuStorage, lp: &Layout, gradient: &CpuStorage, lg: &Layout) -> Result<()> {
        let gradient = clipped(contiguous(gradient, lg)?, self.sgd.clip_norm);
        let (CpuStorage::F32(params), Some((from, to))) = (params, lp.contiguous_offsets()) else {
            candle_core::bail!("parameters are one flat f32 tensor");
        };
        let sgd = self.sgd;
        let mut velocity = sgd.velocity.lock().expect("no thread panics while it holds the velocity");
        let Sgd { momentum, weight_decay, .. } = *sgd;
        let rule = Rule { learning_rate: self.learning_rate, momentum, nesterov: true, weight_decay };
        sgd::step(&mut params[from..to], &gradient, &mut velocity, &rule, &sgd.decayed);
        Ok(())
    }
}

/// The gradient, or one of length `most` in its direction if it is longer.
fn clipped(gradient: &[f32], most: f32) -> Cow<'_, [f32]> {
    let norm = gradient.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>().sqrt() as f32;
    match norm > most {
        true => gradient.iter().map(|g| g * (most / norm)).collect(),
        false => Cow::Borrowed(gradient),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_gradient_keeps_its_direction_and_a_short_one_its_length() {
        assert_eq!(clipped(&[3.0, 4.0], 1.0).as_ref(), [0.6, 0.8]);
        assert_eq!(clipped(&[0.3, 0.4], 1.0).as_ref(), [0.3, 0.4]);
        assert!(clipped(&[f32::NAN], 1.0)[0].is_nan(), "divergence stays visible");
    }
}
