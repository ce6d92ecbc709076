//! The loop from a target and data to a measured network: it asks a strategy, consults an oracle, tells the strategy and
//! writes the journal. What is in the journal is never done again.

mod artifacts;
mod budget;
mod card;
mod closer;
mod compile;
mod config;
mod error;
mod feasible;
mod finalists;
mod front;
mod journal;
mod latent_strategy;
mod lines;
mod meta_start;
mod on_gpu;
mod oracle;
mod pick;
mod prepare;
mod proposals;
mod retrain;
mod search_loop;
mod site;
mod sizing;
mod warm;

pub use artifacts::{RunFolder, write_whole};
pub use budget::{Plan, Requested, plan};
pub use card::{Card, LimitCheck};
pub use closer::CloserLook;
pub use compile::{Summary, compile};
pub use config::{
    BUILT_IN_IMAGES, DataConfig, Distil, Fidelity, LatentName, Longer, RunConfig, RunStrategy, SCHEMA_VERSION,
    WarmStart,
};
pub use error::RunError;
pub use feasible::{ENOUGH_NETWORKS, Feasible, Least, feasible};
pub use finalists::{Finalist, Tested};
pub use front::FrontRow;
pub use journal::{Entry, Journal, TrialRecord};
pub use latent_strategy::{LatentConfig, LatentSearch};
pub use lines::{Lines, wrong_line};
pub use meta_start::MetaGain;
pub use on_gpu::{Throughput, best_together, throughput};
pub use oracle::{Oracle, Outcome, TableOracle, TrainingOracle, trained_at_once};
pub use pick::{Pick, pick};
pub use prepare::{Prepared, space_of, task_of};
pub use proposals::{Asked, Proposals, Proposed, propose_in, propose_networks, shipped_model, view_of};
pub use retrain::Retrained;
pub use search_loop::search;
pub use site::SpaceSite;
pub use sizing::{Fixed, NothingFits, Size, Sized, size, size_by_measuring};
pub use warm::{PredictorGain, WarmGain};

/// What a run tells whoever watches it.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A part of the work begins.
    Stage(&'a str),
    /// Something worth knowing.
    Note(String),
    /// Something that may spoil a result.
    Warning(String),
    /// A network was trained cheaply: its record, how many are done, how many there will be.
    Trial(&'a TrialRecord, usize, usize),
    /// Part of a stage is done: what, how much, of how much.
    Step(&'a str, usize, usize),
}

/// Receives progress.
pub type Watch<'a> = &'a mut dyn FnMut(Progress);
