//! Searches under a latency limit of a device that the searcher knows only by what it measures: a few networks before the
//! search, from which it predicts all others, and some finalists after it. Both count as queries.

use rand::Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::latencies::{choose, operation_counts};
use super::pool::Pool;
use super::predictors::Moments;
use super::searches::{Entrant, Trajectory, run_one};
use crate::regress::{Lambda, Ridge};
use crate::run::RunError;
use crate::search::SearchError;
use crate::seed;

/// How the queries are divided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Budget {
    /// All queries: networks measured before the search, trainings, finalists measured.
    pub queries: usize,
    /// Networks measured before the search, at most.
    pub calibration: usize,
    /// Trained networks measured after it, at most.
    pub finalists: usize,
}

/// A device: what it would measure of each network of the pool, and the limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Column of the table.
    pub name: String,
    /// One for each network, in the column's unit; infinite where the device cannot run it.
    pub latencies: Vec<f64>,
    /// A network may take this long.
    pub limit: f64,
}

/// One search on one device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConstrainedRun {
    /// The seed.
    pub seed: u64,
    /// Networks measured before the search.
    pub measured_before: usize,
    /// Networks trained.
    pub trained: usize,
    /// How many of them break the limit.
    pub over_limit: usize,
    /// Finalists measured after the search.
    pub measured: usize,
    /// Label of the winner: the best finalist that keeps the limit, if any does.
    pub winner: Option<f64>,
    /// Latency of the winner.
    pub winner_latency: Option<f64>,
}

/// All seeds on one device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConstrainedScores {
    /// Column of the table.
    pub device: String,
    /// The strategy.
    pub strategy: String,
    /// The limit, in the column's unit.
    pub limit: f64,
    /// Best label of any network within the limit.
    pub oracle: f64,
    /// Label of the winner as a share of the oracle's; zero without a winner.
    pub of_oracle: Moments,
    /// The least of these.
    pub worst_of_oracle: f64,
    /// Share of the trained networks over the limit, over all seeds.
    pub picks_over_limit: f64,
    /// Searches without a winner.
    pub without_winner: usize,
    /// One for each seed.
    pub runs: Vec<ConstrainedRun>,
}

/// Runs a strategy on a device for each seed.
///
/// # Errors
/// If a search cannot go on, for example because nothing is believed to keep the limit.
pub fn search_constrained(
    pool: &Pool,
    labels: &[f64],
    device: &Device,
    entrant: &Entrant,
    budget: Budget,
    seeds: &[u64],
) -> Result<ConstrainedScores, RunError> {
    let counts: Vec<Vec<f64>> =
        pool.benchmark().genotypes().iter().map(|genotype| operation_counts(pool.space(), genotype)).collect();
    let run = |seed: &u64| {
        let belief = Belief::of(&counts, device, pool.promises(), budget.calibration, *seed);
        let trainings = budget.queries - belief.measured.len() - budget.finalists;
        let trained = run_one(pool, labels, entrant, trainings, *seed, Some(&belief.within(device)))?;
        Ok(finish(&trained, labels, device, budget.finalists, &belief.measured))
    };
    let runs: Vec<ConstrainedRun> = seeds.par_iter().map(run).collect::<Result<_, SearchError>>()?;
    Ok(scores(labels, device, entrant.name(), runs))
}

/// What is believed of a device after some networks were measured.
struct Belief {
    /// The networks that were measured: of these nothing has to be believed.
    measured: Vec<usize>,
    /// Predicted latency of each network; infinite where the device cannot run it.
    predicted: Vec<f64>,
    /// Usual error of a prediction near the limit.
    error: f64,
}

impl Belief {
    /// Measures first some networks that tell most of all operations, then the others one by one where the limit is believed
    /// to be: there predictions have to be right, and there the best network within the limit lies, which the noise of
    /// measurements may have let in. Of those near the limit the most promising is next, where there are promises. Ends
    /// early where predictions are sure.
    fn of(counts: &[Vec<f64>], device: &Device, promises: Option<&[f64]>, calibration: usize, seed: u64) -> Belief {
        // Whether a device can run a network at all is known before it is measured: its compiler says so.
        let runnable: Vec<usize> = (0..counts.len()).filter(|place| device.latencies[*place].is_finite()).collect();
        let among: Vec<Vec<f64>> = runnable.iter().map(|place| counts[*place].clone()).collect();
        let first = calibration.div_ceil(2).clamp(FEWEST_MEASURED, MOST_DESIGNED).min(calibration);
        let mut measured: Vec<usize> = choose(&among, first, seed).into_iter().map(|place| runnable[place]).collect();
        let mut rng = seed::stream(seed, "measured near the limit", 0);
        loop {
            let belief = Belief::after(counts, device, &measured);
            let is_sure = measured.len() >= SURE_AFTER && belief.error < SURE * device.limit;
            if is_sure || measured.len() >= calibration.min(runnable.len()) {
                return belief;
            }
            let distance = |place: &usize| (belief.predicted[*place] / device.limit - NEAR_LIMIT.0).abs();
            let mut open: Vec<usize> = runnable.iter().copied().filter(|place| !measured.contains(place)).collect();
            open.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
            open.truncate(open.partition_point(|place| distance(place) < NEAR_LIMIT.1).max(1));
            let best = |promises: &[f64]| open.iter().copied().max_by(|a, b| promises[*a].total_cmp(&promises[*b]));
            let next = promises.and_then(best).unwrap_or_else(|| open[rng.random_range(0..open.len())]);
            measured.push(next);
        }
    }

    fn after(counts: &[Vec<f64>], device: &Device, measured: &[usize]) -> Belief {
        let rows: Vec<Vec<f64>> = measured.iter().map(|place| counts[*place].clone()).collect();
        let times: Vec<f64> = measured.iter().map(|place| device.latencies[*place]).collect();
        let distance = |time: &f64| (time / device.limit - 1.0) / HALF_WEIGHT;
        let weights: Vec<f64> = times.iter().map(|time| 1.0 / (1.0 + distance(time).powi(2))).collect();
        let ridge = Ridge::fit_rows(&rows, &times, &weights, Lambda::LeaveOneOut);
        let known = |(predicted, latency): (f64, &f64)| if latency.is_finite() { predicted } else { f64::INFINITY };
        let predicted = ridge.predict(counts).into_iter().zip(&device.latencies).map(known).collect();
        Belief { measured: measured.to_vec(), predicted, error: ridge.leave_one_out_error }
    }

    /// Networks that were measured within the limit, or whose prediction is within it by a margin.
    fn within(&self, device: &Device) -> Vec<bool> {
        let is_within = |predicted: &f64| predicted + MARGIN * self.error <= device.limit;
        let mut within: Vec<bool> = self.predicted.iter().map(is_within).collect();
        self.measured.iter().for_each(|place| within[*place] = device.latencies[*place] <= device.limit);
        within
    }
}

/// Networks of the design before any is chosen for its prediction: at least, and at most.
const FEWEST_MEASURED: usize = 3;
const MOST_DESIGNED: usize = 10;
/// Predictions that are near enough to the limit to be measured: so much of it, and as much more or less.
const NEAR_LIMIT: (f64, f64) = (0.975, 0.125);
/// Distance from the limit, relative to it, at which a measurement counts half.
const HALF_WEIGHT: f64 = 0.5;
/// Errors by which a prediction stays below the limit.
const MARGIN: f64 = 2.0;
/// An error, relative to the limit, with which predictions are as good as measurements, once so many were measured.
const SURE: f64 = 0.03;
const SURE_AFTER: usize = 20;

/// Measures the best trained networks, best first, unless they were measured before; the first that keeps the limit wins, so
/// nothing behind it needs measuring.
fn finish(
    trained: &Trajectory,
    labels: &[f64],
    device: &Device,
    finalists: usize,
    measured_before: &[usize],
) -> ConstrainedRun {
    let keeps = |place: &usize| device.latencies[*place] <= device.limit;
    let mut ranked = trained.places.clone();
    ranked.sort_by(|a, b| labels[*b].total_cmp(&labels[*a]));
    let (mut measured, mut winner) = (0, None);
    for place in ranked {
        if !measured_before.contains(&place) {
            if measured == finalists {
                break;
            }
            measured += 1;
        }
        if keeps(&place) {
            winner = Some(place);
            break;
        }
    }
    ConstrainedRun {
        seed: trained.seed,
        measured_before: measured_before.len(),
        trained: trained.places.len(),
        over_limit: trained.places.iter().filter(|place| !keeps(place)).count(),
        measured,
        winner: winner.map(|winner| labels[winner]),
        winner_latency: winner.map(|winner| device.latencies[winner]),
    }
}

fn scores(labels: &[f64], device: &Device, strategy: String, runs: Vec<ConstrainedRun>) -> ConstrainedScores {
    let within = labels.iter().zip(&device.latencies).filter(|(_, latency)| **latency <= device.limit);
    let oracle = within.map(|(label, _)| *label).fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = runs.iter().map(|run| run.winner.map_or(0.0, |label| label / oracle)).collect();
    let sum = |of: fn(&ConstrainedRun) -> usize| runs.iter().map(of).sum::<usize>() as f64;
    ConstrainedScores {
        device: device.name.clone(),
        strategy,
        limit: device.limit,
        oracle,
        of_oracle: Moments::of(&shares),
        worst_of_oracle: shares.iter().copied().fold(f64::INFINITY, f64::min),
        picks_over_limit: sum(|run| run.over_limit) / sum(|run| run.trained),
        without_winner: runs.iter().filter(|run| run.winner.is_none()).count(),
        runs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(places: &[usize]) -> Trajectory {
        Trajectory { seed: 1, places: places.to_vec(), seconds: 0.0 }
    }

    #[test]
    fn the_best_finalist_that_keeps_the_limit_wins_and_none_that_breaks_it() {
        let labels = [0.9, 0.8, 0.7, 0.6];
        let device = Device { name: "board".into(), latencies: vec![f64::INFINITY, 3.0, 2.0, 1.0], limit: 2.0 };
        let run = finish(&walk(&[3, 0, 1, 2]), &labels, &device, 3, &[]);
        assert_eq!((run.winner, run.winner_latency, run.measured, run.over_limit), (Some(0.7), Some(2.0), 3, 2));
        let none = finish(&walk(&[3, 0, 1, 2]), &labels, &device, 2, &[3]);
        assert_eq!((none.winner, none.measured), (None, 2), "two were measured");
        let known = finish(&walk(&[3, 0, 1, 2]), &labels, &device, 1, &[0, 2]);
        assert_eq!((known.winner, known.measured), (Some(0.7), 1), "what was measured before is known");
        let found = scores(&labels, &device, "random".into(), vec![run, none]);
        assert_eq!((found.oracle, found.of_oracle.mean, found.without_winner), (0.7, 0.5, 1));
        assert_eq!(found.picks_over_limit, 0.5);
    }

    #[test]
    fn what_is_believed_feasible_keeps_the_limit_where_latencies_are_sums() {
        let counts: Vec<Vec<f64>> = (0..200).map(|i| vec![f64::from(i % 5), f64::from(i % 7)]).collect();
        let mut latencies: Vec<f64> = counts.iter().map(|c| 1.0 + 2.0 * c[0] + 0.5 * c[1]).collect();
        latencies[0] = f64::INFINITY;
        let device = Device { name: "board".into(), latencies, limit: 6.1 };
        let believed = Belief::of(&counts, &device, None, 10, 1).within(&device);
        let breaks = (0..200).filter(|place| believed[*place] && device.latencies[*place] > device.limit).count();
        assert!(breaks == 0 && believed.iter().filter(|b| **b).count() > 60, "{breaks}");
        assert!(!believed[0], "it cannot run there");
    }

    #[test]
    fn the_most_promising_networks_near_the_limit_are_measured_and_what_is_measured_is_known() {
        let counts: Vec<Vec<f64>> = (0..100).map(|i| vec![f64::from(i)]).collect();
        // The device is slower than its operations tell with network 49, and faster with 51.
        let mut latencies: Vec<f64> = (0..100).map(|i| 1.0 + f64::from(i)).collect();
        (latencies[49], latencies[51]) = (60.0, 40.0);
        let device = Device { name: "board".into(), latencies, limit: 50.5 };
        let promises: Vec<f64> =
            (0..100).map(|i| if [49, 51].contains(&i) { 2.0 } else { f64::from(i) * 1e-3 }).collect();
        let belief = Belief::of(&counts, &device, Some(&promises), 12, 1);
        assert!(belief.measured.contains(&49) && belief.measured.contains(&51), "{:?}", belief.measured);
        let within = belief.within(&device);
        assert!(!within[49] && within[51] && within[10] && !within[80]);
    }
}
