//! Why something could not be measured.

use crate::onnx::OnnxError;

/// Why a measurement failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeasureError {
    /// The network does not load or run.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// A calibration with nothing to go by.
    #[error("a calibration needs at least {needed} networks, got {found}")]
    TooFewNetworks {
        /// Networks needed.
        needed: usize,
        /// Networks given.
        found: usize,
    },
    /// No network was left whose operators had all been timed.
    #[error(
        "no network could be predicted: each has operators that were not timed\nhint: profile more networks, or give networks that share operators"
    )]
    NothingPredicted,
}
