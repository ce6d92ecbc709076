//! What ends a run without a result.

use std::path::PathBuf;

use super::NothingFits;
use crate::data::DataError;
use crate::generate::GenerateError;
use crate::measure::MeasureError;
use crate::onnx::OnnxError;
use crate::predictor::PredictorError;
use crate::search::SearchError;
use crate::space::SpaceError;
use crate::target::TargetError;
use crate::train::TrainError;

/// What ends a run without a result. Nothing observed is lost: `resume` goes on from the journal.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The folder of a new run holds something.
    #[error("`{}` exists already\nhint: `netwright resume {}` goes on with it, `--overwrite` starts anew, `--out` names another folder", .0.display(), .0.display())]
    Exists(PathBuf),
    /// The folder of a new run holds something else than a run, which is never removed.
    #[error("`{}` is not empty and holds no run\nhint: `--out` names another folder", .0.display())]
    Occupied(PathBuf),
    /// The folder holds no run.
    #[error("`{}` is not the folder of a run: it has no `{file}`\nhint: `netwright compile --out {}` starts one", path.display(), path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        file: &'static str,
    },
    /// A file that cannot be read or written.
    #[error("`{}`: {reason}{}", path.display(), hint(reason))]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// A file of the run folder with content that this version does not understand.
    #[error("`{}`: {reason}\nhint: the file was changed, or belongs to another version of netwright", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data are not those that the run began with.
    #[error("the data set has changed since the run began\nhint: restore it, or start a new run")]
    DataChanged,
    /// No training succeeded.
    #[error(
        "none of {trials} trainings succeeded; the last one: {reason}\nhint: lower the learning rate or look at the data"
    )]
    NothingTrained {
        /// How many there were.
        trials: usize,
        /// Why the last one failed.
        reason: String,
    },
    /// The pretrained predictor cannot say anything of the space's networks.
    #[error(
        "the pretrained predictor knows networks of {known} layers, those of this run have {own}\nhint: `--depth {known}`, or `--warm-start none`"
    )]
    ColdSpace {
        /// Layers of the run's networks.
        own: usize,
        /// Layers of those that it knows.
        known: usize,
    },
    /// There is no front to pick from yet.
    #[error("run `{}` is not finished: there is nothing to pick from yet\nhint: `netwright resume {}` finishes it", .0.display(), .0.display())]
    NotFinished(PathBuf),
    /// A number that no row of the front has.
    #[error("the Pareto front has {rows} rows, none with number {row}\nhint: `report.md` of the run shows them")]
    NoSuchRow {
        /// The number.
        row: usize,
        /// How many there are.
        rows: usize,
    },
    /// A network that the run knows nothing of.
    #[error(
        "the run has not trained network `{0}`\nhint: pick a row of the Pareto front or a trial, both in `report.md` of the run"
    )]
    NotATrial(String),
    /// The picked network is the winner.
    #[error("network `{genotype}` is the run's winner: it lies in `{}` already\nhint: pick another row of the Pareto front", model.display())]
    IsWinner {
        /// The network.
        genotype: String,
        /// Its file.
        model: PathBuf,
    },
    /// The full training of the picked network failed.
    #[error("network `{0}` cannot be deployed: its full training diverged\nhint: pick another row of the Pareto front")]
    PickDiverged(String),
    /// Counts that make no run.
    #[error("{0}")]
    Config(String),
    /// The target's limits exclude every network.
    #[error(transparent)]
    NothingFits(#[from] Box<NothingFits>),
    /// A network that a table does not hold.
    #[error("the table has no network `{0}`")]
    NotInTable(String),
    /// The target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The space.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The strategy.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// A predictor.
    #[error(transparent)]
    Predictor(#[from] PredictorError),
    /// A meta-model.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// A training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Reading, writing or running ONNX.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// A measurement.
    #[error(transparent)]
    Measure(#[from] MeasureError),
}

/// What helps against a failed write.
fn hint(reason: &str) -> &'static str {
    let full = ["No space left", "File too large", "quota"].iter().any(|text| reason.contains(text));
    let refused = ["Permission denied", "Read-only", "Not a directory", "not permitted"];
    if full {
        "\nhint: free some space, then `netwright resume`; what was observed so far is in the journal"
    } else if refused.iter().any(|text| reason.contains(text)) {
        "\nhint: `--out` names a folder where this user may write"
    } else {
        ""
    }
}
