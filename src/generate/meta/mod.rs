//! Networks for a data set that was never trained on (Lee and others, "MetaD2A", 2021): learned from many small data sets
//! with a few trained networks each.

mod config;
mod features;
mod file;
mod fit;
mod fit_generator;
mod generator;
mod model;
mod predictor;
mod set;
mod task;
mod varied;

pub use config::MetaConfig;
pub use features::{FeatureNet, FeatureSpec};
pub use file::{META_VERSION, MetaCard, MetaFile};
pub use fit::FitStep;
pub use model::{MetaModel, Scored};
pub use set::ClassKind;
pub use task::{Classes, MetaLabel, MetaTask, TaskView};
pub use varied::varied;
