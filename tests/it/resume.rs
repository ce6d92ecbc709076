//! Nothing observed is lost: a run that was killed, torn or out of space ends as an unbroken one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::program::{netwright, stderr};
use crate::small_run::{EXACT_LIMITS, config, copy, decide};

/// A run that nothing disturbed. It lies among the build's files and is made anew by every test run.
static UNBROKEN: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unbroken-run");
    let _ = fs::remove_dir_all(&path);
    let run = decide(path, &config(), EXACT_LIMITS);
    finish(&run, 2);
    run
});

fn fresh(folder: &TempDir) -> PathBuf {
    decide(folder.path().join("run"), &config(), EXACT_LIMITS)
}

fn resume(run: &Path, threads: usize) -> Command {
    let mut command = netwright(&["resume", "--threads", &threads.to_string()]);
    command.arg(run).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn finish(run: &Path, threads: usize) {
    let output = resume(run, threads).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

fn bytes(run: &Path, file: &str) -> Vec<u8> {
    fs::read(run.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn lines(run: &Path) -> usize {
    fs::read(run.join("journal.jsonl")).map_or(0, |journal| journal.iter().filter(|b| **b == b'\n').count())
}

/// The journal but for times and measurements.
fn observations(run: &Path) -> Vec<Value> {
    let journal = String::from_utf8(bytes(run, "journal.jsonl")).expect("a journal is text");
    let line = |line: &str| {
        let mut entry: Value = serde_json::from_str(line).expect("a line is JSON");
        let fields = entry.as_object_mut().expect("a line is an object");
        fields.remove("seconds");
        fields.remove("bench");
        entry
    };
    journal.lines().map(line).collect()
}

/// The card but for the measurement.
fn card(run: &Path) -> Value {
    let mut card: Value = serde_json::from_slice(&bytes(run, "card.json")).expect("a card is JSON");
    let fields = card.as_object_mut().expect("a card is an object");
    fields.remove("bench");
    // Who is on it depends on measured latency, too.
    fields.remove("front");
    card
}

#[track_caller]
fn assert_ended_as_unbroken(run: &Path, history: &str) {
    assert_eq!(observations(run), observations(&UNBROKEN), "{history}");
    assert!(bytes(run, "model.onnx") == bytes(&UNBROKEN, "model.onnx"), "other model: {history}");
    assert_eq!(card(run), card(&UNBROKEN), "{history}");
}

/// Another seed in every test run, which a failure prints.
fn chance() -> (u64, ChaCha8Rng) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is past 1970");
    let seed = u64::from(now.subsec_nanos());
    (seed, ChaCha8Rng::seed_from_u64(seed))
}

#[test]
fn a_run_observes_every_network_once() {
    let mut seen: Vec<String> = observations(&UNBROKEN)
        .iter()
        .map(|entry| format!("{} {}", entry["event"], entry["genotype"].as_str().unwrap_or_default()))
        .collect();
    // The start, nine candidates, three full trainings with their measurements, one test.
    assert_eq!(seen.len(), 1 + 9 + 3 + 3 + 1, "{seen:#?}");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 17, "something was observed twice: {seen:#?}");
}

#[test]
fn a_run_killed_at_random_moments_ends_as_an_unbroken_one() {
    let folder = tempdir().expect("a temporary folder");
    let run = fresh(&folder);
    let (seed, mut rng) = chance();
    let mut history = format!("seed {seed}");
    // The journal grows to 17 lines: killed before the first, in the search, among the finalists.
    for reached in [0, rng.random_range(1..=4), rng.random_range(5..=9), rng.random_range(10..=13), 15] {
        let pause = Duration::from_millis(rng.random_range(0..400));
        let mut child = resume(&run, 1).stderr(Stdio::null()).spawn().expect("the program starts");
        while lines(&run) < reached && child.try_wait().expect("it is our child").is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(pause);
        child.kill().expect("it is our child");
        let killed = child.wait().expect("it is our child").code().is_none();
        history += &format!("; {reached} lines and {pause:?}: {}", if killed { "killed" } else { "had ended" });
    }
    assert!(history.contains("killed"), "{history}");
    finish(&run, 1);
    assert_ended_as_unbroken(&run, &history);
}

#[test]
fn a_run_whose_journal_is_torn_ends_as_an_unbroken_one() {
    let (seed, mut rng) = chance();
    let journal = bytes(&UNBROKEN, "journal.jsonl");
    let length = journal.len();
    for (cut, has_checkpoints) in
        [(rng.random_range(0..length / 2), false), (rng.random_range(length / 2..length), true)]
    {
        let folder = tempdir().expect("a temporary folder");
        let run = copy(&UNBROKEN, folder.path().join("run"));
        fs::write(run.join("journal.jsonl"), &journal[..cut]).expect("it is writable");
        if !has_checkpoints {
            remove_checkpoints(&run);
        }
        finish(&run, 1);
        assert!(
            bytes(&run, "journal.jsonl").starts_with(&journal[..whole_lines(&journal[..cut])]),
            "seed {seed}, cut at {cut}"
        );
        assert_ended_as_unbroken(&run, &format!("seed {seed}, cut at {cut}"));
    }
}

fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1)
}

fn remove_checkpoints(run: &Path) {
    for entry in fs::read_dir(run.join("checkpoints")).expect("it is a folder") {
        fs::remove_file(entry.expect("it is readable").path()).expect("it is removed");
    }
}

#[test]
fn recorded_measurements_are_used_again_and_lost_files_come_back() {
    let folder = tempdir().expect("a temporary folder");
    let run = copy(&UNBROKEN, folder.path().join("run"));
    let files = ["model.onnx", "card.json", "report.md"];
    files.iter().for_each(|file| fs::remove_file(run.join(file)).expect("a finished run has it"));
    remove_checkpoints(&run);
    finish(&run, 1);
    for file in files.iter().chain(&["journal.jsonl", "config.yaml", "target.yaml"]) {
        assert!(bytes(&run, file) == bytes(&UNBROKEN, file), "{file} is another one");
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let folder = tempdir().expect("a temporary folder");
    let run = fresh(&folder);
    finish(&run, 3);
    assert_ended_as_unbroken(&run, "three threads instead of two");
}

#[test]
#[cfg(unix)]
fn a_run_that_ran_out_of_space_says_so_and_goes_on_when_there_is_some() {
    let folder = tempdir().expect("a temporary folder");
    let run = fresh(&folder);
    // No file may grow past this many blocks of 512 bytes: first the journal does not fit, then a checkpoint.
    for (blocks, file) in [(3, "journal.jsonl"), (64, "checkpoints")] {
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -f {blocks}; trap '' XFSZ; exec \"$@\""), "sh"]);
        let resume = resume(&run, 1);
        let output = limited.arg(resume.get_program()).args(resume.get_args()).output().expect("there is a shell");
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        let message = told.split_once("error: ").expect("there is a message").1;
        assert!(message.contains(file) && message.contains("File too large"), "{message}");
        assert!(message.contains("\nhint: free some space") && !told.contains("panicked"), "{told}");
    }
    finish(&run, 1);
    assert_ended_as_unbroken(&run, "out of space twice");
}
