//! Which values of a network are computed as such, and which only within the pass that reads them.

use crate::graph::{Conv2d, Graph, Layout, NodeId, Op, Padding, Shape};

/// Most maps that the `combine` kernel adds up in one pass.
pub const SUM_TERMS: usize = 6;

/// Where the value of a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In a buffer of its own.
    Stored,
    /// Computed by its only reader, in the same pass.
    Deferred,
    /// A rectification that its readers, window kernels, apply to what they read.
    ReadThrough,
}

/// Which kernels compute a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvKind {
    /// Each channel on its own.
    Depthwise,
    /// A matrix product on the maps as they lie.
    Pointwise,
    /// A matrix product on the windows, written out as columns.
    Dense,
}

/// The kernels of a convolution.
pub fn conv_kind(conv: &Conv2d, input: Shape) -> ConvKind {
    let unpadded = conv.padding == Padding::default();
    match conv.is_depthwise(input) {
        true => ConvKind::Depthwise,
        false if conv.kernel == 1 && conv.stride == 1 && conv.groups == 1 && unpadded => ConvKind::Pointwise,
        false => ConvKind::Dense,
    }
}

/// The form of every node.
pub fn forms(graph: &Graph) -> Vec<Form> {
    let consumers = graph.consumers();
    let mut forms = vec![Form::Stored; graph.nodes().len()];
    // Readers first: what a node is depends on what its only reader is.
    for id in (0..graph.nodes().len()).rev() {
        let readers = &consumers[id];
        let only = match readers.as_slice() {
            [one] => Some(&graph.node(*one).op),
            _ => None,
        };
        let reader_is_stored = readers.first().is_some_and(|r| forms[*r] == Form::Stored);
        let rectified = matches!(only, Some(Op::Relu | Op::Relu6)) && reader_is_stored;
        forms[id] = match &graph.node(id).op {
            Op::Relu if !readers.is_empty() && readers.iter().all(|r| reads_windows(graph, *r)) => Form::ReadThrough,
            Op::BatchNorm if rectified || matches!(only, Some(Op::Add)) => Form::Deferred,
            Op::Add if rectified => Form::Deferred,
            Op::Input(_) if matches!(only, Some(Op::Normalize(_))) => Form::Deferred,
            _ => Form::Stored,
        };
    }
    forms
}

/// Whether a node's kernels visit single values, so that they can rectify what they read.
fn reads_windows(graph: &Graph, id: NodeId) -> bool {
    match &graph.node(id).op {
        Op::Conv2d(conv) => conv_kind(conv, graph.input_shapes(id)[0]) != ConvKind::Pointwise,
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
        | Op::GlobalMean
        | Op::Linear(_) => false,
    }
}

/// Whether a gradient must reach each node: whether it or something before it is trained.
pub fn needs_gradient(graph: &Graph, layout: &Layout) -> Vec<bool> {
    let mut needs = vec![false; graph.nodes().len()];
    for (id, node) in graph.nodes().iter().enumerate() {
        needs[id] = node.inputs.iter().any(|i| needs[*i]) || layout.specs().any(|s| s.node == id);
    }
    needs
}
