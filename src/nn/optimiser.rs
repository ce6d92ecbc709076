//! Optimisers over flat buffers, each in one pass: stochastic gradient descent with Nesterov momentum, and AdamW.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::kernels::{adamw, sgd};
use super::network_op::contiguous;
use crate::graph::{self, Role};

/// How parameters move along their gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Method {
    /// Stochastic gradient descent with Nesterov momentum (Sutskever et al., 2013).
    Sgd {
        /// Share of the velocity that a step keeps.
        momentum: f64,
    },
    /// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
    AdamW {
        /// Decay of the mean of gradients.
        beta1: f64,
        /// Decay of the mean of squared gradients.
        beta2: f64,
    },
}

impl Method {
    /// Numbers that are remembered from step to step for so many parameters: the velocity, or both means and the number
    /// of steps.
    pub fn state_len(self, params: usize) -> usize {
        match self {
            Method::Sgd { .. } => params,
            Method::AdamW { .. } => 2 * params + 1,
        }
    }
}

/// Added to the root of mean squared gradients, as PyTorch does.
pub(super) const EPSILON: f32 = 1e-8;

/// An optimiser and what it remembers. Batch normalisation and biases do not decay.
pub struct Optimiser {
    method: Method,
    clip_norm: f32,
    weight_decay: f32,
    /// Where weight decay acts.
    decayed: Vec<Range<usize>>,
    state: Mutex<Vec<f32>>,
}

impl Optimiser {
    /// An optimiser at rest. A gradient longer than `clip_norm` is shortened to it (Pascanu et al., 2013).
    pub fn new(layout: &graph::Layout, method: Method, weight_decay: f32, clip_norm: f32) -> Self {
        let weights = layout.specs().filter(|s| s.role == Role::Weight);
        let decayed = weights.map(|s| s.offset..s.offset + s.elements()).collect();
        let state = Mutex::new(vec![0.0; method.state_len(layout.trained())]);
        Optimiser { method, clip_norm, weight_decay, decayed, state }
    }

    /// What it remembers, for a checkpoint.
    pub fn state(&self) -> Vec<f32> {
        self.locked().clone()
    }

    /// Goes on from a checkpoint's state.
    pub fn set_state(&self, state: Vec<f32>) {
        *self.locked() = state;
    }

    fn locked(&self) -> MutexGuard<'_, Vec<f32>> {
        self.state.lock().expect("no thread panics while it holds the state")
    }

    /// One step of flat parameters along their gradient.
    pub fn step(&self, params: &Var, gradient: &Tensor, learning_rate: f32) -> Result<()> {
        params.inplace_op2(gradient, &Step { optimiser: self, learning_rate })
    }

    /// [`Optimiser::step`] on plain arrays; the gradient is shortened if it is too long.
    pub(super) fn step_flat(&self, params: &mut [f32], gradient: &[f32], learning_rate: f32) {
        let gradient = &*clipped(gradient, self.clip_norm);
        let (mut state, weight_decay) = (self.locked(), self.weight_decay);
        match self.method {
            Method::Sgd { momentum } => {
                let rule = sgd::Rule { learning_rate, momentum: momentum as f32, nesterov: true, weight_decay };
                sgd::step(params, gradient, &mut state, &rule, &self.decayed);
            }
            Method::AdamW { beta1, beta2 } => {
                let (mean, rest) = state.split_at_mut(params.len());
                let (square, steps) = rest.split_at_mut(params.len());
                // Whole numbers are exact in f32 up to 16 million; the correction is 1 long before.
                steps[0] += 1.0;
                let (beta1, beta2, step) = (beta1 as f32, beta2 as f32, steps[0] as u32);
                let rule = adamw::Rule { learning_rate, beta1, beta2, epsilon: EPSILON, weight_decay, step };
                adamw::step(params, gradient, mean, square, &rule, &self.decayed);
            }
        }
    }
}

struct Step<'a> {
    optimiser: &'a Optimiser,
    learning_rate: f32,
}

impl InplaceOp2 for Step<'_> {
    fn name(&self) -> &'static str {
        "optimiser"
    }

    fn cpu_fwd(&self, params: &mut CpuStorage, lp: &Layout, gradient: &CpuStorage, lg: &Layout) -> Result<()> {
        let gradient = contiguous(gradient, lg)?;
        let (CpuStorage::F32(params), Some((from, to))) = (params, lp.contiguous_offsets()) else {
            candle_core::bail!("parameters are one flat f32 tensor");
        };
        self.optimiser.step_flat(&mut params[from..to], gradient, self.learning_rate);
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

    #[test]
    fn adamw_goes_on_from_its_state() {
        use crate::graph::{GraphBuilder, Linear, Op, Shape};
        let mut b = GraphBuilder::new(Shape::new(5, 1, 1)).unwrap();
        b.push("linear", Op::Linear(Linear { out: 3, bias: true }), &[0]).unwrap();
        let layout = graph::Layout::of(&b.finish().unwrap());
        let new = || Optimiser::new(&layout, Method::AdamW { beta1: 0.9, beta2: 0.999 }, 0.1, 10.0);
        let gradient: Vec<f32> = (0..layout.trained()).map(|i| (i % 7) as f32 - 3.0).collect();
        let step = |optimiser: &Optimiser, params: &mut Vec<f32>| optimiser.step_flat(params, &gradient, 0.01);
        let (whole, mut expected) = (new(), vec![1.0; layout.trained()]);
        (0..3).for_each(|_| step(&whole, &mut expected));
        let (first, mut params) = (new(), vec![1.0; layout.trained()]);
        (0..2).for_each(|_| step(&first, &mut params));
        let second = new();
        second.set_state(first.state());
        step(&second, &mut params);
        assert_eq!(params, expected);
    }
}
