//! The graphs of the first seed's space and its 300 trained architectures, for tests.

use std::path::PathBuf;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Sample;
use crate::space::Dag;

const OPERATIONS: usize = 6;

/// The 36-node graph of five layers, each a set of six operations as bits.
pub(super) fn layered(layers: &[u8]) -> Dag {
    let join = |layer: usize| layer * (OPERATIONS + 1);
    let mut dag = Dag { kinds: vec![0], edges: Vec::new() };
    for (layer, bits) in layers.iter().enumerate() {
        dag.kinds.extend(1..=OPERATIONS as u8);
        dag.kinds.push(0);
        for node in (0..OPERATIONS).filter(|o| bits >> o & 1 == 1).map(|o| join(layer) + 1 + o) {
            dag.edges.extend([(join(layer), node), (node, join(layer + 1))]);
        }
    }
    dag.edges.sort_unstable();
    dag
}

/// A sample from its bits, with a made-up size in front.
pub(super) fn sample(layers: &[u8], size: f64) -> Sample {
    let bits = layers.iter().flat_map(|bits| (0..OPERATIONS).map(move |o| (bits >> o & 1) as f64));
    Sample { dag: layered(layers), features: std::iter::once(size).chain(bits).collect() }
}

/// Random samples, their size the number of operations.
pub(super) fn random_samples(count: usize, seed: u64) -> Vec<Sample> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |_| {
        let layers: [u8; 5] = std::array::from_fn(|_| rng.random_range(1..64));
        sample(&layers, layers.iter().map(|bits| bits.count_ones()).sum::<u32>() as f64)
    };
    (0..count).map(&mut draw).collect()
}

/// Accuracies that grow with the number of operations, the more the later the layer.
pub(super) fn made_up_accuracies(samples: &[Sample]) -> Vec<f64> {
    let worth = |sample: &Sample| -> f64 {
        sample.features[1..].iter().enumerate().map(|(bit, on)| on * (1.0 + (bit / OPERATIONS) as f64)).sum()
    };
    samples.iter().map(|sample| 0.4 + 0.2 * (1.0 - (-worth(sample) / 40.0).exp())).collect()
}

/// The 300 trained architectures of the first seed and their accuracies, where the data are at hand.
pub(super) fn trained_architectures() -> Option<(Vec<Sample>, Vec<f64>)> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let shared = std::env::var_os("NETWRIGHT_SHARED").map_or_else(beside, PathBuf::from);
    let path = shared.join("macro-cifar100/architectures_300.csv");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: there is no {}; set NETWRIGHT_SHARED to the folder of data", path.display());
        return None;
    };
    Some(text.lines().skip(1).map(read_line).unzip())
}

/// One line: index, thirty bits, millions of MACs, parameters, accuracy, split.
fn read_line(line: &str) -> (Sample, f64) {
    let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
    let layer = |bits: &[f64]| bits.iter().rev().fold(0, |sum, bit| 2 * sum + *bit as u8);
    let layers: Vec<u8> = cells[1..31].chunks(OPERATIONS).map(layer).collect();
    (sample(&layers, cells[31].ln()), cells[33])
}
