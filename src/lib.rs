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
pub mod onnx;
pub mod space;
pub mod target;

pub mod measure;
#[cfg(feature = "train")]
pub mod predictor;
#[cfg(feature = "train")]
pub mod train;

#[cfg(feature = "train")]
pub mod search;

#[cfg(feature = "train")]
pub mod run;

#[cfg(feature = "train")]
pub mod experiment;
pub mod report;

pub mod cli;
