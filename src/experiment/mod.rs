//! Studies across runs: what a claim about networks, data or strategies rests on.

mod constrained;
mod engine;
mod gnn_study;
mod labels;
mod latencies;
mod latent_baselines;
mod latent_data;
mod latent_fit;
mod latent_search;
mod meta;
mod neural_predictor;
mod operator;
mod pool;
mod prediction;
mod predictors;
mod pretrain;
mod proxies;
mod python_random;
mod searches;
mod shortlist;
mod spread;
mod strategies;

pub use constrained::{Budget, ConstrainedRun, ConstrainedScores, Device, search_constrained};
pub use engine::{Peak, PredictorTime, StepTime, peak, time_predictor, time_step};
pub use gnn_study::{Found, GnnFindings, GnnProgress, GnnStudy, GnnStudyError, gnn_study, gnn_study_training};
pub use labels::{
    BUILT_IN_SOURCE, DataTask, Label, LabelError, Labels, Networks, Plan as LabelPlan, Recipe, Sources, TaskList,
    TaskRanges, check_width, draw_tasks, is_built_in, label, space_for, write_table,
};
pub use latencies::{DeviceScores, HELP_DEVICES, LatencyError, LatencyScores, evaluate_latencies};
pub use latent_data::{Complexity, LatentData, LatentDataError, Split};
pub use latent_fit::{LatentReport, LatentStep, PerformanceScores, fit_latent};
pub use latent_search::{ClimbScores, FoundNetwork, LatentFound, LatentSearchConfig, search_latent};
pub use meta::{
    BestOf, BestOfPlan, BestOfReport, Database, FeatureTraining, Judged, Labelled, MetaError, PublishedReport,
    PublishedScores, RankingReport, Taus, best_of, published, ranking, train_features,
};
pub use neural_predictor::{CascadeResult, Selection, SplitResult, Study, Tried, grid};
pub use operator::{NotAnOperator, Operator, OperatorTime, time_operator};
pub use pool::{Pool, PoolSite, View};
pub use prediction::{
    Asked, Expectations, Expected, PredictionError, predict_from_run, predict_from_table, space_of_run,
};
pub use predictors::{Agreement, Benchmark, EvaluationError, Moments, NAMES, Population, Scores};
pub use pretrain::{PretrainError, Splits, Transfer, WithAndWithout, pretrain, transfer};
pub use proxies::{ProxyScore, ProxyScores, ProxyStudy, ProxyStudyError, study_proxies};
pub use searches::{AgainstRandom, Entrant, SearchScores, Trajectory, goal, search_pool};
pub use shortlist::{ShortlistScores, Shortlists};
pub use spread::{Spread, spread};
pub use strategies::{Comparison, Pair, compare_strategies};
