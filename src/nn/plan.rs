//! In which order a network runs forward and backward, and how long its values live, decided once.
//!
//! Batch normalisation needs the statistics of the whole batch, so it is the only place where images wait for each other.
//! A node's level is the number of normalisations on its way: all nodes of one level run image by image, while the
//! image's values are in the cache, and the batch is looked at between levels only. What is read within its level alone
//! needs no memory beyond the images at work: training computes it once more in the backward pass, if it is cheap.

use crate::graph::{Graph, Layout, NodeId, Op};

/// What a network is run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Forward and backward, normalisation by batch statistics.
    Training,
    /// Forward only, normalisation folded away.
    Evaluation,
}

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
    /// Whether the node's value is kept for the images at work only.
    pub value_is_local: Vec<bool>,
    /// Whether the gradient by the node's output is kept for the images at work only.
    pub gradient_is_local: Vec<bool>,
    /// For each level, the values that its backward pass computes once more, in order.
    pub recomputed: Vec<Vec<NodeId>>,
    /// For each level, whose values need no memory after its forward pass.
    pub forgotten_forward: Vec<Vec<NodeId>>,
    /// For each level, whose values need no memory after its backward pass.
    pub forgotten_backward: Vec<Vec<NodeId>>,
    /// For each level, whose gradients its backward pass writes first.
    pub gradients_born: Vec<Vec<NodeId>>,
    /// For each level, whose gradients its backward pass reads last.
    pub gradients_forgotten: Vec<Vec<NodeId>>,
}

/// Pixels that are enough to keep a kernel busy.
const BUSY_PIXELS: usize = 1024;

impl Plan {
    pub fn of(graph: &Graph, layout: &Layout, purpose: Purpose) -> Self {
        let consumers = graph.consumers();
        let virtual_relu = virtual_relus(graph, &consumers);
        let level = levels_of(graph, &consumers, &virtual_relu, purpose);
        let mut levels = vec![Vec::new(); level.iter().max().map_or(0, |l| l + 1)];
        level.iter().enumerate().for_each(|(id, l)| levels[*l].push(id));
        let mut norms_of = vec![Vec::new(); level.len()];
        for (id, node) in graph.nodes().iter().enumerate().filter(|(_, n)| n.op == Op::BatchNorm) {
            norms_of[node.inputs[0]].push(id);
        }
        let per_level = || vec![Vec::new(); levels.len()];
        let mut plan = Plan {
            accumulates: graph.nodes().iter().map(|n| vec![false; n.inputs.len()]).collect(),
            needs_gradient: needs_gradient(graph, layout, &consumers),
            images_together: levels.iter().map(|nodes| images_together(graph, nodes)).collect(),
            value_is_local: vec![false; level.len()],
            gradient_is_local: vec![false; level.len()],
            recomputed: per_level(),
            forgotten_forward: per_level(),
            forgotten_backward: per_level(),
            gradients_born: per_level(),
            gradients_forgotten: per_level(),
            levels,
            virtual_relu,
            norms_of,
        };
        let readers = plan.readers(graph);
        plan.mark_accumulations(graph);
        plan.mark_values(graph, &readers, &level, purpose);
        plan.mark_gradients(graph, &readers, &level);
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

    /// For each node, the nodes that read its value, also through a ReLU.
    fn readers(&self, graph: &Graph) -> Vec<Vec<NodeId>> {
        let mut readers = vec![Vec::new(); graph.nodes().len()];
        for (id, node) in graph.nodes().iter().enumerate().filter(|(id, _)| self.virtual_relu[*id].is_none()) {
            node.inputs.iter().for_each(|input| readers[self.source(*input).0].push(id));
        }
        readers
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

    /// A value lives until the last pass that reads it: within its level if nobody else does and it is cheap to compute
    /// again, through the forward pass if no backward pass reads it, else until that backward pass.
    fn mark_values(&mut self, graph: &Graph, readers: &[Vec<NodeId>], level: &[usize], purpose: Purpose) {
        let mut recomputed = vec![false; level.len()];
        for id in (0..level.len()).rev().filter(|id| self.virtual_relu[*id].is_none() && *id != graph.output()) {
            let read_back = |r: &&NodeId| purpose == Purpose::Training && reads_in_backward(&graph.node(**r).op);
            let last_forward = readers[id].iter().map(|r| level[*r]).max().unwrap_or(level[id]);
            let last_backward = readers[id].iter().filter(read_back).map(|r| hands_on(graph, level, *r)).min();
            if last_forward == level[id] && (is_cheap(&graph.node(id).op) || last_backward.is_none()) {
                self.value_is_local[id] = true;
                recomputed[id] = last_backward.is_some() || readers[id].iter().any(|r| recomputed[*r]);
                self.forgotten_forward[last_forward].push(id);
                self.forgotten_backward[level[id]].push(id);
            } else if let Some(last) = last_backward {
                self.forgotten_backward[last].push(id);
            } else if readers[id].iter().any(|r| recomputed[*r]) {
                let last = readers[id].iter().map(|r| level[*r]).min().expect("it has readers");
                self.forgotten_backward[last].push(id);
            } else {
                self.forgotten_forward[last_forward].push(id);
            }
        }
        for (of_level, ids) in self.recomputed.iter_mut().zip(&self.levels) {
            of_level.extend(ids.iter().copied().filter(|id| recomputed[*id]));
        }
    }

    /// A gradient lives from the first level that writes it to the last that reads it.
    fn mark_gradients(&mut self, graph: &Graph, readers: &[Vec<NodeId>], level: &[usize]) {
        for id in (0..level.len()).filter(|id| self.needs_gradient[*id] && self.virtual_relu[*id].is_none()) {
            let written = readers[id].iter().map(|r| hands_on(graph, level, *r)).max();
            let last = hands_on(graph, level, id);
            let first = if id == graph.output() { self.levels.len() - 1 } else { written.unwrap_or(last) };
            self.gradient_is_local[id] = first == last && id != graph.output();
            self.gradients_born[first].push(id);
            self.gradients_forgotten[last].push(id);
        }
    }
}

/// In which level's backward pass a node hands gradients to its inputs: a normalisation does so one level below its own.
fn hands_on(graph: &Graph, level: &[usize], id: NodeId) -> usize {
    level[id] - usize::from(graph.node(id).op == Op::BatchNorm)
}

/// ReLUs that only convolutions read: these apply them while they read.
fn virtual_relus(graph: &Graph, consumers: &[Vec<NodeId>]) -> Vec<Option<NodeId>> {
    let of = |(id, node): (NodeId, &crate::graph::Node)| {
        let fused = node.op == Op::Relu
            && !consumers[id].is_empty()
            && consumers[id].iter().all(|c| matches!(graph.node(*c).op, Op::Conv2d(_)));
        fused.then(|| node.inputs[0])
    };
    graph.nodes().iter().enumerate().map(of).collect()
}

/// The level of each node. Cheap nodes wait for their first reader, so that their values need not be kept meanwhile.
fn levels_of(
    graph: &Graph,
    consumers: &[Vec<NodeId>],
    virtual_relu: &[Option<NodeId>],
    purpose: Purpose,
) -> Vec<usize> {
    let nodes = graph.nodes();
    let mut level = vec![0; nodes.len()];
    for (id, node) in nodes.iter().enumerate() {
        let below = node.inputs.iter().map(|i| level[*i]).max().unwrap_or(0);
        // Without normalisations, a level is what has maps of one size.
        let smaller = purpose == Purpose::Evaluation
            && node.inputs.iter().any(|i| 2 * node.shape.plane() <= nodes[*i].shape.plane());
        level[id] = below + usize::from(node.op == Op::BatchNorm || smaller);
    }
    for id in (0..nodes.len()).rev().filter(|id| is_cheap(&nodes[*id].op) || virtual_relu[*id].is_some()) {
        let by = |reader: &NodeId| hands_on(graph, &level, *reader);
        if let (Purpose::Training, Some(first)) = (purpose, consumers[id].iter().map(by).min()) {
            level[id] = first;
        }
    }
    level
}

/// Whether parameters lie before the node and the output after it.
fn needs_gradient(graph: &Graph, layout: &Layout, consumers: &[Vec<NodeId>]) -> Vec<bool> {
    let nodes = graph.nodes();
    let mut trained = vec![false; nodes.len()];
    for (id, node) in nodes.iter().enumerate() {
        trained[id] = node.inputs.iter().any(|i| trained[*i]) || layout.specs().any(|s| s.node == id);
    }
    let mut matters = vec![false; nodes.len()];
    for id in (0..nodes.len()).rev() {
        matters[id] = id == graph.output() || consumers[id].iter().any(|c| matters[*c]);
    }
    trained.iter().zip(matters).map(|(trained, matters)| *trained && matters).collect()
}

fn images_together(graph: &Graph, nodes: &[NodeId]) -> usize {
    let plane = nodes.iter().map(|id| graph.node(*id).shape.plane()).max().unwrap_or(1);
    (BUSY_PIXELS / plane).max(1)
}

/// Whether a value costs less to compute again than to keep: about one operation for each element.
fn is_cheap(op: &Op) -> bool {
    match op {
        Op::Input(_) | Op::Normalize(_) | Op::BatchNorm | Op::Relu | Op::Relu6 | Op::Add | Op::Concat | Op::Crop(_) => {
            true
        }
        Op::Conv2d(_) | Op::MaxPool(_) | Op::AvgPool(_) | Op::GlobalMean | Op::Linear(_) => false,
    }
}

/// Whether the backward pass of an operator reads its input.
fn reads_in_backward(op: &Op) -> bool {
    match op {
        Op::Conv2d(_) | Op::Linear(_) | Op::Relu | Op::Relu6 | Op::BatchNorm => true,
        Op::Input(_)
        | Op::Normalize(_)
        | Op::Add
        | Op::Concat
        | Op::Crop(_)
        | Op::MaxPool(_)
        | Op::AvgPool(_)
        | Op::GlobalMean => false,
    }
}
