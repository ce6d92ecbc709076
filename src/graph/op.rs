//! The operators of a network: each is a small struct that knows its output shape, its multiply-accumulates and its
//! parameters.

use super::shape::Shape;

/// An operator. Every consumer matches all of them by name, so that a new one is a list of compile errors.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// The image: values in 0…1, channels first.
    Input(Shape),
    /// `(x - mean) / std` for each channel, with constants that are not trained.
    Normalize(Normalize),
    /// Two-dimensional convolution, grouped or not.
    Conv2d(Conv2d),
    /// Batch normalisation over batch, rows and columns. Folded away before export.
    BatchNorm,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// Sum of two or more values of one shape.
    Add,
    /// Channels of the inputs, one after the other.
    Concat,
    /// Leaves out the last channels, the first rows and columns.
    Crop(Crop),
    /// Largest value in a window.
    MaxPool(Pool),
    /// Mean of a window; padding does not count.
    AvgPool(Pool),
    /// Mean of each channel.
    GlobalMean,
    /// Matrix product with a vector.
    Linear(Linear),
}

/// Constants of [`Op::Normalize`], one for each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalize {
    /// Subtracted.
    pub mean: Vec<f32>,
    /// Divided by; greater than zero.
    pub std: Vec<f32>,
}

/// Zero padding, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same padding on all four sides.
    pub const fn all(pad: usize) -> Self {
        Padding { top: pad, left: pad, bottom: pad, right: pad }
    }
}

/// A two-dimensional convolution with a square kernel. Weights: (out, in / groups, kernel, kernel).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Output channels.
    pub out: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Stride in both directions.
    pub stride: usize,
    /// Dilation in both directions.
    pub dilation: usize,
    /// Groups; as many as channels for a depthwise convolution.
    pub groups: usize,
    /// Zero padding.
    pub padding: Padding,
    /// Whether a bias is added.
    pub bias: bool,
}

impl Conv2d {
    /// A dense convolution with stride 1 that keeps the size of the map (odd kernels).
    pub const fn dense(out: usize, kernel: usize) -> Self {
        Conv2d { out, kernel, stride: 1, dilation: 1, groups: 1, padding: Padding::all(kernel / 2), bias: false }
    }

    /// A depthwise convolution that keeps the size of the map at stride 1 (odd kernels).
    pub const fn depthwise(channels: usize, kernel: usize, stride: usize, dilation: usize) -> Self {
        Conv2d {
            out: channels,
            kernel,
            stride,
            dilation,
            groups: channels,
            padding: Padding::all(dilation * (kernel - 1) / 2),
            bias: false,
        }
    }

    /// A 1×1 convolution.
    pub const fn pointwise(out: usize) -> Self {
        Conv2d::dense(out, 1)
    }

    /// Whether each channel is convolved on its own.
    pub fn is_depthwise(&self, input: Shape) -> bool {
        self.groups == input.channels && self.out == input.channels && self.groups > 1
    }

    fn output(&self, input: Shape) -> Result<Shape, String> {
        if self.kernel == 0 || self.stride == 0 || self.dilation == 0 || self.groups == 0 || self.out == 0 {
            return Err("kernel, stride, dilation, groups and channels must be at least 1".into());
        }
        if !input.channels.is_multiple_of(self.groups) || !self.out.is_multiple_of(self.groups) {
            return Err(format!(
                "{} input and {} output channels do not divide into {} groups",
                input.channels, self.out, self.groups
            ));
        }
        let window = self.dilation * (self.kernel - 1) + 1;
        let height = slide(input.height + self.padding.top + self.padding.bottom, window, self.stride)?;
        let width = slide(input.width + self.padding.left + self.padding.right, window, self.stride)?;
        Ok(Shape::new(self.out, height, width))
    }

    fn weight_dims(&self, input: Shape) -> Vec<usize> {
        vec![self.out, input.channels / self.groups, self.kernel, self.kernel]
    }
}

/// Leaves out channels at the end, rows and columns at the start: `x[..channels, top.., left..]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crop {
    /// Channels kept; all if absent.
    pub channels: Option<usize>,
    /// Rows left out.
    pub top: usize,
    /// Columns left out.
    pub left: usize,
}

/// A pooling window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Side of the window.
    pub kernel: usize,
    /// Stride in both directions.
    pub stride: usize,
    /// Padding; never counted.
    pub padding: Padding,
}

/// A fully connected layer. Weights: (out, in).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Linear {
    /// Output features.
    pub out: usize,
    /// Whether a bias is added.
    pub bias: bool,
}

/// What a parameter array is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Kernel of a convolution or matrix of a linear layer.
    Weight,
    /// Added to the output.
    Bias,
    /// Scale of a batch normalisation.
    Gamma,
    /// Shift of a batch normalisation.
    Beta,
    /// Running mean of a batch normalisation; not trained by gradient.
    RunningMean,
    /// Running variance of a batch normalisation; not trained by gradient.
    RunningVar,
}

impl Role {
    /// Whether a gradient trains it.
    pub fn is_trained(self) -> bool {
        !matches!(self, Role::RunningMean | Role::RunningVar)
    }

    /// Its name in checkpoints and ONNX files.
    pub fn name(self) -> &'static str {
        match self {
            Role::Weight => "weight",
            Role::Bias => "bias",
            Role::Gamma => "gamma",
            Role::Beta => "beta",
            Role::RunningMean => "running_mean",
            Role::RunningVar => "running_var",
        }
    }
}

/// Number of windows that fit.
fn slide(padded: usize, window: usize, stride: usize) -> Result<usize, String> {
    match padded >= window {
        true => Ok((padded - window) / stride + 1),
        false => Err(format!("a window of {window} does not fit into {padded} pixels")),
    }
}

fn only(inputs: &[Shape]) -> Result<Shape, String> {
    match inputs {
        [one] => Ok(*one),
        _ => Err(format!("takes one input, got {}", inputs.len())),
    }
}

impl Op {
    /// The name people and files know it by.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Input(_) => "input",
            Op::Normalize(_) => "normalize",
            Op::Conv2d(_) => "conv2d",
            Op::BatchNorm => "batch_norm",
            Op::Relu => "relu",
            Op::Relu6 => "relu6",
            Op::Add => "add",
            Op::Concat => "concat",
            Op::Crop(_) => "crop",
            Op::MaxPool(_) => "max_pool",
            Op::AvgPool(_) => "avg_pool",
            Op::GlobalMean => "global_mean",
            Op::Linear(_) => "linear",
        }
    }

    /// The name with the settings that matter to a reader: `conv2d 3×3 s2 depthwise`.
    pub fn describe(&self) -> String {
        match self {
            Op::Conv2d(c) => {
                let mut text = format!("conv2d {0}×{0}", c.kernel);
                if c.stride > 1 {
                    text += &format!(" s{}", c.stride);
                }
                if c.dilation > 1 {
                    text += &format!(" d{}", c.dilation);
                }
                if c.groups > 1 {
                    text += &match c.groups == c.out {
                        true => " depthwise".to_string(),
                        false => format!(" g{}", c.groups),
                    };
                }
                text
            }
            Op::MaxPool(p) | Op::AvgPool(p) => format!("{} {1}×{1} s{2}", self.name(), p.kernel, p.stride),
            Op::Input(_)
            | Op::Normalize(_)
            | Op::BatchNorm
            | Op::Relu
            | Op::Relu6
            | Op::Add
            | Op::Concat
            | Op::Crop(_)
            | Op::GlobalMean
            | Op::Linear(_) => self.name().to_string(),
        }
    }

    /// Shape of the output for one image; the error says what does not fit.
    pub fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match self {
            Op::Input(shape) => match inputs.is_empty() && shape.elements() > 0 {
                true => Ok(*shape),
                false => Err("an input takes no inputs and has no empty dimension".into()),
            },
            Op::Normalize(n) => {
                let x = only(inputs)?;
                match n.mean.len() == x.channels && n.std.len() == x.channels {
                    true => Ok(x),
                    false => Err(format!("{} means for {} channels", n.mean.len(), x.channels)),
                }
            }
            Op::Conv2d(conv) => conv.output(only(inputs)?),
            Op::BatchNorm | Op::Relu | Op::Relu6 => only(inputs),
            Op::Add => match inputs {
                [first, rest @ ..] if !rest.is_empty() && rest.iter().all(|s| s == first) => Ok(*first),
                _ => Err(format!("adds two or more values of one shape, got {}", list(inputs))),
            },
            Op::Concat => match inputs {
                [first, rest @ ..]
                    if !rest.is_empty() && rest.iter().all(|s| (s.height, s.width) == (first.height, first.width)) =>
                {
                    let channels = inputs.iter().map(|s| s.channels).sum();
                    Ok(Shape::new(channels, first.height, first.width))
                }
                _ => Err(format!("joins two or more maps of one size, got {}", list(inputs))),
            },
            Op::Crop(crop) => {
                let x = only(inputs)?;
                let channels = crop.channels.unwrap_or(x.channels);
                match (1..=x.channels).contains(&channels) && crop.top < x.height && crop.left < x.width {
                    true => Ok(Shape::new(channels, x.height - crop.top, x.width - crop.left)),
                    false => Err(format!("does not leave channels, rows and columns of {x}")),
                }
            }
            Op::MaxPool(pool) | Op::AvgPool(pool) => {
                let (x, pad) = (only(inputs)?, pool.padding);
                if pool.kernel == 0 || pool.stride == 0 {
                    return Err("kernel and stride must be at least 1".into());
                }
                if [pad.top, pad.left, pad.bottom, pad.right].iter().any(|p| *p >= pool.kernel) {
                    return Err("padding must be smaller than the window".into());
                }
                let height = slide(x.height + pad.top + pad.bottom, pool.kernel, pool.stride)?;
                let width = slide(x.width + pad.left + pad.right, pool.kernel, pool.stride)?;
                Ok(Shape::new(x.channels, height, width))
            }
            Op::GlobalMean => Ok(Shape::vector(only(inputs)?.channels)),
            Op::Linear(linear) => match only(inputs)? {
                x if x.is_vector() && linear.out > 0 => Ok(Shape::vector(linear.out)),
                x => Err(format!("takes a vector, got {x}")),
            },
        }
    }

    /// Multiply-accumulates for one image. Only convolutions and linear layers multiply and accumulate.
    pub fn macs(&self, inputs: &[Shape], output: Shape) -> u64 {
        match self {
            Op::Conv2d(conv) => {
                let window = inputs[0].channels / conv.groups * conv.kernel * conv.kernel;
                (window * output.elements()) as u64
            }
            Op::Linear(linear) => (inputs[0].channels * linear.out) as u64,
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
            | Op::GlobalMean => 0,
        }
    }

    /// The parameter arrays with their dimensions, in a fixed order.
    pub fn params(&self, inputs: &[Shape]) -> Vec<(Role, Vec<usize>)> {
        match self {
            Op::Conv2d(conv) => with_bias(conv.weight_dims(inputs[0]), conv.bias, conv.out),
            Op::Linear(linear) => with_bias(vec![linear.out, inputs[0].channels], linear.bias, linear.out),
            Op::BatchNorm => [Role::Gamma, Role::Beta, Role::RunningMean, Role::RunningVar]
                .map(|role| (role, vec![inputs[0].channels]))
                .to_vec(),
            Op::Input(_)
            | Op::Normalize(_)
            | Op::Relu
            | Op::Relu6
            | Op::Add
            | Op::Concat
            | Op::Crop(_)
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalMean => Vec::new(),
        }
    }

    /// Whether the output may overwrite an input that nothing else needs.
    pub fn works_in_place(&self) -> bool {
        match self {
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
}

fn with_bias(weight: Vec<usize>, bias: bool, out: usize) -> Vec<(Role, Vec<usize>)> {
    let mut params = vec![(Role::Weight, weight)];
    if bias {
        params.push((Role::Bias, vec![out]));
    }
    params
}

fn list(shapes: &[Shape]) -> String {
    let shapes: Vec<String> = shapes.iter().map(Shape::to_string).collect();
    format!("[{}]", shapes.join(", "))
}
