//! Small models on plain arrays: no tensors, no tape, no randomness.

mod cholesky;
mod ridge;

pub use ridge::{Lambda, Ridge};
