//! A run from its folder: search, finalists, winner, artifacts. `compile` and `resume` both come here; what the journal
//! holds is not done again.

use std::path::Path;

use super::finalists::Finals;
use super::front::{self, front_of};
use super::{
    Card, CloserLook, Entry, Finalist, FrontRow, Journal, LatentSearch, LimitCheck, Oracle, Prepared, Progress,
    Retrained, RunConfig, RunError, RunFolder, RunStrategy, SpaceSite, Tested, TrainingOracle, TrialRecord, WarmStart,
    Watch, card, meta_start, search, warm, write_whole,
};
use crate::graph::Graph;
use crate::nn::Device;
use crate::onnx::decode;
use crate::predictor::{Evaluation, Kind, Sample, cross_validate};
use crate::search::{Given, Guided, GuidedConfig, Site, Strategy, StrategyName};
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
    /// The Pareto front of the trials.
    pub front: Vec<FrontRow>,
    /// Place among the finalists of the winner, or of the network that was picked instead: then the card says of which.
    pub winner: usize,
    /// The winner's second training, if there was one.
    pub retrained: Option<Retrained>,
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
pub(super) const FOLDS: usize = 5;

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
    let mut begun = Begun::open(folder, prepared, device, watch)?;
    let trials = begun.search(watch)?;
    let found = begun.finalists(trials, watch)?;
    let winner = found.winner;
    begun.deploy(found, winner, folder.path(), watch)
}

/// A run that has begun: what decides it, what it stands on and what it has observed.
pub(super) struct Begun<'a> {
    folder: &'a RunFolder,
    device: &'a Device,
    config: RunConfig,
    target: Target,
    latency: Option<LatencyModel>,
    pub prepared: Prepared,
    journal: Journal,
    past: Vec<Entry>,
}

/// What search and full trainings gave.
pub(super) struct Found {
    /// All cheap trainings.
    pub trials: Vec<TrialRecord>,
    /// Networks trained in full, best first.
    pub finalists: Vec<Finalist>,
    /// Place of the winner among them.
    pub winner: usize,
    /// The front of the trials.
    pub front: Vec<FrontRow>,
}

impl Found {
    /// The genotype of the winner.
    pub fn winner(&self) -> &str {
        &self.finalists[self.winner].trial.genotype
    }
}

impl<'a> Begun<'a> {
    pub fn open(
        folder: &'a RunFolder,
        prepared: Option<Prepared>,
        device: &'a Device,
        watch: Watch,
    ) -> Result<Self, RunError> {
        let (config, target, latency) = folder.read_decisions()?;
        let (journal, past) = Journal::open(&folder.file("journal.jsonl"))?;
        let prepared = match prepared {
            Some(prepared) => prepared,
            None => {
                watch(Progress::Stage("reading the data"));
                Prepared::of(&config)?
            }
        };
        Ok(Begun { folder, device, config, target, latency, prepared, journal, past })
    }

    /// The cheap trainings.
    pub fn search(&mut self, watch: Watch) -> Result<Vec<TrialRecord>, RunError> {
        let Begun { device, config, target, latency, prepared, journal, past, .. } = self;
        search_networks(config, target, latency.as_ref(), (prepared, device), journal, past, watch)
    }

    /// The full trainings.
    pub fn finalists(&mut self, trials: Vec<TrialRecord>, watch: Watch) -> Result<Found, RunError> {
        watch(Progress::Stage("training, exporting and measuring the finalists"));
        let finalists = self.finals().run(&rank(&trials)?, watch)?;
        if finalists.is_empty() {
            let trials = self.config.finalists + self.config.references;
            return Err(RunError::NothingTrained { trials, reason: "every full training diverged".to_string() });
        }
        let winner = finalists.iter().position(|f| f.verdict.fits()).unwrap_or(0);
        let front = front_of(&trials, &finalists, winner);
        Ok(Found { trials, finalists, winner, front })
    }

    /// One more full training; the place of the network among the finalists.
    pub fn add_finalist(&mut self, found: &mut Found, trial: &TrialRecord, watch: Watch) -> Result<usize, RunError> {
        let winner = found.winner().to_string();
        let place = self.finals().add(&mut found.finalists, trial, watch)?;
        let still_there = found.finalists.iter().position(|f| f.trial.genotype == winner);
        found.winner = still_there.expect("a finalist more takes none away");
        let place = place.ok_or_else(|| RunError::PickDiverged(trial.genotype.clone()))?;
        front::complete(&mut found.front, &found.finalists[place]);
        Ok(place)
    }

    /// Tests the finalist at this place, and writes its model and card into a folder.
    pub fn deploy(&mut self, mut found: Found, place: usize, into: &Path, watch: Watch) -> Result<Summary, RunError> {
        watch(Progress::Stage("evaluating the predictors"));
        let predictors = evaluate_predictors(&self.config, &self.target, &self.prepared, &found.trials)?;
        let warm_gain = warm::gain(&self.config, &self.target, &self.prepared, &found.trials)?;
        let cheap_full_tau = cheap_full_tau(&found.finalists);
        let mut finals = self.finals();
        let (retrained, weights) = finals.retrain(&found.finalists, place, watch)?.unzip();
        if let Some(kept) = retrained.as_ref().filter(|retrained| retrained.kept) {
            found.finalists[place].validation_accuracy = kept.validation_accuracy.unwrap_or_default();
        }
        watch(Progress::Stage(if place == found.winner { "testing the winner" } else { "testing the picked network" }));
        let (model, tested) = finals.test(&found.finalists[place], weights.flatten())?;
        let graph = decode(&model)?.graph;
        let dataset = &self.prepared.dataset;
        let card = Card::of(
            &self.config,
            &self.target,
            dataset,
            (&found, place),
            (&graph, &model),
            &tested,
            (&predictors, warm_gain),
        );
        write_whole(&into.join("model.onnx"), &model)?;
        let json = serde_json::to_string_pretty(&card).expect("a card is plain data");
        write_whole(&into.join("card.json"), json.as_bytes())?;
        let Found { trials, finalists, front, .. } = found;
        Ok(Summary {
            config: self.config.clone(),
            target: self.target.clone(),
            trials,
            predictors,
            finalists,
            cheap_full_tau,
            front,
            winner: place,
            retrained,
            tested,
            card,
            graph,
        })
    }

    fn finals(&mut self) -> Finals<'_> {
        Finals {
            config: &self.config,
            target: &self.target,
            prepared: &self.prepared,
            device: self.device,
            folder: self.folder,
            journal: &mut self.journal,
            past: &self.past,
        }
    }
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
        .take(config.trials)
        .collect();
    // A strategy may take minutes to begin, and there is nothing left to ask it for.
    if past.len() == config.trials {
        return Ok(past);
    }
    let mut site = SpaceSite::new(&prepared.space, target, latency);
    if config.proxies {
        site = site.looking_closer(CloserLook::new(&config.space, &config.cheap, &prepared.dataset, config.seed)?);
    }
    if let Some(prior) = warm::prior(config)? {
        site = site.expecting(prior);
    }
    let first = meta_start::first_networks(config, prepared, &mut site)?;
    let mut strategy = config.strategy(&mut site, watch)?;
    if !first.is_empty() {
        strategy = Box::new(Given::new(first, strategy));
    }
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
    fn strategy(&self, site: &mut SpaceSite, watch: Watch) -> Result<Box<dyn Strategy>, RunError> {
        let seed = seed::derive(self.seed, "search", 0);
        Ok(match self.strategy {
            RunStrategy::Search(StrategyName::Guided) => {
                let guided = GuidedConfig { initial: self.initial, per_round: self.per_round, predictor: Kind::Blend };
                match self.warm_start {
                    WarmStart::None | WarmStart::Meta => Box::new(Guided::new(guided, seed)),
                    WarmStart::Predictor => Box::new(Guided::warm(guided, seed)),
                }
            }
            RunStrategy::Search(other) => other.start(self.trials, seed),
            RunStrategy::Latent(_) => {
                watch(Progress::Note("learning a latent space of the networks".to_string()));
                Box::new(LatentSearch::in_space(site, self.trials, seed)?)
            }
        })
    }
}

/// Every predictor on the run's own trials; nothing if there are too few.
fn evaluate_predictors(
    config: &RunConfig,
    target: &Target,
    prepared: &Prepared,
    trials: &[TrialRecord],
) -> Result<Vec<Evaluation>, RunError> {
    let (samples, accuracies) = described(SpaceSite::new(&prepared.space, target, None), trials)?;
    if samples.len() < 2 * FOLDS {
        return Ok(Vec::new());
    }
    let seed = seed::derive(config.seed, "cross-validation", 0);
    let evaluate = |kind| cross_validate(kind, &samples, &accuracies, FOLDS, seed).map_err(RunError::from);
    Kind::ALL.into_iter().map(evaluate).collect()
}

/// Successful trials as predictors see them on a site, with their accuracies.
pub(super) fn described(mut site: SpaceSite, trials: &[TrialRecord]) -> Result<(Vec<Sample>, Vec<f64>), RunError> {
    let known = trials.iter().filter_map(|trial| Some((&trial.genotype, trial.validation_accuracy?)));
    let one = |(genotype, accuracy): (&String, f64)| Ok((site.describe(&site.space().parse(genotype)?), accuracy));
    known.map(one).collect::<Result<Vec<_>, RunError>>().map(|known| known.into_iter().unzip())
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
