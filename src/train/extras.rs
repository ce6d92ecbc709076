//! Tests of what not every training needs: averaged weights, recalibration, cutout, class weights, a teacher, early
//! stopping, and all of it across an interruption.

use std::path::Path;

use rand::Rng;

use super::*;
use crate::data::Images;
use crate::graph::{Graph, Shape};
use crate::nn::{Device, Method};
use crate::seed;
use crate::space::{LayerConfig, MacroConfig, MacroSpace};

fn network() -> Graph {
    let layer = |channels, stride| LayerConfig { channels, stride };
    let layers = vec![layer(4, 1), layer(8, 2)];
    let config =
        MacroConfig { input: Shape::new(3, 8, 8), classes: 3, stem: 4, layers, head: 8, ..MacroConfig::default() };
    let space = MacroSpace::new(config).unwrap();
    space.lower(&space.parse("110000-010010").unwrap())
}

/// Noise around a brightness and stripes that tell the class; of the third class there are few.
fn images(len: usize, seed: u64) -> Images {
    let mut rng = seed::stream(seed, "images", 0);
    let labels: Vec<usize> = (0..len).map(|i| if i % 8 == 0 { 2 } else { i % 2 }).collect();
    let pixel = |label: usize, i: usize| [140, 90, if i % 16 < 8 { 150 } else { 80 }][label];
    let pixels = labels.iter().flat_map(|label| (0..192).map(move |i| pixel(*label, i)));
    let pixels: Vec<u8> = pixels.map(|p: u8| p.saturating_add(rng.random_range(0..60))).collect();
    Images::new(Shape::new(3, 8, 8), pixels, labels)
}

fn config(epochs: usize) -> TrainConfig {
    TrainConfig { epochs, batch: 8, learning_rate: 0.05, ..TrainConfig::default() }
}

fn every_extra(epochs: usize) -> TrainConfig {
    TrainConfig {
        optimiser: Method::AdamW { beta1: 0.9, beta2: 0.999 },
        learning_rate: 0.01,
        schedule: Schedule::Step,
        cutout: 3,
        ema: Some(0.9),
        recalibrate: true,
        class_weights: ClassWeights::Auto,
        patience: Some(4),
        ..config(epochs)
    }
}

fn job<'a>(graph: &'a Graph, images: &'a Images, config: &'a TrainConfig, checkpoint: Option<&'a Path>) -> Job<'a> {
    Job { graph, images, config, seed: 4, checkpoint }
}

#[test]
fn a_training_with_every_extra_that_was_cut_off_ends_as_an_unbroken_one() {
    let (graph, images, validation, config) = (network(), images(48, 1), images(40, 2), every_extra(5));
    let teacher = train(&graph, &images, &self::config(1), 9, None, &mut |_| {}).unwrap().weights;
    let guide = Guide { validation: Some(&validation), teacher: Some(Teacher { graph: &graph, weights: &teacher }) };
    let whole = train_guided(&Device::Cpu, &job(&graph, &images, &config, None), &guide, &mut |_| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    for killed_after in [1, 3] {
        let job = job(&graph, &images, &config, Some(&path));
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut die = |record: &EpochRecord| assert!(record.epoch <= killed_after, "killed");
            train_guided(&Device::Cpu, &job, &guide, &mut die)
        }));
        assert!(killed.is_err());
    }
    let mut seen = Vec::new();
    let mut observe = |record: &EpochRecord| seen.push(record.epoch);
    let resumed =
        train_guided(&Device::Cpu, &job(&graph, &images, &config, Some(&path)), &guide, &mut observe).unwrap();
    assert_eq!(seen[0], 4, "three epochs are not done again");
    assert_eq!((resumed.weights, resumed.curve), (whole.weights, whole.curve));
}

#[test]
fn trainings_with_extras_side_by_side_end_as_each_would_alone() {
    let (graph, images) = (network(), images(48, 1));
    let configs = [2, 3, 1].map(|epochs| TrainConfig { patience: None, ..every_extra(epochs) });
    let jobs: Vec<Job> = configs.iter().map(|config| job(&graph, &images, config, None)).collect();
    for (job, outcome) in jobs.iter().zip(train_many(&Device::Cpu, &jobs, 2, &mut |_, _| {})) {
        let (alone, together) = (train_on(&Device::Cpu, job, &mut |_| {}).unwrap(), outcome.unwrap());
        assert_eq!((alone.weights, alone.curve), (together.weights, together.curve));
    }
}

#[test]
fn averaged_weights_are_the_mean_of_what_training_went_through() {
    let (graph, images) = (network(), images(48, 1));
    let without = train(&graph, &images, &config(2), 4, None, &mut |_| {}).unwrap();
    // A mean that forgets everything is the last weights; one that keeps some is not, and has statistics of its own.
    let last = TrainConfig { ema: Some(0.0), ..config(2) };
    let last = train(&graph, &images, &last, 4, None, &mut |_| {}).unwrap();
    let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(far(&last.weights.trained, &without.weights.trained) < 1e-6);
    assert_ne!(last.weights.buffers, without.weights.buffers, "recalibrated");
    let mean = TrainConfig { ema: Some(0.9), ..config(2) };
    let mean = train(&graph, &images, &mean, 4, None, &mut |_| {}).unwrap();
    assert!(far(&mean.weights.trained, &without.weights.trained) > 1e-4);
    assert_eq!(mean.curve, without.curve, "the mean does not change what is trained");
}

#[test]
fn early_stopping_ends_with_the_weights_of_the_best_epoch() {
    let (graph, images, validation) = (network(), images(48, 1), images(40, 2));
    let guide = Guide { validation: Some(&validation), teacher: None };
    let patient = TrainConfig { patience: Some(2), ..config(30) };
    let found = train_guided(&Device::Cpu, &job(&graph, &images, &patient, None), &guide, &mut |_| {}).unwrap();
    let seen: Vec<f64> = found.curve.iter().map(|record| record.validation_accuracy.unwrap()).collect();
    let best = seen.iter().copied().fold(0.0, f64::max);
    let first_best = seen.iter().position(|accuracy| *accuracy == best).unwrap();
    assert_eq!(seen.len(), first_best + 3, "it waited for two epochs: {seen:?}");
    assert!(seen.len() < 30, "{seen:?}");
    assert_eq!(accuracy(&graph, &found.weights, &validation), best);
    let error = train(&graph, &images, &patient, 4, None, &mut |_| {}).unwrap_err().to_string();
    assert_eq!(error, "`patience` needs validation images");
}

#[test]
fn a_pupil_comes_closer_to_its_teacher_than_a_network_without_one() {
    let (graph, images, other) = (network(), images(96, 1), images(64, 3));
    // The teacher learned that the first two classes are the other way round.
    let swapped = |images: &Images| {
        let labels = images.labels().iter().map(|label| [1, 0, 2][*label]).collect();
        Images::new(images.shape(), images.all_pixels().to_vec(), labels)
    };
    let teacher = train(&graph, &swapped(&images), &config(8), 1, None, &mut |_| {}).unwrap().weights;
    let guide = Guide { teacher: Some(Teacher { graph: &graph, weights: &teacher }), validation: None };
    let config = config(6);
    let agrees = |weights: &crate::graph::Weights| accuracy(&graph, weights, &swapped(&other));
    let alone = train(&graph, &images, &config, 4, None, &mut |_| {}).unwrap().weights;
    let taught = train_guided(&Device::Cpu, &job(&graph, &images, &config, None), &guide, &mut |_| {}).unwrap().weights;
    let (alone, taught) = (agrees(&alone), agrees(&taught));
    assert!(taught > alone + 0.2, "{taught} {alone}");
}

#[test]
fn settings_that_make_no_training_are_refused() {
    let (graph, images) = (network(), images(16, 1));
    for (config, told) in [
        (TrainConfig { ema: Some(1.0), ..config(1) }, "`ema` is 1, expected a share from 0 to below 1"),
        (TrainConfig { ema: Some(f64::NAN), ..config(1) }, "`ema` is NaN, expected a share from 0 to below 1"),
        (TrainConfig { patience: Some(0), ..config(1) }, "`patience` is 0, expected at least one epoch"),
    ] {
        assert_eq!(train(&graph, &images, &config, 1, None, &mut |_| {}).unwrap_err().to_string(), told);
    }
}
