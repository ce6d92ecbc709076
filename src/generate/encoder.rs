//! From graphs to points of the latent space: messages along the edges and against them, all states read by position.

use super::config::VaeConfig;
use super::plan::{Batch, Plan};
use super::recurrence::{Recurrence, Spoken};
use super::tape::{Id, Tape};
use super::weights::{Block, WeightLayout};

/// Weights of the encoder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Encoder {
    along: Recurrence,
    against: Recurrence,
    mean: Block,
    mean_bias: Block,
    log_variance: Block,
    log_variance_bias: Block,
}

impl Encoder {
    pub fn new(layout: &mut WeightLayout, plan: &Plan, config: &VaeConfig) -> Self {
        let states = 2 * plan.nodes() * config.hidden;
        Encoder {
            along: Recurrence::new(layout, "encoder.along", plan, config.hidden),
            against: Recurrence::new(layout, "encoder.against", plan, config.hidden),
            mean: layout.map("encoder.mean", states, config.latent),
            mean_bias: layout.bias("encoder.mean_bias", config.latent),
            log_variance: layout.map("encoder.log_variance", states, config.latent),
            log_variance_bias: layout.bias("encoder.log_variance_bias", config.latent),
        }
    }

    /// Mean and logarithm of the variance of each graph, both (graphs, latent).
    pub fn apply(&self, tape: &mut Tape, plan: &Plan, batch: &Batch) -> (Id, Id) {
        let levels = plan.levels.len();
        let along = states(&self.along, tape, plan, batch, 0..levels);
        let against = states(&self.against, tape, plan, &batch.reversed(), (0..levels).rev());
        let of_node = |node: usize, states: &[Option<Id>]| {
            let level = plan.level_of[node];
            let first = (node - plan.levels[level].start) * batch.graphs;
            (states[level].expect("every level was computed"), first)
        };
        let parts = (0..plan.nodes()).flat_map(|node| [of_node(node, &along), of_node(node, &against)]).collect();
        let all = tape.beside(batch.graphs, parts);
        let mean = tape.linear(all, self.mean, Some(self.mean_bias), None);
        (mean, tape.linear(all, self.log_variance, Some(self.log_variance_bias), None))
    }
}

/// States of all levels, by level.
fn states(
    recurrence: &Recurrence,
    tape: &mut Tape,
    plan: &Plan,
    batch: &Batch,
    order: impl Iterator<Item = usize>,
) -> Vec<Option<Id>> {
    let (mut spoken, mut states) = (Spoken::default(), vec![None; plan.levels.len()]);
    for level in order {
        let state = recurrence.step(tape, plan, batch, level, &mut spoken, None);
        recurrence.speak(tape, plan, batch, level, state, &mut spoken);
        states[level] = Some(state);
    }
    states
}
