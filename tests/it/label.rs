//! Labels are found once each: whatever kills the command, and however many networks train at once, repeating it ends with
//! the same table, which predictors read.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{netwright, refused, stderr, stdout, transcript};

/// Two tasks of few images, for six small networks.
const TASKS: &str = "\
tasks:
- {name: pair, classes: [washer, hex nut], images: 48, held-out: 32}
- {name: grey, classes: [bearing, t-piece, washer], transforms: [grey, {rotate: 90}], images: 48, held-out: 32, seed: 3}
";
const PAIRS: usize = 12;

fn label<'a>(tasks: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["label", "--random", "6", "--width", "0.25", "--epochs", "2", "--batch", "16", "--device", "cpu"];
    [fixed.as_slice(), &["--tasks", tasks, "--out", out], more].concat()
}

/// Lines of the journal without times, in an order of their own.
fn observations(out: &Path) -> Vec<String> {
    let journal = fs::read_to_string(out.join("journal.jsonl")).expect("there is a journal");
    let line = |line: &str| {
        let mut entry: Value = serde_json::from_str(line).expect("a line is JSON");
        entry.as_object_mut().expect("a line is an object").remove("seconds");
        entry.to_string()
    };
    let mut lines: Vec<String> = journal.lines().map(line).collect();
    lines.sort();
    lines
}

/// The table but for times.
fn table(out: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(out.join("table.csv")).expect("there is a table");
    let without_time = |line: &str| {
        let fields = line.split(',').enumerate().filter(|(at, _)| *at != 4);
        fields.map(|(_, field)| field.to_string()).collect()
    };
    text.lines().map(without_time).collect()
}

#[test]
fn labels_do_not_depend_on_interruptions_order_or_number_at_once_and_predictors_read_them() {
    let folder = tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (tasks, turned, unbroken, killed) = (path("tasks.yaml"), path("turned.yaml"), path("unbroken"), path("killed"));
    fs::write(&tasks, TASKS).expect("it is writable");
    let lines: Vec<&str> = TASKS.lines().collect();
    fs::write(&turned, [lines[0], lines[2], lines[1], ""].join("\n")).expect("it is writable");
    stdout(&label(&tasks, &unbroken, &["--together", "3", "--threads", "2"]), 0);
    let journal = Path::new(&killed).join("journal.jsonl");
    let lines = || fs::read(&journal).map_or(0, |bytes| bytes.iter().filter(|b| **b == b'\n').count());
    let mut child = netwright(&label(&turned, &killed, &["--together", "1", "--threads", "1"]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    while lines() < 4 && child.try_wait().expect("it is our child").is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("it is our child");
    let code = child.wait().expect("it is our child").code();
    assert!(code.is_none(), "it was killed, not done: {code:?}");
    let first = fs::read(&journal).expect("there is a journal");
    let whole = first.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);

    let found: Value =
        serde_json::from_str(&stdout(&label(&turned, &killed, &["--json"]), 0)).expect("the output is JSON");
    assert_eq!(found["labels"].as_array().map(Vec::len), Some(PAIRS));
    assert_eq!(observations(Path::new(&killed)), observations(Path::new(&unbroken)));
    assert_eq!(observations(Path::new(&killed)).len(), 1 + PAIRS, "every pair once");
    assert!(fs::read(&journal).expect("there is a journal").starts_with(&first[..whole]), "nothing was done again");
    let [mut rows, other] = [&killed, &unbroken].map(|out| table(Path::new(out)));
    // The order of the tasks is that of the columns.
    rows.iter_mut().for_each(|row| row[4..].rotate_left(2));
    assert_eq!(rows, other);

    let yaml = Path::new(&unbroken).join("table.yaml").display().to_string();
    let network = found["networks"][0].as_str().expect("a network is text");
    let row: Value =
        serde_json::from_str(&stdout(&["query", "table", "--table", &yaml, "--arch", network, "--json"], 0)).unwrap();
    let labels = row["labels"].as_object().expect("labels are an object");
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["grey", "grey.test", "pair", "pair.test"]);
    assert!(labels.values().all(|accuracy| accuracy.as_f64().is_some_and(|a| (0.0..=1.0).contains(&a))), "{row}");
    assert!(row["features"]["macs"].as_f64() > Some(0.0), "{row}");
    let eval = ["predictor", "eval", "--table", &yaml, "--label", "grey.test", "--train", "4", "--seeds", "2"];
    stdout(&[&eval[..], &["--predictors", "macs,ridge", "--json"]].concat(), 0);
}

#[test]
fn what_cannot_be_labelled_is_refused_before_anything_is_written() {
    let folder = tempdir().expect("a temporary folder");
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("it is writable");
    file("twice.yaml", "tasks:\n- {name: a, transforms: [{rotate: 45}]}\n- {name: a, classes: [washer], side: 16}\n");
    file("class.yaml", "tasks:\n- {name: a, images: 48}\n- {name: b, classes: [washer, cat]}\n");
    file("small.yaml", "tasks:\n- {name: a, images: 48}\n- {name: b, source: 'built-in:glyphs', side: 4}\n");
    file("field.yaml", "tasks:\n- name: a\n  colour: red\n");
    file("networks.txt", "# two networks\n111000-011101-111111-111111-011101\n111\n");
    let random = ["label", "--random", "2", "--device", "cpu", "--out", "out"];
    let mut all = String::new();
    for more in [
        &["--tasks", "twice.yaml"][..],
        &["--tasks", "field.yaml"],
        &["--tasks", "class.yaml"],
        &["--tasks", "small.yaml"],
        &["--tasks", "nowhere.yaml"],
        &["--data", "nowhere"],
        &["--data", "built-in", "--data", "built-in"],
        &["--data", "built-in", "--space", "nats-sss", "--width", "0.5"],
        &["--data", "built-in", "--patience", "3"],
        &["--data", "built-in", "--width", "0"],
    ] {
        all += &transcript(&[&random[..], more].concat(), folder.path());
        all += "\n";
    }
    all += &transcript(&["label", "--networks", "networks.txt", "--data", "built-in", "--out", "out"], folder.path());
    all += "\n";
    all += &transcript(&["label", "tasks", "--sources", "built-in", "-n", "2", "--classes", "7"], folder.path());
    assert_snapshot!(all);
    let written = folder.path().join("out/journal.jsonl");
    assert!(fs::read(written).map_or(0, |journal| journal.iter().filter(|b| **b == b'\n').count()) <= 1);
}

#[test]
fn other_settings_for_the_same_journal_are_refused() {
    let folder = tempdir().expect("a temporary folder");
    let tasks = folder.path().join("tasks.yaml").display().to_string();
    let out = folder.path().join("out").display().to_string();
    fs::write(&tasks, "tasks:\n- {name: pair, classes: [washer, hex nut], images: 16, held-out: 8}\n")
        .expect("writable");
    stdout(&label(&tasks, &out, &[]), 0);
    let output = netwright(&label(&tasks, &out, &["--ema", "0.9"])).output().expect("the program starts");
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("was begun with other settings: `ema` not set, now 0.9\nhint: "), "{told}");
    fs::write(&tasks, "tasks:\n- {name: pair, classes: [washer, hex nut], images: 18, held-out: 8}\n")
        .expect("writable");
    let more = label(&tasks, &out, &["--random", "7"]);
    let more: Vec<&str> =
        more.iter().copied().enumerate().filter(|(at, _)| ![1, 2].contains(at)).map(|(_, a)| a).collect();
    let output = netwright(&more).output().expect("the program starts");
    assert!(stderr(&output).contains("the images of task `pair` have changed"), "{}", stderr(&output));
}

#[test]
fn drawn_tasks_can_be_labelled() {
    let folder = tempdir().expect("a temporary folder");
    let yaml = stdout(
        &["label", "tasks", "--sources", "built-in", "-n", "2", "--seed", "4", "--images", "32", "--held-out", "16"],
        0,
    );
    let path = folder.path().join("tasks.yaml");
    fs::write(&path, yaml).expect("it is writable");
    let (tasks, out) = (path.display().to_string(), folder.path().join("out").display().to_string());
    let text = stdout(&label(&tasks, &out, &["--per-task", "1"]), 0);
    assert!(text.contains("t0000") && text.contains("t0001"), "{text}");
    assert_eq!(observations(Path::new(&out)).len(), 1 + 2, "one network for each task");
}

#[test]
fn a_number_of_steps_is_in_the_table_and_too_wide_networks_are_refused() {
    let folder = tempdir().expect("a temporary folder");
    let (tasks, out) = (folder.path().join("tasks.yaml"), folder.path().join("out"));
    fs::write(&tasks, TASKS).expect("it is writable");
    let (tasks, out) = (tasks.display().to_string(), out.display().to_string());
    let steps = [
        "label", "--random", "1", "--width", "0.25", "--steps", "9", "--batch", "16", "--tasks", &tasks, "--out", &out,
    ];
    stdout(&steps, 0);
    let about = fs::read_to_string(Path::new(&out).join("table.yaml")).expect("there is a table");
    assert!(about.contains("9 steps at width 0.25"), "{about}");
    let epochs: Vec<&str> = steps.iter().map(|text| if *text == "--steps" { "--epochs" } else { text }).collect();
    assert!(refused(&epochs).contains("`steps` 9, now not set"));
    let wide: Vec<&str> = steps.iter().map(|text| if *text == "0.25" { "1e9" } else { text }).collect();
    assert!(refused(&wide).contains("a width of 1000000000 is not above 0 and at most 16"));
}
