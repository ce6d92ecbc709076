//! Tests of writing, reading and running together.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::random_graph::random_graph;
use super::{ModelInfo, Runnable, agreement, decode, encode};
use crate::graph::{Cost, Graph, Role, Weights, deployable, run_reference};

fn info() -> ModelInfo {
    let metadata = BTreeMap::from([("seed".to_string(), "7".to_string()), ("classes".to_string(), "5".to_string())]);
    ModelInfo { name: "random".into(), metadata }
}

fn random_weights(graph: &Graph, rng: &mut ChaCha8Rng) -> Weights {
    let mut weights = Weights::init(graph, rng);
    for spec in weights.layout.clone().specs().filter(|s| s.role != Role::Weight) {
        let (low, high) = if spec.role == Role::RunningVar { (0.5, 1.5) } else { (-0.5, 0.5) };
        weights.values_mut(spec).iter_mut().for_each(|v| *v = rng.random_range(low..high));
    }
    weights
}

/// A random network, its weights and an image.
fn sample(seed: u64) -> (Graph, Weights, Vec<f32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let graph = random_graph(&mut rng);
    let weights = random_weights(&graph, &mut rng);
    let image = (0..graph.input_shape().elements()).map(|_| rng.random()).collect();
    (graph, weights, image)
}

#[test]
fn tract_computes_what_the_slow_interpreter_computes() {
    for seed in 0..40 {
        let (graph, weights, image) = sample(seed);
        let runnable = Runnable::load(&encode(&graph, &weights, &info())).unwrap();
        assert_eq!(runnable.input_shape(), graph.input_shape());
        let reference = run_reference(&graph, &weights, &image);
        let agreement = agreement(&runnable, |_| &image, &reference).unwrap();
        assert!(agreement.max_relative_difference < 2e-5, "seed {seed}: {agreement:?}\n{graph:#?}");
    }
}

#[test]
fn tract_counts_the_multiply_accumulates_that_we_count() {
    for seed in 0..40 {
        let (graph, weights, _) = sample(seed);
        let deployable = deployable(&graph);
        for (graph, weights) in [(&graph, &weights), (&deployable.graph, &deployable.weights(&weights))] {
            let cost = Cost::of(graph);
            let runnable = Runnable::load(&encode(graph, weights, &info())).unwrap();
            assert_eq!(runnable.macs(), cost.macs + cost.linear_macs, "seed {seed}");
        }
    }
}

#[test]
fn a_file_read_again_is_the_network_that_was_written() {
    for seed in 0..40 {
        let (graph, weights, _) = sample(seed);
        let deployable = deployable(&graph);
        let (graph, weights) = (&deployable.graph, deployable.weights(&weights));
        let bytes = encode(graph, &weights, &info());
        let model = decode(&bytes).unwrap();
        for (read, written) in model.graph.nodes().iter().zip(graph.nodes()) {
            assert_eq!(read, written, "seed {seed}");
        }
        assert_eq!(model.graph.nodes().len(), graph.nodes().len());
        assert_eq!(model.weights, weights);
        assert_eq!(model.metadata, info().metadata);
        assert_eq!((model.input_name.as_str(), model.output_name.as_str()), ("image", "logits"));
        assert_eq!(encode(&model.graph, &model.weights, &info()), bytes, "writing is deterministic");
    }
}

#[test]
fn sums_of_many_and_batch_normalisation_survive_with_their_values() {
    for seed in 0..50 {
        let (graph, weights, image) = sample(seed);
        let model = decode(&encode(&graph, &weights, &info())).unwrap();
        let (before, after) =
            (run_reference(&graph, &weights, &image), run_reference(&model.graph, &model.weights, &image));
        for (a, b) in before.iter().zip(&after) {
            assert!((a - b).abs() <= 1e-5 * a.abs().max(1.0), "seed {seed}");
        }
    }
}

/// A file small enough to damage in many places.
fn small_file() -> Vec<u8> {
    let files = (0..20).map(|seed| {
        let (graph, weights, _) = sample(seed);
        encode(&graph, &weights, &info())
    });
    files.min_by_key(Vec::len).unwrap()
}

#[test]
fn a_file_cut_short_is_an_error() {
    let bytes = small_file();
    for end in (0..bytes.len()).step_by(97) {
        assert!(decode(&bytes[..end]).is_err(), "cut at {end}");
        assert!(Runnable::load(&bytes[..end]).is_err(), "cut at {end}");
    }
}

/// A bit changed at every `step`th place of the first part of a file, where the nodes stand, and of the whole file.
fn damaged(seed: u64, step: usize) -> impl Iterator<Item = Vec<u8>> {
    let bytes = small_file();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let places = (0..bytes.len().min(4000)).step_by(step).chain((0..bytes.len()).step_by(200 * step));
    places.map(move |at| {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1u8 << rng.random_range(0..8);
        damaged
    })
}

#[test]
fn a_damaged_byte_is_never_a_panic() {
    damaged(2, 3).for_each(|bytes| drop(decode(&bytes)));
}

#[test]
fn a_damaged_byte_never_brings_the_runtime_down() {
    for bytes in damaged(3, 29) {
        if let Ok(runnable) = Runnable::load(&bytes) {
            let _ = runnable.run(&vec![0.5; runnable.input_shape().elements()]);
        }
    }
}
