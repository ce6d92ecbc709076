//! The one meaning of a network that runs: operators, shapes, cost, memory plan, batch-norm folding and weights as plain
//! arrays. Cost, trainer, proxies and exporter all read this graph; nothing here does input or output.

mod cost;
mod dot;
mod fold;
mod memory;
mod number_format;
mod op;
mod reference;
mod schedule;
mod shape;
mod weights;

pub use cost::Cost;
pub use dot::to_dot;
pub use fold::{BATCH_NORM_EPSILON, Folded};
pub use memory::{Buffer, MemoryPlan, Step};
pub use number_format::NumberFormat;
pub use op::{Conv2d, Crop, Linear, Normalize, Op, Padding, Pool, Role};
pub use reference::run_reference;
pub use schedule::{Deployable, deployable};
pub use shape::Shape;
pub use weights::{Layout, ParamSpec, Weights};

/// Position of a node in its graph; inputs always stand before their consumers.
pub type NodeId = usize;

/// One operator at its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Unique in the graph: `layer2.sep3.dw1`.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Where its inputs come from.
    pub inputs: Vec<NodeId>,
    /// Shape of its output for one image.
    pub shape: Shape,
}

/// A network: nodes in topological order, one input (the first) and one output (the last). Made by [`GraphBuilder`], so
/// all shapes agree and nothing hangs loose.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
}

/// What keeps nodes from being a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The inputs do not suit the operator.
    #[error("node `{node}` ({op}): {reason}")]
    Shape {
        /// Name of the node.
        node: String,
        /// Name of the operator.
        op: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// A value that nothing reads.
    #[error("node `{node}` is not used")]
    Unused {
        /// Name of the node.
        node: String,
    },
    /// Two nodes of one name, two inputs or none.
    #[error("{0}")]
    Structure(String),
}

/// Builds a [`Graph`] node by node; every push checks shapes.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    nodes: Vec<Node>,
}

impl GraphBuilder {
    /// A graph that starts with its image.
    pub fn new(input: Shape) -> Result<Self, GraphError> {
        let mut builder = GraphBuilder::default();
        builder.push("input", Op::Input(input), &[])?;
        Ok(builder)
    }

    /// Adds a node and gives its place.
    pub fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
        let name = name.into();
        let shapes: Vec<Shape> = inputs.iter().map(|i| self.nodes[*i].shape).collect();
        let shape =
            op.output(&shapes).map_err(|reason| GraphError::Shape { node: name.clone(), op: op.name(), reason })?;
        self.nodes.push(Node { name, op, inputs: inputs.to_vec(), shape });
        Ok(self.nodes.len() - 1)
    }

    /// Shape of a node's output.
    pub fn shape(&self, node: NodeId) -> Shape {
        self.nodes[node].shape
    }

    /// The finished graph; its output is the last node pushed.
    pub fn finish(self) -> Result<Graph, GraphError> {
        let mut used = vec![false; self.nodes.len()];
        self.nodes.iter().flat_map(|n| &n.inputs).for_each(|i| used[*i] = true);
        let inputs = self.nodes.iter().filter(|n| matches!(n.op, Op::Input(_))).count();
        if inputs != 1 || !matches!(self.nodes[0].op, Op::Input(_)) {
            return Err(GraphError::Structure(format!("a network has one input, found {inputs}")));
        }
        let mut names = std::collections::HashSet::new();
        if let Some(twice) = self.nodes.iter().find(|n| !names.insert(n.name.as_str())) {
            return Err(GraphError::Structure(format!("two nodes are named `{}`", twice.name)));
        }
        match used[..used.len() - 1].iter().position(|u| !u) {
            Some(loose) => Err(GraphError::Unused { node: self.nodes[loose].name.clone() }),
            None => Ok(Graph { nodes: self.nodes }),
        }
    }
}

impl Graph {
    /// All nodes, inputs before consumers.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// Place of the output.
    pub fn output(&self) -> NodeId {
        self.nodes.len() - 1
    }

    /// Shape of the image.
    pub fn input_shape(&self) -> Shape {
        self.nodes[0].shape
    }

    /// Shape of the output.
    pub fn output_shape(&self) -> Shape {
        self.nodes[self.output()].shape
    }

    /// Shapes that a node reads.
    pub fn input_shapes(&self, id: NodeId) -> Vec<Shape> {
        self.nodes[id].inputs.iter().map(|i| self.nodes[*i].shape).collect()
    }

    /// For each node, who reads it.
    pub fn consumers(&self) -> Vec<Vec<NodeId>> {
        let mut consumers = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|i| consumers[*i].push(id));
        }
        consumers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_does_not_fit_names_the_node() {
        let mut b = GraphBuilder::new(Shape::new(3, 8, 8)).unwrap();
        let error = b.push("fc", Op::Linear(Linear { out: 10, bias: true }), &[0]).unwrap_err();
        assert_eq!(error.to_string(), "node `fc` (linear): takes a vector, got 3×8×8");
    }

    #[test]
    fn a_value_that_nothing_reads_is_refused() {
        let mut b = GraphBuilder::new(Shape::new(3, 8, 8)).unwrap();
        b.push("loose", Op::Relu, &[0]).unwrap();
        b.push("out", Op::Relu6, &[0]).unwrap();
        assert_eq!(b.finish().unwrap_err().to_string(), "node `loose` is not used");
    }
}
