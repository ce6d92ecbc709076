//! The picture of a network that a predictor or a generator sees: few nodes, each of one kind, edges forward.

/// A typed directed acyclic graph. Canonical: a space gives the same `Dag` for the same genotype, nodes in topological
/// order, edges sorted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dag {
    /// Kind of each node, an index into the space's vocabulary.
    pub kinds: Vec<u8>,
    /// Edges (from, to) with from < to.
    pub edges: Vec<(usize, usize)>,
}

impl Dag {
    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// For each node, the nodes it reads.
    pub fn predecessors(&self) -> Vec<Vec<usize>> {
        let mut predecessors = vec![Vec::new(); self.len()];
        self.edges.iter().for_each(|(from, to)| predecessors[*to].push(*from));
        predecessors
    }

    /// For each node, how many nodes read it.
    pub fn out_degrees(&self) -> Vec<usize> {
        let mut degrees = vec![0; self.len()];
        self.edges.iter().for_each(|(from, _)| degrees[*from] += 1);
        degrees
    }
}
