//! A run so small that a test can afford it many times. It is decided by counts alone, as if a compile had been killed
//! right after its decisions: nothing is timed, and `resume` does everything.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use netwright::data::{BuiltIn, Dataset};
use netwright::run::{DataConfig, Distil, Fidelity, RunConfig, RunFolder, SCHEMA_VERSION, WarmStart};
use netwright::search::StrategyName;
use netwright::space::MacroConfig;
use netwright::target::Target;
use netwright::train::TrainConfig;

/// Limits that follow from the file alone, so that no measurement decides.
pub const EXACT_LIMITS: &str = "name: exact\nlimits:\n  peak_ram: 512 KiB\n  macs: 15 M\n";

const SEED: u64 = 5;
/// Built-in images for training, validation and test.
const IMAGES: [usize; 3] = [384, 128, 128];

static DATA: LazyLock<Dataset> = LazyLock::new(|| {
    let [train, validation, test] = IMAGES;
    Dataset::built_in(&BuiltIn { seed: SEED, train, validation, test })
});

/// Nine candidates with two rounds of predictions, three finalists; one fewer than the predictors' cross-validation takes,
/// which is slower than all the rest.
pub fn config() -> RunConfig {
    let data = &*DATA;
    let space = MacroConfig {
        input: data.shape(),
        classes: data.classes.len(),
        mean: data.mean.clone(),
        std: data.std.clone(),
        ..MacroConfig::default()
    };
    let fidelity = |epochs| Fidelity {
        width: 1.0,
        images: IMAGES[0],
        train: TrainConfig { epochs, batch: 32, ..TrainConfig::default() },
    };
    RunConfig {
        schema_version: SCHEMA_VERSION,
        netwright: env!("CARGO_PKG_VERSION").to_string(),
        seed: SEED,
        strategy: StrategyName::Guided.into(),
        trials: 9,
        initial: 4,
        per_round: 3,
        proxies: true,
        warm_start: WarmStart::None,
        finalists: 2,
        references: 1,
        cheap: fidelity(1),
        full: fidelity(3),
        retrain: None,
        distil: Distil::Off,
        data: DataConfig {
            path: None,
            seed: SEED,
            side: None,
            format: None,
            built_in: IMAGES,
            digest: data.digest.clone(),
        },
        space: space.scaled(0.25),
    }
}

/// Writes a run's decisions into a new folder.
pub fn decide(path: PathBuf, config: &RunConfig, target: &str) -> PathBuf {
    let target = Target::parse(target, "test").expect("the profile is valid");
    let folder = RunFolder::create(&path, false).expect("the folder is new");
    folder.write_decisions(config, &target, None).expect("the folder is writable");
    path
}

/// A copy of a run's folder.
pub fn copy(from: &Path, to: PathBuf) -> PathBuf {
    fs::create_dir_all(&to).expect("it is writable");
    for entry in fs::read_dir(from).expect("it is a folder") {
        let entry = entry.expect("it is readable");
        let there = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => _ = copy(&entry.path(), there),
            false => _ = fs::copy(entry.path(), there).expect("it is copied"),
        }
    }
    to
}
