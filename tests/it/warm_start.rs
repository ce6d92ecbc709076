//! What a search knows before its first training: the predictor that ships, and the runs that begin with it.

use std::fs;
use std::path::Path;

use netwright::run::{RunConfig, WarmStart};
use netwright::search::StrategyName;
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{netwright, stderr, transcript};
use crate::shared::shared;
use crate::small_run::{EXACT_LIMITS, config, decide};

fn warm() -> RunConfig {
    RunConfig { warm_start: WarmStart::Predictor, ..config() }
}

#[test]
fn the_shipped_predictor_is_what_its_command_makes() {
    let Some(data) = shared("macro-cifar100") else { return };
    let folder = tempdir().expect("a temporary folder");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/macro-predictor.json");
    let shipped = fs::read_to_string(shipped).expect("it ships");
    let about: Value = serde_json::from_str(&shipped).expect("it is JSON");
    let data = data.parent().expect("it lies in a folder").display().to_string();
    let command = about["command"].as_str().expect("it names its command");
    let command = command.replace("DIR", &data).replace("models/", "");
    let args: Vec<&str> = command.split_whitespace().skip(1).collect();
    let output = netwright(&args).current_dir(folder.path()).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let made = fs::read_to_string(folder.path().join("macro-predictor.json")).expect("it is written");
    assert_eq!(made, shipped);
    let tau = about["held_out"]["kendall_tau"].as_f64().expect("a number");
    assert!(tau > about["held_out"]["kendall_tau_of_macs"].as_f64().expect("a number") + 0.1, "{tau}");
    let card = fs::read_to_string(folder.path().join("macro-predictor.md")).expect("its card lies beside it");
    assert!(card.contains(&format!("Kendall tau {tau:.3}")) && card.contains("macro-cifar100"), "{card}");
}

#[test]
fn a_warm_run_says_what_the_start_gained() {
    let folder = tempdir().expect("a temporary folder");
    // The fewest trials of which a gain can be told.
    let run = decide(folder.path().join("run"), &RunConfig { trials: 10, ..warm() }, EXACT_LIMITS);
    let output = netwright(&["resume"]).arg(&run).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let card = fs::read(run.join("card.json")).expect("there is a card");
    let card: Value = serde_json::from_slice(&card).expect("a card is JSON");
    let gain = &card["warm_start"];
    assert_eq!(gain["networks"], 10);
    for tau in ["kendall_tau_alone", "kendall_tau_with", "kendall_tau_without"] {
        assert!(gain[tau].as_f64().is_some_and(|tau| (-1.0..=1.0).contains(&tau)), "{tau} of {gain}");
    }
    let report = fs::read_to_string(run.join("report.md")).expect("there is a report");
    assert!(report.contains("Warm start by the pretrained predictor: Kendall tau on the 10 trials"), "{report}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("warm start pretrained predictor"));
}

#[test]
fn a_start_that_knows_nothing_of_the_space_or_is_not_heeded_is_refused() {
    let folder = tempdir().expect("a temporary folder");
    let mut shallow = warm();
    shallow.space.layers.truncate(4);
    decide(folder.path().join("shallow"), &shallow, EXACT_LIMITS);
    let random = RunConfig { strategy: StrategyName::Random.into(), ..warm() };
    decide(folder.path().join("random"), &random, EXACT_LIMITS);
    let told = ["shallow", "random"].map(|run| transcript(&["resume", run], folder.path())).concat();
    insta::assert_snapshot!("refused_warm_starts", told);
}
