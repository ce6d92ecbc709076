//! What one chunk of a batch holds while a network trains on it: values, gradients and partial sums. Chunks share nothing
//! but parameters and batch statistics, so they run on any number of threads with the same bits.

use std::ops::Range;

use super::kernels::{Scratch, batch_norm, dense, depthwise, elementwise, linear, pointwise, pool};
use super::plan::Plan;
use super::windows::{conv_window, pool_window};
use crate::graph::{Conv2d, Graph, Layout, NodeId, Op, Padding, Role, Shape};

/// Everything that is fixed while a network runs.
pub(super) struct Context<'a> {
    pub graph: &'a Graph,
    pub layout: &'a Layout,
    pub plan: &'a Plan,
    /// Flat trained parameters.
    pub params: &'a [f32],
}

impl Context<'_> {
    pub fn param(&self, node: NodeId, role: Role) -> Option<&[f32]> {
        self.layout.find(node, role).map(|s| &self.params[s.offset..s.offset + s.elements()])
    }

    fn weight(&self, node: NodeId) -> &[f32] {
        self.param(node, Role::Weight).expect("convolutions and linear layers have weights")
    }

    /// Where the value of a node lies in its buffer for a block of images.
    fn value_span(&self, id: NodeId, block: &Range<usize>) -> Range<usize> {
        let shape = self.graph.node(id).shape;
        if self.plan.value_is_local[id] { 0..block.len() * shape.elements() } else { span(shape, block) }
    }

    /// Where the gradient by the output of a node lies in its buffer for a block of images.
    fn gradient_span(&self, id: NodeId, block: &Range<usize>) -> Range<usize> {
        let shape = self.graph.node(id).shape;
        if self.plan.gradient_is_local[id] { 0..block.len() * shape.elements() } else { span(shape, block) }
    }

    /// Values of a buffer for `images` images, or for those at work in the node's level.
    fn room(&self, id: NodeId, local: bool, level: usize, images: usize) -> usize {
        let kept = if local { self.plan.images_together[level].min(images) } else { images };
        kept * self.graph.node(id).shape.elements()
    }
}

/// Statistics of one normalisation over a whole batch, and what follows from them in the backward pass.
#[derive(Debug, Clone, Default)]
pub(super) struct NormState {
    pub mean: Vec<f32>,
    pub inv_std: Vec<f32>,
    /// `y = x * scale + shift`.
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    /// `gx = a * gy + b * x + d`.
    pub a: Vec<f32>,
    pub b: Vec<f32>,
    pub d: Vec<f32>,
}

/// Some consecutive images of a batch.
#[derive(Default)]
pub(super) struct Chunk {
    pub images: usize,
    /// For each node, its output, while it is needed: for all images, or for those at work. Buffers may be longer.
    pub values: Vec<Vec<f32>>,
    /// For each node, the gradient of the loss by its output, while it is needed.
    pub gradients: Vec<Vec<f32>>,
    /// Buffers that hold nothing at present.
    spare: Vec<Vec<f32>>,
    /// For each normalisation, (image, channel) → mean and sum of squared deviations of what it reads.
    pub moments: Vec<Vec<(f32, f32)>>,
    /// For each normalisation, (image, channel) → sums of its backward pass.
    pub sums: Vec<Vec<(f32, f32)>>,
    /// Gradient of the loss by the flat parameters, over this chunk's images.
    pub param_gradient: Vec<f32>,
    /// For each max pooling, which pixel won.
    winners: Vec<Vec<u32>>,
    scratch: Scratch,
}

impl Chunk {
    /// Makes room for `images` images.
    pub fn resize(&mut self, cx: &Context, images: usize, with_gradients: bool) {
        let nodes = cx.graph.nodes();
        self.images = images;
        for all in [&mut self.values, &mut self.gradients] {
            all.resize(nodes.len(), Vec::new());
            self.spare.extend(all.iter_mut().map(std::mem::take).filter(|b| !b.is_empty()));
        }
        for all in [&mut self.moments, &mut self.sums] {
            all.resize(nodes.len(), Vec::new());
        }
        self.winners.resize(nodes.len(), Vec::new());
        for (id, node) in nodes.iter().enumerate() {
            if node.op == Op::BatchNorm {
                self.moments[id].resize(images * node.shape.channels, (0.0, 0.0));
                self.sums[id].resize(images * node.shape.channels, (0.0, 0.0));
            }
            if matches!(node.op, Op::MaxPool(_)) {
                self.winners[id].resize(images * node.shape.elements(), 0);
            }
        }
        if with_gradients {
            self.param_gradient.resize(cx.layout.trained(), 0.0);
        }
    }

    /// Runs the nodes of one level forward on all images.
    pub fn forward_level(&mut self, cx: &Context, level: usize, norms: &[NormState], images: &[f32]) {
        for id in cx.plan.levels[level].iter().filter(|id| cx.plan.virtual_relu[**id].is_none()) {
            self.values[*id] = self.take(cx.room(*id, cx.plan.value_is_local[*id], level, self.images));
        }
        for block in blocks(self.images, cx.plan.images_together[level]) {
            for id in &cx.plan.levels[level] {
                if cx.plan.virtual_relu[*id].is_none() {
                    self.forward(cx, *id, norms, images, block.clone());
                    self.take_moments(cx, *id, block.clone());
                }
            }
        }
        self.forget_values(&cx.plan.forgotten_forward[level]);
    }

    /// A buffer of at least `len` values of any content: the smallest that fits among those that are not much too large.
    fn take(&mut self, len: usize) -> Vec<f32> {
        const MUCH: usize = 4;
        let fits = |b: &Vec<f32>| (len..=MUCH * len).contains(&b.len());
        let fitting = self.spare.iter().enumerate().filter(|(_, b)| fits(b));
        match fitting.min_by_key(|(_, b)| b.len()) {
            Some((at, _)) => self.spare.swap_remove(at),
            None => vec![0.0; len],
        }
    }

    fn forget_values(&mut self, ids: &[NodeId]) {
        self.spare.extend(ids.iter().map(|id| std::mem::take(&mut self.values[*id])).filter(|b| !b.is_empty()));
    }

    fn forward(&mut self, cx: &Context, id: NodeId, norms: &[NormState], images: &[f32], block: Range<usize>) {
        let node = cx.graph.node(id);
        let n = block.len();
        let mut output = std::mem::take(&mut self.values[id]);
        let y = &mut output[cx.value_span(id, &block)];
        let read = |at: usize| {
            let (source, relu) = cx.plan.source(node.inputs[at]);
            let shape = cx.graph.node(source).shape;
            (&self.values[source][cx.value_span(source, &block)], shape, relu)
        };
        match &node.op {
            Op::Input(shape) => y.copy_from_slice(&images[span(*shape, &block)]),
            Op::Normalize(constants) => {
                let scale: Vec<f32> = constants.std.iter().map(|s| 1.0 / s).collect();
                let shift: Vec<f32> = constants.mean.iter().zip(&scale).map(|(m, s)| -m * s).collect();
                batch_norm::apply(node.shape.channels, node.shape.plane(), n, read(0).0, &scale, &shift, y);
            }
            Op::Conv2d(conv) => {
                let (x, shape, relu) = read(0);
                let (weight, bias) = (cx.weight(id), cx.param(id, Role::Bias));
                let (ci, co, plane) = (shape.channels, conv.out, shape.plane());
                let w = conv_window(conv, shape, node.shape);
                match kind(conv, shape) {
                    Kind::Depthwise => depthwise::forward(&w, ci, n, x, relu, weight, bias, y, &mut self.scratch),
                    Kind::Pointwise => {
                        pointwise::forward(ci, co, plane, n, x, relu, weight, bias, y, &mut self.scratch)
                    }
                    Kind::Dense => {
                        dense::forward(&w, ci, co, conv.groups, n, x, relu, weight, bias, y, &mut self.scratch)
                    }
                }
            }
            Op::BatchNorm => {
                let NormState { scale, shift, .. } = &norms[id];
                batch_norm::apply(node.shape.channels, node.shape.plane(), n, read(0).0, scale, shift, y);
            }
            Op::Relu => elementwise::relu(read(0).0, y),
            Op::Relu6 => elementwise::relu6(read(0).0, y),
            Op::Add => {
                let inputs: Vec<&[f32]> = (0..node.inputs.len()).map(|at| read(at).0).collect();
                elementwise::add_many(&inputs, y);
            }
            Op::Concat => {
                let mut first = 0;
                for at in 0..node.inputs.len() {
                    let (x, shape, _) = read(at);
                    for (from, to) in x.chunks(shape.elements()).zip(y.chunks_mut(node.shape.elements())) {
                        to[first..first + shape.elements()].copy_from_slice(from);
                    }
                    first += shape.elements();
                }
            }
            Op::Crop(crop) => {
                let (x, shape, _) = read(0);
                for (row, to) in y.chunks_mut(node.shape.width).enumerate() {
                    let start = cropped_row(row, shape, node.shape, crop.top) + crop.left;
                    to.copy_from_slice(&x[start..start + node.shape.width]);
                }
            }
            Op::MaxPool(p) => {
                let (x, shape, _) = read(0);
                let w = pool_window(p, shape, node.shape);
                let winners = &mut self.winners[id][span(node.shape, &block)];
                pool::max_forward(&w, shape.channels, n, x, y, winners);
            }
            Op::AvgPool(p) => {
                let (x, shape, _) = read(0);
                let w = pool_window(p, shape, node.shape);
                pool::average_forward(&w, shape.channels, n, x, y);
            }
            Op::GlobalMean => {
                let (x, shape, _) = read(0);
                elementwise::global_mean(shape.channels, shape.plane(), n, x, y);
            }
            Op::Linear(layer) => {
                let (x, shape, _) = read(0);
                linear::forward(shape.channels, layer.out, n, x, cx.weight(id), cx.param(id, Role::Bias), y);
            }
        }
        self.values[id] = output;
    }

    /// Takes the moments of a value that a normalisation will read, while it is in the cache.
    fn take_moments(&mut self, cx: &Context, id: NodeId, block: Range<usize>) {
        let shape = cx.graph.node(id).shape;
        let x = &self.values[id][cx.value_span(id, &block)];
        for norm in &cx.plan.norms_of[id] {
            let moments = &mut self.moments[*norm][span(Shape::vector(shape.channels), &block)];
            batch_norm::image_moments(shape.channels, shape.plane(), block.len(), x, moments);
        }
    }

    /// Runs one level backward on all images: gradients go to the inputs of the normalisations above and of the level's
    /// own operators, then the level's own normalisations take their sums.
    pub fn backward_level(
        &mut self,
        cx: &Context,
        order: &[NodeId],
        level: usize,
        norms: &[NormState],
        images: &[f32],
    ) {
        self.make_room_for_gradients(cx, level);
        for id in &cx.plan.recomputed[level] {
            self.values[*id] = self.take(cx.room(*id, true, level, self.images));
        }
        for block in blocks(self.images, cx.plan.images_together[level]) {
            for id in &cx.plan.recomputed[level] {
                self.forward(cx, *id, norms, images, block.clone());
            }
            for id in order.iter().filter(|id| cx.plan.needs_gradient[**id]) {
                self.backward(cx, *id, norms, block.clone());
            }
            for id in cx.plan.levels[level].iter().filter(|id| cx.graph.node(**id).op == Op::BatchNorm) {
                self.take_sums(cx, *id, &norms[*id], &block);
            }
        }
        self.forget_values(&cx.plan.forgotten_backward[level]);
        let gradients = cx.plan.gradients_forgotten[level].iter().map(|id| std::mem::take(&mut self.gradients[*id]));
        self.spare.extend(gradients);
    }

    /// What the backward pass of a normalisation needs of the whole batch.
    fn take_sums(&mut self, cx: &Context, id: NodeId, norm: &NormState, block: &Range<usize>) {
        let node = cx.graph.node(id);
        let (channels, plane) = (node.shape.channels, node.shape.plane());
        let x = &self.values[node.inputs[0]][cx.value_span(node.inputs[0], block)];
        let gy = &self.gradients[id][cx.gradient_span(id, block)];
        let sums = &mut self.sums[id][span(Shape::vector(channels), block)];
        batch_norm::backward_sums(channels, plane, block.len(), x, gy, &norm.mean, &norm.inv_std, sums);
    }

    /// Gives a buffer to each gradient that is first written in the backward pass of `level`, unless it has one.
    pub fn make_room_for_gradients(&mut self, cx: &Context, level: usize) {
        for id in &cx.plan.gradients_born[level] {
            if self.gradients[*id].is_empty() {
                self.gradients[*id] = self.take(cx.room(*id, cx.plan.gradient_is_local[*id], level, self.images));
            }
        }
    }

    fn backward(&mut self, cx: &Context, id: NodeId, norms: &[NormState], block: Range<usize>) {
        let node = cx.graph.node(id);
        let n = block.len();
        let gradient = std::mem::take(&mut self.gradients[id]);
        let gy = &gradient[cx.gradient_span(id, &block)];
        let mut params = std::mem::take(&mut self.param_gradient);
        let param = |role| cx.layout.find(id, role).map(|s| s.offset..s.offset + s.elements());
        for (at, input) in node.inputs.iter().enumerate() {
            let (source, relu) = cx.plan.source(*input);
            let shape = cx.graph.node(source).shape;
            let mut target = std::mem::take(&mut self.gradients[source]);
            // Empty where the operator does not read its input in the backward pass: it may be gone.
            let x = self.values[source].get(cx.value_span(source, &block)).unwrap_or_default();
            let wanted = cx.plan.needs_gradient[source];
            let gx: &mut [f32] = if wanted { &mut target[cx.gradient_span(source, &block)] } else { &mut [] };
            let accumulate = cx.plan.accumulates[id][at];
            let s = &mut self.scratch;
            match &node.op {
                Op::Input(_) | Op::Normalize(_) => {}
                Op::Conv2d(conv) => {
                    let (ci, co, plane) = (shape.channels, conv.out, shape.plane());
                    let w = conv_window(conv, shape, node.shape);
                    let weight = cx.weight(id);
                    let gw = &mut params[param(Role::Weight).expect("a convolution has weights")];
                    let relu_of = relu.then_some(x);
                    match kind(conv, shape) {
                        Kind::Depthwise => {
                            depthwise::backward_weight(&w, ci, n, x, relu, gy, gw, s);
                            if wanted {
                                depthwise::backward_input(&w, ci, n, gy, weight, relu_of, accumulate, gx, s);
                            }
                        }
                        Kind::Pointwise => {
                            pointwise::backward_weight(ci, co, plane, n, x, relu, gy, gw, s);
                            if wanted {
                                pointwise::backward_input(ci, co, plane, n, gy, weight, relu_of, accumulate, gx, s);
                            }
                        }
                        Kind::Dense => {
                            let g = conv.groups;
                            dense::backward_weight(&w, ci, co, g, n, x, relu, gy, gw, s);
                            if wanted {
                                dense::backward_input(&w, ci, co, g, n, gy, weight, relu_of, accumulate, gx, s);
                            }
                        }
                    }
                    if let Some(bias) = param(Role::Bias) {
                        elementwise::bias_gradient(co, node.shape.plane(), n, gy, &mut params[bias]);
                    }
                }
                Op::BatchNorm => {
                    let NormState { a, b, d, .. } = &norms[id];
                    if wanted {
                        batch_norm::backward_apply(shape.channels, shape.plane(), n, x, gy, a, b, d, accumulate, gx);
                    }
                }
                Op::Linear(layer) => {
                    let weight = cx.weight(id);
                    let gw = &mut params[param(Role::Weight).expect("a linear layer has weights")];
                    linear::backward_weight(shape.channels, layer.out, n, x, gy, gw, None);
                    if let Some(bias) = param(Role::Bias) {
                        elementwise::bias_gradient(layer.out, 1, n, gy, &mut params[bias]);
                    }
                    if wanted {
                        linear::backward_input(shape.channels, layer.out, n, gy, weight, accumulate, gx);
                    }
                }
                _ if !wanted => {}
                Op::Relu => elementwise::relu_backward(x, gy, accumulate, gx),
                Op::Relu6 => elementwise::relu6_backward(x, gy, accumulate, gx),
                Op::Add => copy_or_add(gy, accumulate, gx),
                Op::Concat => {
                    let first: usize = node.inputs[..at].iter().map(|i| cx.graph.node(*i).shape.elements()).sum();
                    for (from, to) in gy.chunks(node.shape.elements()).zip(gx.chunks_mut(shape.elements())) {
                        copy_or_add(&from[first..first + shape.elements()], accumulate, to);
                    }
                }
                Op::Crop(crop) => {
                    if !accumulate {
                        gx.fill(0.0);
                    }
                    for (row, from) in gy.chunks(node.shape.width).enumerate() {
                        let start = cropped_row(row, shape, node.shape, crop.top) + crop.left;
                        copy_or_add(from, true, &mut gx[start..start + node.shape.width]);
                    }
                }
                Op::MaxPool(p) => {
                    let w = pool_window(p, shape, node.shape);
                    let winners = &self.winners[id][span(node.shape, &block)];
                    pool::max_backward(&w, shape.channels, n, winners, gy, accumulate, gx);
                }
                Op::AvgPool(p) => {
                    let w = pool_window(p, shape, node.shape);
                    pool::average_backward(&w, shape.channels, n, gy, accumulate, gx);
                }
                Op::GlobalMean => {
                    elementwise::global_mean_backward(shape.channels, shape.plane(), n, gy, accumulate, gx);
                }
            }
            self.gradients[source] = target;
        }
        self.param_gradient = params;
        self.gradients[id] = gradient;
    }
}

fn copy_or_add(from: &[f32], add: bool, to: &mut [f32]) {
    match add {
        true => elementwise::add_assign(to, from),
        false => to.copy_from_slice(from),
    }
}

/// Images `0..images` in blocks of at most `together`.
fn blocks(images: usize, together: usize) -> impl Iterator<Item = Range<usize>> {
    (0..images).step_by(together).map(move |start| start..(start + together).min(images))
}

/// Where the values of a block of images lie.
fn span(shape: Shape, block: &Range<usize>) -> Range<usize> {
    block.start * shape.elements()..block.end * shape.elements()
}

/// Which kernel computes a convolution.
enum Kind {
    Depthwise,
    Pointwise,
    Dense,
}

fn kind(conv: &Conv2d, input: Shape) -> Kind {
    let unpadded = conv.padding == Padding::default();
    match conv.is_depthwise(input) {
        true => Kind::Depthwise,
        false if conv.kernel == 1 && conv.stride == 1 && conv.groups == 1 && unpadded => Kind::Pointwise,
        false => Kind::Dense,
    }
}

/// Where the input row lies that output row `row` (counted over images and channels) of a crop comes from.
fn cropped_row(row: usize, input: Shape, output: Shape, top: usize) -> usize {
    let (map, y) = (row / output.height, row % output.height);
    let (image, channel) = (map / output.channels, map % output.channels);
    ((image * input.channels + channel) * input.height + y + top) * input.width
}
