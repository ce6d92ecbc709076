//! How well a handful of measured networks tells the latency of all others on a device that nothing else is known of: the
//! task of HELP (Lee and others, Hardware-adaptive Efficient Latency Prediction, 2021) without its other devices.
//!
//! In NAS-Bench-201 a latency is nearly the sum of its operations' latencies, so a ridge regression on how often each
//! operation occurs is enough, if the networks to measure are chosen well.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use serde::Serialize;

use super::predictors::Moments;
use crate::regress::{Lambda, Ridge, least_uncertain};
use crate::seed;
use crate::space::{Genotype, Space};
use crate::stats;
use crate::tabular::Table;

/// How little a coefficient is believed to be zero, where networks are chosen.
const DESIGN_PENALTY: f64 = 0.1;
/// A prediction this near is called right, as HELP and nn-Meter count.
const NEAR: f64 = 0.1;

/// The six unseen devices of HELP's protocol, as the built-in table names them.
pub const HELP_DEVICES: [&str; 6] = [
    "help_titan_rtx_256_ms",
    "help_gold_6226_ms",
    "help_pixel2_ms",
    "help_raspi4_ms",
    "help_eyeriss_ms",
    "help_fpga_ms",
];

/// Why latencies could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum LatencyError {
    /// The table has no such column.
    #[error("the table has no latency `{name}`\nhint: choose from {}", known.join(", "))]
    Device {
        /// What was asked for.
        name: String,
        /// The latencies that there are.
        known: Vec<String>,
    },
    /// Nothing can be fitted or nothing tested.
    #[error("{measured} measured networks of {found} leave nothing to fit or to test\nhint: ask for 3 or more")]
    Number {
        /// Networks to measure.
        measured: usize,
        /// Networks with a latency.
        found: usize,
    },
}

/// Agreement on one device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceScores {
    /// Column of the table.
    pub device: String,
    /// Spearman's rank correlation of predictions with latencies of the networks that were not measured.
    pub spearman: Moments,
    /// Share of predictions within 10 % of the latency.
    pub within_10_percent: Moments,
}

/// Agreement on all devices.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LatencyScores {
    /// Measured networks.
    pub measured: usize,
    /// Draws of the networks.
    pub seeds: usize,
    /// One for each device.
    pub devices: Vec<DeviceScores>,
    /// Mean over the devices of Spearman's rank correlation.
    pub spearman: Moments,
    /// Mean over the devices of the share within 10 %.
    pub within_10_percent: Moments,
}

/// Chooses networks by how often they have each operation, predicts all others from their latencies, for each seed. The
/// same networks are measured on every device.
///
/// # Errors
/// If the table has no such latency or too few networks.
pub fn evaluate_latencies(
    table: &Table,
    devices: &[String],
    measured: usize,
    seeds: &[u64],
) -> Result<LatencyScores, LatencyError> {
    let unknown = |name: &String| LatencyError::Device { name: name.clone(), known: table.latencies().to_vec() };
    let column = |name: &String| table.column(name).filter(|_| table.latencies().contains(name)).ok_or(unknown(name));
    let columns: Vec<&[f64]> = devices.iter().map(column).collect::<Result<_, _>>()?;
    let is_whole = |row: &usize| columns.iter().all(|column| column[*row].is_finite() && column[*row] > 0.0);
    let rows: Vec<usize> = (0..table.genotypes().len()).filter(is_whole).collect();
    if measured < 3 || measured >= rows.len() {
        return Err(LatencyError::Number { measured, found: rows.len() });
    }
    let counts: Vec<Vec<f64>> =
        rows.iter().map(|row| operation_counts(table.space(), &table.genotypes()[*row])).collect();
    // For each seed and device: rank correlation and share within 10 %.
    let mut found = vec![Vec::new(); devices.len()];
    for seed in seeds {
        let chosen = choose(&counts, measured, *seed);
        for (device, column) in columns.iter().enumerate() {
            let latencies: Vec<f64> = rows.iter().map(|row| column[*row]).collect();
            found[device].push(agreement(&counts, &latencies, &chosen));
        }
    }
    Ok(summary(devices, measured, seeds.len(), &found))
}

/// How often a network has each operation. Devices ran the cells as they are written, dead edges included, so the text of a
/// cell counts and not its canonical form.
pub(super) fn operation_counts(space: &Space, genotype: &Genotype) -> Vec<f64> {
    let mut counts = vec![0.0; space.vocabulary()];
    if let Space::NatsTss(_) = space {
        genotype.symbols().iter().for_each(|symbol| counts[usize::from(*symbol)] += 1.0);
        return counts;
    }
    let dag = space.dag(genotype);
    let is_used = |node: &usize| dag.edges.iter().any(|(from, to)| from == node || to == node);
    (0..dag.len()).filter(is_used).for_each(|node| counts[usize::from(dag.kinds[node])] += 1.0);
    counts
}

/// Networks to measure: the design says how often which operation, chance says which of the networks with these.
pub(super) fn choose(counts: &[Vec<f64>], measured: usize, seed: u64) -> Vec<usize> {
    let mut groups: BTreeMap<Vec<u64>, Vec<usize>> = BTreeMap::new();
    for (place, counts) in counts.iter().enumerate() {
        groups.entry(counts.iter().map(|count| *count as u64).collect()).or_default().push(place);
    }
    let mut rng = seed::stream(seed, "measured networks", 0);
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    groups.iter_mut().for_each(|group| group.shuffle(&mut rng));
    let distinct: Vec<Vec<f64>> = groups.iter().map(|group| counts[group[0]].clone()).collect();
    let copies: Vec<usize> = groups.iter().map(Vec::len).collect();
    let design = least_uncertain(&distinct, &copies, measured, DESIGN_PENALTY);
    design.into_iter().map(|group| groups[group].pop().expect("no more are chosen than there are")).collect()
}

/// Rank correlation and share within 10 % on what was not measured.
fn agreement(counts: &[Vec<f64>], latencies: &[f64], measured: &[usize]) -> (f64, f64) {
    let rows: Vec<Vec<f64>> = measured.iter().map(|place| counts[*place].clone()).collect();
    let times: Vec<f64> = measured.iter().map(|place| latencies[*place]).collect();
    let predicted = Ridge::fit(&rows, &times, Lambda::LeaveOneOut).predict(counts);
    let unseen = (0..counts.len()).filter(|place| !measured.contains(place));
    let (found, truth): (Vec<f64>, Vec<f64>) = unseen.map(|place| (predicted[place], latencies[place])).unzip();
    let near = found.iter().zip(&truth).filter(|(found, truth)| (*found - *truth).abs() <= NEAR * **truth).count();
    (stats::spearman(&found, &truth), near as f64 / truth.len() as f64)
}

fn summary(devices: &[String], measured: usize, seeds: usize, found: &[Vec<(f64, f64)>]) -> LatencyScores {
    let of = |values: Vec<f64>| Moments::of(&values);
    let column = |runs: &Vec<(f64, f64)>, second: bool| {
        runs.iter().map(|(first, other)| if second { *other } else { *first }).collect::<Vec<f64>>()
    };
    let scores = |(device, runs): (&String, &Vec<(f64, f64)>)| DeviceScores {
        device: device.clone(),
        spearman: of(column(runs, false)),
        within_10_percent: of(column(runs, true)),
    };
    let over_devices = |second: bool| {
        let all: Vec<Vec<f64>> = found.iter().map(|runs| column(runs, second)).collect();
        of((0..seeds).map(|seed| stats::mean(&all.iter().map(|runs| runs[seed]).collect::<Vec<f64>>())).collect())
    };
    LatencyScores {
        measured,
        seeds,
        devices: devices.iter().zip(found).map(scores).collect(),
        spearman: over_devices(false),
        within_10_percent: over_devices(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_that_are_sums_are_known_from_as_many_networks_as_operations() {
        let counts: Vec<Vec<f64>> =
            (0..60).map(|i| vec![f64::from(i % 3), f64::from(i % 5), f64::from(i % 4)]).collect();
        let latencies: Vec<f64> = counts.iter().map(|c| 2.0 + 5.0 * c[0] + 1.0 * c[1] + 0.2 * c[2]).collect();
        let chosen = choose(&counts, 8, 1);
        let (spearman, near) = agreement(&counts, &latencies, &chosen);
        assert!(spearman > 0.99 && near > 0.9, "{spearman} {near}");
        let mut distinct = chosen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 8, "none is measured twice");
    }
}
