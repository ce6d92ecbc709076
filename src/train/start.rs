//! The weights that a training starts from.

use crate::graph::{Graph, Op, Role, Weights};
use crate::seed;

/// What the classifier's first weights are multiplied by, so that a training starts by guessing all classes alike (Goyal and
/// others, Accurate, Large Minibatch SGD, 2017, §5.1, start with a deviation of .01). The features of the head are all
/// positive: random weights on hundreds of them are first of all a large, wrong preference for some classes. It keeps short
/// trainings from falling to guessing at twice the learning rate (benches/README.md).
const QUIET: f32 = 0.01;

/// Random weights, those of linear layers near zero.
pub(super) fn first_weights(graph: &Graph, seed: u64) -> Weights {
    let mut weights = Weights::init(graph, &mut seed::stream(seed, "weights", 0));
    let is_linear = |node: usize| matches!(graph.node(node).op, Op::Linear(_));
    let layout = weights.layout.clone();
    for spec in layout.specs().filter(|spec| spec.role == Role::Weight && is_linear(spec.node)) {
        weights.values_mut(spec).iter_mut().for_each(|value| *value *= QUIET);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{MacroConfig, MacroSpace};
    use crate::train::logits;

    #[test]
    fn a_training_starts_by_guessing_all_classes_alike() {
        let space = MacroSpace::new(MacroConfig::default().scaled(0.25)).unwrap();
        let graph = space.lower(&space.sample(&mut seed::stream(1, "test", 0)));
        let pixels = (0..graph.input_shape().elements() * 4).map(|i| (i * 37 % 256) as u8).collect();
        let images = crate::data::Images::new(graph.input_shape(), pixels, vec![0; 4]);
        let widest = |weights: &Weights| {
            let logits = logits(&graph, weights, &images);
            logits.iter().fold(0.0f32, |most, logit| most.max(logit.abs()))
        };
        let (first, random) = (first_weights(&graph, 3), Weights::init(&graph, &mut seed::stream(3, "weights", 0)));
        assert!(widest(&first) < 0.02 * widest(&random) && widest(&first) > 0.0);
        assert_eq!(first.buffers, random.buffers);
    }
}
