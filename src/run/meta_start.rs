//! A run whose first networks a meta-model proposes for its data, and what these were worth beside those drawn at random.

use serde::Serialize;

use super::proposals::{propose_in, shipped_model, view_of};
use super::{Prepared, RunConfig, RunError, SpaceSite, TrialRecord, WarmStart};
use crate::generate::varied;
use crate::search::Origin;
use crate::seed;
use crate::space::Genotype;
use crate::stats;

/// Networks drawn from the meta-model, of which the best are trained.
const DRAWN: usize = 500;

/// Cheap trainings of the proposed networks beside those of the random ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MetaGain {
    /// Networks that were proposed and trained.
    pub proposed: usize,
    /// Their mean accuracy on validation images.
    pub mean_proposed: f64,
    /// The best of them.
    pub best_proposed: f64,
    /// Networks that were drawn at random and trained.
    pub random: usize,
    /// Their mean accuracy.
    pub mean_random: f64,
    /// The mean best of as many random ones as were proposed, over all runs of successive ones.
    pub best_of_as_many_random: f64,
}

impl RunConfig {
    /// Proposals that are trained first: half of the networks that would be drawn at random before the first prediction.
    fn proposals(&self) -> usize {
        (self.initial / 2).max(1)
    }
}

/// The networks that the run begins with, if a meta-model is to say which.
pub(super) fn first_networks(
    config: &RunConfig,
    prepared: &Prepared,
    site: &mut SpaceSite,
) -> Result<Vec<Genotype>, RunError> {
    if config.warm_start != WarmStart::Meta {
        return Ok(Vec::new());
    }
    let file = shipped_model()?;
    let view = view_of(&file, &prepared.dataset)?;
    let found = propose_in(&file, &view, site, DRAWN, seed::derive(config.seed, "meta proposals", 0))?;
    Ok(varied(&found, config.proposals(), |scored| &scored.genotype).into_iter().map(|s| s.genotype.clone()).collect())
}

/// What the proposals were worth; nothing if there were none, or none at random to compare them with.
pub(super) fn gain(trials: &[TrialRecord]) -> Option<MetaGain> {
    let of = |origin: Origin| -> Vec<f64> {
        trials.iter().filter(|trial| trial.origin == origin).filter_map(|trial| trial.validation_accuracy).collect()
    };
    let (proposed, random) = (of(Origin::Meta), of(Origin::Random));
    if proposed.is_empty() || random.is_empty() {
        return None;
    }
    let best = |of: &[f64]| of.iter().copied().fold(0.0, f64::max);
    let as_many: Vec<f64> = random.windows(proposed.len().min(random.len())).map(best).collect();
    Some(MetaGain {
        proposed: proposed.len(),
        mean_proposed: stats::mean(&proposed),
        best_proposed: best(&proposed),
        random: random.len(),
        mean_random: stats::mean(&random),
        best_of_as_many_random: stats::mean(&as_many),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposals_are_compared_with_as_many_random_networks() {
        let trial = |(index, origin, accuracy): (usize, Origin, Option<f64>)| TrialRecord {
            index,
            genotype: String::new(),
            origin,
            predicted_accuracy: None,
            predicted_latency_ms: None,
            macs: 1,
            params: 1,
            peak_ram_bytes: 1,
            weights_flash_bytes: 1,
            validation_accuracy: accuracy,
            failure: None,
            seconds: 1.0,
        };
        let (meta, random) = (Origin::Meta, Origin::Random);
        let all = [(meta, Some(0.6)), (meta, Some(0.8)), (random, Some(0.5)), (random, None), (random, Some(0.7))];
        let trials: Vec<TrialRecord> = all.into_iter().enumerate().map(|(i, (o, a))| trial((i, o, a))).collect();
        let gain = gain(&trials).unwrap();
        assert_eq!((gain.proposed, gain.random, gain.best_proposed), (2, 2, 0.8));
        assert!((gain.mean_proposed - 0.7).abs() < 1e-12 && (gain.mean_random - 0.6).abs() < 1e-12);
        assert_eq!(gain.best_of_as_many_random, 0.7);
        assert_eq!(super::gain(&trials[..2]), None);
    }
}
