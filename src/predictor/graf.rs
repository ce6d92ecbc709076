//! What can be counted in a graph: numbers of operations, lengths of paths, degrees, each for operations of some kinds only.
//! These are the features of GRAF (Kadlecová and others, Surprisingly Strong Performance Prediction with Neural Graph
//! Features, 2024), defined here on any [`Dag`], with what every path has of the kinds beside them.
//!
//! Only nodes on a path from the first node to the last count. The kinds of these two are joins: they are passed without
//! being counted. Every other kind is an operation.

use std::collections::BTreeSet;

use crate::space::Dag;

/// Operations up to which every subset of the kinds has its columns; with more, each kind and all of them.
const SUBSETS_UP_TO: usize = 5;

/// Which columns the graphs of a space get.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graf {
    /// Kinds that are operations.
    operations: Vec<u8>,
    /// Sets of operations, a bit for each; none where each place has its kind, which the genotype then tells.
    subsets: Vec<u32>,
    /// Where every graph has a join, without the first; empty where graphs differ in their kinds.
    joins: Vec<usize>,
}

impl Graf {
    /// The columns for graphs like these.
    pub(super) fn of(dags: &[&Dag]) -> Graf {
        let ends: BTreeSet<u8> = dags.iter().flat_map(|dag| [dag.kinds[0], dag.kinds[dag.len() - 1]]).collect();
        let kinds: BTreeSet<u8> = dags.iter().flat_map(|dag| dag.kinds.iter().copied()).collect();
        // A set has 32 bits; no space here has more than seven kinds.
        let operations: Vec<u8> = kinds.difference(&ends).copied().take(32).collect();
        let count = operations.len() as u32;
        let all = ((1u64 << count) - 1) as u32;
        let is_fixed = dags.iter().all(|dag| dag.kinds == dags[0].kinds);
        let subsets = match operations.len() <= SUBSETS_UP_TO {
            _ if is_fixed => Vec::new(),
            true => (1..=all).collect(),
            false => (0..count).map(|bit| 1 << bit).chain([all]).collect(),
        };
        let is_join = |node: &usize| ends.contains(&dags[0].kinds[*node]);
        let joins = if is_fixed { (1..dags[0].len()).filter(is_join).collect() } else { Vec::new() };
        Graf { operations, subsets, joins }
    }

    /// Whether every graph has the same kinds in the same places, so that a place tells the kind.
    pub(super) fn is_fixed(&self) -> bool {
        !self.joins.is_empty()
    }

    /// For each layer between fixed joins, the places of its nodes in a graph; none where graphs differ in their kinds.
    pub(super) fn layers(&self) -> Vec<std::ops::Range<usize>> {
        let starts = std::iter::once(0).chain(self.joins.iter().copied());
        starts.zip(&self.joins).map(|(start, end)| start + 1..*end).collect()
    }

    /// The columns of a graph: operations of each kind, dead nodes, paths; for each set of kinds the shortest and longest
    /// path within it, the fewest and most on any path, and how many of them read the first node or are read by the last;
    /// where places are fixed, how many nodes each join reads, and the share of each in what the join adds up: operations
    /// that end in batch normalisation are equally loud.
    pub(super) fn row(&self, dag: &Dag) -> Vec<f64> {
        let walk = Walk::of(dag, |kind| self.operations.iter().position(|operation| *operation == kind));
        let mut row = Vec::with_capacity(self.operations.len() + 3 + 6 * self.subsets.len() + 2 * self.joins.len());
        row.extend((0..self.operations.len()).map(|operation| walk.count(1 << operation)));
        row.extend([dag.len() as f64 - walk.live.iter().filter(|live| **live).count() as f64, walk.paths().ln_1p()]);
        let mut sums = Vec::new();
        for subset in &self.subsets {
            row.extend(walk.extremes(*subset, &mut sums));
            row.extend(walk.degrees(*subset));
        }
        for (layer, join) in self.layers().into_iter().zip(&self.joins) {
            let reads = walk.edges.iter().filter(|(_, to)| to == join).count() as f64;
            row.extend([reads, reads.ln_1p()]);
            row.extend(layer.map(|node| f64::from(u8::from(walk.live[node])) / reads.max(1.0)));
        }
        row
    }
}

/// The live part of a graph. Edges are sorted, so one pass over them meets every node after all that it reads.
struct Walk {
    edges: Vec<(usize, usize)>,
    /// The operation of each node as a set of one; none of a join.
    operations: Vec<u32>,
    live: Vec<bool>,
}

impl Walk {
    fn of(dag: &Dag, operation: impl Fn(u8) -> Option<usize>) -> Walk {
        let last = dag.len() - 1;
        let (mut reached, mut reaching) = (vec![false; dag.len()], vec![false; dag.len()]);
        (reached[0], reaching[last]) = (true, true);
        dag.edges.iter().for_each(|(from, to)| reached[*to] |= reached[*from]);
        dag.edges.iter().rev().for_each(|(from, to)| reaching[*from] |= reaching[*to]);
        let live: Vec<bool> = reached.iter().zip(&reaching).map(|(a, b)| *a && *b).collect();
        let edges = dag.edges.iter().copied().filter(|(from, to)| live[*from] && live[*to]).collect();
        let operations = dag.kinds.iter().map(|kind| operation(*kind).map_or(0, |place| 1 << place)).collect();
        Walk { edges, operations, live }
    }

    /// Live nodes of a set of kinds.
    fn count(&self, subset: u32) -> f64 {
        self.operations.iter().zip(&self.live).filter(|(kind, live)| **live && **kind & subset != 0).count() as f64
    }

    fn last(&self) -> usize {
        self.live.len() - 1
    }

    /// Number of paths from the first node to the last.
    fn paths(&self) -> f64 {
        let mut paths = vec![0.0; self.live.len()];
        paths[0] = 1.0;
        self.edges.iter().for_each(|(from, to)| paths[*to] += paths[*from]);
        paths[self.last()]
    }

    /// Operations on the shortest and on the longest path on which all are of the set (where there is none, more than any
    /// path can have, and zero); fewest and most operations of the set on any path. `sums` is room to work in.
    fn extremes(&self, subset: u32, sums: &mut Vec<[i32; 4]>) -> [f64; 4] {
        /// Far more than a graph has nodes.
        const NONE: i32 = 1 << 20;
        sums.clear();
        sums.resize(self.live.len(), [NONE, -NONE, NONE, -NONE]);
        sums[0] = [0; 4];
        for (from, to) in &self.edges {
            let (before, kind) = (sums[*from], self.operations[*to]);
            let (any, own) = (i32::from(kind != 0), i32::from(kind & subset != 0));
            let after = &mut sums[*to];
            if any == own {
                after[0] = after[0].min(before[0] + any);
                after[1] = after[1].max(before[1] + any);
            }
            after[2] = after[2].min(before[2] + own);
            after[3] = after[3].max(before[3] + own);
        }
        let found = sums[self.last()];
        let (within, any) = (found[1] >= 0, found[3] >= 0);
        [
            if within { f64::from(found[0]) } else { self.live.len() as f64 },
            if within { f64::from(found[1]) } else { 0.0 },
            if any { f64::from(found[2]) } else { 0.0 },
            if any { f64::from(found[3]) } else { 0.0 },
        ]
    }

    /// Operations of the set that read the first node, and that the last one reads.
    fn degrees(&self, subset: u32) -> [f64; 2] {
        let counted = |node: usize| self.operations[node] & subset != 0;
        let read_first = self.edges.iter().filter(|(from, to)| *from == 0 && counted(*to)).count();
        let read_by_last = self.edges.iter().filter(|(from, to)| *to == self.last() && counted(*from)).count();
        [read_first as f64, read_by_last as f64]
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::layered;
    use super::*;

    /// Input 0, output 1, operations 2 and 3: one path with 2 then 3, one with 3 alone, and a dead 2.
    fn small() -> Dag {
        Dag { kinds: vec![0, 2, 3, 3, 2, 1], edges: vec![(0, 1), (0, 3), (0, 4), (1, 2), (2, 5), (3, 5)] }
    }

    /// The same with nodes 3 and 4 exchanged.
    fn swapped() -> Dag {
        Dag { kinds: vec![0, 2, 3, 2, 3, 1], edges: vec![(0, 1), (0, 3), (0, 4), (1, 2), (2, 5), (4, 5)] }
    }

    #[test]
    fn paths_degrees_and_counts_are_those_of_the_drawing() {
        let dag = small();
        let graf = Graf::of(&[&dag, &swapped()]);
        // Counts of 2 and 3, dead nodes, ln(1 + two paths).
        let head = [1.0, 2.0, 1.0, 2f64.ln_1p()];
        // For a set: shortest and longest path within, fewest and most on a path, readers of the input, read by the output.
        let twos = [6.0, 0.0, 0.0, 1.0, 1.0, 0.0];
        let threes = [1.0, 1.0, 1.0, 1.0, 1.0, 2.0];
        let both = [1.0, 2.0, 1.0, 2.0, 2.0, 2.0];
        let row = graf.row(&dag);
        assert_eq!(row, [&head[..], &twos, &threes, &both].concat());
    }

    #[test]
    fn a_graph_without_a_path_has_columns_too() {
        let dag = Dag { kinds: vec![0, 2, 1], edges: vec![] };
        let row = Graf::of(&[&dag]).row(&dag);
        assert!(row.iter().all(|value| value.is_finite()));
        assert_eq!(row[..3], [0.0, 3.0 - 0.0, 0.0][..], "nothing is alive");
    }

    #[test]
    fn layers_of_the_first_seed_tell_how_many_operations_they_have() {
        let dags = [layered(&[0b000111, 0b100000, 0b111111, 0b000001, 0b011000]), layered(&[1; 5])];
        let graf = Graf::of(&dags.iter().collect::<Vec<_>>());
        assert!(graf.is_fixed());
        let row = graf.row(&dags[0]);
        let joins: Vec<&[f64]> = row[8..].chunks(8).collect();
        assert_eq!(joins.iter().map(|join| join[0]).collect::<Vec<f64>>(), [3.0, 1.0, 6.0, 1.0, 2.0]);
        assert_eq!(joins[4][2..], [0.0, 0.0, 0.0, 0.5, 0.5, 0.0]);
        assert_eq!(graf.layers(), [1..7, 8..14, 15..21, 22..28, 29..35]);
        assert!((row[7].exp() - 1.0 - 36.0).abs() < 1e-9, "3 · 1 · 6 · 1 · 2 paths");
    }

    #[test]
    fn graphs_that_swap_two_branches_have_one_row() {
        let (a, b) = (small(), swapped());
        let graf = Graf::of(&[&a, &b]);
        assert!(!graf.is_fixed());
        assert_eq!(graf.row(&a), graf.row(&b));
    }
}
