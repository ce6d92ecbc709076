//! One step of AdamW over flat buffers.

use std::ops::Range;

use super::isa::on_each_isa;
use super::simd::Simd;

/// How parameters move: Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    pub learning_rate: f32,
    /// Decay of the mean of gradients.
    pub beta1: f32,
    /// Decay of the mean of squared gradients.
    pub beta2: f32,
    pub epsilon: f32,
    pub weight_decay: f32,
    /// Steps taken, this one included.
    pub step: u32,
}

/// Moves `params` as `torch.optim.AdamW` does: `p -= rate * decay * p; m = beta1 * m + (1 - beta1) * g; v = beta2 * v +
/// (1 - beta2) * g²; p -= rate * m̂ / (√v̂ + epsilon)`, with `m̂` and `v̂` corrected for their start at zero. Weight decay
/// acts inside the ranges of `decayed` (ascending, disjoint) only.
pub fn step(
    params: &mut [f32],
    grads: &[f32],
    mean: &mut [f32],
    square: &mut [f32],
    rule: &Rule,
    decayed: &[Range<usize>],
) {
    assert!(grads.len() == params.len() && mean.len() == params.len() && square.len() == params.len());
    let plain = Rule { weight_decay: 0.0, ..*rule };
    let mut at = 0;
    for range in decayed.iter().cloned().chain(std::iter::once(params.len()..params.len())) {
        for (part, rule) in [(at..range.start, &plain), (range.clone(), rule)] {
            let (p, g) = (&mut params[part.clone()], &grads[part.clone()]);
            step_part(p, g, &mut mean[part.clone()], &mut square[part], rule);
        }
        at = range.end;
    }
}

on_each_isa! {
    fn step_part(params: &mut [f32], grads: &[f32], mean: &mut [f32], square: &mut [f32], rule: &Rule) = step_body
}

#[inline(always)]
fn step_body<S: Simd>(params: &mut [f32], grads: &[f32], mean: &mut [f32], square: &mut [f32], rule: &Rule) {
    let Rule { learning_rate, beta1, beta2, epsilon, weight_decay, step } = *rule;
    let corrected = |beta: f32| (1.0 - f64::from(beta).powi(step as i32)) as f32;
    let (keep, rate) = (1.0 - learning_rate * weight_decay, learning_rate / corrected(beta1));
    let root = 1.0 / corrected(beta2).sqrt();
    for (((p, g), m), v) in params.iter_mut().zip(grads).zip(mean).zip(square) {
        *m = beta1 * *m + (1.0 - beta1) * g;
        *v = beta2 * *v + (1.0 - beta2) * g * g;
        *p = keep * *p - rate * *m / (v.sqrt() * root + epsilon);
    }
}

#[cfg(test)]
mod tests {
    use super::super::isa::tests::each;
    use super::*;

    /// Three steps of `torch.optim.AdamW(lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)` from 1 and -0.5, with
    /// gradients 0.5, -0.25, 2 and 1, 0, -1; printed by PyTorch 2.15.
    #[test]
    fn three_steps_are_those_of_pytorch() {
        let expected = [[0.89, -0.595], [0.8544664, -0.6560558], [0.7788569, -0.6409085]];
        each(|_| {
            let (mut p, mut m, mut v) = ([1.0f32, -0.5], [0.0; 2], [0.0; 2]);
            for (step, (g, expected)) in [[0.5, 1.0], [-0.25, 0.0], [2.0, -1.0]].into_iter().zip(expected).enumerate() {
                let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8);
                let step_number = step as u32 + 1;
                let rule = Rule { learning_rate: 0.1, beta1, beta2, epsilon, weight_decay: 0.1, step: step_number };
                super::step(&mut p, &g, &mut m, &mut v, &rule, &[0..2]);
                for (p, expected) in p.iter().zip(expected) {
                    assert!((p - expected).abs() < 1e-6, "step {step_number}: {p} instead of {expected}");
                }
            }
        });
    }

    #[test]
    fn weight_decay_acts_inside_its_ranges_only() {
        let rule = Rule { learning_rate: 1.0, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.5, step: 1 };
        each(|_| {
            let (mut p, mut m, mut v) = ([1.0; 40], [0.0; 40], [0.0; 40]);
            step(&mut p, &[0.0; 40], &mut m, &mut v, &rule, &[2..5, 7..30]);
            for (i, p) in p.iter().enumerate() {
                let decayed = (2..5).contains(&i) || (7..30).contains(&i);
                assert_eq!(*p, if decayed { 0.5 } else { 1.0 }, "parameter {i}");
            }
        });
    }
}
