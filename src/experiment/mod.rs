//! Studies across runs: what a claim about networks, data or strategies rests on.

mod engine;
mod latencies;
mod neural_predictor;
mod operator;
mod predictors;
mod spread;
mod strategies;

pub use engine::{Peak, PredictorTime, StepTime, peak, time_predictor, time_step};
pub use latencies::{DeviceScores, HELP_DEVICES, LatencyError, LatencyScores, evaluate_latencies};
pub use neural_predictor::{CascadeResult, Selection, SplitResult, Study, Tried, grid};
pub use operator::{NotAnOperator, Operator, OperatorTime, time_operator};
pub use predictors::{Agreement, Benchmark, EvaluationError, Moments, NAMES, Population, Scores};
pub use spread::{Spread, spread};
pub use strategies::{Comparison, Pair, compare_strategies};
