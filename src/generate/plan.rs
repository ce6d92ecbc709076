//! Graphs of a space side by side: which nodes can be computed together, and graphs as rows of arrays.

use crate::space::{Codec, Dag, Edge};

/// What all graphs of a space have in common. A level is a run of nodes none of which can read another of them: levels
/// follow one another, the nodes of one are computed together for all graphs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub codec: Codec,
    pub levels: Vec<std::ops::Range<usize>>,
    /// Level of each node.
    pub level_of: Vec<usize>,
    /// Pairs (from, to) whose edge a decoder has to choose, by `to`, then `from`.
    pub choices: Vec<(usize, usize)>,
}

/// Nodes that a set of what one reads can hold.
pub(super) const MOST_NODES: usize = 128;

impl Plan {
    pub fn of(codec: Codec) -> Plan {
        let nodes = codec.nodes();
        let mut levels: Vec<std::ops::Range<usize>> = Vec::new();
        for node in 0..nodes {
            match levels.last_mut() {
                Some(level) if !level.clone().any(|from| codec.is_ever_there(from, node)) => level.end += 1,
                _ => levels.push(node..node + 1),
            }
        }
        let level_of = levels.iter().enumerate().flat_map(|(at, level)| level.clone().map(move |_| at)).collect();
        let pairs = (0..nodes).flat_map(|to| (0..to).map(move |from| (from, to)));
        let choices = pairs.filter(|(from, to)| codec.is_ever_free(*from, *to)).collect();
        Plan { codec, levels, level_of, choices }
    }

    pub fn nodes(&self) -> usize {
        self.codec.nodes()
    }

    /// Row of a node of a graph among the rows of its level.
    pub fn row(&self, node: usize, graph: usize, graphs: usize) -> u32 {
        ((node - self.levels[self.level_of[node]].start) * graphs + graph) as u32
    }

    /// Places in `choices` of the edges into the nodes of a level.
    pub fn choices_into(&self, level: usize) -> Vec<usize> {
        (0..self.choices.len()).filter(|at| self.level_of[self.choices[*at].1] == level).collect()
    }

    /// The graph, and what was open at each choice that leads to it.
    pub fn record(&self, dag: &Dag) -> Record {
        let mut begun = Dag { kinds: Vec::new(), edges: Vec::new() };
        let mut record = Record {
            kinds: dag.kinds.clone(),
            reads: vec![0; dag.len()],
            open_kinds: Vec::with_capacity(dag.len()),
            open_edges: vec![None; self.choices.len()],
        };
        dag.edges.iter().for_each(|(from, to)| record.reads[*to] |= 1 << from);
        let mut choice = 0;
        for to in 0..dag.len() {
            record.open_kinds.push(self.codec.next_kinds(&begun));
            begun.kinds.push(dag.kinds[to]);
            for from in 0..to {
                let there = record.reads[to] >> from & 1 == 1;
                if self.choices.get(choice) == Some(&(from, to)) {
                    record.open_edges[choice] = (self.codec.edge(&begun, from) == Edge::Free).then_some(there);
                    choice += 1;
                }
                if there {
                    begun.edges.push((from, to));
                }
            }
        }
        record
    }
}

/// A graph with what a decoder could have chosen otherwise.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub kinds: Vec<u8>,
    /// For each node, the set of those that it reads.
    pub reads: Vec<u128>,
    /// For each node, the set of kinds that it could have had.
    pub open_kinds: Vec<u32>,
    /// For each choice of the plan, whether the edge is there, if it was open.
    pub open_edges: Vec<Option<bool>>,
}

/// Some graphs, node by node: the first node of every graph, then the second.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Batch {
    pub graphs: usize,
    /// (nodes, graphs).
    pub kinds: Vec<u8>,
    /// (nodes, graphs).
    pub reads: Vec<u128>,
}

impl Batch {
    /// Graphs of so many nodes that are not decided yet.
    pub fn empty(nodes: usize, graphs: usize) -> Batch {
        Batch { graphs, kinds: vec![0; nodes * graphs], reads: vec![0; nodes * graphs] }
    }

    pub fn of(records: &[&Record], nodes: usize) -> Batch {
        let mut batch = Batch::empty(nodes, records.len());
        for (graph, record) in records.iter().enumerate() {
            for node in 0..nodes {
                batch.kinds[node * records.len() + graph] = record.kinds[node];
                batch.reads[node * records.len() + graph] = record.reads[node];
            }
        }
        batch
    }

    /// The same graphs with every edge turned round.
    pub fn reversed(&self) -> Batch {
        let mut reversed = Batch { reads: vec![0; self.reads.len()], ..self.clone() };
        for (at, set) in self.reads.iter().enumerate() {
            let (node, graph) = (at / self.graphs, at % self.graphs);
            for from in members(*set) {
                reversed.reads[from * self.graphs + graph] |= 1 << node;
            }
        }
        reversed
    }
}

/// Members of a set, from the smallest on.
pub(super) fn members(mut set: u128) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let next = (set != 0).then(|| set.trailing_zeros() as usize);
        set &= set.wrapping_sub(1);
        next
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;
    use crate::space::Space;

    fn plan(name: &str) -> (Space, Plan) {
        let space = Space::named(name).unwrap();
        let codec = Codec::of(&space).unwrap();
        (space, Plan::of(codec))
    }

    #[test]
    fn what_cannot_read_one_another_is_one_level() {
        assert_eq!(plan("enas6").1.levels.len(), 8);
        assert_eq!(plan("nats-tss").1.levels, [0..1, 1..3, 3..6, 6..7, 7..8]);
        assert_eq!(plan("macro").1.levels.len(), 11, "the operations of a layer are computed together");
        assert_eq!((plan("enas6").1.choices.len(), plan("nas-bench-101").1.choices.len()), (15, 21));
    }

    #[test]
    fn a_record_keeps_the_graph_and_reversal_turns_edges() {
        let (space, plan) = plan("nas-bench-101");
        let mut rng = seed::stream(1, "test", 0);
        for _ in 0..100 {
            let dag = space.dag(&space.sample(&mut rng));
            let record = plan.record(&dag);
            assert!(record.open_kinds.iter().zip(&dag.kinds).all(|(open, kind)| open >> kind & 1 == 1));
            let batch = Batch::of(&[&record], plan.nodes());
            let turned = batch.reversed();
            for (from, to) in &dag.edges {
                assert!(batch.reads[*to] >> from & 1 == 1 && turned.reads[*from] >> to & 1 == 1);
            }
            assert_eq!(turned.reversed(), batch);
        }
    }
}
