//! Devices: profiles as they are written (YAML), targets as they are used, what a network breaks on one, and the latency
//! model of a device.

mod latency;
mod profile;
mod verdict;

pub use latency::{LatencyModel, signature};
pub use profile::{LatencyLimit, Limits, Target, TargetError, built_in_names};
pub use verdict::{Broken, Latency, Limit, Provenance, Verdict};
