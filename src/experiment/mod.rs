//! Studies across runs: what a claim about networks, data or strategies rests on.

mod spread;
mod strategies;

pub use spread::{Spread, spread};
pub use strategies::{Comparison, Pair, compare_strategies};
