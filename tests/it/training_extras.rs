//! A run whose winner learns from a teacher, with averaged weights and early stopping, is as safe from interruptions as any
//! other.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use netwright::run::{Distil, Longer, RunConfig, RunFolder};
use netwright::train::{ClassWeights, OptimiserKind, Schedule, TrainConfig};
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{netwright, stderr};
use crate::small_run::{EXACT_LIMITS, config, decide};

fn with_extras() -> RunConfig {
    let mut config = config();
    (config.trials, config.initial, config.distil) = (4, 4, Distil::On);
    config.retrain = Some(Longer { epochs: 4, images: config.full.images / 2 });
    config.full.train = TrainConfig {
        schedule: Schedule::Step,
        cutout: 4,
        ema: Some(0.9),
        class_weights: ClassWeights::Auto,
        patience: Some(2),
        ..config.full.train
    };
    config
}

fn resume(run: &Path, threads: &str) -> std::process::Command {
    let mut command = netwright(&["resume", "--device", "cpu", "--json", "--threads", threads]);
    command.arg(run);
    command
}

fn finish(run: &Path, threads: &str) -> Value {
    let output = resume(run, threads).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("the output is JSON")
}

#[test]
fn a_run_with_every_training_extra_that_was_killed_ends_as_an_unbroken_one() {
    let folder = tempdir().expect("a temporary folder");
    let new = |name: &str| decide(folder.path().join(name), &with_extras(), EXACT_LIMITS);
    let (unbroken, killed) = (new("unbroken"), new("killed"));
    let found = finish(&unbroken, "2");
    assert_eq!(found["retrained"]["kept"], true, "{}", found["retrained"]);
    assert_eq!(found["retrained"]["epochs"], 4, "{}", found["retrained"]);
    assert_eq!(found["retrained"]["validation_accuracy"], found["validation_accuracy"]);
    // Killed while the winner learns: the start, four candidates, three full trainings and their measurements.
    let taught = || {
        killed.join("checkpoints").read_dir().map_or(0, |files| {
            files
                .filter(|file| file.as_ref().is_ok_and(|f| f.file_name().to_string_lossy().contains("-retrained.")))
                .count()
        })
    };
    let mut child =
        resume(&killed, "1").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    while taught() == 0 && child.try_wait().expect("it is our child").is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    let again = finish(&killed, "1");
    assert_eq!(again["retrained"], found["retrained"]);
    let bytes = |run: &Path, file: &str| fs::read(run.join(file)).expect("a finished run has it");
    for file in ["model.onnx", "curve.svg"] {
        assert!(bytes(&killed, file) == bytes(&unbroken, file), "{file} is another one");
    }
    let picture = String::from_utf8(bytes(&unbroken, "curve.svg")).expect("SVG is text");
    assert!(picture.contains("stroke-dasharray") && picture.contains("winner "), "validation and winner are shown");
}

#[test]
fn an_optimiser_that_was_asked_for_trains_candidates_and_finalists() {
    let folder = tempdir().expect("a temporary folder");
    fs::write(folder.path().join("exact.yaml"), EXACT_LIMITS).expect("it is writable");
    let options = "compile --target exact.yaml --width 0.25 --trials 4 --finalists 1 --epochs 1 --images 256 --full-epochs 1 \
        --full-images 320 --optimiser adamw --learning-rate 0.01 --cutout 4 --device cpu --threads 1 --out run";
    let options: Vec<&str> = options.split_whitespace().collect();
    let output = netwright(&options).current_dir(&folder).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let run = RunFolder::open(&folder.path().join("run")).expect("it is a run");
    let (config, _, _) = run.read_decisions().expect("they are valid");
    let adamw =
        TrainConfig { learning_rate: 0.01, epochs: 1, ..TrainConfig::default().optimised_by(OptimiserKind::Adamw) };
    let mirror = config.cheap.train.mirror;
    assert_eq!(config.cheap.train, TrainConfig { mirror, shift: 0, ..adamw.clone() }, "one epoch shifts no image");
    assert_eq!(config.full.train, TrainConfig { mirror, cutout: 4, ..adamw });
    assert_eq!((config.cheap.images, config.full.images), (256, 320));
}
