//! What forward and backward passes share while a graph becomes commands: buffers of values, gradients and parameters.

use super::command::{Buffer, Life, Place, Tape};
use super::form::{Form, forms, needs_gradient};
use super::tile::ENOUGH_BLOCKS;
use crate::graph::{Graph, Layout, NodeId, Role, Shape};

/// Most bytes of one temporary matrix: larger ones are cut along the images.
const TEMPORARY_BYTES: usize = 32 << 20;

/// Parameters and what accompanies them, on the device.
#[derive(Debug, Clone, Copy)]
pub struct ParamBuffers {
    /// Trained parameters, floats.
    pub params: Buffer,
    /// The same as the kernels read them; equal to `params` if maps are floats.
    pub rounded: Buffer,
    /// Running statistics.
    pub running: Buffer,
    /// Gradient by the trained parameters, floats.
    pub gradient: Buffer,
}

/// A graph that becomes commands.
pub struct Lowering<'g> {
    /// The graph.
    pub graph: &'g Graph,
    /// Where its parameters lie.
    pub layout: Layout,
    /// Images in a step.
    pub batch: usize,
    /// Bytes of a stored value.
    pub stored: usize,
    /// The commands so far.
    pub tape: Tape,
    /// Parameters.
    pub params: ParamBuffers,
    /// The form of each node.
    pub forms: Vec<Form>,
    /// Whether each node needs a gradient.
    pub needs_gradient: Vec<bool>,
    /// Values of stored nodes.
    pub values: Vec<Option<Buffer>>,
    /// Gradients of nodes that have received one.
    pub gradients: Vec<Option<Buffer>>,
    /// Statistics of normalisations, (4, channels): mean, 1 / standard deviation, scale, shift.
    pub statistics: Vec<Option<Buffer>>,
    /// Winners of max pooling.
    pub winners: Vec<Option<Buffer>>,
    /// Numbers that are on the device before the first step.
    pub constants: Vec<(Buffer, Vec<f32>)>,
}

impl<'g> Lowering<'g> {
    /// A graph of which nothing is lowered yet.
    pub fn new(graph: &'g Graph, batch: usize, stored: usize) -> Self {
        let layout = Layout::of(graph);
        let mut tape = Tape::default();
        let mut kept = |bytes: usize| tape.buffer(bytes, Life::Kept);
        let params = kept(layout.trained() * 4);
        let rounded = if stored == 4 { params } else { kept(layout.trained() * stored) };
        let params =
            ParamBuffers { params, rounded, running: kept(layout.buffers() * 4), gradient: kept(layout.trained() * 4) };
        let nodes = graph.nodes().len();
        let (forms, needs_gradient) = (forms(graph), needs_gradient(graph, &layout));
        let none = || vec![None; nodes];
        let (values, gradients, statistics, winners) = (none(), none(), none(), none());
        Lowering {
            graph,
            layout,
            batch,
            stored,
            tape,
            params,
            forms,
            needs_gradient,
            values,
            gradients,
            statistics,
            winners,
            constants: Vec::new(),
        }
    }

    /// Shape of a node's value for one image.
    pub fn shape(&self, id: NodeId) -> Shape {
        self.graph.node(id).shape
    }

    /// Number of values of a node for the whole batch.
    pub fn elements(&self, id: NodeId) -> usize {
        self.batch * self.shape(id).elements()
    }

    /// A new buffer for `elements` stored values.
    pub fn map(&mut self, elements: usize) -> Buffer {
        self.tape.buffer(elements * self.stored, Life::Step)
    }

    /// A new buffer for `len` floats of one step.
    pub fn floats(&mut self, len: usize) -> Buffer {
        self.tape.buffer(len * 4, Life::Step)
    }

    /// A new buffer that is zero before the first step and belongs to one kernel from then on.
    pub fn tickets(&mut self, len: usize) -> Buffer {
        self.tape.buffer(len * 4, Life::Kept)
    }

    /// A buffer that holds numbers from the start.
    pub fn constant(&mut self, values: Vec<f32>) -> Buffer {
        let buffer = self.tape.buffer(values.len() * 4, Life::Kept);
        self.constants.push((buffer, values));
        buffer
    }

    /// A place in a buffer of stored values.
    pub fn at(&self, buffer: Buffer, elements: usize) -> Place {
        buffer.at(elements, self.stored)
    }

    /// The value of a node that is stored.
    pub fn value(&self, id: NodeId) -> Buffer {
        self.values[id].expect("its form is `Stored`, and nodes are lowered in order")
    }

    /// Where the value that a window kernel reads lies, and whether it is read through a rectification.
    pub fn source(&self, input: NodeId) -> (NodeId, bool) {
        match self.forms[input] {
            Form::ReadThrough => (self.graph.node(input).inputs[0], true),
            Form::Stored | Form::Deferred => (input, false),
        }
    }

    fn offset(&self, id: NodeId, role: Role) -> Option<usize> {
        self.layout.find(id, role).map(|spec| spec.offset)
    }

    /// A node's parameter array as floats.
    pub fn param(&self, id: NodeId, role: Role) -> Option<Place> {
        let buffer = if role.is_trained() { self.params.params } else { self.params.running };
        self.offset(id, role).map(|offset| buffer.at(offset, 4))
    }

    /// A node's weights as stored values.
    pub fn weight(&self, id: NodeId) -> Place {
        let offset = self.offset(id, Role::Weight).expect("convolutions and linear layers have weights");
        self.at(self.params.rounded, offset)
    }

    /// Where the gradient by a node's parameter array goes.
    pub fn param_gradient(&self, id: NodeId, role: Role) -> Option<Place> {
        self.offset(id, role).map(|offset| self.params.gradient.at(offset, 4))
    }

    /// Where a gradient for a node goes, and whether it adds to one that is there; none if the node needs none.
    pub fn gradient_for(&mut self, id: NodeId) -> Option<(Buffer, bool)> {
        if !self.needs_gradient[id] {
            return None;
        }
        let found = self.gradients[id];
        let buffer = found.unwrap_or_else(|| self.map(self.elements(id)));
        self.gradients[id] = Some(buffer);
        Some((buffer, found.is_some()))
    }

    /// Images whose temporary matrices of `bytes` each fit together.
    pub fn images_at_once(&self, bytes: usize) -> usize {
        (TEMPORARY_BYTES / bytes.max(1)).clamp(1, self.batch)
    }

    /// How a channel's values over the batch are shared out: (threads of an image, blocks of a channel).
    pub fn channel_blocks(&self, shape: Shape) -> (usize, usize) {
        let lanes = (shape.plane() + 1).next_power_of_two() / 2;
        let lanes = lanes.clamp(1, 256);
        let passes = self.batch.div_ceil(256 / lanes);
        let work = (self.batch * shape.plane()).div_ceil(1024);
        (lanes, (ENOUGH_BLOCKS / shape.channels).clamp(1, passes.min(work)))
    }
}
