//! The forward pass as commands.

use std::ops::Range;

use super::super::windows::{conv_window, pool_window};
use super::command::{Arg, Buffer, Call, Life, MatrixIn, MatrixProduct, Place, args};
use super::dense::Dense;
use super::form::{ConvKind, Form, SUM_TERMS, conv_kind};
use super::lowering::Lowering;
use super::tile::Tile;
use crate::graph::{BATCH_NORM_EPSILON, Conv2d, Linear, NodeId, Normalize, Op, Role};
use crate::nn::kernels::Window;

/// Share of the new batch in running statistics.
const STATISTICS_MOMENTUM: f32 = 0.1;
/// Rectifications as `kernels.cu` numbers them.
const ACT_NONE: usize = 0;
pub(super) const ACT_RELU: usize = 1;
pub(super) const ACT_RELU6: usize = 2;

/// Whether normalisation uses the batch or what was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, which also move the running ones.
    Training,
    /// Running statistics.
    Evaluation,
}

/// One map of a sum, with the scale and shift of its channels if it is normalised.
#[derive(Debug, Clone, Copy)]
struct Term {
    map: Buffer,
    scale: Option<Place>,
    shift: Option<Place>,
}

/// Flags of the depthwise kernels.
pub(super) const FLAG_FLIP: usize = 1;
pub(super) const FLAG_RELU: usize = 2;
pub(super) const FLAG_ACCUMULATE: usize = 4;

/// What a depthwise convolution reads and writes.
pub(super) struct DepthwisePlace {
    pub x: Buffer,
    pub weight: Place,
    pub bias: Option<Place>,
    pub y: Buffer,
    /// What a rectification read whose gradient `y` is.
    pub mask: Option<Place>,
}

/// The arguments that every window kernel takes in the middle.
pub(super) fn window_args(w: &Window) -> Vec<Arg> {
    args![w.in_h, w.in_w, w.out_h, w.out_w, w.kernel, w.stride, w.dilation, w.top, w.left]
}

impl Lowering<'_> {
    /// Lowers every node. `image` holds the input or, if the input's only reader normalises it, that node's value.
    pub fn forward(&mut self, image: Buffer, mode: Mode) {
        for id in 0..self.graph.nodes().len() {
            match self.forms[id] {
                Form::ReadThrough => {}
                Form::Deferred => self.prepare(id, mode),
                Form::Stored => {
                    self.prepare(id, mode);
                    self.compute(id, image);
                }
            }
        }
    }

    /// What must be known before a value can be computed: statistics of a normalisation.
    fn prepare(&mut self, id: NodeId, mode: Mode) {
        let node = self.graph.node(id);
        if node.op != Op::BatchNorm {
            return;
        }
        let shape = node.shape;
        let of = |role| Arg::from(self.param(id, role));
        let [gamma, beta, mean, var] = [Role::Gamma, Role::Beta, Role::RunningMean, Role::RunningVar].map(of);
        let out = self.tape.buffer(4 * shape.channels * 4, Life::Step);
        self.statistics[id] = Some(out);
        match mode {
            Mode::Evaluation => {
                let call = Call::each("norm_running", shape.channels);
                self.tape.call(call, args![gamma, beta, mean, var, shape.channels, BATCH_NORM_EPSILON, out]);
            }
            Mode::Training => {
                let x = self.value(node.inputs[0]);
                let (lanes, splits) = self.channel_blocks(shape);
                let (partials, tickets) = (self.floats(shape.channels * splits * 2), self.tickets(shape.channels));
                let mut all = args![x, self.batch, shape.channels, shape.plane(), lanes, gamma, beta, mean, var];
                all.extend(args![STATISTICS_MOMENTUM, BATCH_NORM_EPSILON, partials, tickets, out]);
                self.tape.call(Call::blocks("norm_statistics", shape.channels, splits), all);
            }
        }
    }

    fn compute(&mut self, id: NodeId, image: Buffer) {
        let node = self.graph.node(id);
        if matches!(node.op, Op::Input(_)) {
            self.values[id] = Some(image);
            return;
        }
        let first = node.inputs[0];
        if matches!(node.op, Op::Normalize(_)) && self.forms[first] == Form::Deferred {
            self.values[id] = Some(image);
            return;
        }
        let y = self.map(self.elements(id));
        self.values[id] = Some(y);
        let planes = self.batch * node.shape.channels;
        let total = self.elements(id);
        match &node.op {
            Op::Input(_) => unreachable!("the input was handled above"),
            Op::Normalize(constants) => {
                let [scale, shift] = self.normalisation(constants).map(|buffer| Some(buffer.at(0, 4)));
                self.combine(y, id, &[Term { map: self.value(first), scale, shift }], ACT_NONE);
            }
            Op::Conv2d(conv) => self.convolve(id, conv, y),
            Op::BatchNorm | Op::Add => self.combine(y, id, &self.parts(id), ACT_NONE),
            Op::Relu => self.combine(y, id, &self.parts(id), ACT_RELU),
            Op::Relu6 => self.combine(y, id, &self.parts(id), ACT_RELU6),
            Op::Concat => {
                let (row, mut place) = (node.shape.elements(), 0);
                for input in &node.inputs {
                    let len = self.shape(*input).elements();
                    let x = self.value(*input);
                    let all = args![x, len, 0usize, y, row, place, len, self.batch, false];
                    self.tape.call(Call::each("copy_part", len * self.batch), all);
                    place += len;
                }
            }
            Op::Crop(_) => {
                let (from, to) = (self.shape(first), node.shape);
                let mut all = args![self.value(first), y, planes, from.channels, to.channels];
                all.extend(args![from.height, from.width, to.height, to.width]);
                self.tape.call(Call::each("crop", total), all);
            }
            Op::MaxPool(pool) => {
                let w = pool_window(pool, self.shape(first), node.shape);
                let winners = self.tape.buffer(total * 4, Life::Step);
                self.winners[id] = Some(winners);
                let mut all = args![self.value(first), y, winners, planes];
                all.extend(window_args(&w));
                self.tape.call(Call::each("max_pool", total), all);
            }
            Op::AvgPool(pool) => {
                let w = pool_window(pool, self.shape(first), node.shape);
                let mut all = args![self.value(first), y, planes];
                all.extend(window_args(&w));
                self.tape.call(Call::each("avg_pool", total), all);
            }
            Op::GlobalMean => {
                let plane = self.shape(first).plane();
                self.tape.call(Call::each("global_mean", planes * 32), args![self.value(first), y, planes, plane]);
            }
            Op::Linear(layer) => self.multiply_linear(id, layer, y),
        }
    }

    /// What a node is computed from, as maps to be added up.
    fn parts(&self, id: NodeId) -> Vec<Term> {
        let node = self.graph.node(id);
        match &node.op {
            Op::BatchNorm => {
                let statistics = self.statistics[id].expect("a normalisation is prepared before it is read");
                let part = |which: usize| Some(statistics.at(which * node.shape.channels, 4));
                vec![Term { map: self.value(node.inputs[0]), scale: part(2), shift: part(3) }]
            }
            _ => node.inputs.iter().flat_map(|input| self.terms(*input)).collect(),
        }
    }

    /// A node's value as maps to be added up.
    fn terms(&self, id: NodeId) -> Vec<Term> {
        match self.forms[id] {
            Form::Deferred => self.parts(id),
            Form::Stored | Form::ReadThrough => vec![Term { map: self.value(id), scale: None, shift: None }],
        }
    }

    fn combine(&mut self, y: Buffer, id: NodeId, terms: &[Term], act: usize) {
        let shape = self.shape(id);
        let total = self.elements(id);
        let mut rest = terms;
        let mut sum: Option<Term> = None;
        while !rest.is_empty() {
            let room = SUM_TERMS - usize::from(sum.is_some());
            let (now, later) = rest.split_at(room.min(rest.len()));
            let now: Vec<Term> = sum.into_iter().chain(now.iter().copied()).collect();
            let act = if later.is_empty() { act } else { ACT_NONE };
            let mut all = args![y, total, shape.plane(), shape.channels, act, now.len()];
            for at in 0..SUM_TERMS {
                let term = now.get(at);
                all.extend(args![term.map(|t| t.map.at(0, 1)), term.and_then(|t| t.scale), term.and_then(|t| t.shift)]);
            }
            self.tape.call(Call::each("combine", total), all);
            sum = Some(Term { map: y, scale: None, shift: None });
            rest = later;
        }
    }
}

/// Products of a convolution or a linear layer, forward.
impl Lowering<'_> {
    /// Scale and shift of fixed constants.
    pub(super) fn normalisation(&mut self, constants: &Normalize) -> [Buffer; 2] {
        let scale: Vec<f32> = constants.std.iter().map(|s| 1.0 / s).collect();
        let shift: Vec<f32> = constants.mean.iter().zip(&scale).map(|(m, s)| -m * s).collect();
        [scale, shift].map(|values| self.constant(values))
    }

    fn convolve(&mut self, id: NodeId, conv: &Conv2d, y: Buffer) {
        let (source, relu) = self.source(self.graph.node(id).inputs[0]);
        let (x, from, to) = (self.value(source), self.shape(source), self.shape(id));
        let w = conv_window(conv, from, to);
        let (weight, bias) = (self.weight(id), self.param(id, Role::Bias));
        let planes = self.batch * to.channels;
        match conv_kind(conv, from) {
            ConvKind::Depthwise => match Tile::of(&w, planes) {
                Some(tile) => {
                    let place = DepthwisePlace { x, weight, bias, y, mask: None };
                    self.depthwise(&w, &tile, to.channels, &place, if relu { FLAG_RELU } else { 0 });
                }
                None => {
                    let mut all = args![x, weight, bias, y, to.channels, planes];
                    all.extend(window_args(&w));
                    all.extend(args![relu]);
                    self.tape.call(Call::each("depthwise_any", self.elements(id)), all);
                }
            },
            ConvKind::Pointwise => {
                let (ci, co, plane) = (from.channels, to.channels, from.plane());
                let product = MatrixProduct {
                    size: [co, plane, ci],
                    a: MatrixIn { row: ci, transposed: false, step: 0 },
                    b: MatrixIn { row: plane, transposed: false, step: ci * plane },
                    c_row: plane,
                    c_step: co * plane,
                    c_is_float: false,
                    accumulate: false,
                    batch: self.batch,
                };
                self.tape.product(product, [weight, x.at(0, 1), y.at(0, 1)]);
                self.add_bias(id, y);
            }
            ConvKind::Dense => {
                let d = Dense::new(self, conv, w, from, to);
                for images in d.chunks(self.batch) {
                    let columns = self.columns(&d, x, relu, images.clone());
                    for group in 0..d.groups {
                        let product = MatrixProduct {
                            size: [d.co, d.outputs, d.length],
                            a: MatrixIn { row: d.length, transposed: false, step: 0 },
                            b: MatrixIn { row: d.outputs, transposed: false, step: d.image_columns() },
                            c_row: d.outputs,
                            c_step: to.elements(),
                            c_is_float: false,
                            accumulate: false,
                            batch: images.len(),
                        };
                        let a = self.after(weight, d.group_weights(group));
                        let c = self.at(y, images.start * to.elements() + group * d.co * d.outputs);
                        self.tape.product(product, [a, self.at(columns, d.group_columns(group)), c]);
                    }
                }
                self.add_bias(id, y);
            }
        }
    }

    /// A depthwise convolution by tiles.
    pub(super) fn depthwise(&mut self, w: &Window, tile: &Tile, channels: usize, at: &DepthwisePlace, flags: usize) {
        let planes = self.batch * channels;
        let mut all =
            args![at.x, at.weight, at.bias, at.y, at.mask, channels, planes, w.in_h, w.in_w, w.out_h, w.out_w];
        all.extend(args![w.dilation, w.top, w.left]);
        all.extend(tile.args());
        all.extend(args![flags]);
        self.tape.call(tile.forward(w, planes), all);
    }

    /// The windows of some images as columns.
    pub(super) fn columns(&mut self, d: &Dense, x: Buffer, relu: bool, images: Range<usize>) -> Buffer {
        let columns = self.map(images.len() * d.image_columns());
        let from = self.at(x, images.start * d.input.elements());
        let mut all = args![from, columns, images.len(), d.input.channels];
        all.extend(window_args(&d.window));
        all.extend(args![relu]);
        self.tape.call(Call::each("im2col", images.len() * d.image_columns()), all);
        columns
    }

    fn multiply_linear(&mut self, id: NodeId, layer: &Linear, y: Buffer) {
        let x = self.value(self.graph.node(id).inputs[0]);
        let features = self.shape(self.graph.node(id).inputs[0]).channels;
        let product = MatrixProduct {
            size: [self.batch, layer.out, features],
            a: MatrixIn { row: features, transposed: false, step: 0 },
            b: MatrixIn { row: features, transposed: true, step: 0 },
            c_row: layer.out,
            c_step: 0,
            c_is_float: false,
            accumulate: false,
            batch: 1,
        };
        self.tape.product(product, [x.at(0, 1), self.weight(id), y.at(0, 1)]);
        self.add_bias(id, y);
    }

    fn add_bias(&mut self, id: NodeId, y: Buffer) {
        if let Some(bias) = self.param(id, Role::Bias) {
            let (total, shape) = (self.elements(id), self.shape(id));
            self.tape.call(Call::each("add_bias", total), args![y, bias, total, shape.plane(), shape.channels]);
        }
    }

    /// A place `elements` stored values further on.
    pub(super) fn after(&self, place: Place, elements: usize) -> Place {
        Place { offset: place.offset + elements * self.stored, ..place }
    }
}
