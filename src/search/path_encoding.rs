//! The path encoding of BANANAS (White, Neiswanger and Savani, 2021): a bit for each sequence of operations on a way from
//! input to output.

use std::collections::{BTreeMap, BTreeSet};

use crate::space::Dag;

/// Ways of a graph that are looked at, in the order of its edges: where layers multiply them there are thousands.
const MOST_PATHS: usize = 256;

/// The sequences that have a bit.
pub(super) struct PathEncoding {
    columns: BTreeMap<Vec<u8>, usize>,
}

impl PathEncoding {
    /// Bits for all sequences of these graphs.
    pub(super) fn of<'d>(dags: impl Iterator<Item = &'d Dag>) -> Self {
        let all: BTreeSet<Vec<u8>> = dags.flat_map(paths).collect();
        PathEncoding { columns: all.into_iter().zip(0..).collect() }
    }

    /// The bits of a graph; sequences that have none are left out.
    pub(super) fn bits(&self, dag: &Dag) -> Vec<f64> {
        let mut bits = vec![0.0; self.columns.len()];
        paths(dag).iter().filter_map(|path| self.columns.get(path)).for_each(|column| bits[*column] = 1.0);
        bits
    }
}

fn paths(dag: &Dag) -> Vec<Vec<u8>> {
    let last = dag.len() - 1;
    let (mut open, mut found) = (vec![(0, Vec::new())], Vec::new());
    while let Some((node, path)) = open.pop().filter(|_| found.len() < MOST_PATHS) {
        for (_, to) in dag.edges.iter().filter(|(from, _)| *from == node) {
            match *to == last {
                true => found.push(path.clone()),
                false => open.push((*to, [&path[..], &[dag.kinds[*to]]].concat())),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_has_the_bits_of_its_ways() {
        // Input, operations of kinds 2 and 3, output: through both, and past the first.
        let both = Dag { kinds: vec![0, 2, 3, 1], edges: vec![(0, 1), (0, 2), (1, 2), (2, 3)] };
        let one = Dag { kinds: vec![0, 2, 3, 1], edges: vec![(0, 2), (2, 3)] };
        let encoding = PathEncoding::of([&both].into_iter());
        assert_eq!(encoding.bits(&both), [1.0, 1.0]);
        assert_eq!(encoding.bits(&one), [0.0, 1.0], "2 then 3, 3 alone");
        assert!(PathEncoding::of([&one].into_iter()).bits(&both).len() == 1, "what was not known has no bit");
    }
}
