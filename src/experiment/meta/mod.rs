//! Learning across data sets: the database of labelled tasks, the features of their images, the fit, and what it is worth
//! on sources that were held out.

mod best_of;
mod database;
mod features;
mod published;
mod ranking;
mod simple;

pub use best_of::{BestOf, BestOfPlan, BestOfReport, best_of};
pub use database::{Database, Judged, Labelled};
pub use features::{FeatureTraining, train_features};
pub use published::{PublishedReport, PublishedScores, published};
pub use ranking::{RankingReport, Taus, ranking};

use std::path::PathBuf;

use super::labels::LabelError;
use crate::generate::GenerateError;
use crate::train::TrainError;

/// Why nothing is learned across data sets.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// Labels that do not go together.
    #[error("`{}` has labels of another recipe than `{}`\nhint: label all tasks with the same settings", other.display(), first.display())]
    Recipes {
        /// The first journal.
        first: PathBuf,
        /// One that differs.
        other: PathBuf,
    },
    /// The same labels more than once.
    #[error("the labels of `{}` are named twice\nhint: name each folder once", folder.display())]
    Twice {
        /// Their folder.
        folder: PathBuf,
    },
    /// Sources to hold out that no task has.
    #[error("no task is from a source `{wanted}`\nhint: the sources are {known}")]
    Source {
        /// What was to be held out.
        wanted: String,
        /// The sources there are.
        known: String,
    },
    /// Everything is held out, or nothing is labelled.
    #[error("no labelled task is left to learn from\nhint: hold fewer sources out, or label more tasks")]
    NothingLeft,
    /// Tasks, labels and their images.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The model.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The training of features.
    #[error(transparent)]
    Train(#[from] TrainError),
}
