//! `netwright compile` and `netwright resume`: from a target and data to a measured network.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::device::DeviceArgs;
use super::progress::Screen;
use super::training::TrainingArgs;
use super::{Exit, print, print_json};
use crate::data::{Dataset, Format};
use crate::graph::NumberFormat;
use crate::measure::{CalibrationConfig, Stopwatch, calibrated};
use crate::nn::{Device, runtime};
use crate::report::{latency_is, percent, run_curve_svg, run_front_svg, run_json, run_markdown, run_text};
use crate::run::{
    self, BUILT_IN_IMAGES, DataConfig, Distil, ENOUGH_NETWORKS, Feasible, Fixed, Longer, Pick, Prepared, Progress,
    Requested, RunConfig, RunError, RunFolder, RunStrategy, SCHEMA_VERSION, Size, Summary, WarmStart, write_whole,
};
use crate::search::GuidedConfig;
use crate::space::{MacroConfig, MacroSpace};
use crate::target::{LatencyModel, Target};
use crate::train::{TrainConfig, TrainError};
use crate::units::Millis;

#[derive(Args)]
pub(super) struct CompileArgs {
    /// A built-in target or the path of a profile.
    #[arg(long, default_value = "host")]
    target: String,
    /// Class folders of PNG or JPEG, IDX or CIFAR files, or a `.npz` file; built-in images if absent.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Format of the data, if it is not to be recognised: folders, idx, cifar10, cifar100, npz.
    #[arg(long)]
    format: Option<Format>,
    /// Side in pixels to which images of a folder are resized; by default at most their own, as the target allows.
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
    /// Training images of a full training.
    #[arg(long)]
    full_images: Option<usize>,
    /// Epochs of the winner's second training, on all images, 0 for none. By default time decides, and there is none if
    /// `--full-epochs` is given.
    #[arg(long)]
    retrain_epochs: Option<usize>,
    /// Training images of a cheap training.
    #[arg(long)]
    images: Option<usize>,
    /// Width multiplier of the deployed network; by default chosen for target, data and time, like the five below.
    #[arg(long)]
    width: Option<f64>,
    /// Channels of the network's head.
    #[arg(long)]
    head: Option<usize>,
    /// Layers of the network, at most 5.
    #[arg(long)]
    depth: Option<usize>,
    /// Channels of the images that the network sees: 3, or 1 for grey.
    #[arg(long)]
    channels: Option<usize>,
    /// Number format of the deployed network: `f32` or `int8`, instead of the target's.
    #[arg(long, value_parser = super::inspect::parse_numbers)]
    numbers: Option<NumberFormat>,
    /// Best networks trained in full and measured; two more from the rest of the ranking show how far the cheap trainings can
    /// be trusted.
    #[arg(long)]
    finalists: Option<usize>,
    /// Do not mirror images in training, because left and right mean something; grey images are never mirrored.
    #[arg(long)]
    no_mirror: bool,
    /// How networks are proposed.
    #[arg(long, value_enum, default_value = "guided")]
    strategy: RunStrategy,
    /// Whether zero-cost proxies decide among the candidates that predictions promise most of.
    #[arg(long, value_enum, default_value = "off")]
    proxies: Switch,
    /// What the search knows before it has trained anything: nothing; what a predictor that was fitted to published
    /// trainings expects (for strategy `guided`; the run's own trials decide whether it is heeded); or which networks a
    /// model that was fitted to many data sets proposes for these.
    #[arg(long, value_enum, default_value = "none")]
    warm_start: WarmStart,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Give the winner the most accurate network found as its teacher when it is trained once more: `auto` exports what is
    /// better on the validation images. On the CPU only.
    #[arg(long, value_enum, default_value = "off")]
    distil: Distil,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
pub(super) struct ResumeArgs {
    /// The folder of the run.
    run: PathBuf,
    /// Of a finished run, train, export and measure another network instead of searching: a row of the Pareto front in its
    /// report, or the genotype of a trial. What it gives lies in `RUN/picks/GENOTYPE`; the winner's files stay.
    #[arg(long, value_name = "ROW|GENOTYPE")]
    pick: Option<Pick>,
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

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub(super) fn compile(args: &CompileArgs) -> anyhow::Result<Exit> {
    runtime::init(args.common.threads);
    let clock = Stopwatch::start();
    let target = Target::open(&args.target)?;
    let target = args.numbers.map_or(Ok(target.clone()), |numbers| target.with_numbers(numbers))?;
    let out = args.out.clone().unwrap_or_else(next_free);
    RunFolder::check_free(&out, args.overwrite)?;
    let device = args.common.device.choose()?;
    let mut screen = Screen::new();
    screen.show(Progress::Note(format!("run `{}` for target `{}`", out.display(), target.name)));
    about_target(&target).into_iter().for_each(|note| screen.show(note));
    let (config, latency, dataset) = decide(args, &target, &device, &mut |progress| screen.show(progress))?;
    // Only now: what ends before it is decided leaves no folder behind and takes none away.
    let folder = RunFolder::create(&out, args.overwrite)?;
    folder.write_decisions(&config, &target, latency.as_ref())?;
    let prepared = Prepared { space: MacroSpace::new(config.space.clone())?, dataset };
    finish(&folder, Some(prepared), (&args.common, &device), screen, clock)
}

impl CompileArgs {
    /// What the user chose of the space's size.
    fn fixed(&self) -> Fixed {
        Fixed {
            width: self.width,
            widest: None,
            head: self.head,
            depth: self.depth,
            side: self.side.is_some(),
            channels: self.channels,
        }
    }
}

pub(super) fn resume(args: &ResumeArgs) -> anyhow::Result<Exit> {
    runtime::init(args.common.threads);
    let folder = RunFolder::open(&args.run)?;
    let device = args.common.device.choose()?;
    let (mut screen, clock) = (Screen::new(), Stopwatch::start());
    let Some(wanted) = &args.pick else { return finish(&folder, None, (&args.common, &device), screen, clock) };
    let found = run::pick(&folder, wanted, &device, &mut |progress| screen.show(progress));
    screen.finish();
    let summary = found?;
    present(&summary, &folder.pick(&summary.winner().trial.genotype)?, &args.common, clock)
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
    present(&found?, folder.path(), common, clock)
}

/// Writes the report beside the model, and prints the result.
fn present(summary: &Summary, into: &Path, common: &Common, clock: Stopwatch) -> anyhow::Result<Exit> {
    write_whole(&into.join("report.md"), run_markdown(summary).as_bytes())?;
    write_whole(&into.join("curve.svg"), run_curve_svg(summary).as_bytes())?;
    let front = run_front_svg(summary).map_err(|reason| anyhow::anyhow!("cannot draw `pareto.svg`: {reason}"))?;
    write_whole(&into.join("pareto.svg"), front.as_bytes())?;
    let path = into.display().to_string();
    match common.json {
        true => print_json(&run_json(summary, &path, clock.seconds()))?,
        false => print(&run_text(summary, &path))?,
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
        format: args.format,
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
    args.warm_start.check(args.strategy, &dataset)?;
    watch(Progress::Stage("sizing the space"));
    let published = run::space_of(&dataset);
    let fixed = args.fixed();
    let times = target.operator_times().map_err(RunError::from)?;
    let sized = run::size(&published, &fixed, target, times.as_ref(), args.seed)?;
    watch(Progress::Note(format!("{}: {}", sized.size.describe(), feasible_text(&sized.feasible))));
    let dataset = dataset.shrunk(sized.size.input);
    let space = MacroConfig { mean: dataset.mean.clone(), std: dataset.std.clone(), ..sized.size.of(&published) };
    watch(Progress::Stage("turning the budget into counts"));
    let requested = Requested {
        budget: args.budget,
        trials: args.trials,
        epochs: args.epochs,
        full_epochs: args.full_epochs,
        full_images: args.full_images,
        retrain_epochs: args.retrain_epochs,
        images: args.images,
        narrower: args.width.is_none(),
        finalists: args.finalists,
        mirror: !args.no_mirror,
        distils: args.distil != Distil::Off,
        device: device.clone(),
    };
    check_training(args, device, &dataset)?;
    let mut plan = run::plan(&requested, &space, (target, times.as_ref()), &dataset, args.seed, watch)?;
    plan.cheap.train = args.training.optimised(plan.cheap.train);
    plan.full.train = args.training.applied_to(plan.full.train);
    let space = plan.space(&space, args.head);
    watch(Progress::Note(format!(
        "{} candidates ({} epochs, {} images, width {}), then {} in full ({} epochs, {} images, width {})",
        plan.trials,
        plan.cheap.train.epochs,
        plan.cheap.images,
        space.width * plan.cheap.width,
        plan.finalists + plan.references,
        plan.full.train.epochs,
        plan.full.images,
        space.width,
    )));
    if let Some(Longer { epochs, images }) = plan.retrain {
        watch(Progress::Note(format!("then the best of them once more ({epochs} epochs, {images} images)")));
    }
    let (space, dataset, latency) = match target.is_local() && target.limits.latency.is_some() {
        true => {
            let (fitting, times) = fit_to_latency((&published, &fixed), target, &space, args.seed, watch)?;
            match fitting.input == space.input {
                true => (fitting, dataset, Some(times)),
                // Rows that were left out before may be wanted now.
                false => {
                    let dataset = data.open()?.shrunk(fitting.input);
                    (
                        MacroConfig { mean: dataset.mean.clone(), std: dataset.std.clone(), ..fitting },
                        dataset,
                        Some(times),
                    )
                }
            }
        }
        false => (space, dataset, times),
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
        proxies: args.proxies == Switch::On,
        warm_start: args.warm_start,
        finalists: plan.finalists,
        references: plan.references,
        cheap: plan.cheap,
        full: plan.full,
        retrain: plan.retrain,
        distil: args.distil,
        data,
        space,
    };
    config.check_warm_start()?;
    Ok((config, latency, dataset))
}

/// Times operators on this machine, and makes the space smaller until enough networks keep the limit on latency.
fn fit_to_latency(
    (published, fixed): (&MacroConfig, &Fixed),
    target: &Target,
    space: &MacroConfig,
    seed: u64,
    watch: &mut dyn FnMut(Progress),
) -> anyhow::Result<(MacroConfig, LatencyModel)> {
    let fixed = Fixed { widest: Some(space.width), ..*fixed };
    let mut calibrate = |space: &MacroSpace| {
        watch(Progress::Stage("calibrating latency"));
        let mut step = |done, of| watch(Progress::Step("calibrating latency", done, of));
        Ok(calibrated(&space.calibration_networks(), &CalibrationConfig::default(), &mut step)?)
    };
    let (fitting, times, feasible) =
        run::size_by_measuring(published, &fixed, target, space.clone(), seed, &mut calibrate)?;
    if fitting != *space {
        let size = Size::from(&fitting).describe();
        watch(Progress::Note(format!("for the limit on latency {size}: {}", feasible_text(&feasible))));
    }
    Ok((fitting, times))
}

/// What a user should know of the target before the run.
fn about_target(target: &Target) -> Vec<Progress<'static>> {
    let mut notes = Vec::new();
    if target.numbers == NumberFormat::Int8 {
        notes.push(Progress::Warning(
            "the target stores int8, and networks are exported as f32 so far: costs count in int8, the result is not \
             deployable yet (`--numbers f32` makes a network of f32)"
                .to_string(),
        ));
    }
    if !target.is_local() {
        let latency = match latency_is(target) {
            "unknown" => "its latency is unknown",
            _ => "its latency is estimated, not measured",
        };
        notes.push(Progress::Note(format!("the target is not this machine: {latency}")));
    }
    notes
}

fn feasible_text(feasible: &Feasible) -> String {
    let share = percent(feasible.share);
    match feasible.networks {
        ENOUGH_NETWORKS.. => format!("at least {ENOUGH_NETWORKS} networks within the limits, {share} of random ones"),
        few => format!("{few} networks within the limits, {share} of random ones"),
    }
}

/// Refuses what the device cannot do before anything is trained.
fn check_training(args: &CompileArgs, device: &Device, dataset: &Dataset) -> anyhow::Result<()> {
    let train = args.training.applied_to(TrainConfig::default());
    train.check_for(device, &dataset.train, dataset.classes.len())?;
    match (args.distil, device) {
        (Distil::On, Device::Cuda(_)) => Err(TrainError::OnlyOnCpu(vec!["distil"]).into()),
        (Distil::Auto | Distil::Off, _) | (Distil::On, Device::Cpu) => Ok(()),
    }
}
