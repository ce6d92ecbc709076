//! Which operator of the graph the time of an operator of the optimised network belongs to.
//!
//! tract names its operators after those of the file, with suffixes. It fuses the additions and activations after a
//! matrix product into it and names the product after the last of them; its time belongs to the convolution or linear
//! layer that the product came from.

use super::OperatorTime;
use crate::graph::{Graph, NodeId, Op};

/// What tract calls a matrix product.
const MATRIX_PRODUCT: &str = "OptMatMul";

/// Microseconds of each node of the graph; fused and removed ones have none.
pub(super) fn by_node(graph: &Graph, times: &[OperatorTime]) -> Vec<f64> {
    let origins: Vec<Option<NodeId>> = times.iter().map(|time| origin(graph, &time.name)).collect();
    let mut has_product = vec![false; graph.nodes().len()];
    for (time, origin) in times.iter().zip(&origins) {
        if let (MATRIX_PRODUCT, Some(origin)) = (time.op.as_str(), origin) {
            has_product[*origin] |= multiplies(&graph.node(*origin).op);
        }
    }
    let mut by_node = vec![0.0; graph.nodes().len()];
    for (time, origin) in times.iter().zip(origins) {
        let Some(mut node) = origin else { continue };
        if time.op == MATRIX_PRODUCT && !multiplies(&graph.node(node).op) {
            node = fused_product(graph, node, &has_product).unwrap_or(node);
            has_product[node] = true;
        }
        by_node[node] += time.time_us;
    }
    by_node
}

/// The node whose name, alone or before a suffix, is the longest that the operator's name starts with.
fn origin(graph: &Graph, name: &str) -> Option<NodeId> {
    let fits = |node: &str| name.strip_prefix(node).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let nodes = graph.nodes().iter().enumerate().filter(|(_, node)| fits(&node.name));
    nodes.max_by_key(|(_, node)| node.name.len()).map(|(id, _)| id)
}

/// Going back through what can be fused, the nearest matrix product that has not been found yet.
fn fused_product(graph: &Graph, from: NodeId, found: &[bool]) -> Option<NodeId> {
    let mut front = vec![from];
    while !front.is_empty() {
        let sources: Vec<NodeId> = front.iter().flat_map(|id| graph.node(*id).inputs.iter().copied()).collect();
        if let Some(product) = sources.iter().find(|id| multiplies(&graph.node(**id).op) && !found[**id]) {
            return Some(*product);
        }
        front = sources.into_iter().filter(|id| fuses(&graph.node(*id).op)).collect();
        front.dedup();
    }
    None
}

fn multiplies(op: &Op) -> bool {
    match op {
        Op::Conv2d(_) | Op::Linear(_) => true,
        Op::Input(_)
        | Op::Normalize(_)
        | Op::BatchNorm
        | Op::Relu
        | Op::Relu6
        | Op::Add
        | Op::Concat
        | Op::Crop(_)
        | Op::MaxPool(_)
        | Op::AvgPool(_)
        | Op::GlobalMean => false,
    }
}

fn fuses(op: &Op) -> bool {
    match op {
        Op::Normalize(_) | Op::BatchNorm | Op::Relu | Op::Relu6 | Op::Add => true,
        Op::Input(_)
        | Op::Conv2d(_)
        | Op::Concat
        | Op::Crop(_)
        | Op::MaxPool(_)
        | Op::AvgPool(_)
        | Op::GlobalMean
        | Op::Linear(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2d, GraphBuilder, Shape};

    fn time(name: &str, op: &str, time_us: f64) -> OperatorTime {
        OperatorTime { name: name.into(), op: op.into(), time_us, share: 0.0 }
    }

    #[test]
    fn a_fused_product_belongs_to_its_convolution() {
        let mut b = GraphBuilder::new(Shape::new(4, 8, 8)).unwrap();
        let left = b.push("left", Op::Conv2d(Conv2d::pointwise(4)), &[0]).unwrap();
        let right = b.push("right", Op::Conv2d(Conv2d::pointwise(4)), &[0]).unwrap();
        let sum = b.push("sum", Op::Add, &[left, right]).unwrap();
        b.push("sum.relu", Op::Relu, &[sum]).unwrap();
        let graph = b.finish().unwrap();
        let times = [
            time("image", "Source", 9.0),
            time("left.pack", "OptMatMulPack", 1.0),
            time("left", MATRIX_PRODUCT, 2.0),
            time("right.pack", "OptMatMulPack", 4.0),
            time("sum.relu.low.prefused", MATRIX_PRODUCT, 8.0),
        ];
        assert_eq!(by_node(&graph, &times), [0.0, 3.0, 12.0, 0.0, 0.0]);
    }
}
