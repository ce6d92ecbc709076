//! Operators that only say differently where values lie: flattening, squeezing, reshaping, slicing.

use tract_onnx::pb::NodeProto;

use super::decode::{Decoder, Rank, Value};
use super::operators::{are_spatial, dimensions, input, integers, map, unary};
use super::window::int;
use crate::graph::{Crop, Op};

pub(super) fn flatten(d: &mut Decoder, node: &NodeProto, _: &str) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    let axis = int(node, "axis", 1);
    match axis == 1 || axis == 1 - dimensions(value.rank) {
        true => Ok(Value { rank: Rank::Vector, ..value }),
        false => Err(format!("flattens from axis {axis}, only axis 1 is supported")),
    }
}

pub(super) fn squeeze(d: &mut Decoder, node: &NodeProto, _: &str) -> Result<Value, String> {
    let value = map(d, node)?;
    let axes = integers(d, node, 1, "axes")?;
    match are_spatial(axes.as_deref()) && d.shape(value).is_vector() {
        true => Ok(Value { rank: Rank::Vector, ..value }),
        false => Err("only axes 2 and 3 of a map of one pixel can go".into()),
    }
}

pub(super) fn unsqueeze(d: &mut Decoder, node: &NodeProto, _: &str) -> Result<Value, String> {
    let value = d.value(input(node, 0)?)?;
    let axes = integers(d, node, 1, "axes")?;
    match are_spatial(axes.as_deref()) && value.rank == Rank::Vector && d.shape(value).is_vector() {
        true => Ok(Value { rank: Rank::Map, ..value }),
        false => Err("only axes 2 and 3 can be added, to a vector".into()),
    }
}

pub(super) fn reshape(d: &mut Decoder, node: &NodeProto, _: &str) -> Result<Value, String> {
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

const ONLY_CROPS: &str = "only leaving out the last channels, the first rows or the first columns is supported";

pub(super) fn slice(d: &mut Decoder, node: &NodeProto, name: &str) -> Result<Value, String> {
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
    let mut channels = shape.channels;
    for ((start, end), axis) in starts.iter().zip(&ends).zip(&axes) {
        let axis = usize::try_from(if *axis < 0 { axis.saturating_add(4) } else { *axis }).unwrap_or(usize::MAX);
        let size = *dims.get(axis).ok_or("has an axis that is not there")? as i64;
        let start = if *start < 0 { start.saturating_add(size) } else { *start };
        let is_end = *end >= size || axis == 1 && *end > 0;
        if !(0..size).contains(&start) || !is_end {
            return Err(ONLY_CROPS.into());
        }
        left_out[axis] = start as usize;
        if axis == 1 {
            channels = channels.min(*end as usize);
        }
    }
    match left_out {
        [0, 0, 0, 0] if channels == shape.channels => Ok(x),
        [0, 0, top, left] => {
            let channels = (channels < shape.channels).then_some(channels);
            unary(d, name, Op::Crop(Crop { channels, top, left }), x)
        }
        _ => Err(ONLY_CROPS.into()),
    }
}
