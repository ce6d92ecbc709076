//! The first seed's experiment runs in one command, and once: repeated, it only reads what it found.

use std::fs;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{netwright, stderr};

#[test]
fn the_first_experiment_runs_small_and_a_second_time_at_once() {
    let folder = tempdir().expect("a temporary folder");
    let out = folder.path().join("out").display().to_string();
    let args = ["reproduce", "nas-with-gnn-predictor", "--data", "built-in", "--out", &out, "--networks", "10"];
    let small = ["--epochs", "1", "--final-epochs", "2", "--images", "64", "--held-out", "48", "--batch", "16"];
    let rest = ["--width", "0.25", "--predictors", "ridge,macs", "--splits", "2", "--device", "cpu", "--json"];
    let run = || {
        let output = netwright(&[&args[..], &small, &rest].concat()).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let found: Value = serde_json::from_slice(&output.stdout).expect("the output is JSON");
        (found, stderr(&output))
    };
    let (first, told) = run();
    assert_eq!(told.matches(" accuracy ").count(), 10 + 1 + 2, "{told}");
    let found = &first["found"];
    assert_eq!(found["random"].as_array().map(Vec::len), Some(10));
    // Of the sixths of ten, 1 and 3 are too few to fit, and 8 leave too few to test.
    let fitted = |name: &str| {
        let all = found["scores"].as_array().expect("scores are a list").iter();
        all.filter(|s| s["predictor"] == name).map(|s| s["train"].as_u64().expect("a count")).collect::<Vec<u64>>()
    };
    assert_eq!((fitted("ridge"), fitted("macs")), (vec![5, 6], vec![5, 6]));
    let limit = found["macs_limit"].as_u64().expect("a limit");
    let random: Vec<&str> =
        found["random"].as_array().unwrap().iter().map(|label| label["network"].as_str().unwrap()).collect();
    for (which, is_random) in [("evolved", false), ("best_random", true)] {
        let label = &found[which]["label"];
        assert!(label["macs"].as_u64() <= Some(limit), "{label}");
        assert_eq!(random.contains(&label["network"].as_str().unwrap()), is_random, "{which}");
        assert_eq!(found[which]["last"]["network"], label["network"]);
    }
    let picture = fs::read_to_string(format!("{out}/scatter.svg")).expect("there is a picture");
    assert_eq!((picture.matches("r=\"3\"").count(), picture.matches("r=\"6\"").count()), (10, 2));
    let (second, told) = run();
    assert_eq!(told.matches(" accuracy ").count(), 0, "{told}");
    // Times of fits are measured anew.
    let [first, second] = [first, second].map(|mut all| {
        all["found"]["scores"].as_array_mut().unwrap().iter_mut().for_each(|scores| {
            scores["fit_s"].take();
            scores["predictions_per_s"].take();
        });
        all
    });
    assert_eq!(first, second);
}
