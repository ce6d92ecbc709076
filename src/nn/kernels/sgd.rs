//! One step of stochastic gradient descent over flat buffers.

use std::ops::Range;

use super::isa::on_each_isa;
use super::simd::Simd;

/// How parameters move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    pub learning_rate: f32,
    pub momentum: f32,
    /// Looks ahead along the momentum (Sutskever et al. 2013), in the form that PyTorch uses.
    pub nesterov: bool,
    pub weight_decay: f32,
}

/// Moves `params` against `grads`: `g = grad + decay * p; v = momentum * v + g; p -= rate * (nesterov ? g + momentum *
/// v : v)`, as PyTorch does with dampening 0. Weight decay acts inside the ranges of `decayed` (ascending, disjoint)
/// only: scales, shifts and biases stand outside.
pub fn step(params: &mut [f32], grads: &[f32], velocity: &mut [f32], rule: &Rule, decayed: &[Range<usize>]) {
    assert!(grads.len() == params.len() && velocity.len() == params.len());
    let plain = Rule { weight_decay: 0.0, ..*rule };
    let mut at = 0;
    for range in decayed.iter().cloned().chain(std::iter::once(params.len()..params.len())) {
        for (part, rule) in [(at..range.start, &plain), (range.clone(), rule)] {
            step_part(&mut params[part.clone()], &grads[part.clone()], &mut velocity[part], rule);
        }
        at = range.end;
    }
}

on_each_isa! {
    fn step_part(params: &mut [f32], grads: &[f32], velocity: &mut [f32], rule: &Rule) = step_body
}

#[inline(always)]
fn step_body<S: Simd>(params: &mut [f32], grads: &[f32], velocity: &mut [f32], rule: &Rule) {
    let Rule { learning_rate, momentum, nesterov, weight_decay } = *rule;
    // One formula for both kinds, so that the loop has no branch: `ahead * g + along * v`.
    let (ahead, along) = if nesterov { (1.0, momentum) } else { (0.0, 1.0) };
    for ((p, g), v) in params.iter_mut().zip(grads).zip(velocity) {
        let g = g + weight_decay * *p;
        *v = momentum * *v + g;
        *p -= learning_rate * (ahead * g + along * *v);
    }
}

#[cfg(test)]
mod tests {
    use super::super::isa::tests::each;
    use super::*;

    /// Two steps of `torch.optim.SGD` written out by hand, p = 1, gradient 0.5.
    #[test]
    fn two_steps_are_those_of_pytorch() {
        each(|_| {
            for (nesterov, expected) in [(false, [0.875, 0.6375]), (true, [0.7625, 0.42375])] {
                let rule = Rule { learning_rate: 0.25, momentum: 0.9, nesterov, weight_decay: 0.0 };
                let (mut p, mut v) = ([1.0f32], [0.0]);
                for e in expected {
                    step(&mut p, &[0.5], &mut v, &rule, &[]);
                    assert!((p[0] - e).abs() < 1e-6, "nesterov {nesterov}: {} instead of {e}", p[0]);
                }
            }
        });
    }

    #[test]
    fn weight_decay_acts_inside_its_ranges_only() {
        let rule = Rule { learning_rate: 1.0, momentum: 0.0, nesterov: false, weight_decay: 0.5 };
        each(|_| {
            let (mut p, mut v) = ([1.0; 40], [0.0; 40]);
            step(&mut p, &[0.0; 40], &mut v, &rule, &[2..5, 7..30]);
            for (i, p) in p.iter().enumerate() {
                let decayed = (2..5).contains(&i) || (7..30).contains(&i);
                assert_eq!(*p, if decayed { 0.5 } else { 1.0 }, "parameter {i}");
            }
        });
    }
}
