//! What decides a run: counts and seed, never clocks. It is written once, before anything is trained.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::data::Format;
use crate::search::StrategyName;
use crate::space::MacroConfig;
use crate::train::TrainConfig;

/// Version of the files in a run folder.
pub const SCHEMA_VERSION: u32 = 3;

/// Everything that a run depends on, beside target and latency model, which have files of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Version of this file.
    pub schema_version: u32,
    /// Version of netwright that wrote it.
    pub netwright: String,
    /// Seed of everything random.
    pub seed: u64,
    /// How networks are proposed.
    pub strategy: RunStrategy,
    /// Networks trained cheaply.
    pub trials: usize,
    /// Of these, at random before the first prediction.
    pub initial: usize,
    /// Proposals after each fit of the predictor.
    pub per_round: usize,
    /// Whether zero-cost proxies decide among the most promising candidates; runs of older versions went without.
    #[serde(default)]
    pub proxies: bool,
    /// What is known of networks before the first is trained; runs of older versions began with nothing.
    #[serde(default)]
    pub warm_start: WarmStart,
    /// Best networks trained in full.
    pub finalists: usize,
    /// Networks from the middle and the end of the ranking that are trained in full too, to see how cheap training ranks.
    pub references: usize,
    /// Training of candidates.
    pub cheap: Fidelity,
    /// Training of finalists.
    pub full: Fidelity,
    /// How long the winner is trained once more; absent if its training as a finalist is its last.
    pub retrain: Option<Longer>,
    /// Whether the winner is trained once more by the best network found.
    pub distil: Distil,
    /// The data.
    pub data: DataConfig,
    /// The search space, as deployed.
    pub space: MacroConfig,
}

/// How long a training is that has the finalists' settings else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Longer {
    /// Passes over the images.
    pub epochs: usize,
    /// Training images, taken with the classes' shares.
    pub images: usize,
}

/// Whether the winner has the most accurate finalist as its teacher when it is trained once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Distil {
    /// Yes, and the more accurate of its two trainings on the validation images is exported.
    Auto,
    /// Yes, and the second training is exported.
    On,
    /// No.
    #[default]
    Off,
}

/// What a run knows of networks before it has trained any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum WarmStart {
    /// Nothing.
    #[default]
    None,
    /// The pretrained predictor of `models/`; the run's own trials decide whether it is heeded.
    Predictor,
    /// The meta-model of `models/`: its proposals for the data are the first networks trained.
    Meta,
}

/// How a run proposes networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RunStrategy {
    /// By a strategy of `search`.
    Search(StrategyName),
    /// In a latent space of the networks, which is learned before the first training.
    Latent(LatentName),
}

/// The name of the strategy that is no strategy of `search`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LatentName {
    /// `latent`.
    Latent,
}

impl From<StrategyName> for RunStrategy {
    fn from(name: StrategyName) -> Self {
        RunStrategy::Search(name)
    }
}

impl clap::ValueEnum for RunStrategy {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [RunStrategy; StrategyName::ALL.len() + 1] = {
            let mut all = [RunStrategy::Latent(LatentName::Latent); StrategyName::ALL.len() + 1];
            let mut at = 0;
            while at < StrategyName::ALL.len() {
                all[at] = RunStrategy::Search(StrategyName::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        match self {
            RunStrategy::Search(name) => name.to_possible_value(),
            RunStrategy::Latent(_) => {
                let help = "Climbs along predicted slopes in a latent space of the networks, learned in a minute from the \
                            space alone";
                Some(clap::builder::PossibleValue::new("latent").help(help))
            }
        }
    }
}

/// How thoroughly a network is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fidelity {
    /// Multiplies the channels of the deployed network.
    pub width: f64,
    /// Training images, taken with the classes' shares.
    pub images: usize,
    /// The training.
    pub train: TrainConfig,
}

/// Built-in images for training, validation and test.
pub const BUILT_IN_IMAGES: [usize; 3] = [8000, 2000, 2000];

/// Where the images come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// A folder or file that `Dataset::open` reads; the built-in set if absent.
    pub path: Option<PathBuf>,
    /// Seed of the built-in images or of the split.
    pub seed: u64,
    /// Side to which images of a folder are resized.
    pub side: Option<usize>,
    /// Format of the files, if it is not to be recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Built-in images for training, validation and test.
    pub built_in: [usize; 3],
    /// Digest of all images and labels.
    pub digest: String,
}
