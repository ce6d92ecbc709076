//! `netwright doctor`: what this build and this machine can do.

use clap::Args;
use serde_json::{Value, json};

#[cfg(feature = "train")]
use super::device::{DeviceArgs, Together, check_device, train_step_on};
use super::{Exit, print, print_json};
use crate::measure::{Host, RUNTIME};

#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Time a training step of a network instead.
    #[cfg(feature = "train")]
    #[arg(long)]
    train_step: bool,
    /// Time one operator instead, forward and backward: kind, channels, side, kernel, stride, dilation.
    #[cfg(feature = "train")]
    #[arg(long, value_name = "OPERATOR", conflicts_with = "train_step")]
    operator: Option<String>,
    /// Time the graph convolutional predictor instead: a training step on a batch of cells, and scoring.
    #[cfg(feature = "train")]
    #[arg(long, conflicts_with_all = ["train_step", "operator"])]
    predictor_step: bool,
    /// Compare training on the GPU with the CPU instead: every operator, and whole networks.
    #[cfg(feature = "train")]
    #[arg(long, conflicts_with = "train_step")]
    check_device: bool,
    #[cfg(feature = "train")]
    #[command(flatten)]
    device: DeviceArgs,
    #[cfg(feature = "train")]
    #[command(flatten)]
    step: StepArgs,
}

#[cfg(feature = "train")]
#[derive(Args)]
struct StepArgs {
    /// The search space of the network.
    #[arg(long, default_value = "macro", value_parser = ["macro"], requires = "train_step")]
    space: String,
    /// The network.
    #[arg(long, default_value = "111000-011101-111111-111111-011101", requires = "train_step")]
    genotype: String,
    /// Images in a step.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Networks that train at once on a GPU, or `auto`: as many as gain.
    #[arg(long, default_value = "1", requires = "train_step")]
    together: Together,
    /// Threads; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
}

/// `doctor --train-step`: so that anyone can set another framework beside it.
#[cfg(feature = "train")]
fn train_step(args: &DoctorArgs) -> anyhow::Result<Exit> {
    use crate::experiment::time_step;
    use crate::nn::Device;
    use crate::space::{MacroConfig, MacroSpace};
    anyhow::ensure!(args.step.batch >= 2, "a training step takes at least two images\nhint: `--batch 64`");
    crate::nn::runtime::init(args.step.threads);
    let space = MacroSpace::new(MacroConfig::default())?;
    let graph = space.lower(&space.parse(&args.step.genotype)?);
    if let Device::Cuda(gpu) = args.device.choose()? {
        let sizes = (args.step.batch, args.step.together);
        return train_step_on(&gpu, &graph, &args.step.genotype, sizes, args.json);
    }
    let time = time_step(&graph, args.step.batch)?;
    match args.json {
        true => print_json(&json!({
            "schema_version": 1,
            "device": "cpu",
            "genotype": args.step.genotype,
            "batch": time.batch,
            "threads": time.threads,
            "steps": time.steps,
            "step_ms": time.step_ms,
            "train_images_per_s": time.train_images_per_s,
            "step_memory_bytes": time.step_memory_bytes,
            "inference_images_per_s": time.inference_images_per_s,
        }))?,
        false => print(&format!(
            "step       {:.1} ms (batch {}, {} threads, median of {})\ntraining   {:.0} images/s\nevaluation {:.0} images/s\n",
            time.step_ms, time.batch, time.threads, time.steps, time.train_images_per_s, time.inference_images_per_s,
        ))?,
    }
    Ok(Exit::Done)
}

/// `doctor --predictor-step`.
#[cfg(feature = "train")]
fn predictor_step(args: &DoctorArgs) -> anyhow::Result<Exit> {
    crate::nn::runtime::init(args.step.threads);
    let batch = args.step.batch.max(1);
    let time = crate::experiment::time_predictor(batch);
    match args.json {
        true => print_json(&json!({
            "schema_version": 1,
            "batch": batch,
            "threads": rayon::current_num_threads(),
            "train_step_ms": time.train_step_ms,
            "scored_per_s": time.scored_per_s,
        }))?,
        false => print(&format!(
            "training step  {:.2} ms (batch {batch}, {} threads)\nscoring        {:.0} graphs/s\n",
            time.train_step_ms,
            rayon::current_num_threads(),
            time.scored_per_s
        ))?,
    }
    Ok(Exit::Done)
}

/// `doctor --operator`.
#[cfg(feature = "train")]
fn operator(text: &str, args: &DoctorArgs) -> anyhow::Result<Exit> {
    use crate::experiment::{Operator, time_operator};
    crate::nn::runtime::init(args.step.threads);
    let operator: Operator = text.parse()?;
    let time = time_operator(&operator, args.step.batch.max(1));
    match args.json {
        true => print_json(&json!({
            "schema_version": 1,
            "operator": operator,
            "batch": args.step.batch.max(1),
            "threads": rayon::current_num_threads(),
            "forward_ms": time.forward_ms,
            "forward_backward_ms": time.forward_backward_ms,
        }))?,
        false => print(&format!(
            "{operator}\nforward               {:.2} ms\nforward and backward  {:.2} ms\n",
            time.forward_ms, time.forward_backward_ms
        ))?,
    }
    Ok(Exit::Done)
}

pub(super) fn doctor(args: &DoctorArgs) -> anyhow::Result<Exit> {
    #[cfg(feature = "train")]
    if args.train_step {
        return train_step(args);
    }
    #[cfg(feature = "train")]
    if args.predictor_step {
        return predictor_step(args);
    }
    #[cfg(feature = "train")]
    if let Some(text) = &args.operator {
        return operator(text, args);
    }
    #[cfg(feature = "train")]
    if args.check_device {
        let space = crate::space::MacroSpace::new(crate::space::MacroConfig::default())?;
        return check_device(&space.lower(&space.parse(&args.step.genotype)?), args.json);
    }
    let host = Host::here();
    let engine = engine(args)?;
    let warnings = host.warnings();
    match args.json {
        true => print_json(&json!({
            "schema_version": 1,
            "netwright": env!("CARGO_PKG_VERSION"),
            "runtime": RUNTIME,
            "host": host,
            "engine": engine,
            "warnings": warnings,
        }))?,
        false => {
            let engine: Vec<String> = engine
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| format!("{:<13}{}\n", name, value.to_string().trim_matches('"')))
                .collect();
            print(&format!(
                "netwright    {}\nmachine      {}, {} cores, {}\nruntime      {RUNTIME}\n{}",
                env!("CARGO_PKG_VERSION"),
                host.cpu,
                host.cores,
                host.platform,
                engine.concat(),
            ))?;
            warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        }
    }
    Ok(Exit::Done)
}

#[cfg(feature = "train")]
fn engine(args: &DoctorArgs) -> anyhow::Result<Value> {
    crate::nn::runtime::init(None);
    let peak = crate::experiment::peak();
    Ok(json!({
        "training": "yes",
        "isa": format!("{:?}", crate::nn::kernels::isa::current()),
        "threads": rayon::current_num_threads(),
        "gflop_per_s": (peak.gflop_per_s * 10.0).round() / 10.0,
        "gb_per_s": (peak.gb_per_s * 10.0).round() / 10.0,
        "gpu": args.device.describe()?,
    }))
}

#[cfg(not(feature = "train"))]
fn engine(_: &DoctorArgs) -> anyhow::Result<Value> {
    Ok(json!({ "training": "no, this build is for devices (feature `train` is off)" }))
}
