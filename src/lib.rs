//! netwright: neural networks made to measure for a device.

pub mod units;

pub mod graph;

pub mod space;

pub mod stats;
