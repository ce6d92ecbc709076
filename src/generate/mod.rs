//! Networks from a learned latent space: a graph autoencoder with predictors of performance and complexity, and a search
//! along their gradients; and networks for a data set, by a meta-model that learned from many. It proposes genotypes; it
//! neither trains networks nor writes files.

mod adam;
mod ascent;
mod attention;
mod config;
mod decoder;
mod encoder;
mod error;
mod file;
mod head;
mod map;
mod meta;
mod plan;
mod proposer;
mod quality;
mod recurrence;
mod tape;
mod training;
mod vae;
mod weights;

pub use ascent::{Ascent, Barrier, Climber, Frame};
pub use config::VaeConfig;
pub use error::GenerateError;
pub use file::{MODEL_VERSION, ModelCard};
pub use map::{Map, Step};
pub use meta::{
    ClassKind, Classes, FeatureNet, FeatureSpec, FitStep, META_VERSION, MetaCard, MetaConfig, MetaFile, MetaLabel,
    MetaModel, MetaTask, Scored, TaskView, varied,
};
pub use proposer::{Decoded, Proposer, Wanted};
pub use quality::Sampling;
pub use training::{Example, Losses};
pub use vae::{GraphVae, Point, Scale, Slopes};
