//! `--device`, and what `doctor` says and checks of a GPU.

use std::rc::Rc;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::{Exit, print, print_json};
use crate::graph::Graph;
use crate::nn::cuda::{Check, Gpu, Precision, check, every_operator_together, operator_graphs};
use crate::nn::{Device, DeviceChoice, Method};
use crate::run::{Throughput, best_together, throughput};
use crate::train::TrainConfig;

/// Where networks train.
#[derive(Args, Debug, Clone, Copy)]
pub(super) struct DeviceArgs {
    /// `auto` (a GPU if there is one), `cpu` or `cuda`.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Keep maps as bfloat16 on a GPU; parameters and sums stay f32.
    #[arg(long)]
    bf16: bool,
}

impl DeviceArgs {
    fn precision(self) -> Precision {
        if self.bf16 { Precision::Bf16 } else { Precision::default() }
    }

    /// The device.
    pub fn choose(self) -> anyhow::Result<Device> {
        Ok(Device::choose(self.device, self.precision())?.0)
    }

    /// What `doctor` says of the GPU: its name and memory, or why there is none; an error if one was asked for.
    pub fn describe(self) -> anyhow::Result<String> {
        let choice = if self.device == DeviceChoice::Cuda { self.device } else { DeviceChoice::Auto };
        match Device::choose(choice, self.precision())? {
            (Device::Cuda(gpu), _) => {
                let (free, total) = gpu.memory()?;
                let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
                Ok(format!("{}, {:.1} of {:.1} GiB free", gpu.name(), gib(free), gib(total)))
            }
            (Device::Cpu, why) => {
                Ok(format!("none: {}", why.map_or_else(|| "not asked for".to_string(), |why| why.reason())))
            }
        }
    }
}

/// How many networks train at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Together {
    /// As many as gain.
    Auto,
    /// So many.
    Exactly(usize),
}

impl std::str::FromStr for Together {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Together::Auto),
            (_, Ok(n)) if n > 0 => Ok(Together::Exactly(n)),
            _ => Err(format!("`{text}` is neither `auto` nor a number from 1 on")),
        }
    }
}

/// `doctor --train-step` on a GPU.
pub(super) fn train_step_on(
    gpu: &Gpu,
    graph: &Graph,
    genotype: &str,
    (batch, together): (usize, Together),
    as_json: bool,
) -> anyhow::Result<Exit> {
    let tried = match together {
        Together::Exactly(together) => vec![throughput(gpu, graph, batch, together)?],
        Together::Auto => best_together(gpu, graph, batch)?,
    };
    let best = tried.iter().max_by(|a, b| a.train_images_per_s.total_cmp(&b.train_images_per_s));
    let best = best.context("one number of networks was tried")?;
    match as_json {
        true => print_json(&step_json(gpu, genotype, best, &tried))?,
        false => print(&tried.iter().map(step_text).collect::<String>())?,
    }
    Ok(Exit::Done)
}

fn step_json(gpu: &Gpu, genotype: &str, best: &Throughput, tried: &[Throughput]) -> Value {
    json!({
        "schema_version": 1,
        "device": gpu.name(),
        "genotype": genotype,
        "batch": best.batch,
        "together": best.together,
        "steps": best.steps,
        "step_ms": best.step_ms,
        "train_images_per_s": best.train_images_per_s,
        "inference_images_per_s": best.inference_images_per_s,
        "commands": best.commands,
        "network_bytes": best.network_bytes,
        "tried": tried,
    })
}

fn step_text(t: &Throughput) -> String {
    format!(
        "together   {}\nstep       {:.3} ms (batch {} each, median of {} steps, {} commands)\ntraining   {:.0} images/s\n\
         evaluation {:.0} images/s\n",
        t.together, t.step_ms, t.batch, t.steps, t.commands, t.train_images_per_s, t.inference_images_per_s,
    )
}

/// A precision and how far from the CPU it may be. Rounded factors change which value of a pooling window or which side of
/// a rectification wins, so the tolerance of a whole network is far above that of a product.
const CHECKED: [(Precision, &str, f64); 3] =
    [(Precision::F32, "f32", 1e-3), (Precision::Tf32, "tf32", 0.05), (Precision::Bf16, "bf16", 0.2)];

/// `doctor --check-device`: every operator and a whole network on the GPU against the CPU, at every precision.
pub(super) fn check_device(network: &Graph, as_json: bool) -> anyhow::Result<Exit> {
    let sgd = TrainConfig::default().optimiser;
    let mut cases: Vec<(String, Graph, Method)> =
        operator_graphs().into_iter().map(|(name, graph)| (name, graph, sgd)).collect();
    cases.push(("all operators".to_string(), every_operator_together(), sgd));
    let adamw = Method::AdamW { beta1: 0.9, beta2: 0.999 };
    cases.push(("all operators, AdamW".to_string(), every_operator_together(), adamw));
    cases.push(("a network of the macro space".to_string(), network.clone(), sgd));
    let (mut agree, mut results) = (true, Vec::new());
    for (precision, name, tolerance) in CHECKED {
        let (Device::Cuda(gpu), _) = Device::choose(DeviceChoice::Cuda, precision)? else { continue };
        let lane = Rc::new(gpu.lane()?);
        let mut text = format!("{} at {name}, tolerance {tolerance}\n", gpu.name());
        for (graph_name, graph, method) in &cases {
            let found = check(&lane, graph_name, graph, *method)?;
            let fits = found.worst() <= tolerance;
            agree &= fits;
            text += &check_text(&found, fits);
            results.push(check_json(&found, name, tolerance, fits));
        }
        // What one precision showed is there even if the next one fails.
        if !as_json {
            print(&text)?;
        }
    }
    if as_json {
        print_json(&json!({ "schema_version": 1, "agree": agree, "checks": results }))?;
    }
    Ok(if agree { Exit::Done } else { Exit::NotDeployable })
}

fn check_text(check: &Check, fits: bool) -> String {
    let Check { name, loss, gradient, statistics, step, logits } = check;
    format!(
        "  {name:<30} {} loss {loss:.1e}, gradient {gradient:.1e}, statistics {statistics:.1e}, step {step:.1e}, logits {logits:.1e}\n",
        if fits { "ok   " } else { "WRONG" },
    )
}

fn check_json(check: &Check, precision: &str, tolerance: f64, fits: bool) -> Value {
    json!({
        "network": check.name,
        "precision": precision,
        "tolerance": tolerance,
        "agrees": fits,
        "loss": check.loss,
        "gradient": check.gradient,
        "statistics": check.statistics,
        "step": check.step,
        "logits": check.logits,
    })
}
