//! What each ONNX operator means as an [`Op`]. Each reader gives a value or the reason why the node cannot be used.

use tract_onnx::pb::NodeProto;

use super::arithmetic::{add, divide, gemm, mat_mul, multiply, subtract, sum, values};
use super::decode::{Decoder, Rank, Value};
use super::reshaping::{flatten, reshape, slice, squeeze, unsqueeze};
use super::window::{Window, attribute, float, int, size};
use crate::graph::{BATCH_NORM_EPSILON, Conv2d, Op, Padding, Pool, Role};

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
pub(super) fn input(node: &NodeProto, index: usize) -> Result<&str, String> {
    optional(node, index).ok_or_else(|| format!("input {index} is missing"))
}

pub(super) fn optional(node: &NodeProto, index: usize) -> Option<&str> {
    node.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
}

/// The first input as a map.
pub(super) fn map(d: &Decoder, node: &NodeProto) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    match value.rank {
        Rank::Map => Ok(value),
        Rank::Vector => Err("takes a map (1, channels, rows, columns), got a vector".into()),
    }
}

/// Adds an operator of one input that keeps the rank.
pub(super) fn unary(d: &mut Decoder, name: &str, op: Op, value: Value) -> Result<Value, String> {
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

pub(super) fn dimensions(rank: Rank) -> i64 {
    match rank {
        Rank::Vector => 2,
        Rank::Map => 4,
    }
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
pub(super) fn integers(d: &Decoder, node: &NodeProto, index: usize, name: &str) -> Result<Option<Vec<i64>>, String> {
    match optional(node, index) {
        Some(constant) => Ok(Some(d.constant(constant)?.ints()?.to_vec())),
        None => Ok(attribute(node, name).map(|a| a.ints.clone())),
    }
}

/// Whether axes are rows and columns, in either order.
pub(super) fn are_spatial(axes: Option<&[i64]>) -> bool {
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
