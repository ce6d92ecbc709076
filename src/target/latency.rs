//! Latency of a network as the sum of its operators' times, measured once on a device.

use std::collections::BTreeMap;

use crate::graph::{Graph, NodeId, Op};
use crate::units::Millis;

/// Operator times of one device with one runtime.
///
/// The latency of a network is `offset_ms + scale × Σ operators_ms`. The sum is of operators timed inside whole networks,
/// so fusion by the runtime and warm caches are in it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyModel {
    /// Version of this format.
    pub schema_version: u32,
    /// The runtime with its version.
    pub runtime: String,
    /// The processor.
    pub host: String,
    /// Threads that one network runs on.
    pub threads: usize,
    /// Time of a network without operators.
    pub offset_ms: f64,
    /// Time of a whole network over the sum of its operators.
    pub scale: f64,
    /// Time of each operator when nothing disturbs it, by [`signature`]: with the operator it follows and, averaged, without.
    pub operators_ms: BTreeMap<String, f64>,
    /// Networks timed as a whole.
    pub networks_measured: usize,
    /// Median of |predicted - measured| / measured over the networks that were not used to make the model.
    pub median_relative_error: f64,
    /// Spearman's rank correlation of predicted and measured over the same networks.
    pub spearman: f64,
}

impl LatencyModel {
    /// Version that this code writes.
    pub const SCHEMA_VERSION: u32 = 1;

    /// Latency of a graph as deployed (folded, in plan order); `None` if it has an operator that was never timed.
    pub fn predict(&self, deployable: &Graph) -> Option<Millis> {
        let sum = self.sum_ms(deployable)?;
        Some(Millis((self.offset_ms + self.scale * sum).max(0.0)))
    }

    /// Sum of the operators' times.
    pub fn sum_ms(&self, deployable: &Graph) -> Option<f64> {
        (0..deployable.nodes().len()).map(|id| self.operator_ms(deployable, id)).sum()
    }

    /// The first operator that was never timed.
    pub fn unknown(&self, deployable: &Graph) -> Option<String> {
        let unknown = (0..deployable.nodes().len()).find(|id| self.operator_ms(deployable, *id).is_none())?;
        Some(signature(deployable, unknown))
    }

    fn operator_ms(&self, graph: &Graph, node: NodeId) -> Option<f64> {
        if let Op::Input(_) = graph.node(node).op {
            return Some(0.0);
        }
        let exact = self.operators_ms.get(&Self::signature_in_context(graph, node));
        exact.or_else(|| self.operators_ms.get(&signature(graph, node))).copied()
    }

    /// The signature of an operator that a runtime may fuse with those before it, with their kinds: `relu [16×32×32] →
    /// 16×32×32 after conv2d 1×1`. Other operators cost the same wherever they stand.
    pub fn signature_in_context(graph: &Graph, node: NodeId) -> String {
        let plain = signature(graph, node);
        match &graph.node(node).op {
            Op::Relu | Op::Relu6 | Op::Add | Op::Normalize(_) => {
                let sources: Vec<String> =
                    graph.node(node).inputs.iter().map(|i| graph.node(*i).op.describe()).collect();
                format!("{plain} after {}", sources.join(", "))
            }
            Op::Input(_)
            | Op::Conv2d(_)
            | Op::BatchNorm
            | Op::Concat
            | Op::Crop(_)
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalMean
            | Op::Linear(_) => plain,
        }
    }
}

/// What makes two operators cost the same: kind, settings, shapes. `conv2d 3×3 depthwise [16×32×32] → 16×32×32`.
pub fn signature(graph: &Graph, node: NodeId) -> String {
    let inputs: Vec<String> = graph.input_shapes(node).iter().map(ToString::to_string).collect();
    let node = graph.node(node);
    format!("{} [{}] → {}", node.op.describe(), inputs.join(", "), node.shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2d, GraphBuilder, Shape};

    fn graph(kernel: usize) -> Graph {
        let mut b = GraphBuilder::new(Shape::new(3, 8, 8)).unwrap();
        let conv = b.push("conv", Op::Conv2d(Conv2d::dense(4, kernel)), &[0]).unwrap();
        b.push("relu", Op::Relu, &[conv]).unwrap();
        b.finish().unwrap()
    }

    fn model() -> LatencyModel {
        let operators = [
            ("conv2d 3×3 [3×8×8] → 4×8×8", 2.0),
            ("relu [4×8×8] → 4×8×8", 0.5),
            ("relu [4×8×8] → 4×8×8 after conv2d 3×3", 0.25),
        ];
        LatencyModel {
            schema_version: LatencyModel::SCHEMA_VERSION,
            runtime: "tract".into(),
            host: "test".into(),
            threads: 1,
            offset_ms: 1.0,
            scale: 2.0,
            operators_ms: operators.map(|(key, ms)| (key.to_string(), ms)).into(),
            networks_measured: 0,
            median_relative_error: 0.0,
            spearman: 1.0,
        }
    }

    #[test]
    fn a_prediction_is_the_scaled_sum_of_operators_where_they_stand() {
        assert_eq!(model().predict(&graph(3)), Some(Millis(5.5)));
        let mut elsewhere = model();
        elsewhere.operators_ms.remove("relu [4×8×8] → 4×8×8 after conv2d 3×3");
        assert_eq!(elsewhere.predict(&graph(3)), Some(Millis(6.0)));
    }

    #[test]
    fn an_operator_that_was_never_timed_is_named() {
        assert_eq!(model().predict(&graph(5)), None);
        assert_eq!(model().unknown(&graph(5)).unwrap(), "conv2d 5×5 [3×8×8] → 4×8×8");
        assert_eq!(model().unknown(&graph(3)), None);
    }

    #[test]
    fn a_model_survives_its_file() {
        let text = serde_json::to_string(&model()).unwrap();
        assert_eq!(serde_json::from_str::<LatencyModel>(&text).unwrap(), model());
    }
}
