//! netwright: neural networks made to measure for a device.

pub mod seed;
pub mod stats;
pub mod units;

pub mod graph;
pub mod regress;

#[cfg(feature = "train")]
pub mod nn;
pub mod space;
