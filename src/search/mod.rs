//! Strategies as ask and tell: they propose genotypes and are told outcomes; they neither train nor write. What a strategy
//! asks next depends only on its seed and on what it was told, so a journal can be replayed.

mod bananas;
mod bayes;
mod controller;
mod evolution;
mod evolve;
mod front;
mod given;
mod guided;
mod local;
mod path_encoding;
mod random;
mod reinforce;
mod rounds;
mod shortlist;
mod site;

use std::fmt;

pub use bananas::{Bananas, BananasConfig};
pub use bayes::{Bayes, BayesConfig};
pub use evolution::{Evolution, EvolutionConfig};
pub use front::{Weighed, pareto_front};
pub use given::Given;
pub use guided::{Guided, GuidedConfig};
pub use local::Local;
pub use random::Random;
pub use reinforce::{Reinforce, ReinforceConfig};
pub use rounds::{Planner, Rounds};
pub use shortlist::{Looked, second_opinion};
pub use site::{Site, one_change_away};

use crate::predictor::PredictorError;
use crate::space::Genotype;

/// A network to train next.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The network.
    pub genotype: Genotype,
    /// How it came about.
    pub origin: Origin,
    /// Predicted accuracy, if a predictor chose it.
    pub predicted: Option<f64>,
}

impl Proposal {
    fn random(genotype: Genotype) -> Self {
        Proposal { genotype, origin: Origin::Random, predicted: None }
    }

    fn evolved(genotype: Genotype) -> Self {
        Proposal { genotype, origin: Origin::Evolved, predicted: None }
    }
}

/// How a proposal came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Drawn at random.
    Random,
    /// Evolved, from networks told or over predictions.
    Evolved,
    /// Written by a controller.
    Written,
    /// The most promising of a list by what was learned, or by zero-cost proxies before anything was.
    Chosen,
    /// Decoded from a latent space.
    Latent,
    /// Proposed for the data set by a meta-model, before anything was trained.
    Meta,
}

/// Why there is no proposal.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Nothing new that keeps the limits was found.
    #[error(
        "no new network within the limits after {tries} tries\nhint: loosen the limits of the profile or train fewer networks"
    )]
    Exhausted {
        /// Candidates that were looked at.
        tries: usize,
    },
    /// The predictor that guides could not be fitted.
    #[error("the predictor cannot guide the search: {0}")]
    Predictor(#[from] PredictorError),
    /// The controller could not be trained.
    #[error("the controller cannot be trained: {0}")]
    Controller(#[from] candle_core::Error),
}

/// A search strategy.
pub trait Strategy {
    /// The next network to train, while those `pending` are being trained; never one that is pending or was told before.
    /// Nothing if the strategy waits for the outcomes of those pending, which it never does when there are none. What it
    /// proposes does not depend on how many are trained at once.
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError>;
    /// The outcome of a training: the accuracy, or nothing if it failed.
    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>);
}

/// The strategies by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum StrategyName {
    /// Networks at random: the baseline.
    Random,
    /// Regularised evolution: the oldest of a population dies (Real and others, 2019).
    Evolution,
    /// From network to better neighbour until there is none, then from another (White and others, 2021).
    Local,
    /// A recurrent controller that is rewarded for what it writes (Zoph and Le, 2017).
    Reinforce,
    /// Evolution over the predictions of graph network and ridge regression, as in the first seed, in rounds.
    Guided,
    /// An ensemble of networks on path encodings, Thompson sampling over mutants (White and others, 2021).
    Bananas,
    /// Bayesian optimisation: a Gaussian process with a fixed prior, expected improvement over all candidates; begins with
    /// what zero-cost proxies promise. Ours.
    Bayes,
}

impl StrategyName {
    /// Every strategy.
    pub const ALL: [StrategyName; 7] = [
        StrategyName::Random,
        StrategyName::Evolution,
        StrategyName::Local,
        StrategyName::Reinforce,
        StrategyName::Guided,
        StrategyName::Bananas,
        StrategyName::Bayes,
    ];

    /// A strategy with its usual settings for a search of so many trainings.
    pub fn start(self, trials: usize, seed: u64) -> Box<dyn Strategy> {
        match self {
            StrategyName::Random => Box::new(Random::new(seed)),
            StrategyName::Evolution => Box::new(Evolution::new(EvolutionConfig::default(), seed)),
            StrategyName::Local => Box::new(Local::new(seed)),
            StrategyName::Reinforce => Box::new(Reinforce::new(ReinforceConfig::default(), seed)),
            StrategyName::Guided => Box::new(Guided::new(GuidedConfig::of(trials), seed)),
            StrategyName::Bananas => Box::new(Bananas::new(BananasConfig::default(), seed)),
            StrategyName::Bayes => Box::new(Bayes::new(BayesConfig::default(), seed)),
        }
    }

    /// Its name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            StrategyName::Random => "random",
            StrategyName::Evolution => "evolution",
            StrategyName::Local => "local",
            StrategyName::Reinforce => "reinforce",
            StrategyName::Guided => "guided",
            StrategyName::Bananas => "bananas",
            StrategyName::Bayes => "bayes",
        }
    }
}

impl fmt::Display for StrategyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
