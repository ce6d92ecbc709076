//! The decode direction of a space, one choice at a time: which kinds the next node of a [`Dag`] may have and which edges
//! into it are open. Whoever keeps to these masks ends with a network of the space, whatever was chosen.

use std::collections::HashMap;

use super::nats_cell::EDGES;
use super::{Dag, Space, SpaceError};

/// What is known of an edge before it is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// It cannot be there.
    No,
    /// It must be there.
    Yes,
    /// Either gives a network.
    Free,
}

/// The masks of a space. Nodes are decided in their order, each with its kind first, then the edges into it from the
/// first node on.
#[derive(Debug, Clone, PartialEq)]
pub struct Codec {
    rules: Rules,
    nodes: usize,
    kinds: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Rules {
    /// Six layers that read the one before and any others.
    Enas6,
    /// For each beginning of a cell's operations, the kinds that can come next. Operations decide all edges.
    NatsTss(HashMap<Vec<u8>, u32>),
    /// At most nine edges, every vertex on a path.
    NasBench101,
    /// Stages of four layers in a chain, of which the last two may be absent.
    MobileNetV3,
    /// Layers of six operations; at least one reads the layer's input.
    Macro,
}

/// Kinds of the first and the last node of cells.
const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
/// `enas6`: kinds of operations.
const ENAS_OPERATIONS: std::ops::Range<u8> = 2..8;
/// `nas-bench-101`: a vertex that is not there, then the operations.
const NO_VERTEX: u8 = 2;
const VERTEX_OPERATIONS: std::ops::Range<u8> = 3..6;
const MOST_EDGES: usize = 9;
/// `mobilenet-v3`: a layer that is not there, then kernels with expansions; layers of a stage and how many it has at least.
const NO_LAYER: u8 = 2;
const MOBILE_LAYERS: std::ops::Range<u8> = 3..12;
const STAGE_LAYERS: usize = 4;
const LEAST_LAYERS: usize = 2;
/// `macro`: nodes of a layer, its input first.
const LAYER_NODES: usize = 7;

impl Codec {
    /// Spaces that have one.
    pub const SPACES: [&str; 5] = ["enas6", "nats-tss", "nas-bench-101", "macro", "mobilenet-v3"];

    /// The masks of a space.
    ///
    /// # Errors
    /// If the space has none.
    pub fn of(space: &Space) -> Result<Codec, SpaceError> {
        let (rules, nodes) = match space {
            Space::Enas6(_) => (Rules::Enas6, 8),
            Space::NatsTss(space) => (Rules::NatsTss(beginnings(&|dag| space.genotype_of(dag).is_ok())), 8),
            Space::NasBench101(_) => (Rules::NasBench101, 7),
            Space::Macro(space) => (Rules::Macro, LAYER_NODES * space.config().layers.len() + 1),
            Space::MobileNetV3(_) => (Rules::MobileNetV3, 22),
            Space::NasBenchMacro(_) | Space::NatsSss(_) => return Err(SpaceError::NoCodec { space: space.name() }),
        };
        Ok(Codec { rules, nodes, kinds: space.vocabulary() })
    }

    /// Nodes of every graph of the space.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Number of kinds of a node.
    pub fn kinds(&self) -> usize {
        self.kinds
    }

    /// Kinds that the next node may have, a bit for each; never none if all choices so far kept to the masks.
    pub fn next_kinds(&self, begun: &Dag) -> u32 {
        let (at, last) = (begun.len(), self.nodes - 1);
        let one_of = |kinds: std::ops::Range<u8>| kinds.map(|kind| 1 << kind).sum::<u32>();
        match &self.rules {
            Rules::Macro => 1 << (at % LAYER_NODES),
            _ if at == 0 => 1 << INPUT,
            _ if at == last => 1 << OUTPUT,
            Rules::Enas6 => one_of(ENAS_OPERATIONS),
            Rules::NatsTss(next) => next.get(&begun.kinds[1..]).copied().unwrap_or(0),
            Rules::MobileNetV3 => {
                let layer = (at - 1) % STAGE_LAYERS;
                let may_end = layer >= LEAST_LAYERS;
                let ended = may_end && begun.kinds[at - 1] == NO_LAYER;
                let end = if may_end { 1 << NO_LAYER } else { 0 };
                end | if ended { 0 } else { one_of(MOBILE_LAYERS) }
            }
            Rules::NasBench101 => {
                let ended = begun.kinds[at - 1] == NO_VERTEX;
                // Another vertex takes an edge at least, from a loose one, and is loose itself.
                let fits = !ended && Load::of(begun, at).edges() < MOST_EDGES;
                1 << NO_VERTEX | if fits { one_of(VERTEX_OPERATIONS) } else { 0 }
            }
        }
    }

    /// The edge from a node to the last one begun. Edges from earlier nodes are decided, those from later ones are not.
    pub fn edge(&self, begun: &Dag, from: usize) -> Edge {
        let to = begun.len() - 1;
        match &self.rules {
            Rules::Enas6 if from + 1 == to => Edge::Yes,
            Rules::Enas6 if to == self.nodes - 1 => Edge::No,
            Rules::Enas6 => Edge::Free,
            Rules::NatsTss(_) => known(nats_reads(&begun.kinds, from, to)),
            Rules::MobileNetV3 => known(from + 1 == to),
            Rules::NasBench101 => self.vertex_edge(begun, from, to),
            Rules::Macro => macro_edge(begun, from, to),
        }
    }

    /// What people call a kind.
    pub fn kind_name(&self, kind: u8) -> &'static str {
        const ENAS: [&str; 8] = ["input", "output", "conv 3", "sep 3", "conv 5", "sep 5", "mean 3", "max 3"];
        const NATS: [&str; 7] = ["input", "output", "none", "skip", "conv 1", "conv 3", "mean 3"];
        const CELL: [&str; 6] = ["input", "output", "absent", "conv 3", "conv 1", "max 3"];
        const LAYER: [&str; 7] = ["sum", "skip", "sep 3", "sep 5", "sep 7", "dil 3", "dil 5"];
        const MOBILE: [&str; 12] = [
            "input", "output", "absent", "k3 e3", "k3 e4", "k3 e6", "k5 e3", "k5 e4", "k5 e6", "k7 e3", "k7 e4",
            "k7 e6",
        ];
        let names: &[&str] = match &self.rules {
            Rules::Enas6 => &ENAS,
            Rules::NatsTss(_) => &NATS,
            Rules::NasBench101 => &CELL,
            Rules::Macro => &LAYER,
            Rules::MobileNetV3 => &MOBILE,
        };
        names.get(usize::from(kind)).copied().unwrap_or("?")
    }

    /// Whether some graph leaves the edge open: what a decoder has to learn.
    pub fn is_ever_free(&self, from: usize, to: usize) -> bool {
        match &self.rules {
            Rules::Enas6 => from + 1 < to && to < self.nodes - 1,
            Rules::NatsTss(_) | Rules::MobileNetV3 => false,
            Rules::NasBench101 => from < to,
            Rules::Macro => from.is_multiple_of(LAYER_NODES) && from < to && to < from + LAYER_NODES,
        }
    }

    /// Whether some graph has the edge.
    pub fn is_ever_there(&self, from: usize, to: usize) -> bool {
        match &self.rules {
            Rules::Enas6 => from + 1 == to || self.is_ever_free(from, to),
            Rules::NatsTss(_) => {
                // With the same operation everywhere, what can be read is read.
                nats_reads(&[INPUT, 3, 3, 3, 3, 3, 3, OUTPUT], from, to)
            }
            Rules::NasBench101 => from < to,
            Rules::MobileNetV3 => from + 1 == to,
            Rules::Macro => {
                let layer_end = (from / LAYER_NODES + 1) * LAYER_NODES;
                self.is_ever_free(from, to) || (!from.is_multiple_of(LAYER_NODES) && to == layer_end)
            }
        }
    }

    fn vertex_edge(&self, begun: &Dag, from: usize, to: usize) -> Edge {
        let is_output = to == self.nodes - 1;
        if begun.kinds[to] == NO_VERTEX || begun.kinds[from] == NO_VERTEX {
            return Edge::No;
        }
        let load = Load::of(begun, to);
        // An edge from a loose vertex takes the place of the one that it would need later.
        let own = usize::from(!is_output);
        let may_take = |from: usize| load.edges() + own + usize::from(!load.loose[from]) <= MOST_EDGES;
        if is_output && load.loose[from] {
            return Edge::Yes;
        }
        let has_input = begun.edges.iter().any(|(_, end)| *end == to);
        let has_other = has_input || (from + 1..to).any(|later| begun.kinds[later] != NO_VERTEX);
        match (may_take(from), is_output || has_other) {
            (true, true) => Edge::Free,
            (true, false) => Edge::Yes,
            (false, _) => Edge::No,
        }
    }
}

/// Edges that a cell under construction has and will need.
struct Load {
    used: usize,
    /// Vertices that nothing reads yet.
    loose: Vec<bool>,
}

impl Load {
    /// Of the vertices before `to`, with what `to` reads so far.
    fn of(begun: &Dag, to: usize) -> Load {
        let degrees = begun.out_degrees();
        let loose = (0..to).map(|vertex| begun.kinds[vertex] != NO_VERTEX && degrees[vertex] == 0).collect();
        Load { used: begun.edges.len(), loose }
    }

    fn edges(&self) -> usize {
        self.used + self.loose.iter().filter(|loose| **loose).count()
    }
}

fn known(there: bool) -> Edge {
    if there { Edge::Yes } else { Edge::No }
}

/// Kind of the operation `none`, which stands alone.
const NATS_NONE: u8 = 2;

/// Whether node `to` of a cell reads node `from`: input, six operations in the order of the text, output.
fn nats_reads(kinds: &[u8], from: usize, to: usize) -> bool {
    let ends = |node: usize| match node {
        0 => Some((0, 0)),
        7 => Some((3, 3)),
        operation => (kinds[operation] != NATS_NONE).then_some(EDGES[operation - 1]),
    };
    // An operation reads what ends where it starts; the input is read, the output reads.
    match (ends(from), ends(to)) {
        (Some((_, end)), Some((start, _))) => from < to && end == start && (from, to) != (0, 7),
        _ => false,
    }
}

/// For each beginning of a valid cell's operations the kinds that can follow.
fn beginnings(is_cell: &dyn Fn(&Dag) -> bool) -> HashMap<Vec<u8>, u32> {
    const OPERATIONS: usize = 5;
    let mut next: HashMap<Vec<u8>, u32> = HashMap::new();
    for number in 0..OPERATIONS.pow(EDGES.len() as u32) {
        let operation = |at: usize| (number / OPERATIONS.pow(at as u32) % OPERATIONS) as u8 + NATS_NONE;
        let inner: Vec<u8> = (0..EDGES.len()).map(operation).collect();
        let kinds = [&[INPUT], inner.as_slice(), &[OUTPUT]].concat();
        let pairs = (0..kinds.len()).flat_map(|from| (from + 1..kinds.len()).map(move |to| (from, to)));
        let edges = pairs.filter(|(from, to)| nats_reads(&kinds, *from, *to)).collect();
        if is_cell(&Dag { kinds, edges }) {
            for at in 0..inner.len() {
                *next.entry(inner[..at].to_vec()).or_default() |= 1 << inner[at];
            }
        }
    }
    next
}

/// Layers: the operations that read a layer's input are read by the next one's.
fn macro_edge(begun: &Dag, from: usize, to: usize) -> Edge {
    let reads = |from: usize, to: usize| begun.edges.contains(&(from, to));
    match to % LAYER_NODES {
        0 => known(from / LAYER_NODES + 1 == to / LAYER_NODES && reads(to - LAYER_NODES, from)),
        operation if from == to - operation => {
            let has_another = (from + 1..to).any(|other| reads(from, other));
            let is_last = operation == LAYER_NODES - 1;
            if is_last && !has_another { Edge::Yes } else { Edge::Free }
        }
        _ => Edge::No,
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::seed;

    fn walk(
        codec: &Codec,
        mut kind: impl FnMut(usize, u32) -> u8,
        mut edge: impl FnMut(usize, usize, Edge) -> bool,
    ) -> Dag {
        let mut dag = Dag { kinds: Vec::new(), edges: Vec::new() };
        for to in 0..codec.nodes() {
            let allowed = codec.next_kinds(&dag);
            assert_ne!(allowed, 0, "there is always a kind");
            dag.kinds.push(kind(to, allowed));
            for from in 0..to {
                if edge(from, to, codec.edge(&dag, from)) {
                    dag.edges.push((from, to));
                }
            }
        }
        dag.edges.sort_unstable();
        dag
    }

    #[test]
    fn whatever_keeps_to_the_masks_is_a_network() {
        for name in Codec::SPACES {
            let space = Space::named(name).unwrap();
            let codec = Codec::of(&space).unwrap();
            for index in 0..500 {
                let (mut a, mut b) = (seed::stream(1, name, index), seed::stream(2, name, index));
                let density = a.random_range(0.0..1.0);
                let draw = |_, allowed: u32| loop {
                    let kind = a.random_range(0..codec.kinds() as u8);
                    if allowed >> kind & 1 == 1 {
                        return kind;
                    }
                };
                let dag = walk(&codec, draw, |from, to, edge| {
                    assert!(edge != Edge::Free || codec.is_ever_free(from, to), "{name}");
                    assert!(edge == Edge::No || codec.is_ever_there(from, to), "{name} {from} {to}");
                    edge == Edge::Yes || edge == Edge::Free && b.random_bool(density)
                });
                let genotype = space.genotype_of(&dag).unwrap_or_else(|e| panic!("{name}: {e} {dag:?}"));
                assert!(name == "nas-bench-101" || space.dag(&genotype) == dag, "{name} is decoded as it was built");
            }
        }
    }

    #[test]
    fn every_network_can_be_built_under_the_masks() {
        for name in Codec::SPACES {
            let space = Space::named(name).unwrap();
            let codec = Codec::of(&space).unwrap();
            let mut rng = seed::stream(3, "test", 0);
            for _ in 0..500 {
                let dag = space.dag(&space.sample(&mut rng));
                let built = walk(
                    &codec,
                    |at, allowed| {
                        assert_eq!(allowed >> dag.kinds[at] & 1, 1, "{name}: {dag:?}");
                        dag.kinds[at]
                    },
                    |from, to, edge| match edge {
                        Edge::No => false,
                        Edge::Yes => true,
                        Edge::Free => dag.edges.contains(&(from, to)),
                    },
                );
                assert_eq!(built, dag, "{name}");
            }
        }
    }

    #[test]
    fn a_space_without_masks_says_so() {
        let error = Codec::of(&Space::named("nats-sss").unwrap()).unwrap_err().to_string();
        assert!(error.contains("`nats-sss`") && error.contains("enas6"), "{error}");
    }
}
