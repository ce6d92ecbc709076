//! Strategies as ask and tell: they propose genotypes and are told outcomes; they neither train nor write. What a strategy
//! asks next depends only on its seed and on what it was told, so a journal can be replayed.

mod evolve;
mod guided;
mod random;

pub use guided::{Guided, GuidedConfig};
pub use random::Random;

use crate::predictor::{PredictorError, Sample};
use crate::space::Genotype;

/// What a strategy may ask about the space and the limits.
pub trait Site {
    /// A random genotype.
    fn sample(&mut self, rng: &mut rand_chacha::ChaCha8Rng) -> Genotype;
    /// A changed genotype: each symbol's bits with probability `rate`.
    fn mutate(&mut self, genotype: &Genotype, rate: f64, rng: &mut rand_chacha::ChaCha8Rng) -> Genotype;
    /// A genotype of two parents.
    fn cross(&mut self, a: &Genotype, b: &Genotype, rng: &mut rand_chacha::ChaCha8Rng) -> Genotype;
    /// Whether the network keeps all limits, as far as that is known before it is trained.
    fn is_feasible(&mut self, genotype: &Genotype) -> bool;
    /// What predictors see.
    fn describe(&mut self, genotype: &Genotype) -> Sample;
}

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

/// How a proposal came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Drawn at random.
    Random,
    /// Evolved over predictions.
    Evolved,
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
