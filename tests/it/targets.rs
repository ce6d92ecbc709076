//! Any device can be a target: shipped or described by its user, of any size, here or elsewhere.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{netwright, stdout, transcript};

fn write(folder: &Path, file: &str, text: &str) {
    fs::write(folder.join(file), text).expect("it is writable");
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(args, 0)).expect("the output is JSON")
}

#[test]
fn targets_are_listed_and_shown_with_the_sources_of_their_figures() {
    assert_snapshot!("list", stdout(&["targets", "list"], 0));
    let shown = ["host", "stm32f446re", "raspberry-pi-4", "rp2040"].map(|name| stdout(&["targets", "show", name], 0));
    assert_snapshot!("show", shown.join("\n"));
}

#[test]
fn programs_read_figures_in_base_units() {
    let found = json(&["targets", "show", "stm32f446re", "--json"]);
    assert_eq!((&found["schema_version"], &found["name"]), (&1.into(), &"stm32f446re".into()));
    assert_eq!((&found["clock_hz"], &found["numbers"]), (&180_000_000.into(), &"int8".into()));
    assert_eq!(found["memory"]["ram_bytes"], 128 * 1024);
    assert_eq!(found["limits"]["peak_ram_bytes"], 112 * 1024);
    assert_eq!(found["latency"], "estimated");
    assert!(found["sources"]["memory.ram"].as_str().is_some_and(|source| source.contains("RM0390")), "{found}");
    let names: Vec<String> = json(&["targets", "list", "--json"])["targets"]
        .as_array()
        .expect("targets are a list")
        .iter()
        .map(|target| target["name"].as_str().expect("a target has a name").to_string())
        .collect();
    assert!(names.len() == 13 && names.contains(&"macs-15m".to_string()), "{names:?}");
}

/// Every kind of fault, two of each family where they differ.
const FAULTS: &str = "\
name: my board
vendor: Nobody
voltage: 3.3 V
numbers: int16
connection: ssh
operators: [conv2d, rellu]
clock: 180 kBps
memory:
  ram: 128 KiB
  ram: 256 KiB
  largest_block: 512 KiB
  reserved_ram: 128 KiB
  flash: {value: 512 kib, sorce: data sheet}
limits:
  peakram: 64 KiB
  flash: 1 MiB
  weights_flash: *flash
  macs: 0
  latency: 20 ms
  latency_percentile: 95
latency_model:
  kind: analytic
  offset: 30 ms
  error: 0.3
  file: times.json
";

#[test]
fn everything_that_is_wrong_with_a_profile_is_reported_at_once_where_it_stands() {
    let folder = tempdir().expect("a temporary folder");
    write(folder.path(), "faults.yaml", FAULTS);
    write(folder.path(), "broken.yaml", "name: x\nlimits:\n  macs: 15 M\n peak_ram: 3 KiB\n");
    write(
        folder.path(),
        "impossible.yaml",
        "name: x\nconnection: none\nmemory: {ram: 64 KiB, reserved_flash: 1 KiB}\n\
         limits: {peak_ram: 65 KiB, latency: 1 s}\n",
    );
    let calls = ["faults.yaml", "broken.yaml", "impossible.yaml", "absent.yaml", "stm32f44re"]
        .map(|profile| transcript(&["targets", "validate", profile], folder.path()));
    assert_snapshot!("faults", calls.concat());
}

#[test]
fn a_text_that_would_expand_without_end_is_refused_quickly() {
    let folder = tempdir().expect("a temporary folder");
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_string();
    for i in 1..200 {
        bomb += &format!("a{i}: &a{i} [*a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}]\n", i - 1);
    }
    write(folder.path(), "bomb.yaml", &bomb);
    write(folder.path(), "huge.yaml", &"# much\n".repeat(100_000));
    write(folder.path(), "deep.yaml", &"[".repeat(60_000));
    for profile in ["bomb.yaml", "huge.yaml", "deep.yaml"] {
        let told = transcript(&["targets", "validate", profile], folder.path());
        assert!(told.contains("error: ") && told.ends_with("[exit code 2]\n") && told.len() < 20_000, "{told}");
    }
}

#[test]
fn a_new_profile_is_valid_and_never_overwrites() {
    let folder = tempdir().expect("a temporary folder");
    let calls: [&[&str]; 6] = [
        &["targets", "new", "my-board"],
        &["targets", "new", "my-board"],
        &["targets", "new", "small", "--from", "stm32f746"],
        &["targets", "validate", "my-board.yaml", "small.yaml"],
        &["targets", "new", "no/name"],
        &["targets", "new", "x", "--from", "no-such-board"],
    ];
    assert_snapshot!("new", calls.map(|args| transcript(args, folder.path())).concat());
    let small = fs::read_to_string(folder.path().join("small.yaml")).expect("it was written");
    assert!(small.contains("\nname: small\n") && small.contains("Cortex-M7"), "{small}");
}

#[cfg(feature = "train")]
mod runs {
    use super::*;
    use crate::compile::colours;
    use crate::program::stderr;

    const QUICK: &str = "--data colours --trials 4 --epochs 1 --full-epochs 1 --finalists 1 --threads 1 --json";

    /// A short compile of small pictures in a folder: exit code, result, what was told.
    fn compile(folder: &Path, options: &str) -> (Option<i32>, Value, String) {
        colours(folder);
        let mut command = netwright(&["compile", "--out", "run"]);
        let args = format!("{QUICK} {options}");
        let output = command.args(args.split_whitespace()).current_dir(folder).output().expect("the program starts");
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), stderr(&output))
    }

    #[test]
    fn a_network_for_an_eight_bit_target_counts_in_bytes_and_is_not_deployable_yet() {
        let folder = tempdir().expect("a temporary folder");
        let (code, result, told) = compile(folder.path(), "--target stm32f446re --width 0.25");
        assert_eq!((code, &result["deployable"]), (Some(1), &false.into()), "{told}");
        let verdict = result["verdict"].as_str().expect("there is a verdict");
        assert!(verdict.starts_with("not deployable yet") && verdict.contains("int8"), "{verdict}");
        let limits = result["limits"].as_array().expect("limits are a list");
        assert!(!limits.is_empty() && limits.iter().all(|limit| limit["kept"] == true), "{limits:?}");
        assert_eq!(result["latency_provenance"], "estimated");
        let file = folder.path().join("run/model.onnx").display().to_string();
        let counted = json(&["inspect", &file, "--numbers", "int8", "--json"]);
        assert_eq!(counted["peak_ram_bytes"], result["peak_ram_bytes"]);
        // The run remembers its target.
        let output = netwright(&["resume", "run"]).current_dir(folder.path()).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    }

    #[test]
    fn a_small_device_gets_smaller_images_and_networks_and_a_resumed_run_the_same() {
        let folder = tempdir().expect("a temporary folder");
        let tiny = "name: tiny\nconnection: none\nmemory: {ram: 12 KiB, flash: 48 KiB}\n";
        write(folder.path(), "tiny.yaml", tiny);
        let (code, result, told) = compile(folder.path(), "--target tiny.yaml --width 1");
        assert_eq!((code, &result["deployable"]), (Some(0), &true.into()), "{told}");
        assert!(told.contains("at least 1000 networks within the limits"), "{told}");
        let input = &result["space"]["input"];
        assert!(input["height"].as_u64() < Some(16) && result["space"]["width"] == 1.0, "{}", result["space"]);
        let run = folder.path().join("run");
        let model = fs::read(run.join("model.onnx")).expect("it is there");
        fs::remove_file(run.join("model.onnx")).expect("it is ours");
        let output = netwright(&["resume", "run"]).current_dir(folder.path()).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(fs::read(run.join("model.onnx")).expect("it is back") == model, "another model");
    }

    #[test]
    fn an_estimated_latency_limits_a_device_that_is_not_here() {
        let folder = tempdir().expect("a temporary folder");
        let slow = "name: slow\nlimits: {latency: 100 ms}\n\
                    latency_model: {kind: analytic, offset: 10 ms, macs_per_second: 5 M}\n";
        write(folder.path(), "slow.yaml", slow);
        let (code, result, told) = compile(folder.path(), "--target slow.yaml");
        assert_eq!(code, Some(0), "{told}");
        let macs = result["macs"].as_f64().expect("it has a cost");
        let found = result["limits"][0]["found"].as_f64().expect("it was found");
        assert!(macs < 0.09 * 5e6 && found > 10.0 + macs / 5e3 && found <= 100.0, "{macs} in {found} ms");
        assert_eq!(result["limits"][0]["provenance"], "estimated");
        let report = fs::read_to_string(folder.path().join("run/report.md")).expect("it is there");
        assert!(report.contains("(estimated)") && !report.contains("kept by measurement"), "{report}");
    }
}
