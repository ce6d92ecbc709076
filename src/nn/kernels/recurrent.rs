//! The gated recurrent unit (Cho and others, 2014) and gated messages over rows of values, forward and backward, with the
//! exponential as a polynomial that compilers turn into vector instructions: the library's takes most of a step's time.

use super::isa::on_each_isa;
use super::simd::Simd;

/// `exp(x)` with a relative error below 3e-7; beyond ±87 it stays at its values there.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts, the first exact in few bits (Cody and Waite).
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and taking away 1.5 · 2²³ rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 87.0);
    let whole = (x * LOG2_E + ROUND) - ROUND;
    let r = x - whole * LN2_HIGH - whole * LN2_LOW;
    // Taylor to the sixth power: |r| is at most ½ ln 2.
    let p = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))))));
    p * f32::from_bits(((whole as i32 + 127) << 23) as u32)
}

#[inline(always)]
fn sigmoid_of(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn tanh_of(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * x))
}

/// One unit on rows of `width` values: gates in the order reset, update, new. `input` and `own` (rows, 3 · width) are what
/// comes from outside and from the state; `gates` (rows, 3 · width) receives the gates after their activations, `next`
/// (rows, width) the next state `new + update * (state - new)` with `new = tanh(input + reset * own)`.
pub fn unit(width: usize, input: &[f32], own: &[f32], state: &[f32], gates: &mut [f32], next: &mut [f32]) {
    assert!(input.len() == own.len() && own.len() == gates.len() && gates.len() == 3 * next.len());
    assert!(state.len() == next.len() && next.len().is_multiple_of(width));
    unit_isa(width, input, own, state, gates, next);
}

on_each_isa! {
    fn unit_isa(width: usize, input: &[f32], own: &[f32], state: &[f32], gates: &mut [f32], next: &mut [f32]) = unit_body
}

#[inline(always)]
fn unit_body<S: Simd>(w: usize, input: &[f32], own: &[f32], state: &[f32], gates: &mut [f32], next: &mut [f32]) {
    let rows = input.chunks_exact(3 * w).zip(own.chunks_exact(3 * w)).zip(state.chunks_exact(w));
    for ((((input, own), state), gates), next) in rows.zip(gates.chunks_exact_mut(3 * w)).zip(next.chunks_exact_mut(w))
    {
        let (sums, new) = gates.split_at_mut(2 * w);
        for ((sum, input), own) in sums.iter_mut().zip(input).zip(own) {
            *sum = sigmoid_of(input + own);
        }
        let (reset, update) = sums.split_at(w);
        for (((new, input), own), reset) in new.iter_mut().zip(&input[2 * w..]).zip(&own[2 * w..]).zip(reset) {
            *new = tanh_of(input + reset * own);
        }
        for (((next, new), update), state) in next.iter_mut().zip(&*new).zip(update).zip(state) {
            *next = new + update * (state - new);
        }
    }
}

/// Gradients of [`unit()`], added to those of `input`, `own` and `state`.
pub fn unit_backward(
    width: usize,
    (own, state, gates): (&[f32], &[f32], &[f32]),
    next: &[f32],
    (to_input, to_own, to_state): (&mut [f32], &mut [f32], &mut [f32]),
) {
    assert!(own.len() == gates.len() && gates.len() == 3 * next.len() && state.len() == next.len());
    assert!(to_input.len() == own.len() && to_own.len() == own.len() && to_state.len() == state.len());
    unit_backward_isa(width, own, state, gates, next, to_input, to_own, to_state);
}

on_each_isa! {
    fn unit_backward_isa(
        width: usize,
        own: &[f32],
        state: &[f32],
        gates: &[f32],
        next: &[f32],
        to_input: &mut [f32],
        to_own: &mut [f32],
        to_state: &mut [f32],
    ) = unit_backward_body
}

#[inline(always)]
fn unit_backward_body<S: Simd>(
    w: usize,
    own: &[f32],
    state: &[f32],
    gates: &[f32],
    next: &[f32],
    to_input: &mut [f32],
    to_own: &mut [f32],
    to_state: &mut [f32],
) {
    for row in 0..next.len() / w {
        let (own, gates) = (&own[row * 3 * w..][..3 * w], &gates[row * 3 * w..][..3 * w]);
        let (state, next) = (&state[row * w..][..w], &next[row * w..][..w]);
        let (to_input, to_own) = (&mut to_input[row * 3 * w..][..3 * w], &mut to_own[row * 3 * w..][..3 * w]);
        let to_state = &mut to_state[row * w..][..w];
        let (reset, rest) = gates.split_at(w);
        let (update, new) = rest.split_at(w);
        let own_new = &own[2 * w..];
        let (in_reset, rest) = to_input.split_at_mut(w);
        let (in_update, in_new) = rest.split_at_mut(w);
        let (own_reset, rest) = to_own.split_at_mut(w);
        let (own_update, to_own_new) = rest.split_at_mut(w);
        for c in 0..w {
            let (r, u, n, g) = (reset[c], update[c], new[c], next[c]);
            to_state[c] += g * u;
            let by_update = g * (state[c] - n) * u * (1.0 - u);
            let by_new = g * (1.0 - u) * (1.0 - n * n);
            let by_reset = by_new * own_new[c] * r * (1.0 - r);
            in_reset[c] += by_reset;
            own_reset[c] += by_reset;
            in_update[c] += by_update;
            own_update[c] += by_update;
            in_new[c] += by_new;
            to_own_new[c] += by_new * r;
        }
    }
}

/// Gated values: rows of `2 · width` become rows of `width`, the second half times the sigmoid of the first. `gates` (rows,
/// width) receives the sigmoids.
pub fn gated(width: usize, input: &[f32], gates: &mut [f32], output: &mut [f32]) {
    assert!(input.len() == 2 * output.len() && gates.len() == output.len());
    gated_isa(width, input, gates, output);
}

on_each_isa! {
    fn gated_isa(width: usize, input: &[f32], gates: &mut [f32], output: &mut [f32]) = gated_body
}

#[inline(always)]
fn gated_body<S: Simd>(w: usize, input: &[f32], gates: &mut [f32], output: &mut [f32]) {
    for ((input, gates), output) in
        input.chunks_exact(2 * w).zip(gates.chunks_exact_mut(w)).zip(output.chunks_exact_mut(w))
    {
        let (opens, values) = input.split_at(w);
        for (((gate, output), open), value) in gates.iter_mut().zip(output).zip(opens).zip(values) {
            *gate = sigmoid_of(*open);
            *output = *gate * value;
        }
    }
}

/// Gradient of [`gated`], added to that of `input`.
pub fn gated_backward(width: usize, input: &[f32], gates: &[f32], output: &[f32], to_input: &mut [f32]) {
    let rows = input.chunks_exact(2 * width).zip(gates.chunks_exact(width)).zip(output.chunks_exact(width));
    for (((input, gates), output), to_input) in rows.zip(to_input.chunks_exact_mut(2 * width)) {
        let values = &input[width..];
        let (to_opens, to_values) = to_input.split_at_mut(width);
        for c in 0..width {
            to_values[c] += output[c] * gates[c];
            to_opens[c] += output[c] * values[c] * gates[c] * (1.0 - gates[c]);
        }
    }
}

/// Hyperbolic tangent of each value.
pub fn tanh(input: &[f32], output: &mut [f32]) {
    assert_eq!(input.len(), output.len());
    tanh_isa(input, output);
}

on_each_isa! {
    fn tanh_isa(input: &[f32], output: &mut [f32]) = tanh_body
}

#[inline(always)]
fn tanh_body<S: Simd>(input: &[f32], output: &mut [f32]) {
    output.iter_mut().zip(input).for_each(|(output, input)| *output = tanh_of(*input));
}

#[cfg(test)]
mod tests {
    use super::super::isa::tests::each;
    use super::super::reference::values;
    use super::*;

    #[test]
    fn the_polynomial_is_the_exponential() {
        for i in -8600..8600 {
            let x = i as f32 / 100.0;
            let truth = f64::from(x).exp();
            assert!((f64::from(exp(x)) / truth - 1.0).abs() < 3e-7, "exp({x}) is {} not {truth}", exp(x));
        }
        assert!(exp(-1e9) < 1e-37 && exp(1e9) > 1e37 && tanh_of(50.0) == 1.0 && tanh_of(-50.0) == -1.0);
    }

    /// The plain definition in double precision.
    fn reference(w: usize, input: &[f32], own: &[f32], state: &[f32]) -> Vec<f64> {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let next = |at: usize| {
            let (row, c) = (at / w, at % w);
            let of = |values: &[f32], gate: usize| f64::from(values[row * 3 * w + gate * w + c]);
            let (reset, update) = (sigmoid(of(input, 0) + of(own, 0)), sigmoid(of(input, 1) + of(own, 1)));
            let new = (of(input, 2) + reset * of(own, 2)).tanh();
            new + update * (f64::from(state[at]) - new)
        };
        (0..state.len()).map(next).collect()
    }

    #[test]
    fn the_unit_is_its_definition_and_its_gradient_the_slope() {
        const W: usize = 19;
        each(|_| {
            let (input, own, state) = (values(6 * W, 1), values(6 * W, 2), values(2 * W, 3));
            let (mut gates, mut next) = (vec![0.0; 6 * W], vec![0.0; 2 * W]);
            unit(W, &input, &own, &state, &mut gates, &mut next);
            for (found, expected) in next.iter().zip(reference(W, &input, &own, &state)) {
                assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
            }
            let weights = values(2 * W, 4);
            let sum = |input: &[f32], own: &[f32], state: &[f32]| -> f64 {
                reference(W, input, own, state).iter().zip(&weights).map(|(n, w)| n * f64::from(*w)).sum()
            };
            let (mut gi, mut go, mut gs) = (vec![0.0; 6 * W], vec![0.0; 6 * W], vec![0.0; 2 * W]);
            unit_backward(W, (&own, &state, &gates), &weights, (&mut gi, &mut go, &mut gs));
            const STEP: f32 = 1e-3;
            let shifted = |values: &[f32], at: usize, by: f32| {
                let mut values = values.to_vec();
                values[at] += by;
                values
            };
            for at in 0..6 * W {
                let slope = |up: f64, down: f64| (up - down) / (2.0 * f64::from(STEP));
                let by_input = slope(
                    sum(&shifted(&input, at, STEP), &own, &state),
                    sum(&shifted(&input, at, -STEP), &own, &state),
                );
                let by_own = slope(
                    sum(&input, &shifted(&own, at, STEP), &state),
                    sum(&input, &shifted(&own, at, -STEP), &state),
                );
                assert!((f64::from(gi[at]) - by_input).abs() < 2e-4, "{} {by_input}", gi[at]);
                assert!((f64::from(go[at]) - by_own).abs() < 2e-4, "{} {by_own}", go[at]);
                if at < 2 * W {
                    let by_state = slope(
                        sum(&input, &own, &shifted(&state, at, STEP)),
                        sum(&input, &own, &shifted(&state, at, -STEP)),
                    );
                    assert!((f64::from(gs[at]) - by_state).abs() < 2e-4, "{} {by_state}", gs[at]);
                }
            }
        });
    }

    #[test]
    fn gated_values_and_their_gradient_follow_the_definition() {
        const W: usize = 21;
        each(|_| {
            let input = values(4 * W, 5);
            let (mut gates, mut output) = (vec![0.0; 2 * W], vec![0.0; 2 * W]);
            gated(W, &input, &mut gates, &mut output);
            let weights = values(2 * W, 6);
            let mut gradient = vec![0.0; 4 * W];
            gated_backward(W, &input, &gates, &weights, &mut gradient);
            for at in 0..2 * W {
                let (row, c) = (at / W, at % W);
                let (open, value) = (input[row * 2 * W + c], input[row * 2 * W + W + c]);
                let gate = 1.0 / (1.0 + (-open).exp());
                assert!((output[at] - gate * value).abs() < 1e-6);
                assert!((gradient[row * 2 * W + W + c] - weights[at] * gate).abs() < 1e-6);
                let by_open = weights[at] * value * gate * (1.0 - gate);
                assert!((gradient[row * 2 * W + c] - by_open).abs() < 1e-6);
            }
        });
    }
}
