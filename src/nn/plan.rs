//! In which order a network runs forward and backward, decided once.
//!
//! Batch normalisation needs the statistics of the whole batch, so it is the only place where images wait for each other.
//! A node's level is the number of normalisations on its way: all nodes of one level run image by image, while the
//! image's values are in the cache, and the batch is looked at between levels only.

use crate::graph::{Graph, Layout, NodeId, Op};

/// A graph's nodes by level, and who writes gradients first.
#[derive(Debug)]
pub(super) struct Plan {
    /// Nodes of each level, in order.
    pub levels: Vec<Vec<NodeId>>,
    /// For each node, the node whose value it reads after a ReLU, if the node itself is such a ReLU that is computed
    /// only within its readers.
    pub virtual_relu: Vec<Option<NodeId>>,
    /// For each node and input, whether its gradient adds to one that is there already.
    pub accumulates: Vec<Vec<bool>>,
    /// Whether a gradient must reach the node.
    pub needs_gradient: Vec<bool>,
    /// Images that run together in each level: many where maps are small.
    pub images_together: Vec<usize>,
    /// For each node, the normalisations that read it.
    pub norms_of: Vec<Vec<NodeId>>,
}

/// Pixels that are enough to keep a kernel busy.
const BUSY_PIXELS: usize = 1024;

impl Plan {
    pub fn of(graph: &Graph, layout: &Layout) -> Self {
        let nodes = graph.nodes();
        let consumers = graph.consumers();
        let virtual_relu: Vec<Option<NodeId>> = nodes
            .iter()
            .enumerate()
            .map(|(id, node)| {
                let fused = node.op == Op::Relu
                    && !consumers[id].is_empty()
                    && consumers[id].iter().all(|c| matches!(graph.node(*c).op, Op::Conv2d(_)));
                fused.then(|| node.inputs[0])
            })
            .collect();
        let mut level = vec![0; nodes.len()];
        let mut needs_gradient = vec![false; nodes.len()];
        for (id, node) in nodes.iter().enumerate() {
            let below = node.inputs.iter().map(|i| level[*i]).max().unwrap_or(0);
            level[id] = below + usize::from(node.op == Op::BatchNorm);
            needs_gradient[id] = node.inputs.iter().any(|i| needs_gradient[*i]) || layout.specs().any(|s| s.node == id);
        }
        let mut levels = vec![Vec::new(); level.iter().max().map_or(0, |l| l + 1)];
        level.iter().enumerate().for_each(|(id, l)| levels[*l].push(id));
        let images_together = levels
            .iter()
            .map(|nodes| {
                let plane = nodes.iter().map(|id| graph.node(*id).shape.plane()).max().unwrap_or(1);
                (BUSY_PIXELS / plane).max(1)
            })
            .collect();
        let mut norms_of = vec![Vec::new(); nodes.len()];
        for (id, node) in nodes.iter().enumerate().filter(|(_, n)| n.op == Op::BatchNorm) {
            norms_of[node.inputs[0]].push(id);
        }
        let mut plan = Plan {
            accumulates: nodes.iter().map(|n| vec![false; n.inputs.len()]).collect(),
            levels,
            virtual_relu,
            needs_gradient,
            images_together,
            norms_of,
        };
        plan.mark_accumulations(graph);
        plan
    }

    /// Where the value that a node reads really lies, and whether it is read through a ReLU.
    pub fn source(&self, input: NodeId) -> (NodeId, bool) {
        match self.virtual_relu[input] {
            Some(before) => (before, true),
            None => (input, false),
        }
    }

    /// Nodes in the order in which the backward pass of a level hands gradients to inputs: normalisations of the level
    /// above first, then the level's own operators.
    pub fn backward_order(&self, graph: &Graph, level: usize) -> Vec<NodeId> {
        let is_norm = |id: &NodeId| graph.node(*id).op == Op::BatchNorm;
        let above = self.levels.get(level + 1).into_iter().flatten().rev().copied().filter(is_norm);
        let own = self.levels[level].iter().rev().copied().filter(|id| !is_norm(id));
        above.chain(own.filter(|id| self.virtual_relu[*id].is_none())).collect()
    }

    fn mark_accumulations(&mut self, graph: &Graph) {
        let mut written = vec![false; graph.nodes().len()];
        for level in (0..self.levels.len()).rev() {
            for id in self.backward_order(graph, level) {
                for (at, input) in graph.node(id).inputs.iter().enumerate() {
                    let (source, _) = self.source(*input);
                    self.accumulates[id][at] = std::mem::replace(&mut written[source], true);
                }
            }
        }
    }
}
