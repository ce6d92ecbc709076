//! Small protobuf messages as ONNX wants them: nodes, attributes, tensors, value descriptions.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto::{Tensor, Value};
use tract_onnx::pb::{
    AttributeProto, NodeProto, StringStringEntryProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
};

pub(super) fn node(op: &str, name: &str, inputs: Vec<String>, output: &str) -> NodeProto {
    NodeProto {
        input: inputs,
        output: vec![output.to_string()],
        name: name.to_string(),
        op_type: op.to_string(),
        ..NodeProto::default()
    }
}

pub(super) fn int(name: &str, value: usize) -> AttributeProto {
    let r#type = AttributeType::Int as i32;
    AttributeProto { name: name.to_string(), r#type, i: value as i64, ..AttributeProto::default() }
}

pub(super) fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let r#type = AttributeType::Ints as i32;
    let ints = values.iter().map(|v| *v as i64).collect();
    AttributeProto { name: name.to_string(), r#type, ints, ..AttributeProto::default() }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    let r#type = AttributeType::Float as i32;
    AttributeProto { name: name.to_string(), r#type, f: value, ..AttributeProto::default() }
}

pub(super) fn floats_tensor(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor(name, dims, DataType::Float, bytes)
}

pub(super) fn ints_tensor(name: &str, values: &[usize]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| (*v as i64).to_le_bytes()).collect();
    tensor(name, &[values.len()], DataType::Int64, bytes)
}

fn tensor(name: &str, dims: &[usize], kind: DataType, raw_data: Vec<u8>) -> TensorProto {
    let dims = dims.iter().map(|d| *d as i64).collect();
    TensorProto { name: name.to_string(), dims, data_type: kind as i32, raw_data, ..TensorProto::default() }
}

/// A graph input or output of 32-bit floats.
pub(super) fn value_info(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dim = |d: &usize| Dimension { value: Some(dimension::Value::DimValue(*d as i64)), ..Dimension::default() };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let value = Value::TensorType(Tensor { elem_type: DataType::Float as i32, shape: Some(shape) });
    let r#type = TypeProto { value: Some(value), ..TypeProto::default() };
    ValueInfoProto { name: name.to_string(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

pub(super) fn entry(key: &str, value: &str) -> StringStringEntryProto {
    StringStringEntryProto { key: key.to_string(), value: value.to_string() }
}
