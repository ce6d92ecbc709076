//! A file as tract runs it: loaded, optimised, one image at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{Cost, EvalContext, OpState, TypedSimplePlan, TypedSimpleState};
use tract_onnx::tract_core::ops::cnn::Conv;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::plan;
use tract_onnx::tract_hir::infer::Factoid;

use super::{OnnxError, tensors};
use crate::graph::Shape;

/// Values of one tensor above which a model is not run: 1 GiB.
const MOST_VALUES: usize = 1 << 28;

/// A network ready to run. It may be shared between threads; each [`Session`] belongs to one.
#[derive(Debug, Clone)]
pub struct Runnable {
    plan: Arc<TypedSimplePlan>,
    dims: Vec<usize>,
    input: Shape,
    outputs: usize,
    macs: u64,
}

/// One running network with its scratch memory, for runs one after the other.
#[derive(Debug)]
pub struct Session {
    state: TypedSimpleState,
    dims: Vec<usize>,
}

fn runtime(action: &'static str) -> impl Fn(TractError) -> OnnxError {
    move |error| OnnxError::Runtime { action, reason: format!("{error:#}").to_lowercase() }
}

impl Runnable {
    /// Loads and optimises a file for one image at a time, whether its batch is 1 or open.
    ///
    /// # Errors
    /// If the file is damaged or needs what tract does not have. A panic in tract is an error too.
    pub fn load(bytes: &[u8]) -> Result<Self, OnnxError> {
        let proto = ModelProto::decode(bytes).map_err(|error| OnnxError::NotOnnx(error.to_string()))?;
        check(&proto)?;
        let action = "load the model";
        let panicked = OnnxError::Runtime { action, reason: "it panicked".into() };
        catch_unwind(AssertUnwindSafe(|| Runnable::prepare(&proto))).map_err(|_| panicked)?
    }

    fn prepare(proto: &ModelProto) -> Result<Self, OnnxError> {
        let loading = runtime("load the model");
        let mut model = tract_onnx::onnx()
            .with_ignore_value_info(true)
            .with_ignore_output_shapes(true)
            .model_for_proto_model(proto)
            .map_err(&loading)?;
        let (dims, input) = input_dims(&model)?;
        model.set_input_fact(0, f32::fact(&dims).into()).map_err(&loading)?;
        let typed = model.into_typed().map_err(runtime("infer the shapes of the model"))?;
        check_sizes(&typed)?;
        let macs = count_macs(&typed).map_err(&loading)?;
        let outputs = output_values(&typed)?;
        let plan =
            typed.into_optimized().and_then(|model| model.into_runnable()).map_err(runtime("optimise the model"))?;
        Ok(Runnable { plan, dims, input, outputs, macs })
    }

    /// Shape of the image.
    pub fn input_shape(&self) -> Shape {
        self.input
    }

    /// Number of values the network answers with.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Multiply-accumulates of convolutions and matrix products for one image, as tract counts them in the file.
    pub fn macs(&self) -> u64 {
        self.macs
    }

    /// The network's answer for one image (channels, rows, columns).
    pub fn run(&self, image: &[f32]) -> Result<Vec<f32>, OnnxError> {
        self.session()?.run(image)
    }

    /// A session for many runs on one thread.
    pub fn session(&self) -> Result<Session, OnnxError> {
        let state = self.plan.spawn().map_err(runtime("start a session"))?;
        Ok(Session { state, dims: self.dims.clone() })
    }
}

impl Session {
    /// The network's answer for one image (channels, rows, columns).
    pub fn run(&mut self, image: &[f32]) -> Result<Vec<f32>, OnnxError> {
        let input = self.input(image)?;
        let outputs = self.state.run(input).map_err(runtime("run the model"))?;
        answer(&outputs)
    }

    /// Like [`Session::run`], but each operator runs inside `around(name, kind, evaluate)`, which must call `evaluate`
    /// once: for whoever holds a clock.
    pub fn run_around(
        &mut self,
        image: &[f32],
        mut around: impl FnMut(&str, &str, &mut dyn FnMut()),
    ) -> Result<Vec<f32>, OnnxError> {
        let input = self.input(image)?;
        let evaluate = |context: &EvalContext<'_>,
                        mut state: Option<&mut (dyn OpState + 'static)>,
                        node: &TypedNode,
                        inputs: TVec<TValue>| {
            let mut inputs = Some(inputs);
            let mut result = Err(TractError::msg("the operator was not run"));
            around(&node.name, &node.op.name(), &mut || {
                let inputs = inputs.take().unwrap_or_default();
                result = plan::eval(context, state.as_deref_mut(), node, inputs);
            });
            result
        };
        let outputs = self.state.run_plan_with_eval(input, evaluate).map_err(runtime("run the model"))?;
        answer(&outputs)
    }

    fn input(&self, image: &[f32]) -> Result<TVec<TValue>, OnnxError> {
        let expected = self.dims.iter().product();
        if image.len() != expected {
            return Err(OnnxError::ImageSize { expected, found: image.len() });
        }
        let tensor = Tensor::from_shape(&self.dims, image).map_err(runtime("take the image"))?;
        Ok(tvec!(tensor.into_tvalue()))
    }
}

fn answer(outputs: &[TValue]) -> Result<Vec<f32>, OnnxError> {
    let read = |value: &TValue| Ok(value.try_as_plain_ram()?.as_slice::<f32>()?.to_vec());
    outputs.first().map_or(Ok(Vec::new()), read).map_err(runtime("read the output"))
}

/// Refuses what tract would trust: sizes that do not fit the data, outputs that nothing computes.
fn check(proto: &ModelProto) -> Result<(), OnnxError> {
    let graph = proto.graph.as_ref().ok_or_else(|| OnnxError::Model("holds no graph".into()))?;
    let of_nodes = graph.node.iter().flat_map(|n| &n.attribute).filter_map(|a| a.t.as_ref());
    for tensor in graph.initializer.iter().chain(of_nodes) {
        tensors::check(tensor).map_err(|reason| OnnxError::Tensor { name: tensor.name.clone(), reason })?;
    }
    check_names(graph)
}

fn check_names(graph: &GraphProto) -> Result<(), OnnxError> {
    let [output] = graph.output.as_slice() else {
        return Err(OnnxError::Model(format!("has {} outputs, expected one", graph.output.len())));
    };
    match graph.node.iter().any(|n| n.output.contains(&output.name)) {
        true => Ok(()),
        false => Err(OnnxError::Model(format!("has an output `{}` that no node computes", output.name))),
    }
}

/// Dimensions of the input with batch 1, and the shape of the image.
fn input_dims(model: &InferenceModel) -> Result<(Vec<usize>, Shape), OnnxError> {
    let [_] = model.inputs.as_slice() else {
        return Err(OnnxError::Model(format!("has {} inputs, expected one", model.inputs.len())));
    };
    let fact = model.input_fact(0).map_err(runtime("read the input"))?;
    let sizes: Vec<Option<usize>> = fact
        .shape
        .dims()
        .map(|dim| dim.concretize().and_then(|dim| dim.as_i64()).and_then(|dim| usize::try_from(dim).ok()))
        .collect();
    let shape = match sizes.get(1..).unwrap_or_default() {
        [Some(channels), Some(height), Some(width)] => Shape::new(*channels, *height, *width),
        [Some(features)] => Shape::vector(*features),
        _ => return Err(OnnxError::Model("has an input that is not (1, channels, rows, columns)".into())),
    };
    let dims: Vec<usize> = std::iter::once(1).chain(sizes.into_iter().skip(1).flatten()).collect();
    match dims.iter().try_fold(1usize, |product, d| product.checked_mul(*d)) {
        Some(1..=MOST_VALUES) => Ok((dims, shape)),
        _ => Err(OnnxError::Model("has an input that is empty or too large".into())),
    }
}

fn check_sizes(model: &TypedModel) -> Result<(), OnnxError> {
    for node in model.nodes() {
        for output in &node.outputs {
            let values = output.fact.shape.as_concrete().and_then(|dims| {
                dims.iter().try_fold(1usize, |product, d| product.checked_mul(*d)).filter(|v| *v <= MOST_VALUES)
            });
            if values.is_none() {
                return Err(OnnxError::Node {
                    node: node.name.clone(),
                    op: node.op.name().into_owned(),
                    reason: format!("its output has no fixed size or more than {MOST_VALUES} values"),
                });
            }
        }
    }
    Ok(())
}

fn output_values(model: &TypedModel) -> Result<usize, OnnxError> {
    let fact = model.output_fact(0).map_err(runtime("read the output"))?;
    match fact.datum_type == f32::datum_type() {
        true => Ok(fact.shape.as_concrete().map_or(0, |dims| dims.iter().product())),
        false => Err(OnnxError::Model("does not answer with 32-bit floats".into())),
    }
}

/// Multiply-accumulates of convolutions and matrix products; tract counts those of a mean or a sum as well.
fn count_macs(model: &TypedModel) -> TractResult<u64> {
    let mut macs = 0;
    for node in model.nodes().iter().filter(|n| n.op_is::<Conv>() || n.op_is::<EinSum>()) {
        let inputs = model.node_input_facts(node.id)?;
        for (cost, count) in node.op.cost(&inputs)? {
            if let Cost::FMA(_) = cost {
                macs += count.to_i64()?.max(0) as u64;
            }
        }
    }
    Ok(macs)
}
