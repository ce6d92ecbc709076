//! From the ranking of a search to one network: the best are trained in full, exported and measured; the winner is the
//! most accurate on validation images that keeps every limit by measurement, and only it sees the test images.

use serde::{Deserialize, Serialize};

use super::{Entry, Journal, Prepared, Progress, RunConfig, RunError, RunFolder, TrialRecord, Watch};
use crate::data::Images;
use crate::graph::{Cost, Graph, Weights, deployable};
use crate::measure::{BenchConfig, BenchReport, Stopwatch, bench};
use crate::nn::Device;
use crate::onnx::{Agreement, ModelInfo, Runnable, agreement, decode, encode};
use crate::seed;
use crate::target::{Latency, Provenance, Target, Verdict};
use crate::train::{self, EpochRecord, Guide, Job, TrainError, Trained};
use crate::units::Millis;

/// A network that was trained in full, exported and measured.
#[derive(Debug, Clone)]
pub struct Finalist {
    /// Its cheap training.
    pub trial: TrialRecord,
    /// Accuracy on the validation images after full training.
    pub validation_accuracy: f64,
    /// What each epoch of it showed.
    pub curve: Vec<EpochRecord>,
    /// Cost of the exported file.
    pub cost: Cost,
    /// What was measured of the exported file.
    pub bench: BenchReport,
    /// Its latency on the target, as far as it is known.
    pub latency: Option<Latency>,
    /// Whether it keeps the limits, by measurement; on a device that is not here latency is estimated.
    pub verdict: Verdict,
}

/// The winner on the test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// Number of test images.
    pub images: usize,
    /// Share classified right by the trained network, whose answers are also the file's if `agreement` passes.
    pub test_accuracy: f64,
    /// The exported file through tract against the trained network.
    pub agreement: Agreement,
}

/// What has been observed of finalists so far, from the journal.
pub(super) struct Finals<'a> {
    pub config: &'a RunConfig,
    pub target: &'a Target,
    pub prepared: &'a Prepared,
    pub device: &'a Device,
    pub folder: &'a RunFolder,
    pub journal: &'a mut Journal,
    pub past: &'a [Entry],
}

impl Finals<'_> {
    /// Trains, exports and measures; finalists in the order of their full accuracy.
    pub fn run(&mut self, ranked: &[TrialRecord], watch: Watch) -> Result<Vec<Finalist>, RunError> {
        let chosen = choose(ranked, self.config.finalists, self.config.references);
        let images = self.images(self.config.full.images);
        let mut finalists = Vec::new();
        for (at, trial) in chosen.iter().enumerate() {
            finalists.extend(self.finalist(trial, (at, chosen.len()), &images, watch)?);
        }
        sort(&mut finalists);
        Ok(finalists)
    }

    /// The place among the finalists of a network that may not be one yet; nothing if its training diverged.
    pub fn add(
        &mut self,
        finalists: &mut Vec<Finalist>,
        trial: &TrialRecord,
        watch: Watch,
    ) -> Result<Option<usize>, RunError> {
        let place = |finalists: &[Finalist]| finalists.iter().position(|f| f.trial.genotype == trial.genotype);
        if place(finalists).is_none() {
            let images = self.images(self.config.full.images);
            finalists.extend(self.finalist(trial, (0, 1), &images, watch)?);
            sort(finalists);
        }
        Ok(place(finalists))
    }

    /// One network, trained as number `at` of `of`; nothing if that diverged.
    fn finalist(
        &mut self,
        trial: &TrialRecord,
        (at, of): (usize, usize),
        images: &Images,
        watch: Watch,
    ) -> Result<Option<Finalist>, RunError> {
        let Some((accuracy, trained)) = self.train(trial, at, of, images, watch)? else { return Ok(None) };
        let model = self.export(trial, &trained.weights, accuracy)?;
        let bench = self.measure(trial, &model)?;
        let cost = Cost::of(&decode(&model)?.graph);
        let latency = latency_on(self.target, &bench, trial);
        let verdict = self.target.verdict(&cost, latency);
        let (trial, validation_accuracy, curve) = (trial.clone(), accuracy, trained.curve);
        Ok(Some(Finalist { trial, validation_accuracy, curve, cost, bench, latency, verdict }))
    }

    /// So many images for a full training.
    pub(super) fn images(&self, count: usize) -> Images {
        let mut rng = seed::stream(self.config.seed, "full images", 0);
        self.prepared.dataset.train.take_stratified(count, &mut rng)
    }

    pub(super) fn graph(&self, trial: &TrialRecord) -> Result<Graph, RunError> {
        Ok(self.prepared.space.lower(&self.prepared.space.parse(&trial.genotype)?))
    }

    /// Accuracy on the validation images and the training; nothing if it diverged.
    fn train(
        &mut self,
        trial: &TrialRecord,
        at: usize,
        of: usize,
        images: &Images,
        watch: Watch,
    ) -> Result<Option<(f64, Trained)>, RunError> {
        let known = self.past.iter().find_map(|entry| match entry {
            Entry::Full { genotype, validation_accuracy, .. } if *genotype == trial.genotype => {
                Some(*validation_accuracy)
            }
            _ => None,
        });
        if known == Some(None) {
            return Ok(None);
        }
        let epochs = self.config.full.train.epochs;
        let clock = Stopwatch::start();
        let mut observe = |record: &EpochRecord| {
            watch(Progress::Step("full training, epochs", at * epochs + record.epoch, of * epochs));
        };
        let trained = self.trained(trial, images, &mut observe)?;
        let accuracy = match (&trained, known) {
            (_, Some(Some(accuracy))) => Some(accuracy),
            (Ok(trained), _) => {
                let validation = &self.prepared.dataset.validation;
                Some(train::accuracy_on(self.device, &self.graph(trial)?, &trained.weights, validation)?)
            }
            (Err(_), _) => None,
        };
        if known.is_none() {
            self.journal.append(&Entry::Full {
                genotype: trial.genotype.clone(),
                validation_accuracy: accuracy,
                failure: trained.as_ref().err().cloned(),
                seconds: clock.seconds(),
            })?;
        }
        Ok(accuracy.zip(trained.ok()))
    }

    /// The full training, from the checkpoint as far as that goes; or why it diverged.
    pub(super) fn trained(
        &self,
        trial: &TrialRecord,
        images: &Images,
        observe: &mut dyn FnMut(&EpochRecord),
    ) -> Result<Result<Trained, String>, RunError> {
        let checkpoint = self.folder.checkpoint(&trial.genotype);
        let seed = seed::derive(self.config.seed, "full", trial.index as u64);
        let config = &self.config.full.train;
        let graph = &self.graph(trial)?;
        let job = Job { graph, images, config, seed, checkpoint: Some(&checkpoint) };
        self.guided(&job, &self.guide(), observe)
    }

    /// A training, or why it diverged.
    pub(super) fn guided(
        &self,
        job: &Job,
        guide: &Guide,
        observe: &mut dyn FnMut(&EpochRecord),
    ) -> Result<Result<Trained, String>, RunError> {
        match train::train_guided(self.device, job, guide, observe) {
            Ok(trained) => Ok(Ok(trained)),
            Err(diverged @ TrainError::Diverged { .. }) => Ok(Err(diverged.to_string())),
            Err(other) => Err(other.into()),
        }
    }

    /// Early stopping looks at the validation images; nothing else does while a network trains.
    pub(super) fn guide(&self) -> Guide<'_> {
        let stops_early = self.config.full.train.patience.is_some();
        Guide { validation: stops_early.then_some(&self.prepared.dataset.validation), teacher: None }
    }

    /// The network as an ONNX file.
    fn export(&self, trial: &TrialRecord, weights: &Weights, accuracy: f64) -> Result<Vec<u8>, RunError> {
        let dataset = &self.prepared.dataset;
        let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
        let notes = [
            ("netwright", env!("CARGO_PKG_VERSION").to_string()),
            ("space", "macro".to_string()),
            ("genotype", trial.genotype.clone()),
            ("target", self.target.name.clone()),
            ("labels", dataset.classes.join("\n")),
            ("input", "one image, channels first, values 0 to 1; normalisation is part of the network".to_string()),
            ("mean", list(&self.prepared.space.config().mean)),
            ("std", list(&self.prepared.space.config().std)),
            ("validation_accuracy", format!("{accuracy:.4}")),
            ("data", dataset.name.clone()),
            ("data_digest", dataset.digest.clone()),
            ("seed", self.config.seed.to_string()),
        ];
        let metadata = notes.into_iter().map(|(key, value)| (key.to_string(), value)).collect();
        let deployed = deployable(&self.graph(trial)?);
        let info = ModelInfo { name: format!("netwright {}", trial.genotype), metadata };
        Ok(encode(&deployed.graph, &deployed.weights(weights), &info))
    }

    fn measure(&mut self, trial: &TrialRecord, model: &[u8]) -> Result<BenchReport, RunError> {
        let known = self.past.iter().find_map(|entry| match entry {
            Entry::Measured { genotype, bench } if *genotype == trial.genotype => Some(bench.clone()),
            _ => None,
        });
        if let Some(bench) = known {
            return Ok(bench);
        }
        let bench = bench(model, &BenchConfig::default())?;
        self.journal.append(&Entry::Measured { genotype: trial.genotype.clone(), bench: bench.clone() })?;
        Ok(bench)
    }

    /// The exported winner, and what the test images say of it.
    pub fn test(&mut self, winner: &Finalist, retrained: Option<Weights>) -> Result<(Vec<u8>, Tested), RunError> {
        let trial = &winner.trial;
        let weights = match retrained {
            Some(weights) => weights,
            None => {
                let images = self.images(self.config.full.images);
                self.trained(trial, &images, &mut |_| {})?.expect("a finalist has been trained").weights
            }
        };
        let model = self.export(trial, &weights, winner.validation_accuracy)?;
        let known = self.past.iter().find_map(|entry| match entry {
            Entry::Tested { genotype, tested } if *genotype == trial.genotype => Some(tested.clone()),
            _ => None,
        });
        if let Some(tested) = known {
            return Ok((model, tested));
        }
        let tested = test(&self.graph(trial)?, &weights, &model, &self.prepared.dataset.test)?;
        self.journal.append(&Entry::Tested { genotype: trial.genotype.clone(), tested: tested.clone() })?;
        Ok((model, tested))
    }
}

/// The most accurate first; of equally accurate ones that which costs less, so that the winner is on the Pareto front.
fn sort(finalists: &mut [Finalist]) {
    let costs = |finalist: &Finalist| (finalist.trial.macs, finalist.trial.peak_ram_bytes);
    let latency = |finalist: &Finalist| finalist.latency.map_or(f64::INFINITY, |latency| latency.time.0);
    finalists.sort_by(|a, b| {
        let accuracy = b.validation_accuracy.total_cmp(&a.validation_accuracy);
        let cheaper = costs(a).cmp(&costs(b)).then(latency(a).total_cmp(&latency(b)));
        accuracy.then(cheaper).then(a.trial.index.cmp(&b.trial.index))
    });
}

/// Compares the file with the network on every test image, and counts what it gets right.
fn test(graph: &Graph, weights: &Weights, model: &[u8], images: &Images) -> Result<Tested, RunError> {
    let reference = train::logits(graph, weights, images);
    let runnable = Runnable::load(model)?;
    let pixels = |i: usize| -> Vec<f32> { images.pixels(i).iter().map(|byte| f32::from(*byte) / 255.0).collect() };
    let agreement = agreement(&runnable, pixels, &reference)?;
    let classes = graph.output_shape().elements();
    let right = reference.chunks(classes).enumerate().filter(|(i, l)| train::top1(l) == images.label(*i)).count();
    let test_accuracy = right as f64 / images.len().max(1) as f64;
    Ok(Tested { images: images.len(), test_accuracy, agreement })
}

/// The latency that the target's limit speaks of: measured if the target is this machine, else what was expected.
fn latency_on(target: &Target, bench: &BenchReport, trial: &TrialRecord) -> Option<Latency> {
    if target.is_local() {
        let percentile = target.limits.latency.map_or(90, |l| l.percentile);
        return Some(Latency { time: Millis(at(bench, percentile)), provenance: Provenance::Measured });
    }
    trial.predicted_latency_ms.map(|ms| Latency { time: Millis(ms), provenance: Provenance::Estimated })
}

fn at(bench: &BenchReport, percentile: u8) -> f64 {
    match percentile {
        50 => bench.latency.p50_ms,
        99 => bench.latency.p99_ms,
        _ => bench.latency.p90_ms,
    }
}

/// The best, and some from the rest of the ranking, evenly down to the last.
fn choose(ranked: &[TrialRecord], finalists: usize, references: usize) -> Vec<TrialRecord> {
    let finalists = finalists.min(ranked.len());
    let rest = &ranked[finalists..];
    let references = references.min(rest.len());
    let spread = (1..=references).map(|i| rest[i * rest.len() / references - 1].clone());
    ranked[..finalists].iter().cloned().chain(spread).collect()
}
