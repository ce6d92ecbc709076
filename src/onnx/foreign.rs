//! Tests with files as other programs write them, and as nobody should.

use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, type_proto};

use super::proto::{float, floats_tensor, int, ints, ints_tensor, node, value_info};
use super::{Runnable, decode};
use crate::graph::run_reference;

/// A model in pieces.
struct File {
    graph: GraphProto,
    opset: i64,
}

impl File {
    /// An image of 2×6×6 and an output `y`, for the nodes to come.
    fn new() -> Self {
        let mut input = value_info("x", &[1, 2, 6, 6]);
        // The batch is open, as PyTorch exports it.
        if let Some(type_proto::Value::TensorType(t)) = input.r#type.as_mut().unwrap().value.as_mut() {
            t.shape.as_mut().unwrap().dim[0].value = Some(dimension::Value::DimParam("batch".into()));
        }
        let graph = GraphProto { input: vec![input], output: vec![value_info("y", &[])], ..GraphProto::default() };
        File { graph, opset: 17 }
    }

    fn node(
        mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<tract_onnx::pb::AttributeProto>,
    ) -> Self {
        let mut proto: NodeProto = node(op, "", inputs.iter().map(|i| i.to_string()).collect(), output);
        proto.attribute = attributes;
        self.graph.node.push(proto);
        self
    }

    /// A constant of small numbers that differ.
    fn floats(self, name: &str, dims: &[usize]) -> Self {
        let count = dims.iter().product();
        let values: Vec<f32> = (0..count).map(|i| ((i * 37 + 11) % 19) as f32 / 19.0 - 0.4).collect();
        self.tensor(floats_tensor(name, dims, &values))
    }

    fn tensor(mut self, tensor: TensorProto) -> Self {
        self.graph.initializer.push(tensor);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: self.opset }],
            graph: Some(self.graph.clone()),
            ..ModelProto::default()
        }
        .encode_to_vec()
    }

    fn error(&self) -> String {
        decode(&self.bytes()).unwrap_err().to_string()
    }

    /// The graph that was read computes what tract computes from the file.
    fn agrees_with_tract(&self) {
        let bytes = self.bytes();
        let (model, runnable) = (decode(&bytes).unwrap(), Runnable::load(&bytes).unwrap());
        let image: Vec<f32> = (0..72).map(|i| (i * 29 % 31) as f32 / 31.0).collect();
        let (ours, theirs) = (run_reference(&model.graph, &model.weights, &image), runnable.run(&image).unwrap());
        assert_eq!(ours.len(), theirs.len());
        for (a, b) in ours.iter().zip(&theirs) {
            assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{ours:?}\n{theirs:?}");
        }
    }
}

fn auto_pad(mode: &str) -> tract_onnx::pb::AttributeProto {
    tract_onnx::pb::AttributeProto { s: mode.as_bytes().to_vec(), r#type: 3, ..int("auto_pad", 0) }
}

#[test]
fn automatic_padding_is_that_of_the_standard() {
    for mode in ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"] {
        for (kernel, stride) in [(2, 1), (3, 2), (4, 2)] {
            File::new()
                .floats("w", &[3, 2, kernel, kernel])
                .node("Conv", &["x", "w"], "y", vec![auto_pad(mode), ints("strides", &[stride; 2])])
                .agrees_with_tract();
        }
    }
}

#[test]
fn a_normalisation_by_constants_is_read_in_every_spelling() {
    let one = |op: &str| {
        File::new().tensor(floats_tensor("c", &[1, 2, 1, 1], &[0.5, 0.25])).node(op, &["x", "c"], "y", vec![])
    };
    for op in ["Sub", "Div", "Mul", "Add"] {
        one(op).agrees_with_tract();
    }
    let both = File::new()
        .tensor(floats_tensor("mean", &[2, 1, 1], &[0.5, 0.25]))
        .tensor(floats_tensor("scale", &[], &[4.0]))
        .node("Sub", &["x", "mean"], "centred", vec![])
        .node("Mul", &["scale", "centred"], "y", vec![]);
    both.agrees_with_tract();
    assert_eq!(decode(&both.bytes()).unwrap().graph.nodes().len(), 2, "one normalisation after the input");
}

#[test]
fn a_classifier_on_a_flattened_map_becomes_a_convolution() {
    for reshape in [false, true] {
        let file = File::new().floats("w", &[72, 5]).floats("b", &[5]).tensor(TensorProto {
            data_type: DataType::Int64 as i32,
            dims: vec![2],
            int64_data: vec![-1, 72],
            name: "shape".into(),
            ..TensorProto::default()
        });
        let file = match reshape {
            true => file.node("Reshape", &["x", "shape"], "flat", vec![]),
            false => file.node("Flatten", &["x"], "flat", vec![]),
        };
        file.node("MatMul", &["flat", "w"], "product", vec![])
            .node("Add", &["b", "product"], "y", vec![])
            .agrees_with_tract();
    }
}

#[test]
fn an_ordinary_network_is_read() {
    File::new()
        .floats("w", &[4, 2, 3, 3])
        .floats("scale", &[4])
        .floats("shift", &[4])
        .floats("mean", &[4])
        .tensor(floats_tensor("var", &[4], &[0.5, 1.0, 2.0, 0.1]))
        .tensor(ints_tensor("axes", &[2, 3]))
        .floats("fc", &[7, 4])
        .node("Conv", &["x", "w"], "c", vec![ints("pads", &[1, 1, 1, 1])])
        .node("BatchNormalization", &["c", "scale", "shift", "mean", "var"], "n", vec![float("epsilon", 1e-3)])
        .node("Clip", &["n", "", ""], "k", vec![])
        .node("MaxPool", &["n"], "m", vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
        .node("ReduceMean", &["m"], "g", vec![ints("axes", &[2, 3]), int("keepdims", 1)])
        .node("Squeeze", &["g", "axes"], "s", vec![])
        .node("Dropout", &["s"], "d", vec![])
        .node("Gemm", &["d", "fc"], "y", vec![int("transB", 1)])
        .error_or_agreement("clips to");
}

impl File {
    /// A node that only a dead branch has is still read: it must be one that is known.
    fn error_or_agreement(mut self, reason: &str) {
        assert!(self.error().contains(reason));
        self.graph.node.retain(|n| n.op_type != "Clip");
        self.agrees_with_tract();
    }
}

#[test]
fn what_cannot_be_read_is_named_with_the_reason() {
    let unknown = File::new().node("Softmax", &["x"], "y", vec![]).error();
    assert!(unknown.starts_with("node `y` (Softmax): this operator is not supported\nhint: "), "{unknown}");
    let wide = File::new().floats("w", &[3, 2, 1, 3]).node("Conv", &["x", "w"], "y", vec![]).error();
    assert!(wide.starts_with("node `y` (Conv): its kernel is 1×3, only square ones are supported\nhint: "), "{wide}");
    let missing = File::new().node("Conv", &["x", "w"], "y", vec![]).error();
    assert!(missing.starts_with("node `y` (Conv): reads `w`, which the file does not hold\n"), "{missing}");
    let cycle = File::new().node("Add", &["x", "b"], "a", vec![]).node("Relu", &["a"], "b", vec![]).error();
    assert!(cycle.starts_with("node `a` (Add): reads `b`, which no earlier node computes\n"), "{cycle}");
}

#[test]
fn sizes_out_of_all_proportion_are_errors() {
    let huge = TensorProto { dims: vec![1 << 40, 1 << 40], ..floats_tensor("w", &[], &[1.0]) };
    let negative = TensorProto { dims: vec![-1], ..floats_tensor("w", &[], &[1.0]) };
    let short = TensorProto { dims: vec![1 << 30], ..floats_tensor("w", &[], &[1.0]) };
    for tensor in [huge, negative, short] {
        let file = File::new().tensor(tensor).node("Add", &["x", "w"], "y", vec![]);
        assert!(file.error().starts_with("tensor `w`: its dimension"), "{}", file.error());
        assert!(Runnable::load(&file.bytes()).is_err());
    }
    let padded = File::new()
        .floats("w", &[1, 2, 1, 1])
        .node("Conv", &["x", "w"], "y", vec![ints("pads", &[1 << 40, 0, 0, 0])])
        .error();
    assert!(padded.contains("`pads` is 1099511627776, expected 0 to 16384"), "{padded}");
    let mut input = File::new().node("Relu", &["x"], "y", vec![]);
    input.graph.input = vec![value_info("x", &[1, 1 << 20, 1 << 20, 1 << 20])];
    assert!(input.error().contains("is larger than"), "{}", input.error());
    assert!(Runnable::load(&input.bytes()).is_err());
}
