//! Training a `Graph` on images, and evaluating it: (graph, images, configuration) → weights and a curve.

mod checkpoint;
mod config;
mod evaluate;
#[cfg(test)]
mod extras;
mod loss;
mod side_by_side;
mod start;
mod trainer;

pub use config::{ClassWeights, OptimiserKind, Schedule, TrainConfig};
use evaluate::logits_of;
pub use evaluate::{accuracy, accuracy_on, logits, logits_on, top1};
pub use loss::Teacher;
pub use side_by_side::{Guide, Job, train_guided, train_many, train_on};
pub use trainer::{EpochRecord, Trained, train};

/// What ends a training early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The loss left the range in which training makes sense.
    #[error("training diverged in epoch {epoch}: {reason}")]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// What was seen.
        reason: String,
    },
    /// Fewer than two images to train on.
    #[error("{images} training images are too few\nhint: training needs at least two")]
    TooFewImages {
        /// How many there are.
        images: usize,
    },
    /// A checkpoint that cannot be written or read.
    #[error("checkpoint `{path}`: {reason}\nhint: free some space or remove the file, then resume")]
    Checkpoint {
        /// The file.
        path: std::path::PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Settings that make no training.
    #[error("{reason}")]
    Config {
        /// What is wrong.
        reason: String,
    },
    /// Settings that a GPU cannot train with.
    #[error("a GPU cannot train with {} yet\nhint: `--device cpu`, or leave it out", listed(.0))]
    OnlyOnCpu(Vec<&'static str>),
    /// A GPU that failed.
    #[error("the GPU failed: {0}\nhint: `--device cpu` trains without it")]
    Gpu(#[from] crate::nn::cuda::BackendError),
    /// A tensor operation that failed.
    #[error("training failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
