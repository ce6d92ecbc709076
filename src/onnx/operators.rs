//! What each ONNX operator means as an [`Op`]. Each reader gives a value or the reason why the node cannot be used.

use tract_onnx::pb::NodeProto;

use super::decode::{Decoder, Rank, Value};
use super::window::{Window, attribute, float, int, size};
use crate::graph::{BATCH_NORM_EPSILON, Conv2d, Crop, Linear, Normalize, Op, Padding, Pool, Role};

/// Reads one node under the given name.
pub(super) type Reader = fn(&mut Decoder, &NodeProto, &str) -> Result<Value, String>;

const READERS: &[(&str, Reader)] = &[
    ("Add", add),
    ("AveragePool", average_pool),
    ("BatchNormalization", batch_norm),
    ("Clip", clip),
    ("Concat", concat),
    ("Conv", convolution),
    ("Div", divide),
    ("Dropout", dropout),
    ("Flatten", flatten),
    ("Gemm", gemm),
    ("GlobalAveragePool", global_mean),
    ("Identity", identity),
    ("MatMul", mat_mul),
    ("MaxPool", max_pool),
    ("Mul", multiply),
    ("ReduceMean", reduce_mean),
    ("Relu", relu),
    ("Reshape", reshape),
    ("Slice", slice),
    ("Squeeze", squeeze),
    ("Sub", subtract),
    ("Sum", sum),
    ("Unsqueeze", unsqueeze),
];

/// The reader of an operator, if it can be read.
pub(super) fn reader(op: &str) -> Option<Reader> {
    READERS.iter().find(|(name, _)| *name == op).map(|(_, reader)| *reader)
}

/// All operators that can be read, for messages.
pub(super) fn supported() -> String {
    let names: Vec<&str> = READERS.iter().map(|(name, _)| *name).chain(["Constant"]).collect();
    names.join(", ")
}

/// Name of an input that must be there.
fn input(node: &NodeProto, index: usize) -> Result<&str, String> {
    optional(node, index).ok_or_else(|| format!("input {index} is missing"))
}

fn optional(node: &NodeProto, index: usize) -> Option<&str> {
    node.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
}

/// The first input as a map.
fn map(d: &Decoder, node: &NodeProto) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    match value.rank {
        Rank::Map => Ok(value),
        Rank::Vector => Err("takes a map (1, channels, rows, columns), got a vector".into()),
    }
}

/// Adds an operator of one input that keeps the rank.
fn unary(d: &mut Decoder, name: &str, op: Op, value: Value) -> Result<Value, String> {
    let node = d.push(name, op, &[value.node], Vec::new())?;
    Ok(Value { node, rank: value.rank })
}

fn identity(d: &mut Decoder, node: &NodeProto, _: &str) -> Result<Value, String> {
    d.value(input(node, 0)?)
}

fn dropout(d: &mut Decoder, node: &NodeProto, _: &str) -> Result<Value, String> {
    match optional(node, 2) {
        Some(_) => Err("has a training mode\nhint: export the model for inference".into()),
        None => d.value(input(node, 0)?),
    }
}

fn relu(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    unary(d, name, Op::Relu, value)
}

fn clip(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    let bound = |index, attribute_name, default| match optional(node, index) {
        None => Ok(float(node, attribute_name, default)),
        Some(constant) => match d.constant(constant)?.floats()? {
            [bound] => Ok(*bound),
            other => Err(format!("`{constant}` is a bound, expected one value, got {}", other.len())),
        },
    };
    match (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?) {
        (0.0, 6.0) => unary(d, name, Op::Relu6, value),
        (0.0, f32::MAX..) => unary(d, name, Op::Relu, value),
        (low, high) => Err(format!("clips to {low}…{high}, only 0…6 and 0…∞ are supported")),
    }
}

fn convolution(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let x = map(d, node)?;
    let weight = d.constant(input(node, 1)?)?;
    let [out, _, rows, columns] = weight.dims[..] else {
        return Err(format!(
            "its weights have dimensions {:?}, only two-dimensional kernels are supported",
            weight.dims
        ));
    };
    if rows != columns {
        return Err(format!("its kernel is {rows}×{columns}, only square ones are supported"));
    }
    let groups = size("group", int(node, "group", 1))?;
    if groups == 0 || d.shape(x).channels / groups != weight.dims[1] {
        let channels = d.shape(x).channels;
        return Err(format!("{channels} channels in {groups} groups do not fit weights {:?}", weight.dims));
    }
    let window = Window::read(node, d.shape(x), Some(rows))?;
    let mut params = vec![(Role::Weight, weight.floats()?.to_vec())];
    if let Some(bias) = optional(node, 2) {
        params.push((Role::Bias, d.constant(bias)?.floats()?.to_vec()));
    }
    let Window { kernel, stride, dilation, padding } = window;
    let conv = Conv2d { out, kernel, stride, dilation, groups, padding, bias: params.len() == 2 };
    let node = d.push(name, Op::Conv2d(conv), &[x.node], params)?;
    Ok(Value { node, rank: Rank::Map })
}

fn batch_norm(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let x = map(d, node)?;
    if int(node, "training_mode", 0) != 0 {
        return Err("is in training mode\nhint: export the model for inference".into());
    }
    // Our epsilon is fixed: what the file's has more goes into the variance.
    let excess = float(node, "epsilon", 1e-5) - BATCH_NORM_EPSILON;
    let mut params = Vec::new();
    for (index, role) in [Role::Gamma, Role::Beta, Role::RunningMean, Role::RunningVar].into_iter().enumerate() {
        let mut values = d.constant(input(node, index + 1)?)?.floats()?.to_vec();
        if role == Role::RunningVar && excess != 0.0 {
            values.iter_mut().for_each(|v| *v += excess);
        }
        params.push((role, values));
    }
    let node = d.push(name, Op::BatchNorm, &[x.node], params)?;
    Ok(Value { node, rank: Rank::Map })
}

fn sum(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let values = values(d, node)?;
    match values.as_slice() {
        [one] => Ok(*one),
        [first, ..] => {
            let nodes: Vec<usize> = values.iter().map(|v| v.node).collect();
            Ok(Value { node: d.push(name, Op::Add, &nodes, Vec::new())?, rank: first.rank })
        }
        [] => Err("has no inputs".into()),
    }
}

fn concat(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let values = values(d, node)?;
    let rank = values.first().ok_or("has no inputs")?.rank;
    let axis = int(node, "axis", i64::MAX);
    if axis != 1 && axis != -(dimensions(rank) - 1) {
        return Err(format!("joins along axis {axis}, only channels (axis 1) are supported"));
    }
    if rank == Rank::Vector && values.iter().any(|v| !d.shape(*v).is_vector()) {
        return Err("joins flattened maps, which is not supported".into());
    }
    match values.as_slice() {
        [one] => Ok(*one),
        _ => {
            let nodes: Vec<usize> = values.iter().map(|v| v.node).collect();
            Ok(Value { node: d.push(name, Op::Concat, &nodes, Vec::new())?, rank })
        }
    }
}

/// All inputs as values of one rank.
fn values(d: &Decoder, node: &NodeProto) -> Result<Vec<Value>, String> {
    let values: Vec<Value> = node.input.iter().map(|name| d.value(name)).collect::<Result<_, _>>()?;
    match values.windows(2).all(|pair| pair[0].rank == pair[1].rank) {
        true => Ok(values),
        false => Err("takes inputs that are all maps or all vectors".into()),
    }
}

fn dimensions(rank: Rank) -> i64 {
    match rank {
        Rank::Vector => 2,
        Rank::Map => 4,
    }
}

/// A constant operand as one number for each channel.
fn per_channel(d: &Decoder, constant: &str, value: Value) -> Result<Vec<f32>, String> {
    let channels = d.shape(value).channels;
    let constant = d.constant(constant)?;
    let values = constant.floats()?;
    let flattened = value.rank == Rank::Vector && !d.shape(value).is_vector();
    match (value.rank, constant.dims.as_slice()) {
        (rank, dims) if values.len() == 1 && dims.len() as i64 <= dimensions(rank) => Ok(vec![values[0]; channels]),
        (Rank::Map, [c, 1, 1] | [1, c, 1, 1]) if *c == channels => Ok(values.to_vec()),
        (Rank::Vector, [c] | [1, c]) if *c == channels && !flattened => Ok(values.to_vec()),
        (_, dims) => {
            Err(format!("a constant of dimensions {dims:?} is not one number for each of {channels} channels"))
        }
    }
}

/// The computed and the constant operand, in either order.
fn operands<'a>(d: &Decoder, node: &'a NodeProto) -> Result<(Value, &'a str), String> {
    let (a, b) = (input(node, 0)?, input(node, 1)?);
    match d.is_constant(a) {
        true => Ok((d.value(b)?, a)),
        false => Ok((d.value(a)?, b)),
    }
}

fn add(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let (a, b) = (input(node, 0)?, input(node, 1)?);
    if !d.is_constant(a) && !d.is_constant(b) {
        return sum(d, node, name);
    }
    let (value, constant) = operands(d, node)?;
    let bias = per_channel(d, constant, value)?;
    let draft = d.draft(value);
    let op = match &draft.op {
        Op::Linear(linear) if !linear.bias => Op::Linear(Linear { bias: true, ..*linear }),
        Op::Conv2d(conv) if !conv.bias => Op::Conv2d(Conv2d { bias: true, ..*conv }),
        _ => return affine(d, name, value, bias.iter().map(|b| -b).collect(), vec![1.0; bias.len()]),
    };
    let (inputs, mut params) = (draft.inputs.clone(), draft.params.clone());
    params.push((Role::Bias, bias));
    Ok(Value { node: d.push(name, op, &inputs, params)?, rank: value.rank })
}

fn subtract(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    let mean = per_channel(d, input(node, 1)?, value)?;
    let ones = vec![1.0; mean.len()];
    affine(d, name, value, mean, ones)
}

fn divide(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    let std = per_channel(d, input(node, 1)?, value)?;
    scale(d, name, value, std)
}

fn multiply(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let (value, constant) = operands(d, node)?;
    let factors = per_channel(d, constant, value)?;
    scale(d, name, value, factors.iter().map(|f| 1.0 / f).collect())
}

/// `value / std`; a subtraction before it becomes part of the same normalisation.
fn scale(d: &mut Decoder, name: &str, value: Value, std: Vec<f32>) -> Result<Value, String> {
    let draft = d.draft(value);
    match &draft.op {
        Op::Normalize(n) if n.std.iter().all(|s| *s == 1.0) => {
            let (source, mean) = (draft.inputs[0], n.mean.clone());
            affine(d, name, Value { node: source, rank: value.rank }, mean, std)
        }
        _ => {
            let zeros = vec![0.0; std.len()];
            affine(d, name, value, zeros, std)
        }
    }
}

/// `(value - mean) / std`.
fn affine(d: &mut Decoder, name: &str, value: Value, mean: Vec<f32>, std: Vec<f32>) -> Result<Value, String> {
    if let Some(wrong) = std.iter().find(|s| !(**s > 0.0 && s.is_finite())) {
        return Err(format!("divides by {wrong}, only finite numbers above zero are supported"));
    }
    unary(d, name, Op::Normalize(Normalize { mean, std }), value)
}

fn max_pool(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let x = map(d, node)?;
    let pool = pool(d, node, x)?;
    unary(d, name, Op::MaxPool(pool), x)
}

fn average_pool(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let x = map(d, node)?;
    let pool = pool(d, node, x)?;
    match int(node, "count_include_pad", 0) != 0 && pool.padding != Padding::default() {
        true => Err("counts its padding, which is not supported".into()),
        false => unary(d, name, Op::AvgPool(pool), x),
    }
}

fn pool(d: &Decoder, node: &NodeProto, x: Value) -> Result<Pool, String> {
    let window = Window::read(node, d.shape(x), None)?;
    if window.dilation != 1 {
        return Err("a dilated pool is not supported".into());
    }
    if int(node, "ceil_mode", 0) != 0 && window.ceil_differs(d.shape(x)) {
        return Err("rounds its output size up, which is not supported".into());
    }
    Ok(Pool { kernel: window.kernel, stride: window.stride, padding: window.padding })
}

fn global_mean(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let x = map(d, node)?;
    unary(d, name, Op::GlobalMean, x)
}

/// The integers of an input or, in older files, of an attribute.
fn integers(d: &Decoder, node: &NodeProto, index: usize, name: &str) -> Result<Option<Vec<i64>>, String> {
    match optional(node, index) {
        Some(constant) => Ok(Some(d.constant(constant)?.ints()?.to_vec())),
        None => Ok(attribute(node, name).map(|a| a.ints.clone())),
    }
}

/// Whether axes are rows and columns, in either order.
fn are_spatial(axes: Option<&[i64]>) -> bool {
    let Some(axes) = axes else { return false };
    let mut axes: Vec<i64> = axes.iter().map(|a| if *a < 0 { a.saturating_add(4) } else { *a }).collect();
    axes.sort_unstable();
    axes == [2, 3]
}

fn reduce_mean(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let x = map(d, node)?;
    let axes = integers(d, node, 1, "axes")?;
    if !are_spatial(axes.as_deref()) {
        return Err("only the mean over rows and columns (axes 2 and 3) is supported".into());
    }
    let mean = unary(d, name, Op::GlobalMean, x)?;
    let rank = if int(node, "keepdims", 1) == 0 { Rank::Vector } else { Rank::Map };
    Ok(Value { rank, ..mean })
}

fn flatten(d: &mut Decoder, node: &NodeProto, _: &str) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    let axis = int(node, "axis", 1);
    match axis == 1 || axis == 1 - dimensions(value.rank) {
        true => Ok(Value { rank: Rank::Vector, ..value }),
        false => Err(format!("flattens from axis {axis}, only axis 1 is supported")),
    }
}

fn squeeze(d: &mut Decoder, node: &NodeProto, _: &str) -> Result<Value, String> {
    let value = map(d, node)?;
    let axes = integers(d, node, 1, "axes")?;
    match are_spatial(axes.as_deref()) && d.shape(value).is_vector() {
        true => Ok(Value { rank: Rank::Vector, ..value }),
        false => Err("only axes 2 and 3 of a map of one pixel can go".into()),
    }
}

fn unsqueeze(d: &mut Decoder, node: &NodeProto, _: &str) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    let axes = integers(d, node, 1, "axes")?;
    match are_spatial(axes.as_deref()) && value.rank == Rank::Vector && d.shape(value).is_vector() {
        true => Ok(Value { rank: Rank::Map, ..value }),
        false => Err("only axes 2 and 3 can be added, to a vector".into()),
    }
}

fn reshape(d: &mut Decoder, node: &NodeProto, _: &str) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    let target = d.constant(input(node, 1)?)?.ints()?;
    let shape = d.shape(value);
    let is = |dim: i64, wanted: usize| dim == wanted as i64;
    match *target {
        [1 | 0, features] if features == -1 || is(features, shape.elements()) => {
            Ok(Value { rank: Rank::Vector, ..value })
        }
        [-1, features] if is(features, shape.elements()) => Ok(Value { rank: Rank::Vector, ..value }),
        [-1..=1, c, h, w] if is(c, shape.channels) && is(h, shape.height) && is(w, shape.width) => {
            Ok(Value { rank: Rank::Map, ..value })
        }
        _ => Err(format!("reshapes {shape} to {target:?}, only flattening to (1, {}) is supported", shape.elements())),
    }
}

fn slice(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let x = map(d, node)?;
    let shape = d.shape(x);
    let missing = |what| format!("`{what}` are missing");
    let starts = integers(d, node, 1, "starts")?.ok_or_else(|| missing("starts"))?;
    let ends = integers(d, node, 2, "ends")?.ok_or_else(|| missing("ends"))?;
    let axes = integers(d, node, 3, "axes")?.unwrap_or((0..starts.len() as i64).collect());
    let steps = integers(d, node, 4, "steps")?.unwrap_or(vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|n| *n != starts.len()) || steps.iter().any(|s| *s != 1) {
        return Err("takes one start, end and axis each and a step of 1".into());
    }
    let dims = [1, shape.channels, shape.height, shape.width];
    let mut left_out = [0; 4];
    for ((start, end), axis) in starts.iter().zip(&ends).zip(&axes) {
        let axis = usize::try_from(if *axis < 0 { axis.saturating_add(4) } else { *axis }).unwrap_or(usize::MAX);
        let size = *dims.get(axis).ok_or("has an axis that is not there")? as i64;
        let start = if *start < 0 { start.saturating_add(size) } else { *start };
        if !(0..size).contains(&start) || *end < size {
            return Err("only leaving out the first rows or columns is supported".into());
        }
        left_out[axis] = start as usize;
    }
    match left_out {
        [0, 0, 0, 0] => Ok(x),
        [0, 0, top, left] => unary(d, name, Op::Crop(Crop { top, left }), x),
        _ => Err("only leaving out the first rows or columns is supported".into()),
    }
}

fn gemm(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let x = d.value(input(node, 0)?)?;
    if int(node, "transA", 0) != 0 || float(node, "alpha", 1.0) != 1.0 || float(node, "beta", 1.0) != 1.0 {
        return Err("only `transA` 0 and `alpha`, `beta` 1 are supported".into());
    }
    let bias = optional(node, 2);
    linear(d, name, x, input(node, 1)?, int(node, "transB", 0) != 0, bias)
}

fn mat_mul(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let x = d.value(input(node, 0)?)?;
    linear(d, name, x, input(node, 1)?, false, None)
}

/// `x · matrix + bias`, the matrix (out, in) if transposed, else (in, out). On a flattened square map it is a
/// convolution whose kernel covers the whole map.
fn linear(
    d: &mut Decoder,
    name: &str,
    x: Value,
    matrix: &str,
    transposed: bool,
    bias: Option<&str>,
) -> Result<Value, String> {
    if x.rank != Rank::Vector {
        return Err("takes a vector (1, features), got a map".into());
    }
    let constant = d.constant(matrix)?;
    let [rows, columns] = constant.dims[..] else {
        return Err(format!("its matrix has dimensions {:?}, expected two", constant.dims));
    };
    let (out, features) = if transposed { (rows, columns) } else { (columns, rows) };
    let shape = d.shape(x);
    if features != shape.elements() {
        return Err(format!("its matrix takes {features} features, got {}", shape.elements()));
    }
    let matrix = constant.floats()?;
    let weight = match transposed {
        true => matrix.to_vec(),
        false => (0..out).flat_map(|o| (0..features).map(move |i| matrix[i * out + o])).collect(),
    };
    let mut params = vec![(Role::Weight, weight)];
    if let Some(bias) = bias {
        params.push((Role::Bias, broadcast(d.constant(bias)?.floats()?, out)));
    }
    let bias = params.len() == 2;
    let op = match shape.is_vector() {
        true => Op::Linear(Linear { out, bias }),
        false if shape.height == shape.width => {
            Op::Conv2d(Conv2d { bias, padding: Padding::default(), ..Conv2d::dense(out, shape.height) })
        }
        false => return Err(format!("multiplies a flattened map of {shape}, only square maps are supported")),
    };
    Ok(Value { node: d.push(name, op, &[x.node], params)?, rank: Rank::Vector })
}

fn broadcast(bias: &[f32], out: usize) -> Vec<f32> {
    match bias {
        [one] if out <= 1 << 20 => vec![*one; out],
        _ => bias.to_vec(),
    }
}
