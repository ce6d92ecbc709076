//! A run from its folder: search, finalists, winner, artifacts. `compile` and `resume` both come here; what the journal
//! holds is not done again.

use super::finalists::Finals;
use super::{
    Card, CloserLook, Distilled, Entry, Finalist, Journal, LimitCheck, Oracle, Prepared, Progress, RunConfig, RunError,
    RunFolder, SpaceSite, Tested, TrainingOracle, TrialRecord, Watch, card, search, write_whole,
};
use crate::graph::Graph;
use crate::nn::Device;
use crate::onnx::decode;
use crate::predictor::{Evaluation, Kind, cross_validate};
use crate::search::{Guided, GuidedConfig, Strategy, StrategyName};
use crate::seed;
use crate::stats;
use crate::target::{LatencyModel, Target};

/// What a run found.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What decided the run.
    pub config: RunConfig,
    /// The target.
    pub target: Target,
    /// All cheap trainings.
    pub trials: Vec<TrialRecord>,
    /// Predictors on them, by cross-validation.
    pub predictors: Vec<Evaluation>,
    /// Networks trained in full, best first.
    pub finalists: Vec<Finalist>,
    /// Kendall tau between cheap and full accuracy over the finalists.
    pub cheap_full_tau: f64,
    /// Place of the winner among the finalists.
    pub winner: usize,
    /// The winner's training with a teacher, if there was one.
    pub distilled: Option<Distilled>,
    /// The winner on the test images.
    pub tested: Tested,
    /// The winner's card.
    pub card: Card,
    /// The winner as exported.
    pub graph: Graph,
}

impl Summary {
    /// The winner.
    pub fn winner(&self) -> &Finalist {
        &self.finalists[self.winner]
    }

    /// Every limit against the winner.
    pub fn limits(&self) -> Vec<LimitCheck> {
        card::limits(&self.target, self.winner())
    }
}

/// Folds of the predictors' cross-validation.
const FOLDS: usize = 5;

/// Runs, or goes on with, the run in a folder; networks train on `device`.
///
/// # Errors
/// If the run cannot go on; everything observed is in the journal.
pub fn compile(
    folder: &RunFolder,
    prepared: Option<Prepared>,
    device: &Device,
    watch: Watch,
) -> Result<Summary, RunError> {
    let (config, target, latency) = folder.read_decisions()?;
    let (mut journal, past) = Journal::open(&folder.file("journal.jsonl"))?;
    let prepared = match prepared {
        Some(prepared) => prepared,
        None => {
            watch(Progress::Stage("reading the data"));
            Prepared::of(&config)?
        }
    };
    let trials = search_networks(&config, &target, latency.as_ref(), (&prepared, device), &mut journal, &past, watch)?;
    watch(Progress::Stage("evaluating the predictors"));
    let predictors = evaluate_predictors(&config, &target, &prepared, &trials)?;
    let ranked = rank(&trials)?;

    watch(Progress::Stage("training, exporting and measuring the finalists"));
    let mut finals = Finals {
        config: &config,
        target: &target,
        prepared: &prepared,
        device,
        folder,
        journal: &mut journal,
        past: &past,
    };
    let mut finalists = finals.run(&ranked, watch)?;
    if finalists.is_empty() {
        let reason = "every full training diverged".to_string();
        return Err(RunError::NothingTrained { trials: config.finalists + config.references, reason });
    }
    let winner = finalists.iter().position(|f| f.verdict.fits()).unwrap_or(0);
    let cheap_full_tau = cheap_full_tau(&finalists);
    let (distilled, weights) = finals.distil(&finalists, winner, watch)?.unzip();
    if let Some(kept) = distilled.as_ref().filter(|distilled| distilled.kept) {
        finalists[winner].validation_accuracy = kept.validation_accuracy.unwrap_or_default();
    }
    watch(Progress::Stage("testing the winner"));
    let (model, tested) = finals.test(&finalists[winner], weights.flatten())?;
    let graph = decode(&model)?.graph;
    let card =
        Card::of(&config, &target, &prepared.dataset, &finalists[winner], (&graph, &model), &tested, &predictors);
    write_whole(&folder.file("model.onnx"), &model)?;
    let json = serde_json::to_string_pretty(&card).expect("a card is plain data");
    write_whole(&folder.file("card.json"), json.as_bytes())?;
    Ok(Summary {
        config,
        target,
        trials,
        predictors,
        finalists,
        cheap_full_tau,
        winner,
        distilled,
        tested,
        card,
        graph,
    })
}

fn search_networks(
    config: &RunConfig,
    target: &Target,
    latency: Option<&LatencyModel>,
    (prepared, device): (&Prepared, &Device),
    journal: &mut Journal,
    past: &[Entry],
    watch: Watch,
) -> Result<Vec<TrialRecord>, RunError> {
    watch(Progress::Stage("training candidates"));
    let past: Vec<TrialRecord> = past
        .iter()
        .filter_map(|entry| match entry {
            Entry::Trial(trial) => Some(trial.clone()),
            _ => None,
        })
        .collect();
    let mut site = SpaceSite::new(&prepared.space, target, latency);
    if config.proxies {
        site = site.looking_closer(CloserLook::new(&config.space, &config.cheap, &prepared.dataset, config.seed)?);
    }
    let mut strategy = config.strategy();
    let mut oracle: Box<dyn Oracle> =
        Box::new(TrainingOracle::new(&config.space, &prepared.dataset, &config.cheap, config.seed)?.on(device));
    let mut record = |trial: &TrialRecord| {
        journal.append(&Entry::Trial(trial.clone()))?;
        watch(Progress::Trial(trial, trial.index + 1, config.trials));
        Ok(())
    };
    search(&mut site, strategy.as_mut(), oracle.as_mut(), config.trials, &past, &mut record)
}

impl RunConfig {
    /// The strategy, at its start.
    pub fn strategy(&self) -> Box<dyn Strategy> {
        let seed = seed::derive(self.seed, "search", 0);
        match self.strategy {
            StrategyName::Guided => {
                let guided = GuidedConfig { initial: self.initial, per_round: self.per_round, predictor: Kind::Blend };
                Box::new(Guided::new(guided, seed))
            }
            other => other.start(self.trials, seed),
        }
    }
}

/// Every predictor on the run's own trials; nothing if there are too few.
fn evaluate_predictors(
    config: &RunConfig,
    target: &Target,
    prepared: &Prepared,
    trials: &[TrialRecord],
) -> Result<Vec<Evaluation>, RunError> {
    use crate::search::Site;
    let mut site = SpaceSite::new(&prepared.space, target, None);
    let (mut samples, mut accuracies) = (Vec::new(), Vec::new());
    for trial in trials {
        if let Some(accuracy) = trial.validation_accuracy {
            samples.push(site.describe(&prepared.space.parse(&trial.genotype)?));
            accuracies.push(accuracy);
        }
    }
    if samples.len() < 2 * FOLDS {
        return Ok(Vec::new());
    }
    let seed = seed::derive(config.seed, "cross-validation", 0);
    let evaluate = |kind| cross_validate(kind, &samples, &accuracies, FOLDS, seed).map_err(RunError::from);
    Kind::ALL.into_iter().map(evaluate).collect()
}

/// Successful trials, best first.
fn rank(trials: &[TrialRecord]) -> Result<Vec<TrialRecord>, RunError> {
    let mut ranked: Vec<TrialRecord> = trials.iter().filter(|t| t.validation_accuracy.is_some()).cloned().collect();
    if ranked.is_empty() {
        let reason = trials.last().and_then(|t| t.failure.clone()).unwrap_or_default();
        return Err(RunError::NothingTrained { trials: trials.len(), reason });
    }
    let accuracy = |t: &TrialRecord| t.validation_accuracy.unwrap_or(0.0);
    ranked.sort_by(|a, b| accuracy(b).total_cmp(&accuracy(a)).then(a.index.cmp(&b.index)));
    Ok(ranked)
}

fn cheap_full_tau(finalists: &[Finalist]) -> f64 {
    let cheap: Vec<f64> = finalists.iter().map(|f| f.trial.validation_accuracy.unwrap_or(0.0)).collect();
    let full: Vec<f64> = finalists.iter().map(|f| f.validation_accuracy).collect();
    stats::kendall_tau(&cheap, &full)
}
