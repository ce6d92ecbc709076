//! netwright: neural networks made to measure for a device.

pub mod seed;
pub mod stats;
pub mod units;

pub mod graph;
pub mod regress;

#[cfg(feature = "train")]
pub mod data;
#[cfg(feature = "train")]
pub mod nn;
pub mod space;

#[cfg(feature = "train")]
pub mod predictor;
#[cfg(feature = "train")]
pub mod train;

#[cfg(feature = "train")]
pub mod search;
