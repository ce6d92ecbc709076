//! `--device`: a GPU that is asked for and absent is refused in one line with a hint; nothing that does not ask for one
//! needs one.

use serde_json::Value;

use crate::program::{netwright, stderr, stdout};

const STEP: [&str; 8] = [
    "doctor",
    "--train-step",
    "--genotype",
    "000001-010000-100000-000110-000001",
    "--batch",
    "2",
    "--json",
    "--device",
];

/// Whether this build and machine train on a GPU.
fn has_gpu() -> bool {
    let found: Value = serde_json::from_str(&stdout(&["doctor", "--json"], 0)).expect("the output is JSON");
    let gpu = found["engine"]["gpu"].as_str().expect("it says which GPU there is").to_string();
    let why = gpu.strip_prefix("none: ");
    assert!(!gpu.contains('\n') && why.is_none_or(|why| !why.is_empty()), "{gpu}");
    why.is_none()
}

#[test]
fn a_gpu_that_is_absent_is_refused_in_one_line_with_a_hint() {
    if has_gpu() {
        return;
    }
    for call in [&[&STEP[..], &["cuda"]].concat()[..], &["doctor", "--check-device"], &["doctor", "--device", "cuda"]] {
        let output = netwright(call).output().expect("the program starts");
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{call:?}: {told}");
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines.len() == 2 && lines[0].starts_with("error: ") && lines[1].starts_with("hint: `"), "{told}");
        let known = ["this build has no CUDA", "no GPU to train on: "];
        assert!(known.iter().any(|reason| lines[0].contains(reason)), "{told}");
    }
}

#[test]
fn auto_and_cpu_need_no_gpu() {
    for device in ["auto", "cpu"] {
        let found: Value = serde_json::from_str(&stdout(&[&STEP[..], &[device]].concat(), 0)).expect("it is JSON");
        assert!(found["step_ms"].as_f64() > Some(0.0) && found["device"].is_string(), "{found}");
        assert!(device == "auto" || found["device"] == "cpu", "{found}");
    }
}
