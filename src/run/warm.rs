//! What a run knows before it has trained anything, and what that was worth.

use serde::Serialize;

use super::compile::{FOLDS, described};
use super::{MetaGain, Prepared, RunConfig, RunError, RunStrategy, SpaceSite, TrialRecord, WarmStart, meta_start};
use crate::data::Dataset;
use crate::generate::FeatureNet;
use crate::predictor::{Kind, Pretrained, Prior, cross_validate, cross_validate_warm};
use crate::search::StrategyName;
use crate::seed;
use crate::stats;
use crate::target::Target;

/// What a warm start gained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum WarmGain {
    /// By the pretrained predictor.
    Predictor(PredictorGain),
    /// By the proposals of the meta-model.
    Meta(MetaGain),
}

/// Ranking of a run's own trials with and without the pretrained predictor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PredictorGain {
    /// Trials that were ranked.
    pub networks: usize,
    /// Kendall tau of the pretrained predictor alone, which has seen none of them.
    pub kendall_tau_alone: f64,
    /// Kendall tau of the predictor that guides the search, cross-validated, with the pretrained one under it.
    pub kendall_tau_with: f64,
    /// The same without.
    pub kendall_tau_without: f64,
}

impl WarmStart {
    /// Refuses a warm start that does not go with the strategy or the data, before anything is timed.
    ///
    /// # Errors
    /// If the strategy does not heed a pretrained predictor, or the data tell the meta-model too little.
    pub fn check(self, strategy: RunStrategy, dataset: &Dataset) -> Result<(), RunError> {
        self.check_strategy(strategy)?;
        match self {
            WarmStart::Meta => Ok(FeatureNet::check(dataset)?),
            WarmStart::Predictor | WarmStart::None => Ok(()),
        }
    }

    fn check_strategy(self, strategy: RunStrategy) -> Result<(), RunError> {
        if self == WarmStart::Predictor && strategy != RunStrategy::Search(StrategyName::Guided) {
            let reason = "`--warm-start predictor` is for strategy `guided`";
            return Err(RunError::Config(format!("{reason}\nhint: `--strategy guided`, or `--warm-start none`")));
        }
        Ok(())
    }
}

impl RunConfig {
    /// Refuses a warm start that knows nothing of the space, or that the strategy does not heed.
    ///
    /// # Errors
    /// If the pretrained predictor knows other networks.
    pub fn check_warm_start(&self) -> Result<(), RunError> {
        self.warm_start.check_strategy(self.strategy)?;
        let (own, known) = (self.space.layers.len(), Pretrained::layers());
        match self.warm_start {
            WarmStart::Predictor if own != known => Err(RunError::ColdSpace { own, known }),
            WarmStart::Predictor | WarmStart::Meta | WarmStart::None => Ok(()),
        }
    }
}

/// What a run expects of networks from the start, if anything.
pub(super) fn prior(config: &RunConfig) -> Result<Option<Prior>, RunError> {
    config.check_warm_start()?;
    match config.warm_start {
        WarmStart::None | WarmStart::Meta => Ok(None),
        WarmStart::Predictor => Ok(Some(Prior::new(Pretrained::shipped()?))),
    }
}

/// What the expectation was worth; nothing if there was none, or too few trials to tell.
pub(super) fn gain(
    config: &RunConfig,
    target: &Target,
    prepared: &Prepared,
    trials: &[TrialRecord],
) -> Result<Option<WarmGain>, RunError> {
    let Some(prior) = prior(config)? else { return Ok(meta_start::gain(trials).map(WarmGain::Meta)) };
    let plain = SpaceSite::new(&prepared.space, target, None);
    let (samples, accuracies) = described(plain, trials)?;
    if samples.len() < 2 * FOLDS {
        return Ok(None);
    }
    let (warm, _) = described(SpaceSite::new(&prepared.space, target, None).expecting(prior), trials)?;
    let seed = seed::derive(config.seed, "cross-validation", 0);
    let expected: Vec<f64> = warm.iter().filter_map(|sample| sample.features.last().copied()).collect();
    Ok(Some(WarmGain::Predictor(PredictorGain {
        networks: samples.len(),
        kendall_tau_alone: stats::kendall_tau(&expected, &accuracies),
        kendall_tau_with: cross_validate_warm(Kind::Blend, &warm, &accuracies, FOLDS, seed)?.kendall_tau,
        kendall_tau_without: cross_validate(Kind::Blend, &samples, &accuracies, FOLDS, seed)?.kendall_tau,
    })))
}
