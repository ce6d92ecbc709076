//! What can be wrong with samples and their targets.

/// Why a predictor was not fitted.
#[derive(Debug, thiserror::Error)]
// The messages name the fields.
#[allow(missing_docs)]
pub enum PredictorError {
    /// One target belongs to each sample.
    #[error("{samples} samples have {targets} targets\nhint: give one accuracy per sample")]
    Targets { samples: usize, targets: usize },
    /// A predictor needs a few samples, and cross-validation as many as folds.
    #[error(
        "{found} samples are too few: {needed} are needed\nhint: train more architectures first, or ask for fewer folds"
    )]
    TooFew { found: usize, needed: usize },
    /// Cross-validation holds out one fold of several.
    #[error("`{0}` folds leave nothing to fit or nothing to test\nhint: ask for 2 folds or more")]
    Folds(usize),
    /// Samples of one space have graphs of one size and columns in one order.
    #[error(
        "sample {index} has {nodes} nodes and {columns} columns, sample 0 has {first_nodes} and {first_columns}\nhint: fit one predictor per search space"
    )]
    Mixed { index: usize, nodes: usize, columns: usize, first_nodes: usize, first_columns: usize },
    /// A number that is infinite or none.
    #[error("sample {0} has a column or a target that is not a finite number\nhint: leave out trials that failed")]
    NotFinite(usize),
    /// The name of no kind.
    #[error(
        "`{0}` is not a kind of predictor\nhint: choose one of gnn, mlp, ridge, macs, blend, forest, boosting, process, stack, pair"
    )]
    UnknownKind(String),
    /// A file of another kind or version.
    #[error("the pretrained predictor cannot be read: {0}\nhint: `netwright predictor pretrain` makes it again")]
    Pretrained(String),
    /// What candle reports while training.
    #[error("training the predictor failed: {0}\nhint: this is a fault of the program, please report it")]
    Training(#[from] candle_core::Error),
}
