//! Ask, consult, tell, record: the loop of a search.

use super::{Oracle, RunError, SpaceSite, TrialRecord};
use crate::measure::Stopwatch;
use crate::search::{Proposal, SearchError, Strategy};

/// Runs a search to `trials` trainings. Trials of `past` are told, not trained again; `record` receives each new one
/// before the search goes on. All trials are returned: fewer than asked for if there are no more feasible networks.
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
    for index in done.len()..trials {
        let Proposal { genotype, origin, predicted } = match strategy.ask(site) {
            // A small space has been trained whole: that is enough to choose from.
            Err(SearchError::Exhausted { .. }) if !done.is_empty() => break,
            asked => asked?,
        };
        let (cost, latency) = (site.cost(&genotype), site.latency(&genotype));
        let clock = Stopwatch::start();
        let outcome = oracle.evaluate(&genotype, index)?;
        let trial = TrialRecord {
            index,
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
            seconds: clock.seconds(),
        };
        record(&trial)?;
        strategy.tell(&genotype, trial.validation_accuracy);
        done.push(trial);
    }
    Ok(done)
}
