//! What is wrong with a target or its profile.

use std::path::PathBuf;

use super::built_in_names;
use crate::graph::NumberFormat;

/// What is wrong with a target or its profile.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No built-in profile and no file has this name.
    #[error("{} `{name}`\nhint: {}", if is_path(name) { "no profile" } else { "no target" }, unknown_hint(name))]
    Unknown {
        /// The name.
        name: String,
    },
    /// A file that cannot be read.
    #[error("cannot read profile `{}`: {reason}\nhint: a profile is a page of YAML; `netwright targets new my-board` writes one", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file that is no valid profile.
    #[error("profile `{origin}` has {count} {}\n{faults}", if *count == 1 { "fault" } else { "faults" })]
    Invalid {
        /// The file or the built-in name.
        origin: String,
        /// How much is wrong with it.
        count: usize,
        /// All that is wrong with it.
        faults: String,
    },
    /// A number format in which the latency of a network is not known, but limited.
    #[error(
        "target `{name}` limits latency, which is not known for {numbers} numbers\nhint: leave the limit out of a copy of the profile, or give it a `latency_model` with `numbers: {numbers}`"
    )]
    Numbers {
        /// The target.
        name: String,
        /// The format.
        numbers: NumberFormat,
    },
    /// Operator times that cannot be used.
    #[error("cannot read operator times `{}`: {reason}\nhint: `netwright calibrate --json > times.json` on the device writes them", path.display())]
    Times {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Whether a profile of one's own was meant.
fn is_path(name: &str) -> bool {
    name.contains(['/', '\\']) || [".yaml", ".yml"].iter().any(|ending| name.ends_with(ending))
}

/// The built-in target that was probably meant, or all of them.
fn unknown_hint(name: &str) -> String {
    let likeness = |known: &&str| strsim::jaro_winkler(&name.to_lowercase(), known);
    let best = built_in_names().into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match best.filter(|best| likeness(best) > 0.85) {
        _ if is_path(name) => {
            "there is no such file; `netwright targets new my-board` writes one to fill in".to_string()
        }
        Some(best) => {
            format!("did you mean `{best}`? `netwright targets list` shows all; a path names a profile of your own")
        }
        None => format!(
            "built in: {}; or give the path of a profile, `--target my-board.yaml`",
            built_in_names().join(", ")
        ),
    }
}
