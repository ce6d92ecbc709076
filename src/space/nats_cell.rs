//! The cell of NAS-Bench-201 and NATS-Bench: four nodes, an operation on each of the six edges between them (Dong and
//! Yang, "NAS-Bench-201", 2020).

use super::blocks::{Blocks, Pushed};
use crate::graph::{Conv2d, GraphError, NodeId};

/// Edges (from, to) in the order of the official text: those into node 1, into node 2, into node 3.
pub(super) const EDGES: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)];
/// Node that is the cell's output.
const OUTPUT: usize = 3;

/// What an edge does to the value of the node it starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NatsOperation {
    /// Zero.
    None,
    /// The value itself; a 1×1 convolution and batch normalisation where the number of channels changes.
    Skip,
    /// ReLU, 1×1 convolution, batch normalisation.
    Conv1x1,
    /// ReLU, 3×3 convolution, batch normalisation.
    Conv3x3,
    /// Mean of a 3×3 window; padding does not count.
    AvgPool3x3,
}

impl NatsOperation {
    /// All operations; an operation's place here is its symbol in a genotype.
    pub const ALL: [NatsOperation; 5] = [
        NatsOperation::None,
        NatsOperation::Skip,
        NatsOperation::Conv1x1,
        NatsOperation::Conv3x3,
        NatsOperation::AvgPool3x3,
    ];

    /// Its official name.
    pub fn name(self) -> &'static str {
        match self {
            NatsOperation::None => "none",
            NatsOperation::Skip => "skip_connect",
            NatsOperation::Conv1x1 => "nor_conv_1x1",
            NatsOperation::Conv3x3 => "nor_conv_3x3",
            NatsOperation::AvgPool3x3 => "avg_pool_3x3",
        }
    }

    /// The operation of an official name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

/// The operations of the six edges, in the order of [`EDGES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Cell(pub [NatsOperation; 6]);

impl Cell {
    pub fn symbols(self) -> Vec<u8> {
        self.0.map(|operation| operation as u8).to_vec()
    }

    /// The cell of six symbols, each less than five.
    pub fn of_symbols(symbols: &[u8]) -> Self {
        let mut cell = Cell([NatsOperation::None; 6]);
        cell.0
            .iter_mut()
            .zip(symbols)
            .for_each(|(operation, symbol)| *operation = NatsOperation::ALL[*symbol as usize]);
        cell
    }

    /// Reads `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let nodes: Vec<&str> = text.trim().split('+').collect();
        if nodes.len() != OUTPUT {
            return Err(format!("{} nodes, expected 3 with `+` between them", nodes.len()));
        }
        let mut operations = [NatsOperation::None; 6];
        let mut edge = 0;
        for (at, node) in nodes.iter().enumerate() {
            let inner = node.strip_prefix('|').and_then(|n| n.strip_suffix('|'));
            let inner = inner.ok_or_else(|| format!("node {} does not stand between `|`", at + 1))?;
            let edges: Vec<&str> = inner.split('|').collect();
            if edges.len() != at + 1 {
                return Err(format!("node {} has {} edges, expected {}", at + 1, edges.len(), at + 1));
            }
            for (from, text) in edges.iter().enumerate() {
                let (name, source) =
                    text.split_once('~').ok_or_else(|| format!("`{text}` is not an operation and its source"))?;
                if source != from.to_string() {
                    return Err(format!("node {} reads `{source}` where `{from}` belongs", at + 1));
                }
                operations[edge] =
                    NatsOperation::named(name).ok_or_else(|| format!("there is no operation `{name}`"))?;
                edge += 1;
            }
        }
        Ok(Cell(operations))
    }

    /// Writes what [`Cell::parse`] reads.
    pub fn format(self) -> String {
        let edge = |at: usize| format!("{}~{}", self.0[at].name(), EDGES[at].0);
        let node = |edges: std::ops::Range<usize>| format!("|{}|", edges.map(edge).collect::<Vec<_>>().join("|"));
        [node(0..1), node(1..3), node(3..6)].join("+")
    }

    /// The cell with `none` on every edge that is on no path from input to output. What is left are the 9,445 cells that
    /// predictors are compared on. A convolution of a node that nothing reaches is taken for zero too, although its batch
    /// normalisation could learn a constant.
    pub fn without_dead_edges(self) -> Self {
        let mut from_input = [true, false, false, false];
        let mut to_output = [false, false, false, true];
        let is_open = |at: &usize| self.0[*at] != NatsOperation::None;
        // Edges are sorted by their end, and each starts before it ends: one pass forwards finds what the input reaches.
        for (from, to) in (0..6).filter(is_open).map(|at| EDGES[at]) {
            from_input[to] |= from_input[from];
        }
        for (from, to) in (0..6).rev().filter(is_open).map(|at| EDGES[at]) {
            to_output[from] |= to_output[to];
        }
        let mut cell = self;
        for (operation, (from, to)) in cell.0.iter_mut().zip(EDGES) {
            if !(from_input[from] && to_output[to]) {
                *operation = NatsOperation::None;
            }
        }
        cell
    }

    /// Whether the output depends on the input.
    pub fn is_connected(self) -> bool {
        self.without_dead_edges().0.iter().any(|operation| *operation != NatsOperation::None)
    }

    /// Pushes the cell, which has no dead edges and is connected. Operations that read the input change the number of
    /// channels.
    pub fn push(self, blocks: &mut Blocks, name: &str, x: NodeId, out: usize) -> Pushed {
        let mut terms: [Vec<NodeId>; 4] = Default::default();
        let mut value = [x; 4];
        for (at, (from, to)) in EDGES.into_iter().enumerate() {
            let edge = format!("{name}.edge{from}{to}");
            terms[to].extend(push_operation(self.0[at], blocks, &edge, value[from], out)?);
            // The last edge into a node completes its sum.
            let is_last = EDGES.get(at + 1).is_none_or(|(_, next)| *next != to);
            if is_last && !terms[to].is_empty() {
                value[to] = blocks.sum(&format!("{name}.node{to}"), &terms[to])?;
            }
        }
        Ok(value[OUTPUT])
    }
}

/// Pushes an operation; `none` has no node.
fn push_operation(
    operation: NatsOperation,
    blocks: &mut Blocks,
    name: &str,
    x: NodeId,
    out: usize,
) -> Result<Option<NodeId>, GraphError> {
    let widens = blocks.shape(x).channels != out;
    match operation {
        NatsOperation::None => return Ok(None),
        NatsOperation::Skip if widens => blocks.conv_norm(name, x, Conv2d::pointwise(out)),
        NatsOperation::Skip => Ok(x),
        NatsOperation::Conv1x1 => blocks.relu_conv_norm(name, x, Conv2d::pointwise(out)),
        NatsOperation::Conv3x3 => blocks.relu_conv_norm(name, x, Conv2d::dense(out, 3)),
        NatsOperation::AvgPool3x3 if widens => {
            let x = blocks.relu_conv_norm(name, x, Conv2d::pointwise(out))?;
            blocks.mean_3x3(name, x)
        }
        NatsOperation::AvgPool3x3 => blocks.mean_3x3(name, x),
    }
    .map(Some)
}

/// The residual block between the stages: two 3×3 convolutions, the first with stride 2, beside a mean of 2×2 windows and
/// a 1×1 convolution.
pub(super) fn push_reduction(blocks: &mut Blocks, name: &str, x: NodeId, out: usize) -> Pushed {
    use crate::graph::{Op, Padding, Pool};
    let strided = Conv2d { stride: 2, ..Conv2d::dense(out, 3) };
    let a = blocks.relu_conv_norm(&format!("{name}.a"), x, strided)?;
    let b = blocks.relu_conv_norm(&format!("{name}.b"), a, Conv2d::dense(out, 3))?;
    let input = blocks.shape(x);
    // The convolution rounds odd sizes up and the window down: a row of padding, which does not count, makes them agree.
    let padding = Padding { bottom: input.height % 2, right: input.width % 2, ..Padding::default() };
    let pool = Pool { kernel: 2, stride: 2, padding };
    let mean = blocks.push(format!("{name}.shortcut.mean"), Op::AvgPool(pool), &[x])?;
    let shortcut = blocks.conv(&format!("{name}.shortcut"), mean, Conv2d::pointwise(out))?;
    blocks.sum(name, &[shortcut, b])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn all_cells() -> impl Iterator<Item = Cell> {
        (0..5usize.pow(6)).map(|n| {
            let symbols: Vec<u8> = (0..6).map(|place| (n / 5usize.pow(place) % 5) as u8).collect();
            Cell::of_symbols(&symbols)
        })
    }

    #[test]
    fn the_text_of_every_cell_reads_back() {
        for cell in all_cells() {
            assert_eq!(Cell::parse(&cell.format()), Ok(cell));
        }
    }

    #[test]
    fn without_dead_edges_the_published_9445_cells_are_left() {
        let canonical: HashSet<Cell> = all_cells().map(Cell::without_dead_edges).collect();
        assert_eq!(canonical.len(), 9_445);
        assert!(canonical.iter().all(|cell| cell.without_dead_edges() == *cell));
        assert_eq!(canonical.iter().filter(|cell| !cell.is_connected()).count(), 1, "all that give zero are one");
    }

    #[test]
    fn a_text_says_what_is_wrong_with_it() {
        let error = |text: &str| Cell::parse(text).unwrap_err();
        assert!(error("|none~0|+|none~0|none~1|").contains("2 nodes"));
        assert!(error("|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|").contains("no operation `conv`"));
        assert!(error("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|").contains("reads `0` where `1`"));
        assert!(error("|none~0|+|none~0|+|none~0|none~1|none~2|").contains("node 2 has 1 edges"));
        assert!(error("none~0|+|none~0|none~1|+|none~0|none~1|none~2|").contains("between `|`"));
    }
}
