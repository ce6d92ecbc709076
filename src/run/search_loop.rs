//! Ask, consult, tell, record: the loop of a search.

use super::{Oracle, RunError, SpaceSite, TrialRecord};
use crate::measure::Stopwatch;
use crate::search::{Proposal, SearchError, Strategy};
use crate::space::Genotype;

/// Runs a search to `trials` trainings. Trials of `past` are told, not trained again; `record` receives each new one
/// before the search goes on; the journal does not depend on how many the oracle takes at once. All trials are returned:
/// fewer than asked for if there are no more feasible networks.
///
/// # Errors
/// If the past does not follow from the strategy, if nothing new is feasible, or if a record cannot be kept.
pub fn search(
    site: &mut SpaceSite,
    strategy: &mut dyn Strategy,
    oracle: &mut dyn Oracle,
    trials: usize,
    past: &[TrialRecord],
    record: &mut dyn FnMut(&TrialRecord) -> Result<(), RunError>,
) -> Result<Vec<TrialRecord>, RunError> {
    let (space, numbers) = (site.space(), site.target().numbers);
    let mut done: Vec<TrialRecord> = Vec::with_capacity(trials);
    for trial in past.iter().take(trials) {
        strategy.tell(&space.parse(&trial.genotype)?, trial.validation_accuracy);
        done.push(trial.clone());
    }
    while done.len() < trials {
        let batch = ask(site, strategy, oracle.at_once()?.min(trials - done.len()), done.is_empty())?;
        if batch.is_empty() {
            break;
        }
        let numbered: Vec<(Genotype, usize)> = batch.iter().map(|p| p.genotype.clone()).zip(done.len()..).collect();
        let clock = Stopwatch::start();
        let outcomes = oracle.evaluate_all(&numbered)?;
        let seconds = clock.seconds() / batch.len() as f64;
        for (Proposal { genotype, origin, predicted }, outcome) in batch.into_iter().zip(outcomes) {
            let (cost, latency) = (site.cost(&genotype), site.latency(&genotype));
            let trial = TrialRecord {
                index: done.len(),
                genotype: space.format(&genotype),
                origin,
                predicted_accuracy: predicted,
                predicted_latency_ms: latency.map(|l| l.0),
                macs: cost.macs,
                params: cost.params,
                peak_ram_bytes: cost.peak_ram(numbers).0,
                weights_flash_bytes: cost.weights_flash(numbers).0,
                validation_accuracy: outcome.as_ref().ok().copied(),
                failure: outcome.err(),
                seconds,
            };
            record(&trial)?;
            strategy.tell(&genotype, trial.validation_accuracy);
            done.push(trial);
        }
    }
    Ok(done)
}

/// Up to `most` proposals that can be evaluated together; none if there are no more feasible networks.
fn ask(
    site: &mut SpaceSite,
    strategy: &mut dyn Strategy,
    most: usize,
    is_first: bool,
) -> Result<Vec<Proposal>, SearchError> {
    let (mut batch, mut pending) = (Vec::new(), Vec::new());
    while batch.len() < most {
        match strategy.ask(site, &pending) {
            Ok(None) => break,
            Ok(Some(proposal)) => {
                pending.push(proposal.genotype.clone());
                batch.push(proposal);
            }
            // A small space has been trained whole: that is enough to choose from.
            Err(SearchError::Exhausted { .. }) if !(is_first && batch.is_empty()) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(batch)
}
