//! The blocks that published networks are stacked from, pushed node by node onto a graph under construction.

use super::Task;
use crate::graph::{
    Conv2d, Crop, Graph, GraphBuilder, GraphError, Linear, NodeId, Normalize, Op, Padding, Pool, Shape,
};

/// A graph under construction. Each block takes a name for its nodes and the node it reads, and gives the node it ends in.
pub(super) struct Blocks {
    b: GraphBuilder,
}

/// What [`Blocks::inverted_residual`] is made of.
pub(super) struct InvertedResidual {
    pub kernel: usize,
    /// Channels of the wide part for each channel of the input.
    pub expansion: usize,
    /// Channels of the result.
    pub out: usize,
    pub stride: usize,
    pub activation: Op,
}

/// A block's end, or why it does not fit.
pub(super) type Pushed = Result<NodeId, GraphError>;

impl Blocks {
    /// A graph that starts with the task's image, its constants subtracted and divided.
    pub fn start(task: &Task) -> Result<(Self, NodeId), GraphError> {
        let mut blocks = Blocks { b: GraphBuilder::new(task.input)? };
        let constants = Normalize { mean: task.mean.clone(), std: task.std.clone() };
        let x = blocks.push("normalize", Op::Normalize(constants), &[0])?;
        Ok((blocks, x))
    }

    pub fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[NodeId]) -> Pushed {
        self.b.push(name, op, inputs)
    }

    pub fn shape(&self, x: NodeId) -> Shape {
        self.b.shape(x)
    }

    pub fn finish(self) -> Result<Graph, GraphError> {
        self.b.finish()
    }

    pub fn conv(&mut self, name: &str, x: NodeId, conv: Conv2d) -> Pushed {
        self.push(format!("{name}.conv"), Op::Conv2d(conv), &[x])
    }

    pub fn relu(&mut self, name: &str, x: NodeId) -> Pushed {
        self.push(format!("{name}.relu"), Op::Relu, &[x])
    }

    pub fn norm(&mut self, name: &str, x: NodeId) -> Pushed {
        self.push(format!("{name}.norm"), Op::BatchNorm, &[x])
    }

    pub fn conv_norm(&mut self, name: &str, x: NodeId, conv: Conv2d) -> Pushed {
        let x = self.conv(name, x, conv)?;
        self.norm(name, x)
    }

    pub fn relu_conv_norm(&mut self, name: &str, x: NodeId, conv: Conv2d) -> Pushed {
        let x = self.relu(name, x)?;
        self.conv_norm(name, x, conv)
    }

    pub fn conv_norm_relu(&mut self, name: &str, x: NodeId, conv: Conv2d) -> Pushed {
        self.conv_norm_activation(name, x, conv, &Op::Relu)
    }

    pub fn conv_norm_activation(&mut self, name: &str, x: NodeId, conv: Conv2d, activation: &Op) -> Pushed {
        let x = self.conv_norm(name, x, conv)?;
        self.activation(name, x, activation)
    }

    pub fn activation(&mut self, name: &str, x: NodeId, activation: &Op) -> Pushed {
        let kind = if *activation == Op::Relu6 { "relu6" } else { "relu" };
        self.push(format!("{name}.{kind}"), activation.clone(), &[x])
    }

    /// A block of MobileNetV2: made wide, convolved channel by channel, made narrow; added to its input where the shapes
    /// are equal.
    pub fn inverted_residual(&mut self, name: &str, x: NodeId, block: &InvertedResidual) -> Pushed {
        let InvertedResidual { kernel, expansion, out, stride, activation } = block;
        let input = self.shape(x).channels;
        let hidden = expansion * input;
        let wide = match expansion {
            1 => x,
            _ => self.conv_norm_activation(&format!("{name}.expand"), x, Conv2d::pointwise(hidden), activation)?,
        };
        let depthwise = Conv2d::depthwise(hidden, *kernel, *stride, 1);
        let spread = self.conv_norm_activation(&format!("{name}.depthwise"), wide, depthwise, activation)?;
        let narrow = self.conv_norm(&format!("{name}.project"), spread, Conv2d::pointwise(*out))?;
        match (stride, input == *out) {
            (1, true) => self.push(format!("{name}.sum"), Op::Add, &[narrow, x]),
            _ => Ok(narrow),
        }
    }

    /// Mean of a 3×3 window that keeps the size of the map; padding does not count.
    pub fn mean_3x3(&mut self, name: &str, x: NodeId) -> Pushed {
        let pool = Pool { kernel: 3, stride: 1, padding: Padding::all(1) };
        self.push(format!("{name}.mean"), Op::AvgPool(pool), &[x])
    }

    /// Largest value of a 3×3 window that keeps the size of the map.
    pub fn max_3x3(&mut self, name: &str, x: NodeId) -> Pushed {
        let pool = Pool { kernel: 3, stride: 1, padding: Padding::all(1) };
        self.push(format!("{name}.max"), Op::MaxPool(pool), &[x])
    }

    /// Halves the map without losing every second pixel: two strided 1×1 convolutions, the second on the map shifted by one
    /// pixel, joined and normalised.
    pub fn factorized_reduction(&mut self, name: &str, x: NodeId, out: usize) -> Pushed {
        let size = self.shape(x);
        let strided = |out: usize, padding: Padding| Conv2d { stride: 2, padding, ..Conv2d::pointwise(out) };
        let half = self.conv(&format!("{name}.path1"), x, strided(out / 2, Padding::default()))?;
        let crop = Crop { channels: None, top: 1, left: 1 };
        let shifted = self.push(format!("{name}.shift"), Op::Crop(crop), &[x])?;
        // The shift loses the last window where the size is odd.
        let padding = Padding { bottom: size.height % 2, right: size.width % 2, ..Padding::default() };
        let other = self.conv(&format!("{name}.path2"), shifted, strided(out - out / 2, padding))?;
        let joined = self.concat(name, &[half, other])?;
        self.norm(name, joined)
    }

    /// The sum of one or more values.
    pub fn sum(&mut self, name: &str, terms: &[NodeId]) -> Pushed {
        match terms {
            [one] => Ok(*one),
            _ => self.push(format!("{name}.sum"), Op::Add, terms),
        }
    }

    /// The channels of one or more values.
    pub fn concat(&mut self, name: &str, parts: &[NodeId]) -> Pushed {
        match parts {
            [one] => Ok(*one),
            _ => self.push(format!("{name}.concat"), Op::Concat, parts),
        }
    }

    /// The mean of each channel and a linear layer over it.
    pub fn classify(&mut self, x: NodeId, classes: usize) -> Pushed {
        let x = self.push("head.mean", Op::GlobalMean, &[x])?;
        self.linear(x, classes)
    }

    /// A linear layer with an output for each class.
    pub fn linear(&mut self, x: NodeId, classes: usize) -> Pushed {
        self.push("classifier", Op::Linear(Linear { out: classes, bias: true }), &[x])
    }
}
