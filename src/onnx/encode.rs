//! From a graph with its weights to the bytes of an ONNX file.

use std::collections::{BTreeMap, HashSet};

use prost::Message;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, OperatorSetIdProto, TensorProto};

use super::{INPUT_NAME, OPSET, OUTPUT_NAME, proto};
use crate::graph::{BATCH_NORM_EPSILON, Conv2d, Graph, NodeId, Normalize, Op, Padding, Pool, Role, Shape, Weights};

/// ONNX's intermediate representation that goes with the operator set.
const IR_VERSION: i64 = 8;
/// The two constants that all ReLU6 of a file share.
const RELU6_MIN: &str = "relu6.min";
const RELU6_MAX: &str = "relu6.max";

/// What a file says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelInfo {
    /// Name of the network.
    pub name: String,
    /// Key and value pairs, written in the order of their keys.
    pub metadata: BTreeMap<String, String>,
}

/// The file of a network. Node names are those of the graph; a sum of more than two values becomes a chain of
/// two-operand additions in the order of its operands.
pub fn encode(graph: &Graph, weights: &Weights, info: &ModelInfo) -> Vec<u8> {
    let mut encoder = Encoder::new(graph, weights);
    for id in 0..graph.nodes().len() {
        encoder.push(id);
    }
    let output = encoder.finish();
    let proto = GraphProto {
        name: info.name.clone(),
        input: vec![proto::value_info(INPUT_NAME, &dims(graph.input_shape()))],
        output: vec![proto::value_info(OUTPUT_NAME, &output)],
        ..encoder.proto
    };
    let model = ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(proto),
        metadata_props: info.metadata.iter().map(|(key, value)| proto::entry(key, value)).collect(),
        ..ModelProto::default()
    };
    model.encode_to_vec()
}

fn dims(shape: Shape) -> Vec<usize> {
    vec![1, shape.channels, shape.height, shape.width]
}

/// How a value lies in the file: a vector may be (1, channels) or (1, channels, 1, 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Vector,
    Map,
}

/// A value of the file.
#[derive(Debug, Clone)]
struct Value {
    tensor: String,
    rank: Rank,
}

struct Encoder<'a> {
    graph: &'a Graph,
    weights: &'a Weights,
    proto: GraphProto,
    values: Vec<Value>,
    /// Names of tensors that are taken.
    tensors: HashSet<String>,
    /// Names of nodes that are taken; ONNX keeps them apart from those of tensors.
    nodes: HashSet<String>,
}

impl<'a> Encoder<'a> {
    fn new(graph: &'a Graph, weights: &'a Weights) -> Self {
        let tensors = [INPUT_NAME, OUTPUT_NAME, RELU6_MIN, RELU6_MAX].map(String::from).into_iter().collect();
        Encoder { graph, weights, proto: GraphProto::default(), values: Vec::new(), tensors, nodes: HashSet::new() }
    }

    fn push(&mut self, id: NodeId) {
        let graph = self.graph;
        let node = graph.node(id);
        let name = node.name.as_str();
        let value = match &node.op {
            Op::Input(_) => Value { tensor: INPUT_NAME.into(), rank: Rank::Map },
            Op::Normalize(n) => self.normalize(id, n),
            Op::Conv2d(conv) => {
                let map = self.map(id);
                let inputs = self.with_params(id, map, &[Role::Weight, Role::Bias]);
                self.emit("Conv", name, inputs, Rank::Map, convolution(conv))
            }
            Op::BatchNorm => {
                let roles = [Role::Gamma, Role::Beta, Role::RunningMean, Role::RunningVar];
                let map = self.map(id);
                let inputs = self.with_params(id, map, &roles);
                let epsilon = vec![proto::float("epsilon", BATCH_NORM_EPSILON)];
                self.emit("BatchNormalization", name, inputs, Rank::Map, epsilon)
            }
            Op::Relu => self.elementwise("Relu", id, Vec::new()),
            Op::Relu6 => {
                let bounds = vec![self.scalar(RELU6_MIN, 0.0), self.scalar(RELU6_MAX, 6.0)];
                self.elementwise("Clip", id, bounds)
            }
            Op::Add => self.sum(id),
            Op::Concat => {
                let (inputs, rank) = self.alike(id);
                self.emit("Concat", name, inputs, rank, vec![proto::int("axis", 1)])
            }
            Op::Crop(crop) => {
                let from = graph.input_shapes(id)[0];
                let mut inputs = vec![self.map(id)];
                let channels = crop.channels.unwrap_or(from.channels);
                let starts = [0, crop.top, crop.left];
                let ends = [channels, from.height, from.width];
                for (what, values) in [("starts", starts), ("ends", ends), ("axes", [1, 2, 3])] {
                    let tensor = self.fresh(&format!("{name}.{what}"));
                    inputs.push(self.initializer(proto::ints_tensor(&tensor, &values)));
                }
                self.emit("Slice", name, inputs, Rank::Map, Vec::new())
            }
            Op::MaxPool(pool) => {
                let inputs = vec![self.map(id)];
                self.emit("MaxPool", name, inputs, Rank::Map, window(pool))
            }
            Op::AvgPool(pool) => {
                let mut attributes = window(pool);
                attributes.push(proto::int("count_include_pad", 0));
                let inputs = vec![self.map(id)];
                self.emit("AveragePool", name, inputs, Rank::Map, attributes)
            }
            Op::GlobalMean => {
                let inputs = vec![self.map(id)];
                self.emit("GlobalAveragePool", name, inputs, Rank::Map, Vec::new())
            }
            Op::Linear(_) => {
                let vector = self.vector(node.inputs[0]);
                let inputs = self.with_params(id, vector, &[Role::Weight, Role::Bias]);
                self.emit("Gemm", name, inputs, Rank::Vector, vec![proto::int("transB", 1)])
            }
        };
        self.values.push(value);
    }

    /// Names the output as the file promises; its dimensions.
    fn finish(&mut self) -> Vec<usize> {
        let id = self.graph.output();
        let shape = self.graph.output_shape();
        if shape.is_vector() {
            self.vector(id);
        }
        let value = &self.values[id];
        let (last, rank) = (value.tensor.clone(), value.rank);
        match self.proto.node.iter_mut().find(|node| node.output[0] == last) {
            Some(node) => node.output[0] = OUTPUT_NAME.into(),
            None => self.proto.node.push(proto::node("Identity", "output", vec![last], OUTPUT_NAME)),
        }
        match rank {
            Rank::Vector => vec![1, shape.channels],
            Rank::Map => dims(shape),
        }
    }

    /// A name that no other tensor in the file has.
    fn fresh(&mut self, wanted: &str) -> String {
        free_name(&mut self.tensors, wanted)
    }

    fn initializer(&mut self, tensor: TensorProto) -> String {
        let name = tensor.name.clone();
        self.proto.initializer.push(tensor);
        name
    }

    /// A constant without dimensions, written once however often it is used.
    fn scalar(&mut self, name: &str, value: f32) -> String {
        let tensor = proto::floats_tensor(name, &[], &[value]);
        match self.proto.initializer.contains(&tensor) {
            true => name.to_string(),
            false => self.initializer(tensor),
        }
    }

    fn emit(
        &mut self,
        op: &str,
        name: &str,
        inputs: Vec<String>,
        rank: Rank,
        attributes: Vec<AttributeProto>,
    ) -> Value {
        let tensor = self.fresh(name);
        let mut node = proto::node(op, &free_name(&mut self.nodes, name), inputs, &tensor);
        node.attribute = attributes;
        self.proto.node.push(node);
        Value { tensor, rank }
    }

    /// The tensor of a node's only input as (1, channels, rows, columns).
    fn map(&mut self, id: NodeId) -> String {
        let source = self.graph.node(id).inputs[0];
        if self.values[source].rank == Rank::Vector {
            let name = format!("{}.map", self.graph.node(source).name);
            let shape = self.fresh(&format!("{name}.shape"));
            let dims = dims(self.graph.node(source).shape);
            let inputs = vec![self.values[source].tensor.clone(), self.initializer(proto::ints_tensor(&shape, &dims))];
            self.values[source] = self.emit("Reshape", &name, inputs, Rank::Map, Vec::new());
        }
        self.values[source].tensor.clone()
    }

    /// The tensor of a vector as (1, channels).
    fn vector(&mut self, source: NodeId) -> String {
        if self.values[source].rank == Rank::Map {
            let name = format!("{}.flatten", self.graph.node(source).name);
            let inputs = vec![self.values[source].tensor.clone()];
            self.values[source] = self.emit("Flatten", &name, inputs, Rank::Vector, vec![proto::int("axis", 1)]);
        }
        self.values[source].tensor.clone()
    }

    /// All inputs of a node with one rank between them.
    fn alike(&mut self, id: NodeId) -> (Vec<String>, Rank) {
        let sources = self.graph.node(id).inputs.clone();
        let rank = self.values[sources[0]].rank;
        if sources.iter().any(|s| self.values[*s].rank != rank) {
            return (sources.iter().map(|s| self.vector(*s)).collect(), Rank::Vector);
        }
        (sources.iter().map(|s| self.values[*s].tensor.clone()).collect(), rank)
    }

    fn elementwise(&mut self, op: &str, id: NodeId, constants: Vec<String>) -> Value {
        let (mut inputs, rank) = self.alike(id);
        inputs.extend(constants);
        self.emit(op, &self.graph.node(id).name, inputs, rank, Vec::new())
    }

    fn sum(&mut self, id: NodeId) -> Value {
        let graph = self.graph;
        let name = graph.node(id).name.as_str();
        let (inputs, rank) = self.alike(id);
        let mut so_far = inputs[0].clone();
        for (i, input) in inputs[1..].iter().enumerate() {
            let name = match i + 2 == inputs.len() {
                true => name.to_string(),
                false => format!("{name}.{}", i + 1),
            };
            so_far = self.emit("Add", &name, vec![so_far, input.clone()], rank, Vec::new()).tensor;
        }
        Value { tensor: so_far, rank }
    }

    fn normalize(&mut self, id: NodeId, normalize: &Normalize) -> Value {
        let name = &self.graph.node(id).name;
        let dims = [1, normalize.mean.len(), 1, 1];
        let mut tensor = self.map(id);
        for (op, suffix, what, values) in
            [("Sub", ".centre", "mean", &normalize.mean), ("Div", "", "std", &normalize.std)]
        {
            let constant = self.fresh(&format!("{name}.{what}"));
            let inputs = vec![tensor, self.initializer(proto::floats_tensor(&constant, &dims, values))];
            tensor = self.emit(op, &format!("{name}{suffix}"), inputs, Rank::Map, Vec::new()).tensor;
        }
        Value { tensor, rank: Rank::Map }
    }

    /// A tensor followed by the parameter arrays of a node, as initialisers `<node>.<role>`.
    fn with_params(&mut self, id: NodeId, input: String, roles: &[Role]) -> Vec<String> {
        let mut inputs = vec![input];
        for role in roles {
            let Some(spec) = self.weights.layout.find(id, *role) else { continue };
            let name = self.fresh(&format!("{}.{}", self.graph.node(id).name, role.name()));
            inputs.push(self.initializer(proto::floats_tensor(&name, &spec.dims, self.weights.values(spec))));
        }
        inputs
    }
}

/// The wanted name, numbered if it is taken.
fn free_name(taken: &mut HashSet<String>, wanted: &str) -> String {
    let mut name = wanted.to_string();
    let mut count = 1;
    while !taken.insert(name.clone()) {
        count += 1;
        name = format!("{wanted}_{count}");
    }
    name
}

fn pads(p: Padding) -> AttributeProto {
    proto::ints("pads", &[p.top, p.left, p.bottom, p.right])
}

fn convolution(conv: &Conv2d) -> Vec<AttributeProto> {
    vec![
        proto::ints("dilations", &[conv.dilation; 2]),
        proto::int("group", conv.groups),
        proto::ints("kernel_shape", &[conv.kernel; 2]),
        pads(conv.padding),
        proto::ints("strides", &[conv.stride; 2]),
    ]
}

fn window(pool: &Pool) -> Vec<AttributeProto> {
    vec![proto::ints("kernel_shape", &[pool.kernel; 2]), pads(pool.padding), proto::ints("strides", &[pool.stride; 2])]
}
