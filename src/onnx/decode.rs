//! From the bytes of an ONNX file to a graph with its weights. Files come from anywhere: every size is checked before it
//! is used, and what cannot be read is an error with the node's name.

use std::collections::{BTreeMap, HashMap, HashSet};

use prost::Message;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto, type_proto};

use super::OnnxError;
use super::tensors::Constant;
use crate::graph::{Graph, GraphBuilder, Op, Role, Shape, Weights};

/// Values of one tensor, or of all weights together, above which a file is taken for damaged: 1 GiB.
const MOST_VALUES: usize = 1 << 28;
/// The first operator set in which arithmetic broadcasts as it does today.
const OLDEST_OPSET: i64 = 7;

/// A network read from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What runs.
    pub graph: Graph,
    /// Its numbers.
    pub weights: Weights,
    /// What the file says about itself.
    pub metadata: BTreeMap<String, String>,
    /// Name of the network.
    pub name: String,
    /// Name of the input in the file.
    pub input_name: String,
    /// Name of the output in the file.
    pub output_name: String,
}

/// Reads a file: those written here, bit by bit, and ordinary small networks of convolutions.
///
/// # Errors
/// If the bytes are damaged, or if a node has no counterpart in [`Op`]; the error names the node and says why.
pub fn decode(bytes: &[u8]) -> Result<Model, OnnxError> {
    let model = ModelProto::decode(bytes).map_err(|error| OnnxError::NotOnnx(error.to_string()))?;
    check_opset(&model)?;
    let proto = model.graph.as_ref().ok_or_else(|| OnnxError::Model("holds no graph".into()))?;
    let mut decoder = Decoder::default();
    decoder.read_initializers(proto)?;
    let input_name = decoder.read_input(proto)?;
    for node in &proto.node {
        decoder.read_node(node)?;
    }
    let [output] = proto.output.as_slice() else {
        return Err(OnnxError::Model(format!("has {} outputs, expected one", proto.output.len())));
    };
    let (graph, weights) = decoder.finish(&output.name)?;
    let metadata = model.metadata_props.iter().map(|p| (p.key.clone(), p.value.clone())).collect();
    Ok(Model { graph, weights, metadata, name: proto.name.clone(), input_name, output_name: output.name.clone() })
}

fn check_opset(model: &ModelProto) -> Result<(), OnnxError> {
    let standard = model.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx");
    match standard.map(|o| o.version) {
        Some(version) if version >= OLDEST_OPSET => Ok(()),
        Some(version) => Err(OnnxError::Model(format!(
            "uses operator set {version}, which is too old\nhint: convert it to operator set {OLDEST_OPSET} or newer"
        ))),
        None => Err(OnnxError::Model("does not say which operator set it uses".into())),
    }
}

/// How a value lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    /// (1, features).
    Vector,
    /// (1, channels, rows, columns).
    Map,
}

/// A tensor of the file: the operator that computes it, and how it lies there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    pub(super) node: usize,
    pub(super) rank: Rank,
}

/// An operator on its way into the graph. Some end up unused: a subtraction that a division absorbed, for example.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) op: Op,
    pub(super) inputs: Vec<usize>,
    pub(super) params: Vec<(Role, Vec<f32>)>,
    pub(super) shape: Shape,
}

#[derive(Debug, Default)]
pub(super) struct Decoder {
    constants: HashMap<String, Constant>,
    values: HashMap<String, Value>,
    drafts: Vec<Draft>,
    names: HashSet<String>,
    weights: usize,
}

impl Decoder {
    fn read_initializers(&mut self, proto: &GraphProto) -> Result<(), OnnxError> {
        for tensor in &proto.initializer {
            let constant =
                Constant::read(tensor).map_err(|reason| OnnxError::Tensor { name: tensor.name.clone(), reason })?;
            self.constants.insert(tensor.name.clone(), constant);
        }
        Ok(())
    }

    /// Finds the image among the inputs (old files list their constants there too) and gives its name.
    fn read_input(&mut self, proto: &GraphProto) -> Result<String, OnnxError> {
        let inputs: Vec<&ValueInfoProto> =
            proto.input.iter().filter(|i| !self.constants.contains_key(&i.name)).collect();
        let [input] = inputs.as_slice() else {
            return Err(OnnxError::Model(format!("has {} inputs, expected one", inputs.len())));
        };
        let (shape, rank) = image(input).map_err(|reason| OnnxError::Tensor { name: input.name.clone(), reason })?;
        let node = self
            .push("input", Op::Input(shape), &[], Vec::new())
            .map_err(|reason| OnnxError::Tensor { name: input.name.clone(), reason })?;
        self.values.insert(input.name.clone(), Value { node, rank });
        Ok(input.name.clone())
    }

    fn read_node(&mut self, node: &NodeProto) -> Result<(), OnnxError> {
        let name = [&node.name, node.output.first().unwrap_or(&node.op_type)];
        let name = name.into_iter().find(|n| !n.is_empty()).unwrap_or(&node.op_type).clone();
        let failed = |reason| OnnxError::Node { node: name.clone(), op: node.op_type.clone(), reason };
        if node.op_type == "Constant" && node.output.len() == 1 {
            let constant = Constant::of_node(node).map_err(failed)?;
            return self.define(&node.output[0], |d, name| d.constants.insert(name, constant).is_some());
        }
        let domain = ["", "ai.onnx"].contains(&node.domain.as_str());
        let Some(read) = super::operators::reader(&node.op_type).filter(|_| domain) else {
            let op = node.op_type.clone();
            return Err(OnnxError::Unsupported { node: name, op, supported: super::operators::supported() });
        };
        let output = match node.output.iter().filter(|o| !o.is_empty()).count() {
            1 => node.output[0].clone(),
            used => return Err(failed(format!("has {used} outputs in use, only the first is supported"))),
        };
        let value = read(self, node, &name).map_err(failed)?;
        self.define(&output, |d, name| d.values.insert(name, value).is_some())
    }

    /// Gives a tensor its name, which must be new.
    fn define(&mut self, name: &str, insert: impl FnOnce(&mut Self, String) -> bool) -> Result<(), OnnxError> {
        let known = self.values.contains_key(name) || self.constants.contains_key(name);
        match known || insert(self, name.to_string()) {
            true => Err(OnnxError::Tensor { name: name.to_string(), reason: "is computed twice".into() }),
            false => Ok(()),
        }
    }

    /// A tensor that depends on the image.
    pub(super) fn value(&self, name: &str) -> Result<Value, String> {
        match (self.values.get(name), self.constants.contains_key(name)) {
            (Some(value), _) => Ok(*value),
            (None, true) => Err(format!("`{name}` is a constant, expected a value computed from the image")),
            (None, false) => Err(format!("reads `{name}`, which no earlier node computes")),
        }
    }

    /// A tensor that does not.
    pub(super) fn constant(&self, name: &str) -> Result<&Constant, String> {
        match (self.constants.get(name), self.values.contains_key(name)) {
            (Some(constant), _) => Ok(constant),
            (None, true) => Err(format!("`{name}` is computed, expected a constant")),
            (None, false) => Err(format!("reads `{name}`, which the file does not hold")),
        }
    }

    pub(super) fn is_constant(&self, name: &str) -> bool {
        self.constants.contains_key(name)
    }

    pub(super) fn draft(&self, value: Value) -> &Draft {
        &self.drafts[value.node]
    }

    pub(super) fn shape(&self, value: Value) -> Shape {
        self.drafts[value.node].shape
    }

    /// Adds an operator; its shapes, its arrays and the size of its output are checked.
    pub(super) fn push(
        &mut self,
        name: &str,
        op: Op,
        inputs: &[usize],
        params: Vec<(Role, Vec<f32>)>,
    ) -> Result<usize, String> {
        let shapes: Vec<Shape> = inputs.iter().map(|i| self.drafts[*i].shape).collect();
        let shape = op.output(&shapes)?;
        within_reason(shape)?;
        for (role, dims) in op.params(&shapes) {
            let expected: usize = dims.iter().product();
            let found = params.iter().find(|(r, _)| *r == role).map_or(0, |(_, values)| values.len());
            if expected != found {
                return Err(format!("its {} takes {expected} values, got {found}", role.name()));
            }
            self.weights += expected;
        }
        if self.weights > MOST_VALUES {
            return Err(format!("the network has more than {MOST_VALUES} weights"));
        }
        let name = self.fresh(name);
        self.drafts.push(Draft { name, op, inputs: inputs.to_vec(), params, shape });
        Ok(self.drafts.len() - 1)
    }

    fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_string();
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{wanted}_{count}");
        }
        name
    }

    /// The graph of all that the output needs.
    fn finish(mut self, output: &str) -> Result<(Graph, Weights), OnnxError> {
        let end = self.value(output).map_err(|reason| OnnxError::Model(format!("has no output: {reason}")))?.node;
        let mut needed = vec![false; end + 1];
        needed[end] = true;
        for id in (0..=end).rev() {
            if needed[id] {
                self.drafts[id].inputs.iter().for_each(|i| needed[*i] = true);
            }
        }
        if !needed[0] {
            return Err(OnnxError::Model("has an output that does not depend on its input".into()));
        }
        self.drafts.truncate(end + 1);
        build(self.drafts, &needed)
    }
}

fn build(drafts: Vec<Draft>, needed: &[bool]) -> Result<(Graph, Weights), OnnxError> {
    let mut builder = GraphBuilder::default();
    let mut place = vec![0; drafts.len()];
    let mut arrays = Vec::new();
    for (id, draft) in drafts.into_iter().enumerate().filter(|(id, _)| needed[*id]) {
        let inputs: Vec<usize> = draft.inputs.iter().map(|i| place[*i]).collect();
        place[id] = builder.push(draft.name, draft.op, &inputs)?;
        arrays.push(draft.params);
    }
    let graph = builder.finish()?;
    let mut weights = Weights::neutral(&graph);
    for (node, params) in arrays.iter().enumerate() {
        params.iter().for_each(|(role, values)| weights.set(node, *role, values));
    }
    Ok((graph, weights))
}

fn within_reason(shape: Shape) -> Result<(), String> {
    let product = [shape.channels, shape.height, shape.width].into_iter().try_fold(1usize, |p, d| p.checked_mul(d));
    match product {
        Some(values) if values <= MOST_VALUES => Ok(()),
        _ => Err(format!("its output {shape} is larger than {MOST_VALUES} values")),
    }
}

/// Shape of the image: (batch, channels, rows, columns) or (batch, features), the batch 1 or open.
fn image(input: &ValueInfoProto) -> Result<(Shape, Rank), String> {
    let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Err("the input is not a tensor".into());
    };
    let dims = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let fixed: Vec<Option<i64>> = dims
        .iter()
        .map(|d| match d.value {
            Some(dimension::Value::DimValue(value)) if value > 0 => Some(value),
            _ => None,
        })
        .collect();
    if let Some(Some(batch @ 2..)) = fixed.first() {
        return Err(format!("the input holds {batch} images\nhint: export with batch 1 or an open batch"));
    }
    let dims: Option<Vec<usize>> =
        fixed.iter().skip(1).map(|d| d.filter(|d| *d <= MOST_VALUES as i64).map(|d| d as usize)).collect();
    let (shape, rank) = match dims.as_deref() {
        Some([channels, height, width]) => (Shape::new(*channels, *height, *width), Rank::Map),
        Some([features]) => (Shape::vector(*features), Rank::Vector),
        _ => return Err("the input is not (1, channels, rows, columns) with fixed sizes".into()),
    };
    within_reason(shape)?;
    Ok((shape, rank))
}
