//! Additions, scalings and matrix products: between values, and with constants as a bias, a normalisation or a layer.

use tract_onnx::pb::NodeProto;

use super::decode::{Decoder, Rank, Value};
use super::operators::{dimensions, input, optional, unary};
use super::window::{float, int};
use crate::graph::{Conv2d, Linear, Normalize, Op, Padding, Role};

pub(super) fn sum(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
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

/// All inputs as values of one rank.
pub(super) fn values(d: &Decoder, node: &NodeProto) -> Result<Vec<Value>, String> {
    let values: Vec<Value> = node.input.iter().map(|name| d.value(name)).collect::<Result<_, _>>()?;
    match values.windows(2).all(|pair| pair[0].rank == pair[1].rank) {
        true => Ok(values),
        false => Err("takes inputs that are all maps or all vectors".into()),
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

pub(super) fn add(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
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

pub(super) fn subtract(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    let mean = per_channel(d, input(node, 1)?, value)?;
    let ones = vec![1.0; mean.len()];
    affine(d, name, value, mean, ones)
}

pub(super) fn divide(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    let std = per_channel(d, input(node, 1)?, value)?;
    scale(d, name, value, std)
}

pub(super) fn multiply(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
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

pub(super) fn gemm(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
    let x = d.value(input(node, 0)?)?;
    if int(node, "transA", 0) != 0 || float(node, "alpha", 1.0) != 1.0 || float(node, "beta", 1.0) != 1.0 {
        return Err("only `transA` 0 and `alpha`, `beta` 1 are supported".into());
    }
    let bias = optional(node, 2);
    linear(d, name, x, input(node, 1)?, int(node, "transB", 0) != 0, bias)
}

pub(super) fn mat_mul(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
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
