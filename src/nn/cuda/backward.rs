//! The backward pass as commands: from the gradient by the logits to the gradient by every parameter.

use super::super::kernels::Window;
use super::super::windows::{conv_window, pool_window};
use super::command::{Buffer, Call, MatrixIn, MatrixProduct, Place, args};
use super::dense::Dense;
use super::form::{ConvKind, Form, conv_kind};
use super::forward::{ACT_RELU, ACT_RELU6, DepthwisePlace, FLAG_ACCUMULATE, FLAG_FLIP, FLAG_RELU, window_args};
use super::lowering::Lowering;
use super::tile::Tile;
use crate::graph::{Conv2d, Linear, NodeId, Op, Role};

impl Lowering<'_> {
    /// Lowers the backward pass; `logits_gradient` is the gradient by the output.
    pub fn backward(&mut self, logits_gradient: Buffer) {
        self.gradients[self.graph.output()] = Some(logits_gradient);
        let consumers = self.graph.consumers();
        for id in (0..self.graph.nodes().len()).rev() {
            if self.forms[id] == Form::ReadThrough || !self.needs_gradient[id] {
                continue;
            }
            let gy = self.gradients[id].expect("every value leads to the output");
            self.hand_down(id, gy, &consumers);
        }
    }

    fn hand_down(&mut self, id: NodeId, gy: Buffer, consumers: &[Vec<NodeId>]) {
        let node = self.graph.node(id);
        match &node.op {
            Op::Input(_) | Op::Normalize(_) => {}
            Op::Conv2d(conv) => self.convolution_gradients(id, conv, gy),
            Op::BatchNorm => self.norm_gradients(id, gy),
            Op::Linear(layer) => self.linear_gradients(id, layer, gy),
            Op::Relu => self.relu_gradient(id, gy, ACT_RELU),
            Op::Relu6 => self.relu_gradient(id, gy, ACT_RELU6),
            Op::Add => {
                for input in &node.inputs {
                    // Nothing else reaches the gradient of a value that is read once: it is the sum's own.
                    match consumers[*input].len() {
                        1 if self.needs_gradient[*input] => self.gradients[*input] = Some(gy),
                        _ => self.copy_gradient(*input, gy),
                    }
                }
            }
            Op::Concat => {
                let (row, mut place) = (node.shape.elements(), 0);
                for input in &node.inputs {
                    let len = self.shape(*input).elements();
                    if let Some((gx, accumulate)) = self.gradient_for(*input) {
                        let all = args![gy, row, place, gx, len, 0usize, len, self.batch, accumulate];
                        self.tape.call(Call::each("copy_part", len * self.batch), all);
                    }
                    place += len;
                }
            }
            Op::Crop(_) => {
                let (from, to) = (self.shape(node.inputs[0]), node.shape);
                let planes = self.batch * from.channels;
                if let Some((gx, accumulate)) = self.gradient_for(node.inputs[0]) {
                    let mut all = args![gy, gx, planes, from.channels, to.channels, from.height, from.width];
                    all.extend(args![to.height, to.width, accumulate]);
                    self.tape.call(Call::each("crop_backward", self.elements(node.inputs[0])), all);
                }
            }
            Op::MaxPool(pool) => {
                let winners = self.winners[id].expect("the forward pass is lowered first");
                let w = pool_window(pool, self.shape(node.inputs[0]), node.shape);
                self.pool_gradient(id, &w, "max_pool_backward", vec![winners, gy]);
            }
            Op::AvgPool(pool) => {
                let w = pool_window(pool, self.shape(node.inputs[0]), node.shape);
                self.pool_gradient(id, &w, "avg_pool_backward", vec![gy]);
            }
            Op::GlobalMean => {
                let (input, plane) = (node.inputs[0], self.shape(node.inputs[0]).plane());
                if let Some((gx, accumulate)) = self.gradient_for(input) {
                    let total = self.elements(input);
                    let all = args![gy, gx, total, plane, accumulate];
                    self.tape.call(Call::each("global_mean_backward", total), all);
                }
            }
        }
    }

    fn copy_gradient(&mut self, input: NodeId, gy: Buffer) {
        if let Some((gx, accumulate)) = self.gradient_for(input) {
            let total = self.elements(input);
            self.tape.call(Call::each("copy_or_add", total), args![gy, gx, total, accumulate]);
        }
    }

    fn relu_gradient(&mut self, id: NodeId, gy: Buffer, act: usize) {
        if let Some((gx, accumulate)) = self.gradient_for(self.graph.node(id).inputs[0]) {
            let total = self.elements(id);
            self.tape.call(Call::each("relu_backward", total), args![self.value(id), gy, gx, total, act, accumulate]);
        }
    }

    fn pool_gradient(&mut self, id: NodeId, w: &Window, kernel: &str, read: Vec<Buffer>) {
        let input = self.graph.node(id).inputs[0];
        if let Some((gx, accumulate)) = self.gradient_for(input) {
            let mut all: Vec<_> = read.into_iter().map(Into::into).collect();
            all.extend(args![gx, self.batch * self.shape(input).channels]);
            all.extend(window_args(w));
            all.extend(args![accumulate]);
            self.tape.call(Call::each(kernel, self.elements(input)), all);
        }
    }

    fn norm_gradients(&mut self, id: NodeId, gy: Buffer) {
        let node = self.graph.node(id);
        let (input, shape) = (node.inputs[0], node.shape);
        let x = self.value(input);
        let statistics = self.statistics[id].expect("the forward pass is lowered first");
        let (lanes, splits) = self.channel_blocks(shape);
        let (partials, tickets) = (self.floats(shape.channels * splits * 2), self.tickets(shape.channels));
        let coefficients = self.floats(3 * shape.channels);
        let gamma = self.param(id, Role::Gamma);
        let (g_gamma, g_beta) = (self.param_gradient(id, Role::Gamma), self.param_gradient(id, Role::Beta));
        let mut all = args![x, gy, self.batch, shape.channels, shape.plane(), lanes, gamma, statistics, partials];
        all.extend(args![tickets, g_gamma, g_beta, coefficients]);
        self.tape.call(Call::blocks("norm_backward_sums", shape.channels, splits), all);
        if let Some((gx, accumulate)) = self.gradient_for(input) {
            let total = self.elements(id);
            let all = args![x, gy, coefficients, gx, total, shape.plane(), shape.channels, accumulate];
            self.tape.call(Call::each("norm_backward_apply", total), all);
        }
    }

    fn bias_gradient(&mut self, id: NodeId, gy: Buffer) {
        if let Some(gradient) = self.param_gradient(id, Role::Bias) {
            let shape = self.shape(id);
            let all = args![gy, gradient, self.batch, shape.plane(), shape.channels];
            self.tape.call(Call::blocks("channel_sums", shape.channels, 1), all);
        }
    }

    fn linear_gradients(&mut self, id: NodeId, layer: &Linear, gy: Buffer) {
        let input = self.graph.node(id).inputs[0];
        let (x, features) = (self.value(input), self.shape(input).channels);
        let gradient = self.param_gradient(id, Role::Weight).expect("a linear layer has weights");
        let product = MatrixProduct {
            size: [layer.out, features, self.batch],
            a: MatrixIn { row: layer.out, transposed: true, step: 0 },
            b: MatrixIn { row: features, transposed: false, step: 0 },
            c_row: features,
            c_step: 0,
            c_is_float: true,
            accumulate: false,
            batch: 1,
        };
        self.tape.product(product, [gy.at(0, 1), x.at(0, 1), gradient]);
        self.bias_gradient(id, gy);
        if let Some((gx, accumulate)) = self.gradient_for(input) {
            let product = MatrixProduct {
                size: [self.batch, features, layer.out],
                a: MatrixIn { row: layer.out, transposed: false, step: 0 },
                b: MatrixIn { row: features, transposed: false, step: 0 },
                c_row: features,
                c_step: 0,
                c_is_float: false,
                accumulate,
                batch: 1,
            };
            self.tape.product(product, [gy.at(0, 1), self.weight(id), gx.at(0, 1)]);
        }
    }
}

/// Convolutions.
impl Lowering<'_> {
    fn convolution_gradients(&mut self, id: NodeId, conv: &Conv2d, gy: Buffer) {
        let (source, relu) = self.source(self.graph.node(id).inputs[0]);
        let w = conv_window(conv, self.shape(source), self.shape(id));
        match conv_kind(conv, self.shape(source)) {
            ConvKind::Depthwise => self.depthwise_gradients(id, source, relu, &w, gy),
            ConvKind::Pointwise => self.pointwise_gradients(id, source, gy),
            ConvKind::Dense => {
                let d = Dense::new(self, conv, w, self.shape(source), self.shape(id));
                self.dense_weight_gradient(id, source, relu, &d, gy);
                self.dense_input_gradient(id, source, relu, &d, gy);
            }
        }
        self.bias_gradient(id, gy);
    }

    fn depthwise_gradients(&mut self, id: NodeId, source: NodeId, relu: bool, w: &Window, gy: Buffer) {
        let (x, channels) = (self.value(source), self.shape(id).channels);
        let planes = self.batch * channels;
        let gradient = self.param_gradient(id, Role::Weight).expect("a convolution has weights");
        // A channel's images stand in for the maps of a block.
        match Tile::of(w, self.batch) {
            Some(tile) => {
                let splits = tile.splits(channels, self.batch);
                let (partials, tickets) = (self.floats(channels * splits * w.taps()), self.tickets(channels));
                let mut all = args![x, gy, gradient, partials, tickets, self.batch, channels, w.in_h, w.in_w];
                all.extend(args![w.out_h, w.out_w, w.dilation, w.top, w.left]);
                all.extend(tile.args());
                all.extend(args![if relu { FLAG_RELU } else { 0 }]);
                self.tape.call(tile.weight(w, channels, splits), all);
            }
            None => {
                let mut all = args![x, gy, gradient, self.batch, channels];
                all.extend(window_args(w));
                all.extend(args![relu]);
                self.tape.call(Call::blocks("depthwise_any_weight", channels, w.taps()), all);
            }
        }
        let Some((gx, accumulate)) = self.gradient_for(source) else { return };
        let mask = relu.then_some(x.at(0, 1));
        match flipped(w).and_then(|w| Some((w, Tile::of(&w, planes)?))) {
            Some((w, tile)) => {
                let flags = FLAG_FLIP + if accumulate { FLAG_ACCUMULATE } else { 0 };
                let place = DepthwisePlace { x: gy, weight: self.weight(id), bias: None, y: gx, mask };
                self.depthwise(&w, &tile, channels, &place, flags);
            }
            None => {
                let mut all = args![gy, self.weight(id), gx, mask, channels, planes];
                all.extend(window_args(w));
                all.extend(args![accumulate]);
                self.tape.call(Call::each("depthwise_any_input", self.elements(source)), all);
            }
        }
    }

    fn pointwise_gradients(&mut self, id: NodeId, source: NodeId, gy: Buffer) {
        let (ci, co, plane) = (self.shape(source).channels, self.shape(id).channels, self.shape(id).plane());
        let x = self.value(source);
        let gradient = self.param_gradient(id, Role::Weight).expect("a convolution has weights");
        let at_once = self.images_at_once(co * ci * 4);
        let partials = self.floats(at_once * co * ci);
        for start in (0..self.batch).step_by(at_once) {
            let product = MatrixProduct {
                size: [co, ci, plane],
                a: MatrixIn { row: plane, transposed: false, step: co * plane },
                b: MatrixIn { row: plane, transposed: true, step: ci * plane },
                c_row: ci,
                c_step: co * ci,
                c_is_float: true,
                accumulate: start > 0,
                batch: at_once.min(self.batch - start),
            };
            let places = [self.at(gy, start * co * plane), self.at(x, start * ci * plane), partials.at(0, 1)];
            self.tape.product(product, places);
        }
        self.sum_partials(partials, at_once, co * ci, gradient);
        if let Some((gx, accumulate)) = self.gradient_for(source) {
            let product = MatrixProduct {
                size: [ci, plane, co],
                a: MatrixIn { row: ci, transposed: true, step: 0 },
                b: MatrixIn { row: plane, transposed: false, step: co * plane },
                c_row: plane,
                c_step: ci * plane,
                c_is_float: false,
                accumulate,
                batch: self.batch,
            };
            self.tape.product(product, [self.weight(id), gy.at(0, 1), gx.at(0, 1)]);
        }
    }

    fn dense_weight_gradient(&mut self, id: NodeId, source: NodeId, relu: bool, d: &Dense, gy: Buffer) {
        let (x, image) = (self.value(source), self.shape(id).elements());
        let gradient = self.param_gradient(id, Role::Weight).expect("a convolution has weights");
        let mut partials = None;
        for images in d.chunks(self.batch) {
            let columns = self.columns(d, x, relu, images.clone());
            let (sums, _) = *partials.get_or_insert_with(|| (self.floats(images.len() * d.weights()), images.len()));
            for group in 0..d.groups {
                let product = MatrixProduct {
                    size: [d.co, d.length, d.outputs],
                    a: MatrixIn { row: d.outputs, transposed: false, step: image },
                    b: MatrixIn { row: d.outputs, transposed: true, step: d.image_columns() },
                    c_row: d.length,
                    c_step: d.weights(),
                    c_is_float: true,
                    accumulate: images.start > 0,
                    batch: images.len(),
                };
                let a = self.at(gy, images.start * image + group * d.co * d.outputs);
                let places = [a, self.at(columns, d.group_columns(group)), sums.at(d.group_weights(group), 4)];
                self.tape.product(product, places);
            }
        }
        let (sums, count) = partials.expect("a batch has images");
        self.sum_partials(sums, count, d.weights(), gradient);
    }

    fn dense_input_gradient(&mut self, id: NodeId, source: NodeId, relu: bool, d: &Dense, gy: Buffer) {
        let Some((gx, accumulate)) = self.gradient_for(source) else { return };
        let (x, image, from) = (self.value(source), self.shape(id).elements(), d.input.elements());
        for images in d.chunks(self.batch) {
            let columns = self.map(images.len() * d.image_columns());
            for group in 0..d.groups {
                let product = MatrixProduct {
                    size: [d.length, d.outputs, d.co],
                    a: MatrixIn { row: d.length, transposed: true, step: 0 },
                    b: MatrixIn { row: d.outputs, transposed: false, step: image },
                    c_row: d.outputs,
                    c_step: d.image_columns(),
                    c_is_float: false,
                    accumulate: false,
                    batch: images.len(),
                };
                let a = self.after(self.weight(id), d.group_weights(group));
                let b = self.at(gy, images.start * image + group * d.co * d.outputs);
                self.tape.product(product, [a, b, self.at(columns, d.group_columns(group))]);
            }
            let mask = relu.then(|| self.at(x, images.start * from));
            let mut all = args![columns, self.at(gx, images.start * from), mask, images.len(), d.input.channels];
            all.extend(window_args(&d.window));
            all.extend(args![accumulate]);
            self.tape.call(Call::each("col2im", images.len() * from), all);
        }
    }

    fn sum_partials(&mut self, partials: Buffer, count: usize, len: usize, sum: Place) {
        self.tape.call(Call::each("sum_partials", len), args![partials, count, len, sum]);
    }
}

/// The window by which the gradient of a convolution with stride 1 is a convolution with flipped weights, unless the
/// padding reaches further than the window.
fn flipped(w: &Window) -> Option<Window> {
    let reach = w.dilation * (w.kernel - 1);
    (w.stride == 1 && w.top <= reach && w.left <= reach).then(|| Window {
        in_h: w.out_h,
        in_w: w.out_w,
        out_h: w.in_h,
        out_w: w.in_w,
        top: reach - w.top,
        left: reach - w.left,
        ..*w
    })
}
