//! From images to a measured network, through the program.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use netwright::predictor::Kind;
use netwright::run::{RunConfig, SCHEMA_VERSION};
use netwright::target::Target;
use netwright::units::{Bytes, Macs};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::{TempDir, tempdir};

use crate::program::{netwright, stderr, stdout};
use crate::shared::shared;
use crate::small_run::{EXACT_LIMITS, config, decide};

const RUN_FILES: [&str; 6] = ["card.json", "config.yaml", "journal.jsonl", "model.onnx", "report.md", "target.yaml"];
/// Options that compile the pictures of [`colours`] quickly.
const COLOURS: &str = "--data colours --trials 4 --epochs 2 --full-epochs 12 --threads 1";
/// `netwright compile` in a folder, with one finalist at a quarter of the width and these options: its result and what it
/// told on the way.
fn compile(folder: &TempDir, options: &str, exit_code: i32) -> (Value, String) {
    write(folder.path(), "exact.yaml", EXACT_LIMITS);
    let mut command = netwright(&["compile", "--finalists", "1", "--width", "0.25", "--json"]);
    let output = command.args(options.split_whitespace()).current_dir(folder).output().expect("the program starts");
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(exit_code), "{told}");
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), told)
}

fn write(folder: &Path, file: &str, content: impl AsRef<[u8]>) {
    fs::write(folder.join(file), content).expect("it is writable");
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).expect("it is JSON")
}

#[test]
fn built_in_images_become_a_measured_network_with_its_card() {
    let folder = tempdir().expect("a temporary folder");
    let options = "--target exact.yaml --trials 10 --epochs 1 --images 256 --full-epochs 1 --threads 1 --out run";
    let (result, _) = compile(&folder, options, 0);
    let run = folder.path().join("run");
    for file in RUN_FILES {
        assert!(run.join(file).is_file(), "{file} is missing");
    }

    let card = json(run.join("card.json"));
    let model = fs::read(run.join("model.onnx")).expect("the model is there");
    let digest: String = Sha256::digest(&model).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&card["schema_version"], &card["deployable"]), (&SCHEMA_VERSION.into(), &true.into()));
    assert_eq!((&card["model_sha256"], &card["model_bytes"]), (&digest.into(), &model.len().into()));
    assert_eq!(
        (&card["target"], &card["numbers"], &card["test_images"]),
        (&"exact".into(), &"f32".into(), &2000.into())
    );
    let agreement = &card["agreement"];
    assert_eq!((&agreement["images"], &agreement["disagreements"]), (&2000.into(), &0.into()));
    assert!(agreement["max_relative_difference"].as_f64() < Some(1e-4), "{agreement}");
    assert_eq!(card["predictors"].as_array().map(Vec::len), Some(Kind::ALL.len()), "{}", card["predictors"]);
    let limits: Vec<&str> = card["limits"].as_array().unwrap().iter().map(|l| l["limit"].as_str().unwrap()).collect();
    assert_eq!(limits, ["peak_ram_bytes", "macs"]);

    let file = run.join("model.onnx").display().to_string();
    let inspected: Value = serde_json::from_str(&stdout(&["inspect", &file, "--json"], 0)).expect("it is JSON");
    for field in ["macs", "linear_macs", "params", "peak_ram_bytes", "weights_flash_bytes"] {
        assert!(card[field].as_u64() > Some(0), "{field}");
        assert_eq!(card[field], inspected[field], "{field}");
    }

    assert_eq!(result["schema_version"], SCHEMA_VERSION);
    assert_eq!((&result["run"], &result["model"]), (&"run".into(), &"run/model.onnx".into()));
    for field in ["genotype", "deployable", "test_accuracy", "macs", "peak_ram_bytes", "bench", "limits"] {
        assert_eq!(result[field], card[field], "{field}");
    }
    let report = fs::read_to_string(run.join("report.md")).expect("the report is there");
    assert!(report.contains(card["genotype"].as_str().unwrap()) && report.contains("Every limit is kept"), "{report}");
}

/// Class folders of small pictures whose classes differ in colour; a fifth of the pixels is noise.
pub fn colours(folder: &Path) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for (class, colour) in [("blue", [30, 40, 200]), ("green", [20, 190, 50]), ("red", [210, 30, 30])] {
        let class = folder.join("colours").join(class);
        fs::create_dir_all(&class).expect("it is writable");
        for i in 0..80 {
            let picture = image::RgbImage::from_fn(16, 16, |_, _| match rng.random_bool(0.2) {
                true => image::Rgb(rng.random()),
                false => image::Rgb(colour),
            });
            picture.save(class.join(format!("{i}.png"))).expect("it is written");
        }
    }
}

#[test]
fn class_folders_compile_and_colours_are_told_apart() {
    let folder = tempdir().expect("a temporary folder");
    colours(folder.path());
    let (result, told) = compile(&folder, &format!("{COLOURS} --retrain-epochs 16 --target exact.yaml --out run"), 0);
    assert!(
        told.contains("colours: 3 classes, images of 3×16×16, 192 for training, 24 for validation, 24 for test"),
        "{told}"
    );
    assert!(result["test_accuracy"].as_f64() > Some(0.9), "{}", result["test_accuracy"]);
    let card = json(folder.path().join("run/card.json"));
    assert_eq!(card["data"]["classes"], serde_json::json!(["blue", "green", "red"]));
    let again = &result["retrained"];
    assert_eq!((&again["epochs"], &again["images"], &again["teacher"]), (&16.into(), &192.into(), &Value::Null));
    let kept = if again["kept"] == true { "validation_accuracy" } else { "before" };
    assert_eq!(result["validation_accuracy"], again[kept], "{again}");
    let report = fs::read_to_string(folder.path().join("run/report.md")).expect("the report is there");
    assert!(report.contains("- trained once more: ") && report.contains("after 16 epochs on 192 images"), "{report}");
}

#[test]
fn a_run_is_overwritten_only_when_asked_and_nothing_of_it_stays() {
    let folder = tempdir().expect("a temporary folder");
    colours(folder.path());
    let run = decide(folder.path().join("run"), &config(), EXACT_LIMITS);
    write(&run, "latency.json", "of the old run");
    let options = format!("{COLOURS} --target exact.yaml --out run");
    let (_, told) = compile(&folder, &options, 2);
    assert!(told.starts_with("error: `run` exists already\nhint: "), "{told}");
    assert!(run.join("latency.json").exists());
    compile(&folder, &format!("{options} --overwrite"), 0);
    assert!(run.join("model.onnx").exists() && !run.join("latency.json").exists());
}

#[test]
fn a_run_without_a_name_takes_the_next_free_folder() {
    let folder = tempdir().expect("a temporary folder");
    colours(folder.path());
    decide(folder.path().join("models/runs/run-1"), &config(), EXACT_LIMITS);
    let (result, _) = compile(&folder, &format!("{COLOURS} --target exact.yaml"), 0);
    assert_eq!(result["run"], "models/runs/run-2");
    assert!(folder.path().join("models/runs/run-2/model.onnx").exists());
}

#[test]
fn handwritten_digits_in_idx_files_compile() {
    let Some(digits) = shared("mnist") else { return };
    let folder = tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("digits")).expect("it is writable");
    for (part, count) in [("train", 1200), ("t10k", 300)] {
        // The header's second number is that of the items.
        for (kind, header, item) in [("images-idx3", 16, 28 * 28), ("labels-idx1", 8, 1)] {
            let packed = fs::File::open(digits.join(format!("{part}-{kind}-ubyte.gz"))).expect("it is there");
            let mut head = vec![0; header + count * item];
            GzDecoder::new(packed).read_exact(&mut head).expect("it is longer");
            head[4..8].copy_from_slice(&(count as u32).to_be_bytes());
            write(folder.path(), &format!("digits/{part}-{kind}-ubyte"), head);
        }
    }
    let options = "--data digits --target exact.yaml --trials 4 --epochs 2 --full-epochs 15 --threads 1 --out run";
    let (result, told) = compile(&folder, options, 0);
    assert!(told.contains("10 classes, images of 1×28×28"), "{told}");
    assert!(result["test_accuracy"].as_f64() > Some(0.8), "{}", result["test_accuracy"]);
}

#[test]
fn limits_are_kept_to_the_byte_in_the_run_folder() {
    let folder = tempdir().expect("a temporary folder");
    let run = decide(folder.path().join("run"), &config(), "name: odd\nlimits: {peak_ram: 327681 B, macs: 14461697}\n");
    let target = Target::open(&run.join("target.yaml").display().to_string()).expect("the profile is valid");
    assert_eq!((target.limits.peak_ram, target.limits.macs), (Some(Bytes(327_681)), Some(Macs(14_461_697))));
}

#[test]
fn limits_that_no_network_keeps_are_refused_before_anything_is_written() {
    let folder = tempdir().expect("a temporary folder");
    colours(folder.path());
    write(folder.path(), "impossible.yaml", "name: impossible\nlimits:\n  peak_ram: 100 B\n  macs: 15 M\n");
    let (_, told) = compile(&folder, &format!("{COLOURS} --target impossible.yaml --out run"), 2);
    let message = told.split_once("error: ").expect("there is a message").1;
    assert!(message.contains("no network of space `macro` of any size fits target `impossible`"), "{message}");
    assert!(message.contains("limit 100 B: excludes every network") && message.contains("limit 15 M\n"), "{message}");
    assert!(message.contains("\nhint: allow more peak RAM") && !folder.path().join("run").exists(), "{message}");
}

#[test]
fn a_latency_limit_that_calibration_excludes_is_refused_before_anything_is_written() {
    let folder = tempdir().expect("a temporary folder");
    colours(folder.path());
    write(folder.path(), "fast.yaml", "name: fast\nlimits:\n  latency: 1 us\n");
    let (_, told) = compile(&folder, &format!("{COLOURS} --target fast.yaml --out run"), 2);
    assert!(told.contains("calibrating latency") && told.contains("limit 1 µs: excludes every network"), "{told}");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn a_limit_that_measurement_breaks_ends_with_exit_code_1_and_a_table() {
    let folder = tempdir().expect("a temporary folder");
    let few = RunConfig { trials: 4, references: 0, finalists: 1, ..config() };
    // There is no latency model, so nothing is excluded before it is measured.
    let run = decide(folder.path().join("run"), &few, "name: fast\nlimits:\n  macs: 15 M\n  latency: 1 us\n");
    let output = netwright(&["resume"]).arg(&run).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    let limit = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default();
    assert!(limit("latency_p90_ms").contains("(measured)  broken, "), "{text}");
    assert!(limit("macs ").ends_with("kept"), "{text}");
    assert_eq!(json(run.join("card.json"))["deployable"], false);
    assert!(fs::read_to_string(run.join("report.md")).expect("the report is there").contains("**Not deployable"));
}
