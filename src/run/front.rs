//! The Pareto front of a run: the networks to choose from if another trade is wanted than the winner's.

use serde::Serialize;

use super::{Finalist, TrialRecord};
use crate::search::{Weighed, pareto_front};
use crate::target::Provenance;

/// A network on the front.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontRow {
    /// Its number, from 1, by which `--pick` knows it.
    pub row: usize,
    /// The network.
    pub genotype: String,
    /// Accuracy on the validation images after cheap training.
    pub cheap_validation_accuracy: f64,
    /// The same after full training, of finalists.
    pub validation_accuracy: Option<f64>,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Peak activation RAM.
    pub peak_ram_bytes: u64,
    /// Weights flash.
    pub weights_flash_bytes: u64,
    /// Latency on the target: of finalists what was measured there, of others what is expected.
    pub latency_ms: Option<f64>,
    /// `measured` or `estimated`; absent if there is no latency.
    pub latency_provenance: Option<Provenance>,
    /// Whether this is the run's winner.
    pub winner: bool,
}

/// The front of a run, fewest MACs first: accuracy, MACs, peak RAM and latency. What was trained in full is better known
/// than what was trained cheaply, so a finalist is beaten only by another, on full accuracy and measured latency, and the
/// other trials by any trial, on cheap accuracy and expected latency. Every trial was let in by the limits; a finalist that
/// breaks one by measurement is left out. All this follows from the run's own observations, so rows keep their numbers.
pub(super) fn front_of(trials: &[TrialRecord], finalists: &[Finalist], winner: usize) -> Vec<FrontRow> {
    let proven: Vec<&Finalist> = finalists.iter().filter(|finalist| finalist.verdict.fits()).collect();
    let weighed: Vec<Weighed> = proven.iter().map(|finalist| weigh_finalist(finalist)).collect();
    let best_finalists = pareto_front(&weighed).into_iter().map(|place| of_finalist(proven[place]));

    let finalist = |trial: &TrialRecord| finalists.iter().find(|f| f.trial.genotype == trial.genotype);
    let keeps_limits = |trial: &&TrialRecord| finalist(trial).is_none_or(|finalist| finalist.verdict.fits());
    let allowed: Vec<&TrialRecord> = trials.iter().filter(keeps_limits).collect();
    let weighed: Vec<Weighed> = allowed.iter().map(|trial| weigh_trial(trial)).collect();
    let best_trials = pareto_front(&weighed).into_iter().map(|place| allowed[place]);
    let only_cheap = best_trials.filter(|trial| finalist(trial).is_none()).map(of_trial);

    let mut rows: Vec<FrontRow> = best_finalists.chain(only_cheap).collect();
    rows.sort_by(|a, b| (a.macs, a.peak_ram_bytes, &a.genotype).cmp(&(b.macs, b.peak_ram_bytes, &b.genotype)));
    let winner = &finalists[winner].trial.genotype;
    for (at, row) in rows.iter_mut().enumerate() {
        (row.row, row.winner) = (at + 1, row.genotype == *winner);
    }
    rows
}

/// The row of a network that was trained in full since the front was made, with what is known of it now.
pub(super) fn complete(front: &mut [FrontRow], finalist: &Finalist) {
    if let Some(row) = front.iter_mut().find(|row| row.genotype == finalist.trial.genotype) {
        *row = FrontRow { row: row.row, winner: row.winner, ..of_finalist(finalist) };
    }
}

fn weigh_finalist(finalist: &Finalist) -> Weighed {
    let latency_ms = finalist.latency.map(|latency| latency.time.0);
    Weighed { accuracy: finalist.validation_accuracy, latency_ms, ..weigh_trial(&finalist.trial) }
}

/// A training that failed has no accuracy.
fn weigh_trial(trial: &TrialRecord) -> Weighed {
    Weighed {
        accuracy: trial.validation_accuracy.unwrap_or(f64::NAN),
        macs: trial.macs,
        peak_ram_bytes: trial.peak_ram_bytes,
        latency_ms: trial.predicted_latency_ms,
    }
}

fn of_finalist(finalist: &Finalist) -> FrontRow {
    FrontRow {
        validation_accuracy: Some(finalist.validation_accuracy),
        latency_ms: finalist.latency.map(|latency| latency.time.0),
        latency_provenance: finalist.latency.map(|latency| latency.provenance),
        ..of_trial(&finalist.trial)
    }
}

/// A row whose number is not known yet.
fn of_trial(trial: &TrialRecord) -> FrontRow {
    FrontRow {
        row: 0,
        genotype: trial.genotype.clone(),
        cheap_validation_accuracy: trial.validation_accuracy.expect("a network on the front has an accuracy"),
        validation_accuracy: None,
        macs: trial.macs,
        peak_ram_bytes: trial.peak_ram_bytes,
        weights_flash_bytes: trial.weights_flash_bytes,
        latency_ms: trial.predicted_latency_ms,
        latency_provenance: trial.predicted_latency_ms.map(|_| Provenance::Estimated),
        winner: false,
    }
}
