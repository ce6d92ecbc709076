//! What is wrong with a benchmark's file.

use std::path::{Path, PathBuf};

use crate::space::SpaceError;

/// Why a benchmark cannot be read or asked.
#[derive(Debug, thiserror::Error)]
pub enum TabularError {
    /// A file that cannot be opened or read.
    #[error("cannot read `{}`: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No built-in table and no file has this name.
    #[error("no table `{name}`\nhint: built in: {}; or give the path of a description, `--table my.yaml`", super::built_in_tables().join(", "))]
    UnknownTable {
        /// The name.
        name: String,
    },
    /// A built-in table without a folder.
    #[error("table `{name}` is built in, its files are not\nhint: give their folder, `--data FOLDER`")]
    NoFolder {
        /// The table.
        name: String,
    },
    /// A description of a table that does not describe one.
    #[error("table `{origin}` is not valid:\n{faults}")]
    Description {
        /// The file or the built-in name.
        origin: String,
        /// All that is wrong with it.
        faults: String,
    },
    /// Columns that are named and not there.
    #[error("`{}` has no column {}\nhint: its columns are {}", path.display(), quoted(missing), found.join(", "))]
    Columns {
        /// The file.
        path: PathBuf,
        /// The columns that are missing.
        missing: Vec<String>,
        /// The columns that are there.
        found: Vec<String>,
    },
    /// A record that does not say what it should.
    #[error("`{}`, record {record}: {reason}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Which record, from 1.
        record: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that is not what its name says.
    #[error("`{}` is not {expected}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A question that the benchmark has no answer to.
    #[error("{0}")]
    NotFound(String),
    /// A text that is no genotype, or a space that does not exist.
    #[error(transparent)]
    Space(#[from] SpaceError),
}

impl TabularError {
    pub(super) fn unreadable(path: &Path, reason: impl ToString) -> Self {
        TabularError::Unreadable { path: path.to_path_buf(), reason: reason.to_string() }
    }

    pub(super) fn record(path: &Path, record: usize, reason: impl ToString) -> Self {
        TabularError::Record { path: path.to_path_buf(), record, reason: reason.to_string() }
    }

    pub(super) fn format(path: &Path, expected: &'static str, reason: impl ToString) -> Self {
        TabularError::Format { path: path.to_path_buf(), expected, reason: reason.to_string() }
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
