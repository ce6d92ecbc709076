//! What can be wrong with an ONNX file, or keep it from running.

use crate::graph::GraphError;

/// Why a file was not read or did not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// The bytes are not a protobuf message of the right kind.
    #[error(
        "this is not an ONNX file, or it is damaged: {0}\nhint: export or copy it again; `netwright compile` writes `model.onnx`"
    )]
    NotOnnx(String),
    /// Something about the model as a whole.
    #[error("the ONNX model {}", hinted(.0, "export a network for inference with one image as input and one output"))]
    Model(String),
    /// A constant that cannot be used.
    #[error("tensor `{name}`: {}", hinted(reason, "the file may be damaged: export or copy it again"))]
    Tensor {
        /// Its name in the file.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An operator that has no counterpart here.
    #[error(
        "node `{node}` ({op}): this operator is not supported\nhint: export for inference without post-processing; the operators that can be read are {supported}"
    )]
    Unsupported {
        /// Name of the node.
        node: String,
        /// Its operator.
        op: String,
        /// All operators that can be read.
        supported: String,
    },
    /// A node of a known operator whose settings or inputs cannot be used.
    #[error(
        "node `{node}` ({op}): {}",
        hinted(reason, "export for inference, with one image of a fixed size; if that was done, the file is damaged")
    )]
    Node {
        /// Name of the node.
        node: String,
        /// Its operator.
        op: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// The operators do not form a network.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// tract refused the model or failed while running it.
    #[error(
        "tract could not {action}: {}",
        hinted(reason, "`netwright inspect` may say more about what is wrong with the file")
    )]
    Runtime {
        /// What was tried.
        action: &'static str,
        /// tract's words.
        reason: String,
    },
    /// An image of the wrong size.
    #[error("the network takes {expected} values, got {found}")]
    ImageSize {
        /// Values of one image.
        expected: usize,
        /// Values given.
        found: usize,
    },
}

/// A reason with a hint on a line of its own, unless it ends in one already.
fn hinted(reason: &str, hint: &str) -> String {
    if reason.contains("\nhint: ") { reason.to_string() } else { format!("{reason}\nhint: {hint}") }
}
