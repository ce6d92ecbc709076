//! A network that remembers what training forgets: the values and gradients of chosen nodes, over a whole batch.

use super::net::{Net, Workspace};
use crate::graph::{Graph, NodeId};

impl Net {
    /// Plans a graph for training, but so that the values of some nodes outlive the forward pass and the gradients by the
    /// outputs of some nodes outlive the backward pass.
    ///
    /// # Panics
    /// If one of `values` is a ReLU that is computed only within its readers: ask for the node that it reads.
    pub fn keeping(graph: &Graph, values: &[NodeId], gradients: &[NodeId]) -> Self {
        let mut net = Net::new(graph);
        let plan = &mut net.plan;
        let without = |lists: &mut [Vec<NodeId>], kept: &[NodeId]| {
            lists.iter_mut().for_each(|list| list.retain(|id| !kept.contains(id)));
        };
        for id in values {
            assert!(plan.virtual_relu[*id].is_none(), "node {id} has a value of its own");
            plan.value_is_local[*id] = false;
        }
        for lists in [&mut plan.forgotten_forward, &mut plan.forgotten_backward, &mut plan.recomputed] {
            without(lists, values);
        }
        gradients.iter().for_each(|id| plan.gradient_is_local[*id] = false);
        without(&mut plan.gradients_forgotten, gradients);
        net
    }

    /// Values (image, channel, row, column) of a node that is kept, after [`Net::forward`].
    pub fn value(&self, id: NodeId, w: &Workspace) -> Vec<f32> {
        let elements = self.graph.node(id).shape.elements();
        w.chunks.iter().flat_map(|chunk| &chunk.values[id][..chunk.images * elements]).copied().collect()
    }

    /// Gradient (image, channel, row, column) by the output of a node that is kept, after [`Net::backward`]; zeros if the
    /// output of the network does not depend on it through anything that is trained.
    pub fn gradient(&self, id: NodeId, w: &Workspace) -> Vec<f32> {
        let elements = self.graph.node(id).shape.elements();
        let of_chunk = |chunk: &super::state::Chunk| match chunk.gradients[id].is_empty() {
            true => vec![0.0; chunk.images * elements],
            false => chunk.gradients[id][..chunk.images * elements].to_vec(),
        };
        w.chunks.iter().flat_map(of_chunk).collect()
    }
}
