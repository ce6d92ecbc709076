//! Which nodes of which graphs a message-passing network cannot tell apart.
//!
//! A node's state after a round depends on its state before it and on the states it receives, so nodes that agree in
//! these agree for ever: colour refinement (Weisfeiler and Leman, 1968). Two nodes of one colour are computed once, over
//! all graphs of a batch. In the 36-node graphs of the first seed this turns 720,000 nodes of 20,000 graphs into some
//! thousands of colours.

use std::collections::HashMap;

use crate::space::Dag;

/// Along which edges a node receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Messages {
    /// From the nodes it reads.
    Forward,
    /// From the nodes it reads and the nodes that read it.
    Both,
}

/// What a node is before the first round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) out_degree: u32,
    pub(super) in_degree: u32,
    /// Kind of the node, or 0 where kinds are not looked at.
    pub(super) kind: u8,
}

/// What one round does to the colours.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Of each colour, the colour it had before.
    pub(super) before: Vec<u32>,
    /// Messages, ordered by the colour that receives: (receiving colour, colour before of the sender, weight).
    pub(super) receivers: Vec<u32>,
    pub(super) senders: Vec<u32>,
    pub(super) weights: Vec<f32>,
}

impl Round {
    /// Number of colours after the round.
    pub(super) fn colours(&self) -> usize {
        self.before.len()
    }
}

/// The colours of the nodes of a batch of graphs.
pub(super) struct Colouring {
    pub(super) origins: Vec<Origin>,
    pub(super) rounds: Vec<Round>,
    /// Colour after the last round of each node of each graph, graph after graph.
    pub(super) nodes: Vec<u32>,
}

impl Colouring {
    /// Refines for a number of rounds. With `kinds`, nodes of different kinds differ from the start.
    pub(super) fn of<'a>(
        dags: impl IntoIterator<Item = &'a Dag>,
        messages: Messages,
        kinds: bool,
        rounds: usize,
    ) -> Colouring {
        let mut palette = Palette::new(rounds);
        let mut nodes = Vec::new();
        for dag in dags {
            nodes.extend(palette.colour(dag, messages, kinds));
        }
        Colouring { origins: palette.origins.entries, rounds: palette.rounds, nodes }
    }
}

/// Colours seen so far, by what makes them.
struct Palette {
    origins: Origins,
    /// For each round, from (colour before, sorted colours before of the senders) to the colour after.
    names: Vec<HashMap<Box<[u32]>, u32>>,
    rounds: Vec<Round>,
}

#[derive(Default)]
struct Origins {
    names: HashMap<Origin, u32>,
    entries: Vec<Origin>,
}

impl Origins {
    fn name(&mut self, origin: Origin) -> u32 {
        *self.names.entry(origin).or_insert_with(|| {
            self.entries.push(origin);
            self.entries.len() as u32 - 1
        })
    }
}

impl Palette {
    fn new(rounds: usize) -> Palette {
        Palette {
            origins: Origins::default(),
            names: vec![HashMap::new(); rounds],
            rounds: (0..rounds).map(|_| Round::default()).collect(),
        }
    }

    /// Final colours of one graph's nodes.
    fn colour(&mut self, dag: &Dag, messages: Messages, kinds: bool) -> Vec<u32> {
        let predecessors = dag.predecessors();
        let out_degrees = dag.out_degrees();
        let senders = match messages {
            Messages::Forward => predecessors.clone(),
            Messages::Both => with_successors(&predecessors),
        };
        let origin = |node: usize| Origin {
            out_degree: out_degrees[node] as u32,
            in_degree: predecessors[node].len() as u32,
            kind: if kinds { dag.kinds[node] } else { 0 },
        };
        let origins: Vec<Origin> = (0..dag.len()).map(origin).collect();
        let mut colours: Vec<u32> = origins.iter().map(|origin| self.origins.name(*origin)).collect();
        let mut key = Vec::new();
        for round in 0..self.rounds.len() {
            let before = colours.clone();
            for (node, colour) in colours.iter_mut().enumerate() {
                key.clear();
                key.push(before[node]);
                key.extend(senders[node].iter().map(|sender| before[*sender]));
                key[1..].sort_unstable();
                *colour = match self.names[round].get(key.as_slice()) {
                    Some(known) => *known,
                    None => {
                        let arriving = |s: &usize| (before[*s], weight(messages, origins[*s], origins[node]));
                        self.add(round, &key, senders[node].iter().map(arriving).collect())
                    }
                };
            }
        }
        colours
    }

    /// Names a colour not seen before. Messages from one colour are merged into one.
    fn add(&mut self, round: usize, key: &[u32], mut arriving: Vec<(u32, f32)>) -> u32 {
        let colour = self.rounds[round].before.len() as u32;
        self.names[round].insert(key.into(), colour);
        arriving.sort_unstable_by_key(|(sender, _)| *sender);
        let round = &mut self.rounds[round];
        round.before.push(key[0]);
        for equal in arriving.chunk_by(|a, b| a.0 == b.0) {
            round.receivers.push(colour);
            round.senders.push(equal[0].0);
            round.weights.push(equal.iter().map(|(_, weight)| weight).sum());
        }
        colour
    }
}

/// For each node, its neighbours in both directions.
fn with_successors(predecessors: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut neighbours = predecessors.to_vec();
    for (to, read) in predecessors.iter().enumerate() {
        read.iter().for_each(|from| neighbours[*from].push(to));
    }
    neighbours
}

/// Symmetric normalisation D^−½ A D^−½ (Kipf and Welling, 2017): forward, by the sender's out-degree and the receiver's
/// in-degree; in both directions, by the degrees of the undirected graph.
fn weight(messages: Messages, sender: Origin, receiver: Origin) -> f32 {
    let degrees = match messages {
        Messages::Forward => sender.out_degree * receiver.in_degree,
        Messages::Both => (sender.out_degree + sender.in_degree) * (receiver.out_degree + receiver.in_degree),
    };
    1.0 / (degrees as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::layered;
    use super::*;

    #[test]
    fn chosen_operations_of_a_layer_share_a_colour_and_so_do_lone_nodes() {
        let dag = layered(&[0b000111, 0b100000, 0b111111, 0b000001, 0b011000]);
        let colouring = Colouring::of([&dag], Messages::Forward, false, 5);
        let nodes = &colouring.nodes;
        assert!(nodes[1] == nodes[2] && nodes[2] == nodes[3], "the operations of the first layer");
        assert!(nodes[4] == nodes[5] && nodes[5] == nodes[8], "nodes without edges, in whatever layer");
        assert_ne!(nodes[1], nodes[4]);
        assert_eq!(colouring.rounds[4].colours(), 12, "six joins, five layers of operations, the lone nodes");
    }

    #[test]
    fn with_kinds_operations_differ() {
        let dag = layered(&[0b000111; 5]);
        let colouring = Colouring::of([&dag], Messages::Forward, true, 2);
        assert_ne!(colouring.nodes[1], colouring.nodes[2]);
    }

    #[test]
    fn colours_are_shared_between_graphs() {
        let dags = [layered(&[1; 5]), layered(&[2, 4, 8, 16, 32])];
        let colouring = Colouring::of(&dags, Messages::Both, false, 5);
        assert_eq!(colouring.nodes[1], colouring.nodes[36 + 2], "another operation in the same place");
        let lone_edges = colouring.rounds[4].receivers.len();
        assert!(lone_edges < 2 * colouring.rounds[4].colours(), "equal messages are merged");
    }
}
