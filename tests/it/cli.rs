//! What a person or a program reads from the command line, and its exit codes. The snapshots are in `snapshots/`;
//! `INSTA_UPDATE=always cargo test` writes them anew.

use std::fs;

use assert_cmd::assert::OutputAssertExt;
use insta::assert_snapshot;
use netwright::run::SCHEMA_VERSION;
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{netwright, stdout, transcript};

/// The best network of the first seed's search.
const PUBLISHED: &str = "111000-011101-111111-111111-011101";
/// A network with little to print.
const SMALL: &[&str] =
    &["inspect", "--genotype", "000001-010000-100000-000110-000001", "--width", "0.25", "--head", "32"];

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(args, 0)).expect("the output is JSON")
}

#[test]
fn inspect_tells_programs_the_published_cost_of_a_published_network() {
    let found = json(&["inspect", "--space", "macro", "--genotype", PUBLISHED, "--json"]);
    assert_eq!((&found["macs"], &found["params"]), (&14_461_696.into(), &740_132.into()));
    assert_eq!(found["schema_version"], 1);
    assert!(found["peak_ram_bytes"].as_u64() > Some(0) && found["weights_flash_bytes"].as_u64() > Some(0), "{found}");
    let nodes = found["nodes"].as_array().expect("nodes are a list");
    let sum = |field: &str| nodes.iter().map(|node| node[field].as_u64().expect("a count")).sum::<u64>();
    let total = |field: &str| found[field].as_u64().expect("a count");
    assert_eq!(sum("macs"), total("macs") + total("linear_macs"));
    assert_eq!(sum("params"), total("params"));
}

#[test]
fn eight_bit_numbers_need_a_quarter_of_the_ram() {
    let ram =
        |numbers| json(&["inspect", "--genotype", PUBLISHED, "--numbers", numbers, "--json"])["peak_ram_bytes"].clone();
    assert_eq!(ram("f32").as_u64(), ram("int8").as_u64().map(|bytes| 4 * bytes));
}

#[test]
fn inspect_shows_people_operators_cost_and_memory_plan() {
    assert_snapshot!("inspect", stdout(SMALL, 0));
    assert_snapshot!("inspect_dot", stdout(&[SMALL, &["--dot"]].concat(), 0));
}

#[test]
fn help_names_every_command_and_exit_code() {
    assert_snapshot!("help", stdout(&["--help"], 0));
}

#[test]
fn doctor_tells_programs_what_the_machine_is() {
    let found = json(&["doctor", "--json"]);
    assert_eq!((&found["schema_version"], &found["netwright"]), (&1.into(), &env!("CARGO_PKG_VERSION").into()));
    assert!(found["host"]["cores"].as_u64() > Some(0) && found["engine"].is_object(), "{found}");
}

#[test]
fn files_that_are_no_models_are_refused_in_one_message() {
    let folder = tempdir().expect("a temporary folder");
    fs::write(folder.path().join("text.onnx"), "this is not ONNX").expect("it is writable");
    fs::write(folder.path().join("empty.onnx"), "").expect("it is writable");
    let files = ["text.onnx", "empty.onnx", "absent.onnx"];
    let calls =
        files.map(|file| transcript(&["inspect", file], folder.path()) + &transcript(&["bench", file], folder.path()));
    assert_snapshot!("no_models", calls.concat());
}

#[test]
fn a_damaged_model_never_ends_in_a_panic() {
    use rand::{Rng, SeedableRng};
    let model = small_model();
    let folder = tempdir().expect("a temporary folder");
    let file = folder.path().join("damaged.onnx");
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    for round in 0..24 {
        let mut damaged = model.clone();
        match round % 2 {
            0 => damaged.truncate(rng.random_range(1..model.len())),
            // The description of the graph comes first; damage among the weights would be another valid network.
            _ => (0..4).for_each(|_| damaged[rng.random_range(0..1200)] = rng.random()),
        }
        fs::write(&file, &damaged).expect("it is writable");
        for verb in [&["inspect"][..], &["bench", "--runs", "2", "--seconds", "0"]] {
            let output = netwright(verb).arg(&file).output().expect("the program starts");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            let code = output.status.code();
            assert!(
                !told.contains("panicked") && matches!(code, Some(0 | 2)),
                "round {round}, {verb:?}: {code:?} {told}"
            );
            assert!(code == Some(0) || told.starts_with("error: `"), "round {round}, {verb:?}: {told}");
        }
    }
}

/// A small network as the library exports it.
pub fn small_model() -> Vec<u8> {
    use netwright::graph::{Weights, deployable};
    use netwright::space::{MacroConfig, MacroSpace};
    let config = MacroConfig { width: 0.25, head: 32, classes: 10, ..MacroConfig::default() };
    let space = MacroSpace::new(config).expect("the space is valid");
    let graph = space.lower(&space.parse("000001-010000-100000-000110-000001").expect("it is a genotype"));
    let weights = Weights::init(&graph, &mut netwright::seed::stream(1, "weights", 0));
    let deployed = deployable(&graph);
    netwright::onnx::encode(&deployed.graph, &deployed.weights(&weights), &Default::default())
}

#[test]
fn a_model_file_costs_what_its_genotype_costs() {
    let folder = tempdir().expect("a temporary folder");
    let file = folder.path().join("model.onnx");
    fs::write(&file, small_model()).expect("it is writable");
    let of_file = json(&["inspect", &file.display().to_string(), "--json"]);
    let of_genotype = json(&[SMALL, &["--classes", "10", "--json"]].concat());
    for field in ["macs", "linear_macs", "peak_ram_bytes", "weights_flash_bytes"] {
        assert_eq!(of_file[field], of_genotype[field], "{field}");
    }
}

#[test]
fn bench_tells_programs_times_in_milliseconds_and_memory_in_bytes() {
    let folder = tempdir().expect("a temporary folder");
    let file = folder.path().join("model.onnx");
    fs::write(&file, small_model()).expect("it is writable");
    let found = json(&["bench", &file.display().to_string(), "--runs", "20", "--seconds", "0", "--json"]);
    let bench = &found["bench"];
    assert_eq!((&bench["schema_version"], &bench["runs"]), (&1.into(), &20.into()));
    let ms = |name: &str| bench["latency"][name].as_f64().expect("a time");
    assert!(0.0 < ms("min_ms") && ms("min_ms") <= ms("p50_ms") && ms("p50_ms") <= ms("p90_ms"), "{bench}");
    assert!(ms("p90_ms") <= ms("p99_ms") && bench["cold_start_ms"].as_f64() > Some(ms("min_ms")), "{bench}");
    assert!(found["operators"].as_array().is_some_and(|operators| operators.len() > 5), "{found}");
}

#[test]
fn wrong_arguments_are_explained() {
    let folder = tempdir().expect("a temporary folder");
    let calls: [&[&str]; 7] = [
        &["inspect", "--genotype", "111"],
        &["inspect", "--genotype", "111000-011101-111111-111111-000000"],
        &["inspect", "--genotype", "111000-011101-111111-111111-01110x"],
        &["inspect", "--genotype", PUBLISHED, "--input", "3x32"],
        &["inspect", "--genotype", PUBLISHED, "--numbers", "float"],
        &["inspect"],
        &["bench", "model.onnx", "--runs", "0"],
    ];
    assert_snapshot!("wrong_arguments", calls.map(|args| transcript(args, folder.path())).concat());
}

#[cfg(feature = "train")]
mod runs {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_no_run_can_begin_with_is_explained_and_leaves_no_folder() {
        let folder = tempdir().expect("a temporary folder");
        write(folder.path(), "unit.yaml", "name: unit\nlimits:\n  peak_ram: 3 KiloBytes\n");
        write(
            folder.path(),
            "faults.yaml",
            "name: faults\nlimits:\n  macs: 0\n  peak_ram: 0 KiB\n  latency_percentile: 91\n",
        );
        fs::create_dir(folder.path().join("empty")).expect("it is writable");
        let calls: [&[&str]; 8] = [
            &["compile", "--target", "no-such-board"],
            &["compile", "--target", "unit.yaml"],
            &["compile", "--target", "faults.yaml"],
            &["compile", "--data", "no-such-folder", "--out", "run"],
            &["compile", "--data", "empty", "--out", "run"],
            &["compile", "--budget", "10 parsecs"],
            &["compile", "--budget", "10"],
            &["compile", "--trials", "many"],
        ];
        assert_snapshot!("no_run", calls.map(|args| transcript(args, folder.path())).concat());
        assert!(!folder.path().join("run").exists());
    }

    #[test]
    fn a_folder_that_holds_something_is_not_overwritten() {
        let folder = tempdir().expect("a temporary folder");
        for (name, file) in [("run", "run/config.yaml"), ("photos", "photos/cat.jpg")] {
            fs::create_dir(folder.path().join(name)).expect("it is writable");
            write(folder.path(), file, "keep me");
        }
        let calls: [&[&str]; 4] = [
            &["compile", "--out", "run"],
            &["compile", "--out", "photos"],
            &["compile", "--out", "photos", "--overwrite"],
            &["compile", "--out", "run", "--overwrite", "--data", "no-such-folder"],
        ];
        assert_snapshot!("exists", calls.map(|args| transcript(args, folder.path())).concat());
        for file in ["run/config.yaml", "photos/cat.jpg"] {
            assert_eq!(fs::read_to_string(folder.path().join(file)).expect("it is still there"), "keep me");
        }
    }

    #[test]
    fn what_is_no_run_cannot_be_resumed() {
        let folder = tempdir().expect("a temporary folder");
        for name in ["empty", "later", "broken"] {
            fs::create_dir(folder.path().join(name)).expect("it is writable");
            write(folder.path(), &format!("{name}/target.yaml"), "name: x\nlimits: {}\n");
        }
        write(folder.path(), "later/config.yaml", "schema_version: 999\nnew: true\n");
        write(folder.path(), "broken/config.yaml", &format!("schema_version: {SCHEMA_VERSION}\nseed: one\n"));
        let calls = ["absent", "empty", "later", "broken"].map(|run| transcript(&["resume", run], folder.path()));
        assert_snapshot!("no_resume", calls.concat());
    }

    fn write(folder: &Path, file: &str, text: &str) {
        fs::write(folder.join(file), text).expect("it is writable");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    use std::io::Read;
    use std::process::Stdio;
    let mut child = netwright(&["inspect", "--genotype", PUBLISHED, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdout.take().expect("it is piped").read_exact(&mut [0]).expect("there is output");
    child.wait_with_output().expect("it ends").assert().success().stderr("");
}
