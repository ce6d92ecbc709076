//! Accuracy labels: a list of networks trained on a list of data sets, each pair once, into a journal that a killed process
//! goes on with and that becomes a table for predictors.

mod draw;
mod networks;
mod record;
mod sheet;
mod source;
mod task;
mod train;

pub use draw::{TaskRanges, draw_tasks};
pub use networks::{Networks, check_width, space_for};
pub use record::{Label, Labels, Recipe};
pub use sheet::write_table;
pub use source::Sources;
pub use task::{BUILT_IN_SOURCE, DataTask, TaskList, family_of, is_built_in};
pub use train::{Plan, label};

use std::path::PathBuf;

use crate::data::DataError;
use crate::run::RunError;
use crate::space::SpaceError;
use crate::train::TrainError;

/// Why networks cannot be labelled.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// A list of tasks that is none, or tasks that contradict themselves: all faults at once.
    #[error("`{}` is not a list of tasks:\n{faults}\nhint: `netwright label tasks --sources built-in -n 3` writes one", path.display())]
    Tasks {
        /// The file.
        path: PathBuf,
        /// All that is wrong with it, a line each.
        faults: String,
    },
    /// A source that does not exist.
    #[error("{reason}")]
    Source {
        /// What is wrong.
        reason: String,
    },
    /// A task that its data cannot fill.
    #[error("task `{task}`: {reason}")]
    Task {
        /// The task.
        task: String,
        /// What is wrong.
        reason: String,
    },
    /// A list of networks with lines that are none.
    #[error("`{}`, line {line}: {source}", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: SpaceError,
    },
    /// A file that cannot be read.
    #[error("cannot read `{}`: {reason}\nhint: `netwright label --help` says what the file holds", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A journal that was begun otherwise.
    #[error("`{}` was begun with other settings: {differences}\nhint: repeat the settings, or name another folder with `--out`", path.display())]
    OtherSettings {
        /// The journal.
        path: PathBuf,
        /// What differs.
        differences: String,
    },
    /// A task whose images are not those that its first labels were found on.
    #[error("the images of task `{task}` have changed since `{}` was begun\nhint: restore them, or rename the task", path.display())]
    DataChanged {
        /// The task.
        task: String,
        /// The journal.
        path: PathBuf,
    },
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The space.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// A training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Journal and table.
    #[error(transparent)]
    Run(#[from] RunError),
}
