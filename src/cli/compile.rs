//! `netwright compile` and `netwright resume`: from a target and data to a measured network.

use std::path::{Path, PathBuf};

use clap::Args;

use super::device::DeviceArgs;
use super::progress::Screen;
use super::{Exit, print, print_json};
use crate::data::Dataset;
use crate::graph::NumberFormat;
use crate::measure::{CalibrationConfig, Stopwatch, calibrated};
use crate::nn::{Device, runtime};
use crate::report::{run_json, run_markdown, run_text};
use crate::run::{
    self, BUILT_IN_IMAGES, DataConfig, Prepared, Progress, Requested, RunConfig, RunError, RunFolder, SCHEMA_VERSION,
    write_whole,
};
use crate::search::{GuidedConfig, StrategyName};
use crate::space::MacroSpace;
use crate::target::{LatencyModel, Target};
use crate::units::Millis;

#[derive(Args)]
pub(super) struct CompileArgs {
    /// A built-in target or the path of a profile.
    #[arg(long, default_value = "host")]
    target: String,
    /// A folder of images (a folder for each class) or of IDX files; built-in images if absent.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Side in pixels to which images of a folder are resized.
    #[arg(long)]
    side: Option<usize>,
    /// Where the run is kept; by default the next free `models/runs/run-N`.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Replace the run that `--out` holds.
    #[arg(long)]
    overwrite: bool,
    /// Time for everything; it becomes counts once, and from then on the seed decides.
    #[arg(long, default_value = "10m")]
    budget: Millis,
    /// Networks trained cheaply, at least 4.
    #[arg(long)]
    trials: Option<usize>,
    /// Epochs of a cheap training.
    #[arg(long)]
    epochs: Option<usize>,
    /// Epochs of a full training.
    #[arg(long)]
    full_epochs: Option<usize>,
    /// Training images of a cheap training.
    #[arg(long)]
    images: Option<usize>,
    /// Width multiplier of the deployed network.
    #[arg(long)]
    width: Option<f64>,
    /// Best networks trained in full and measured.
    #[arg(long)]
    finalists: Option<usize>,
    /// Do not mirror images in training, because left and right mean something; grey images are never mirrored.
    #[arg(long)]
    no_mirror: bool,
    /// How networks are proposed.
    #[arg(long, value_enum, default_value = "guided")]
    strategy: StrategyName,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
pub(super) struct ResumeArgs {
    /// The folder of the run.
    run: PathBuf,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct Common {
    #[command(flatten)]
    device: DeviceArgs,
    /// Threads; by default one for each core. Results do not depend on them.
    #[arg(long)]
    threads: Option<usize>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn compile(args: &CompileArgs) -> anyhow::Result<Exit> {
    runtime::init(args.common.threads);
    let clock = Stopwatch::start();
    let target = Target::open(&args.target)?;
    anyhow::ensure!(
        target.numbers == NumberFormat::F32,
        "target `{}` stores numbers as {}, and networks are exported as f32 so far\nhint: write `numbers: f32` if the device can run that",
        target.name,
        target.numbers
    );
    let out = args.out.clone().unwrap_or_else(next_free);
    RunFolder::check_free(&out, args.overwrite)?;
    let device = args.common.device.choose()?;
    let mut screen = Screen::new();
    screen.show(Progress::Note(format!("run `{}` for target `{}`", out.display(), target.name)));
    let (config, latency, dataset) = decide(args, &target, &device, &mut |progress| screen.show(progress))?;
    // Only now: what ends before it is decided leaves no folder behind and takes none away.
    let folder = RunFolder::create(&out, args.overwrite)?;
    folder.write_decisions(&config, &target, latency.as_ref())?;
    let prepared = Prepared { space: MacroSpace::new(config.space.clone())?, dataset };
    finish(&folder, Some(prepared), (&args.common, &device), screen, clock)
}

pub(super) fn resume(args: &ResumeArgs) -> anyhow::Result<Exit> {
    runtime::init(args.common.threads);
    let folder = RunFolder::open(&args.run)?;
    let device = args.common.device.choose()?;
    finish(&folder, None, (&args.common, &device), Screen::new(), Stopwatch::start())
}

fn finish(
    folder: &RunFolder,
    prepared: Option<Prepared>,
    (common, device): (&Common, &Device),
    mut screen: Screen,
    clock: Stopwatch,
) -> anyhow::Result<Exit> {
    let found = run::compile(folder, prepared, device, &mut |progress| screen.show(progress));
    screen.finish();
    let summary = found?;
    write_whole(&folder.file("report.md"), run_markdown(&summary).as_bytes())?;
    let path = folder.path().display().to_string();
    match common.json {
        true => print_json(&run_json(&summary, &path, clock.seconds()))?,
        false => print(&run_text(&summary, &path))?,
    }
    Ok(if summary.card.deployable { Exit::Done } else { Exit::NotDeployable })
}

fn next_free() -> PathBuf {
    let runs = Path::new("models").join("runs");
    (1..).map(|n| runs.join(format!("run-{n}"))).find(|path| !path.exists()).expect("there is always a next number")
}

/// Reads the data, calibrates, and turns the budget into counts.
fn decide(
    args: &CompileArgs,
    target: &Target,
    device: &Device,
    watch: &mut dyn FnMut(Progress),
) -> anyhow::Result<(RunConfig, Option<LatencyModel>, Dataset)> {
    watch(Progress::Stage("reading the data"));
    let mut data = DataConfig {
        path: args.data.clone().map(|path| std::path::absolute(&path).unwrap_or(path)),
        seed: args.seed,
        side: args.side,
        built_in: BUILT_IN_IMAGES,
        digest: String::new(),
    };
    let dataset = data.open()?;
    data.digest.clone_from(&dataset.digest);
    watch(Progress::Note(format!(
        "{}: {} classes, images of {}, {} for training, {} for validation, {} for test",
        dataset.name,
        dataset.classes.len(),
        dataset.shape(),
        dataset.train.len(),
        dataset.validation.len(),
        dataset.test.len()
    )));
    let space = run::space_of(&dataset);
    watch(Progress::Stage("turning the budget into counts"));
    let requested = Requested {
        budget: args.budget,
        trials: args.trials,
        epochs: args.epochs,
        full_epochs: args.full_epochs,
        images: args.images,
        width: args.width,
        finalists: args.finalists,
        mirror: !args.no_mirror,
        device: device.clone(),
    };
    let plan = run::plan(&requested, &space, &dataset, args.seed, watch)?;
    let space = space.scaled(plan.width);
    watch(Progress::Note(format!(
        "{} candidates ({} epochs, {} images, width {}), then {} in full ({} epochs, {} images, width {})",
        plan.trials,
        plan.cheap.train.epochs,
        plan.cheap.images,
        plan.width * plan.cheap.width,
        plan.finalists + plan.references,
        plan.full.train.epochs,
        plan.full.images,
        plan.width,
    )));
    let latency = match target.limits.latency {
        Some(_) => {
            watch(Progress::Stage("calibrating latency"));
            let graphs = MacroSpace::new(space.clone())?.calibration_networks();
            let mut step = |done, of| watch(Progress::Step("calibrating latency", done, of));
            Some(calibrated(&graphs, &CalibrationConfig::default(), &mut step).map_err(RunError::from)?)
        }
        None => None,
    };
    let guided = GuidedConfig::of(plan.trials);
    let config = RunConfig {
        schema_version: SCHEMA_VERSION,
        netwright: env!("CARGO_PKG_VERSION").to_string(),
        seed: args.seed,
        strategy: args.strategy,
        trials: plan.trials,
        initial: guided.initial,
        per_round: guided.per_round,
        finalists: plan.finalists,
        references: plan.references,
        cheap: plan.cheap,
        full: plan.full,
        data,
        space,
    };
    Ok((config, latency, dataset))
}
