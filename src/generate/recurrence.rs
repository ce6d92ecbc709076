//! Asynchronous message passing (Zhang and others, "D-VAE", 2019): a node's state is a gated recurrent unit of its kind and
//! of the gated sum of the states that it reads, each computed once, in topological order.

use super::plan::{Batch, Plan, members};
use super::tape::{Id, Links, Source, Tape};
use super::weights::{Block, WeightLayout};

/// Weights of one direction.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recurrence {
    hidden: usize,
    /// From what a node hears to its gates, (hidden, 3 · hidden).
    own: Block,
    own_bias: Block,
    /// What a kind adds to the gates.
    kind: Block,
    /// What a position adds to the gates.
    position: Block,
    /// From a state to the gate and the value of its message, (hidden, 2 · hidden).
    message: Block,
    /// What a position adds to them: tells readers whom they hear.
    speaker: Block,
}

/// What the levels said so far.
#[derive(Default)]
pub(super) struct Spoken {
    /// By level.
    messages: Vec<Option<Id>>,
}

impl Recurrence {
    pub fn new(layout: &mut WeightLayout, name: &str, plan: &Plan, hidden: usize) -> Self {
        let (nodes, kinds) = (plan.nodes(), plan.codec.kinds());
        Recurrence {
            hidden,
            own: layout.map(&format!("{name}.own"), hidden, 3 * hidden),
            own_bias: layout.bias(&format!("{name}.own_bias"), 3 * hidden),
            kind: layout.table(&format!("{name}.kind"), kinds, 3 * hidden),
            position: layout.table(&format!("{name}.position"), nodes, 3 * hidden),
            message: layout.map(&format!("{name}.message"), hidden, 2 * hidden),
            speaker: layout.table(&format!("{name}.speaker"), nodes, 2 * hidden),
        }
    }

    /// States of a level's nodes, (nodes of the level · graphs, hidden), after those of the levels that they read.
    /// `context` (graphs, 3 · hidden) is added to the gates of every node.
    pub fn step(
        &self,
        tape: &mut Tape,
        plan: &Plan,
        batch: &Batch,
        level: usize,
        spoken: &mut Spoken,
        context: Option<Id>,
    ) -> Id {
        let nodes = plan.levels[level].clone();
        let rows = nodes.len() * batch.graphs;
        let heard = tape.gather(rows, self.hidden, self.heard(plan, batch, level, spoken));
        let own = tape.linear(heard, self.own, Some(self.own_bias), None);
        let kinds = &batch.kinds[nodes.start * batch.graphs..nodes.end * batch.graphs];
        let by_kind = (0..).zip(kinds).map(|(row, kind)| (row, u32::from(*kind))).collect();
        let mut terms =
            vec![(Source::Weights(self.kind), by_kind), (Source::Weights(self.position), by_node(plan, batch, level))];
        terms.extend(context.map(|context| (Source::Value(context), by_graph(rows, batch.graphs))));
        let input = tape.gather(rows, 3 * self.hidden, terms);
        tape.unit(input, own, heard)
    }

    /// Lets the nodes of a level be heard.
    pub fn speak(&self, tape: &mut Tape, plan: &Plan, batch: &Batch, level: usize, states: Id, spoken: &mut Spoken) {
        let rows = plan.levels[level].len() * batch.graphs;
        let links = by_node(plan, batch, level);
        let speakers = tape.gather(rows, 2 * self.hidden, vec![(Source::Weights(self.speaker), links)]);
        let both = tape.linear(states, self.message, None, Some(speakers));
        spoken.messages.resize(plan.levels.len(), None);
        spoken.messages[level] = Some(tape.gated(both));
    }

    fn heard(&self, plan: &Plan, batch: &Batch, level: usize, spoken: &Spoken) -> Vec<(Source, Links)> {
        let mut links: Vec<Vec<(u32, u32)>> = vec![Vec::new(); plan.levels.len()];
        for to in plan.levels[level].clone() {
            for graph in 0..batch.graphs {
                for from in members(batch.reads[to * batch.graphs + graph]) {
                    let pair = (plan.row(to, graph, batch.graphs), plan.row(from, graph, batch.graphs));
                    links[plan.level_of[from]].push(pair);
                }
            }
        }
        let said = spoken.messages.iter().zip(links).filter(|(_, links)| !links.is_empty());
        said.map(|(message, links)| (Source::Value(message.expect("what is read was computed")), links.into()))
            .collect()
    }
}

/// Each row of a level to its node.
pub(super) fn by_node(plan: &Plan, batch: &Batch, level: usize) -> Links {
    let nodes = plan.levels[level].clone();
    let of_node = |node: usize| (0..batch.graphs).map(move |_| node as u32);
    (0..).zip(nodes.flat_map(of_node)).collect()
}

/// Each of so many rows to its graph.
pub(super) fn by_graph(rows: usize, graphs: usize) -> Links {
    (0..rows as u32).map(|row| (row, row % graphs as u32)).collect()
}
