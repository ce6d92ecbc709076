//! ONNX files: a graph with its weights becomes a file, a file of an ordinary small network becomes a graph, and tract
//! runs it. Whether tract's outputs agree with the trainer's is judged here too, on plain arrays.
//!
//! Files are opset 17, IR version 8, batch 1: input `image` (1, channels, rows, columns) with values 0…1, output
//! `logits` (1, classes). The bytes depend on graph, weights and metadata only.

mod agreement;
mod arithmetic;
mod decode;
mod encode;
mod error;
mod operators;
mod proto;
mod reshaping;
mod runnable;
mod tensors;
mod window;

#[cfg(test)]
mod foreign;
#[cfg(test)]
pub(crate) mod random_graph;
#[cfg(test)]
mod round_trip;

pub use agreement::{Agreement, MAX_RELATIVE_DIFFERENCE, NEAR_TIE, agreement};
pub use decode::{Model, decode};
pub use encode::{ModelInfo, encode};
pub use error::OnnxError;
pub use runnable::{Runnable, Session};

/// Name of the input of the files written here.
pub const INPUT_NAME: &str = "image";
/// Name of the output of the files written here.
pub const OUTPUT_NAME: &str = "logits";
/// Operator set of the files written here: the newest that both tract (9 to 18) and older runtimes test.
pub const OPSET: i64 = 17;
