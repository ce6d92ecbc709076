//! The Pareto front of a run, and another network of it without a new search.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::tempdir;

use crate::program::{netwright, stderr, transcript};
use crate::small_run::{EXACT_LIMITS, config, copy, decide};

/// A finished run; tests work on copies.
static FINISHED: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("run-to-pick-from");
    let _ = fs::remove_dir_all(&path);
    let run = decide(path, &config(), EXACT_LIMITS);
    resume(&run, None);
    run
});

/// What `resume` says to programs, of the run or of a pick.
fn resume(run: &Path, pick: Option<&str>) -> Value {
    let mut command = netwright(&["resume", "--threads", "2", "--json"]);
    command.arg(run).args(pick.map(|pick| ["--pick", pick]).into_iter().flatten());
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

fn read(path: PathBuf) -> Vec<u8> {
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn card(folder: &Path) -> Value {
    serde_json::from_slice(&read(folder.join("card.json"))).expect("a card is JSON")
}

fn rows(card: &Value) -> &[Value] {
    card["front"].as_array().expect("the front is a list")
}

fn number(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or_else(|| panic!("no {field} in {value}"))
}

#[test]
fn the_front_holds_the_winner_and_is_beaten_by_no_trial() {
    let card = card(&FINISHED);
    let numbers: Vec<&Value> = rows(&card).iter().map(|row| &row["row"]).collect();
    assert!(!numbers.is_empty() && numbers.iter().enumerate().all(|(at, row)| **row == at + 1), "{numbers:?}");
    let winners: Vec<&Value> = rows(&card).iter().filter(|row| row["winner"] == true).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(winners[0]["genotype"], card["genotype"]);
    assert_eq!(winners[0]["latency_provenance"], "measured");

    // By the journal: a row that was not trained in full has no trial that is better in all that is known of both.
    let journal = String::from_utf8(read(FINISHED.join("journal.jsonl"))).expect("a journal is text");
    let entries = journal.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let trials: Vec<Value> = entries.filter(|entry| entry["event"] == "trial").collect();
    for row in rows(&card).iter().filter(|row| row["validation_accuracy"].is_null()) {
        assert!(row["latency_ms"].is_null(), "nothing was measured of it and there is no model: {row}");
        let beaten = trials.iter().find(|trial| {
            number(trial, "validation_accuracy") > number(row, "cheap_validation_accuracy")
                && number(trial, "macs") < number(row, "macs")
                && number(trial, "peak_ram_bytes") < number(row, "peak_ram_bytes")
        });
        assert!(beaten.is_none(), "{row} is beaten by {}", beaten.expect("there is one"));
    }
    let report = String::from_utf8(read(FINISHED.join("report.md"))).expect("a report is text");
    let section = report.split_once("## Pareto front").expect("the report shows the front").1;
    for row in rows(&card) {
        assert!(section.contains(row["genotype"].as_str().expect("a name")), "{section}");
    }
    assert!(section.contains("](pareto.svg)") && FINISHED.join("pareto.svg").exists());
}

#[test]
fn a_pick_is_trained_once_and_leaves_the_winner_as_it_was() {
    let folder = tempdir().expect("a temporary folder");
    let run = copy(&FINISHED, folder.path().join("run"));
    let before = card(&run);
    let is_new = |row: &&Value| row["validation_accuracy"].is_null();
    let row = rows(&before).iter().find(is_new).expect("a trial is on the front that was not trained in full");
    let (number, genotype) = (row["row"].to_string(), row["genotype"].as_str().expect("a name"));

    let found = resume(&run, Some(&number));
    assert_eq!((&found["genotype"], &found["instead_of"]), (&row["genotype"], &before["genotype"]));
    let picked = run.join("picks").join(genotype);
    for file in ["model.onnx", "card.json", "report.md", "curve.svg", "pareto.svg"] {
        assert!(picked.join(file).is_file(), "{file} is missing");
    }
    for field in ["genotype", "macs", "peak_ram_bytes", "weights_flash_bytes"] {
        assert_eq!(card(&picked)[field], row[field], "{field}");
    }
    assert_eq!((&card(&picked)["instead_of"], &card(&picked)["deployable"]), (&before["genotype"], &true.into()));
    let names = |card: &Value| rows(card).iter().map(|row| row["genotype"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&card(&picked)), names(&before), "rows keep their numbers");
    let picked_card = card(&picked);
    let known = &rows(&picked_card)[row["row"].as_u64().expect("a number") as usize - 1];
    assert_eq!(known["validation_accuracy"], card(&picked)["validation_accuracy"]);
    assert_eq!(known["latency_provenance"], "measured");

    // The journal grew by the training, the measurement and the test; the winner's files are the same.
    let lines = |path: &Path| read(path.join("journal.jsonl")).iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines(&run), lines(&FINISHED) + 3);
    for file in ["model.onnx", "card.json", "report.md", "curve.svg", "pareto.svg"] {
        assert!(read(run.join(file)) == read(FINISHED.join(file)), "{file} has changed");
    }

    // Again, by its name: everything is known; and the run itself ends as before.
    let model = read(picked.join("model.onnx"));
    resume(&run, Some(genotype));
    assert_eq!(lines(&run), lines(&FINISHED) + 3);
    assert!(read(picked.join("model.onnx")) == model);
    resume(&run, None);
    assert_eq!(card(&run), before);
}

#[test]
fn a_pick_that_lost_its_files_comes_back_bit_by_bit() {
    let folder = tempdir().expect("a temporary folder");
    let run = copy(&FINISHED, folder.path().join("run"));
    let card = card(&run);
    let row = rows(&card).iter().find(|row| row["winner"] == false).expect("the winner is not alone");
    let genotype = row["genotype"].as_str().expect("a name");
    let model = run.join("picks").join(genotype).join("model.onnx");
    resume(&run, Some(genotype));
    let first = read(model.clone());
    fs::remove_dir_all(run.join("picks")).expect("it is removed");
    fs::remove_file(run.join("checkpoints").join(format!("{genotype}.safetensors"))).expect("it is removed");
    resume(&run, Some(genotype));
    assert!(read(model) == first);
}

#[test]
fn what_cannot_be_picked_is_explained_and_changes_nothing() {
    let folder = tempdir().expect("a temporary folder");
    let run = copy(&FINISHED, folder.path().join("run"));
    decide(folder.path().join("begun"), &config(), EXACT_LIMITS);
    let winner = card(&run)["genotype"].as_str().expect("a name").to_string();
    let largest = "111111-111111-111111-111111-111111";
    let calls: [&[&str]; 6] = [
        &["resume", "begun", "--pick", "1"],
        &["resume", "run", "--pick", "0"],
        &["resume", "run", "--pick", "99"],
        &["resume", "run", "--pick", "smallest"],
        &["resume", "run", "--pick", largest],
        &["resume", "run", "--pick", &winner],
    ];
    let told = calls.map(|args| transcript(args, folder.path())).concat();
    // How many finalists are on the front depends on measured latency.
    let rows = format!("front has {} rows", rows(&card(&run)).len());
    insta::assert_snapshot!("no_pick", told.replace(&winner, "WINNER").replace(&rows, "front has ROWS rows"));
    assert!(!run.join("picks").exists());
    assert!(read(run.join("journal.jsonl")) == read(FINISHED.join("journal.jsonl")));
}
