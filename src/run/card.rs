//! The card of a deployed network: limits against predicted against measured, accuracy, cost, memory plan, provenance.

use serde::Serialize;

use super::compile::Found;
use super::{Finalist, FrontRow, RunConfig, SCHEMA_VERSION, Tested, WarmGain};
use crate::data::Dataset;
use crate::graph::{Graph, MemoryPlan, NumberFormat};
use crate::measure::BenchReport;
use crate::predictor::Evaluation;
use crate::target::Target;

/// Everything that a user of `model.onnx` may ask.
#[derive(Debug, Clone, Serialize)]
pub struct Card {
    /// Version of this file.
    pub schema_version: u32,
    /// Version of netwright.
    pub netwright: String,
    /// SHA-256 of `model.onnx`.
    pub model_sha256: String,
    /// Size of `model.onnx`.
    pub model_bytes: usize,
    /// The search space.
    pub space: String,
    /// The network.
    pub genotype: String,
    /// The target's name.
    pub target: String,
    /// Number format of the file.
    pub numbers: String,
    /// Number format of the target, in which memory is counted.
    pub target_numbers: String,
    /// Whether every limit is kept by measurement, or by estimate where a limit's provenance says so, and the file gives the
    /// answers of the trained network in the target's number format.
    pub deployable: bool,
    /// The same in words, with what stands in the way.
    pub verdict: String,
    /// Every limit of the target.
    pub limits: Vec<LimitCheck>,
    /// Accuracy on the validation images, by which the network was chosen.
    pub validation_accuracy: f64,
    /// Accuracy on the test images, looked at once.
    pub test_accuracy: f64,
    /// Number of test images.
    pub test_images: usize,
    /// tract against the trained network on the test images.
    pub agreement: crate::onnx::Agreement,
    /// Multiply-accumulates of convolutions.
    pub macs: u64,
    /// Multiply-accumulates of linear layers.
    pub linear_macs: u64,
    /// Parameters of the file.
    pub params: u64,
    /// Peak activation RAM of the plan.
    pub peak_ram_bytes: u64,
    /// Weights flash.
    pub weights_flash_bytes: u64,
    /// The measurement.
    pub bench: BenchReport,
    /// Where each buffer lies.
    pub memory_plan: Vec<PlannedBuffer>,
    /// Predictors on the run's own trials, by cross-validation.
    pub predictors: Vec<Evaluation>,
    /// What the warm start gained, if there was one and there were trials enough to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<WarmGain>,
    /// The Pareto front of the run, to pick from.
    pub front: Vec<FrontRow>,
    /// The run's own winner, if this network was picked instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
    /// The data.
    pub data: DataCard,
    /// The seed.
    pub seed: u64,
}

/// A limit, what was predicted before training and what was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LimitCheck {
    /// Name with unit: `peak_ram_bytes`.
    pub limit: String,
    /// The most that the target allows.
    pub allowed: f64,
    /// Before training.
    pub predicted: Option<f64>,
    /// Of the exported file.
    pub found: f64,
    /// `measured`, `estimated` for a device that is not here, or `exact` where it follows from the file.
    pub provenance: &'static str,
    /// Whether it is kept.
    pub kept: bool,
}

/// A buffer of the memory plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedBuffer {
    /// Nodes whose output it holds, one after the other.
    pub nodes: Vec<String>,
    /// Where it starts in the arena.
    pub offset_bytes: u64,
    /// Its size.
    pub size_bytes: u64,
    /// First and last step at which it is needed.
    pub steps: [usize; 2],
}

/// The data of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataCard {
    /// Name of the set.
    pub name: String,
    /// SHA-256 of all images and labels.
    pub digest: String,
    /// The classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Training images.
    pub train_images: usize,
    /// Validation images.
    pub validation_images: usize,
}

impl Card {
    /// The card of the finalist at a place, which is the winner's unless another was picked; `graph` is the exported one.
    pub(super) fn of(
        config: &RunConfig,
        target: &Target,
        dataset: &Dataset,
        (found, place): (&Found, usize),
        (graph, model): (&Graph, &[u8]),
        tested: &Tested,
        (predictors, warm_start): (&[Evaluation], Option<WarmGain>),
    ) -> Card {
        use sha2::{Digest, Sha256};
        let winner = &found.finalists[place];
        let cost = &winner.cost;
        let obstacle = obstacle(target, winner, tested);
        Card {
            schema_version: SCHEMA_VERSION,
            netwright: env!("CARGO_PKG_VERSION").to_string(),
            model_sha256: Sha256::digest(model).iter().map(|b| format!("{b:02x}")).collect(),
            model_bytes: model.len(),
            space: "macro".to_string(),
            genotype: winner.trial.genotype.clone(),
            target: target.name.clone(),
            numbers: EXPORTED.to_string(),
            target_numbers: target.numbers.to_string(),
            deployable: obstacle.is_none(),
            verdict: obstacle.unwrap_or_else(|| "deployable".to_string()),
            limits: limits(target, winner),
            validation_accuracy: winner.validation_accuracy,
            test_accuracy: tested.test_accuracy,
            test_images: tested.images,
            agreement: tested.agreement,
            macs: cost.macs,
            linear_macs: cost.linear_macs,
            params: cost.params,
            peak_ram_bytes: cost.peak_ram(target.numbers).0,
            weights_flash_bytes: cost.weights_flash(target.numbers).0,
            bench: winner.bench.clone(),
            memory_plan: buffers(graph, target),
            predictors: predictors.to_vec(),
            warm_start,
            front: found.front.clone(),
            instead_of: (place != found.winner).then(|| found.winner().to_string()),
            data: DataCard {
                name: dataset.name.clone(),
                digest: dataset.digest.clone(),
                classes: dataset.classes.clone(),
                train_images: dataset.train.len(),
                validation_images: dataset.validation.len(),
            },
            seed: config.seed,
        }
    }
}

/// The number format in which networks are exported so far.
const EXPORTED: NumberFormat = NumberFormat::F32;

/// What keeps a network from being deployed.
fn obstacle(target: &Target, winner: &Finalist, tested: &Tested) -> Option<String> {
    let broken: Vec<String> = winner.verdict.broken.iter().map(|b| b.limit.to_string()).collect();
    match (broken.is_empty(), tested.agreement.passes()) {
        (false, _) => Some(format!("not deployable: it breaks the limit on {}", broken.join(", "))),
        (true, false) => Some("not deployable: the file gives other answers than the trained network".to_string()),
        (true, true) if target.numbers != EXPORTED => {
            Some(format!("not deployable yet: the target stores {}, the file {EXPORTED}", target.numbers))
        }
        (true, true) => None,
    }
}

/// Every limit of the target against a finalist.
pub(super) fn limits(target: &Target, finalist: &Finalist) -> Vec<LimitCheck> {
    let (limits, trial, cost) = (&target.limits, &finalist.trial, &finalist.cost);
    let exact = |limit: &str, allowed: u64, predicted: u64, found: u64| LimitCheck {
        limit: limit.to_string(),
        allowed: allowed as f64,
        predicted: Some(predicted as f64),
        found: found as f64,
        provenance: "exact",
        kept: found <= allowed,
    };
    let ram = cost.peak_ram(target.numbers).0;
    let flash = cost.weights_flash(target.numbers).0;
    // A limit whose latency is neither measured nor expected has let no network pass.
    let latency = limits.latency.zip(finalist.latency).map(|(l, found)| LimitCheck {
        limit: format!("latency_p{}_ms", l.percentile),
        allowed: l.most.0,
        predicted: trial.predicted_latency_ms,
        found: found.time.0,
        provenance: found.provenance.name(),
        kept: found.time.0 <= l.most.0,
    });
    [
        limits.peak_ram.map(|l| exact("peak_ram_bytes", l.0, trial.peak_ram_bytes, ram)),
        limits.weights_flash.map(|l| exact("weights_flash_bytes", l.0, trial.weights_flash_bytes, flash)),
        limits.macs.map(|l| exact("macs", l.0, trial.macs, cost.macs)),
        latency,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn buffers(graph: &Graph, target: &Target) -> Vec<PlannedBuffer> {
    let bytes = target.numbers.activation_bytes();
    let planned = |b: &crate::graph::Buffer| PlannedBuffer {
        nodes: b.nodes.iter().map(|id| graph.node(*id).name.clone()).collect(),
        offset_bytes: b.offset as u64 * bytes,
        size_bytes: b.elements as u64 * bytes,
        steps: [b.first_step, b.last_step],
    };
    MemoryPlan::of(graph).buffers.iter().map(planned).collect()
}
