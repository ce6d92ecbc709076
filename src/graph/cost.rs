//! What a network costs: multiply-accumulates, parameters, peak activation RAM and weights flash.

use super::op::Op;
use super::{Folded, Graph, MemoryPlan, NumberFormat};
use crate::units::Bytes;

/// Costs of a network, or of a part of it. Memory is counted as deployed: batch normalisation folded, operators in the
/// order that needs least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Cost {
    /// Multiply-accumulates of all convolutions for one image (the convention of the literature on small networks).
    pub macs: u64,
    /// Multiply-accumulates of linear layers, which `macs` leaves out.
    pub linear_macs: u64,
    /// Trained parameters, batch normalisation included.
    pub params: u64,
    /// Values that are alive at the same time, at most.
    pub peak_elements: u64,
    /// Kernel values stored on the device.
    pub stored_weights: u64,
    /// Per-channel values stored on the device.
    pub stored_biases: u64,
    /// Output channels with weights: each has a scale of its own when quantised.
    pub stored_channels: u64,
}

impl Cost {
    /// The cost of a graph.
    pub fn of(graph: &Graph) -> Self {
        let folded = Folded::of(graph).graph;
        let mut cost = Cost { peak_elements: MemoryPlan::of(&folded).peak_elements as u64, ..Cost::default() };
        for (id, node) in graph.nodes().iter().enumerate() {
            let inputs = graph.input_shapes(id);
            let macs = node.op.macs(&inputs, node.shape);
            match node.op {
                Op::Linear(_) => cost.linear_macs += macs,
                _ => cost.macs += macs,
            }
            let params = node.op.params(&inputs);
            cost.params += params
                .iter()
                .filter(|(role, _)| role.is_trained())
                .map(|(_, dims)| dims.iter().product::<usize>() as u64)
                .sum::<u64>();
        }
        for (id, node) in folded.nodes().iter().enumerate() {
            for (role, dims) in node.op.params(&folded.input_shapes(id)) {
                let values = dims.iter().product::<usize>() as u64;
                match role {
                    super::Role::Weight => {
                        cost.stored_weights += values;
                        cost.stored_channels += dims[0] as u64;
                    }
                    _ => cost.stored_biases += values,
                }
            }
            if let Op::Normalize(_) = node.op {
                cost.stored_biases += 2 * node.shape.channels as u64;
            }
        }
        cost
    }

    /// The cost of this part followed by another one that starts from this part's output alone.
    pub fn then(self, next: Cost) -> Cost {
        Cost {
            macs: self.macs + next.macs,
            linear_macs: self.linear_macs + next.linear_macs,
            params: self.params + next.params,
            peak_elements: self.peak_elements.max(next.peak_elements),
            stored_weights: self.stored_weights + next.stored_weights,
            stored_biases: self.stored_biases + next.stored_biases,
            stored_channels: self.stored_channels + next.stored_channels,
        }
    }

    /// Peak activation RAM.
    pub fn peak_ram(&self, numbers: NumberFormat) -> Bytes {
        Bytes(self.peak_elements * numbers.activation_bytes())
    }

    /// Weights flash.
    pub fn weights_flash(&self, numbers: NumberFormat) -> Bytes {
        Bytes(numbers.stored_bytes(self.stored_weights, self.stored_biases, self.stored_channels))
    }
}
