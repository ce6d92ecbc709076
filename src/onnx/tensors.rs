//! Constants of a file: initialisers and `Constant` nodes as plain arrays, their sizes checked against their data before
//! anything is allocated.

use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{NodeProto, TensorProto};

/// A constant with its dimensions.
#[derive(Debug, Clone)]
pub(super) struct Constant {
    pub(super) dims: Vec<usize>,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    /// A type that no supported operator computes with: its name.
    Other(String),
}

impl Constant {
    /// Reads a tensor.
    pub(super) fn read(tensor: &TensorProto) -> Result<Self, String> {
        let dims = dims(tensor)?;
        let kind = DataType::try_from(tensor.data_type)
            .map_err(|_| format!("its data type {} is not one of ONNX", tensor.data_type))?;
        let values = match kind {
            DataType::Float if tensor.raw_data.is_empty() => Values::Floats(tensor.float_data.clone()),
            DataType::Float => Values::Floats(from_bytes(&tensor.raw_data, f32::from_le_bytes)?),
            DataType::Int64 if tensor.raw_data.is_empty() => Values::Ints(tensor.int64_data.clone()),
            DataType::Int64 => Values::Ints(from_bytes(&tensor.raw_data, i64::from_le_bytes)?),
            other => Values::Other(other.as_str_name().to_lowercase()),
        };
        let found = match &values {
            Values::Floats(v) => v.len(),
            Values::Ints(v) => v.len(),
            Values::Other(_) => elements(&dims)?,
        };
        match elements(&dims)? {
            expected if expected == found => Ok(Constant { dims, values }),
            expected => Err(format!("its dimensions {dims:?} ask for {expected} values, the file holds {found}")),
        }
    }

    /// Reads the value of a `Constant` node.
    pub(super) fn of_node(node: &NodeProto) -> Result<Self, String> {
        let [attribute] = node.attribute.as_slice() else {
            return Err(format!("has one attribute, found {}", node.attribute.len()));
        };
        let (dims, values) = match attribute.name.as_str() {
            "value" => return Constant::read(attribute.t.as_ref().ok_or("its `value` is not a tensor")?),
            "value_float" => (Vec::new(), Values::Floats(vec![attribute.f])),
            "value_floats" => (vec![attribute.floats.len()], Values::Floats(attribute.floats.clone())),
            "value_int" => (Vec::new(), Values::Ints(vec![attribute.i])),
            "value_ints" => (vec![attribute.ints.len()], Values::Ints(attribute.ints.clone())),
            other => return Err(format!("a constant given by `{other}` is not supported")),
        };
        Ok(Constant { dims, values })
    }

    pub(super) fn floats(&self) -> Result<&[f32], String> {
        match &self.values {
            Values::Floats(values) => Ok(values),
            Values::Ints(_) => Err("takes a constant of 32-bit floats, got integers".into()),
            Values::Other(kind) => Err(format!("takes a constant of 32-bit floats, got {kind}")),
        }
    }

    pub(super) fn ints(&self) -> Result<&[i64], String> {
        match &self.values {
            Values::Ints(values) => Ok(values),
            Values::Floats(_) => Err("takes a constant of 64-bit integers, got floats".into()),
            Values::Other(kind) => Err(format!("takes a constant of 64-bit integers, got {kind}")),
        }
    }
}

/// The dimensions of a tensor whose data lies in the file.
fn dims(tensor: &TensorProto) -> Result<Vec<usize>, String> {
    if tensor.data_location == Some(DataLocation::External as i32) {
        return Err("its data lies in another file\nhint: save the model as one file, without external data".into());
    }
    tensor.dims.iter().map(|d| usize::try_from(*d).map_err(|_| format!("its dimension {d} is negative"))).collect()
}

fn elements(dims: &[usize]) -> Result<usize, String> {
    let product = dims.iter().try_fold(1usize, |product, d| product.checked_mul(*d));
    product.ok_or_else(|| format!("its dimensions {dims:?} are too large"))
}

fn from_bytes<T, const N: usize>(bytes: &[u8], convert: fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    match bytes.as_chunks::<N>() {
        (chunks, []) => Ok(chunks.iter().map(|chunk| convert(*chunk)).collect()),
        _ => Err(format!("its {} bytes are not a whole number of values", bytes.len())),
    }
}

/// Whether a tensor's data is as large as its dimensions say, for any type: tract trusts both.
pub(super) fn check(tensor: &TensorProto) -> Result<(), String> {
    let elements = elements(&dims(tensor)?)?;
    let kind = DataType::try_from(tensor.data_type)
        .map_err(|_| format!("its data type {} is not one of ONNX", tensor.data_type))?;
    let size = match kind {
        DataType::Bool | DataType::Int8 | DataType::Uint8 => 1,
        DataType::Float16 | DataType::Int16 | DataType::Uint16 => 2,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
        DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
        other => return Err(format!("its data type {} is not supported", other.as_str_name().to_lowercase())),
    };
    let listed = [tensor.float_data.len(), tensor.int32_data.len(), tensor.int64_data.len(), tensor.double_data.len()];
    let found = match tensor.raw_data.is_empty() {
        true => listed.into_iter().chain([tensor.uint64_data.len()]).max().unwrap_or(0),
        false => tensor.raw_data.len() / size,
    };
    match found == elements && (tensor.raw_data.is_empty() || tensor.raw_data.len() == elements * size) {
        true => Ok(()),
        false => Err(format!("its dimensions {:?} ask for {elements} values, the file holds {found}", tensor.dims)),
    }
}
