//! Devices: profiles as they are written (YAML), targets as they are used, what a network breaks on one, and the latency
//! model of a device.
//!
//! A profile is read leaf by leaf (`document`, `section`, `schema`) so that everything that is wrong with it is
//! reported at once, each with its place.

mod checks;
mod document;
mod error;
mod fault;
mod latency;
mod profile;
mod registry;
mod schema;
mod section;
mod verdict;
mod write;

pub use error::TargetError;
pub use latency::{LatencyModel, signature};
pub use profile::{
    Analytic, Connection, LatencyLimit, LatencySource, Limits, Memory, Quality, Runtime, Target, TimesFile,
};
pub use registry::{built_in_names, built_in_text};
pub use verdict::{Broken, Latency, Limit, Provenance, Verdict};
pub use write::template;
