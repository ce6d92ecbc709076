//! Studies across runs: what a claim about networks, data or strategies rests on.

mod engine;
mod operator;
mod spread;
mod strategies;

pub use engine::{Peak, PredictorTime, StepTime, peak, time_predictor, time_step};
pub use operator::{NotAnOperator, Operator, OperatorTime, time_operator};
pub use spread::{Spread, spread};
pub use strategies::{Comparison, Pair, compare_strategies};
