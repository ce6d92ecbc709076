//! Predictions for single networks: a predictor fitted to some networks of a table, or to the trainings of a run.

use std::collections::HashMap;
use std::path::Path;

use rand::seq::SliceRandom;
use serde::Serialize;

use super::predictors::{Benchmark, EvaluationError};
use crate::predictor::{Fitted, Kind, Sample, fit};
use crate::run::{Entry, Journal, RunError, RunFolder, SpaceSite};
use crate::search::Site;
use crate::seed;
use crate::space::{Genotype, MacroSpace};
use crate::tabular::Table;

/// A network with what is expected of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expected {
    /// The network, as its space writes it.
    pub arch: String,
    /// The prediction, in units of the label.
    pub prediction: f64,
    /// Its spread: of an ensemble's members, or the leave-one-out error of a linear model.
    pub spread: f64,
    /// Place among the predictions for all networks of the table or of the run, from 1.
    pub rank: usize,
    /// The label that the table or the run has.
    pub known: Option<f64>,
    /// Whether the predictor was fitted to this network.
    pub fitted: bool,
}

/// What was predicted, by what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expectations {
    /// The predictor.
    pub predictor: Kind,
    /// Networks it was fitted to.
    pub train: usize,
    /// Networks that a rank counts.
    pub ranked: usize,
    /// The predictions, in the order asked for; the most promising first if that was asked for.
    pub networks: Vec<Expected>,
}

/// Which networks are predicted.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// These.
    Networks(Vec<Genotype>),
    /// So many of the best predicted of a table.
    Top(usize),
}

/// Why there is no prediction.
#[derive(Debug, thiserror::Error)]
pub enum PredictionError {
    /// The predictor sees columns that the table has not for this network.
    #[error(
        "the table has no columns of `{0}`, which the predictor looks at\nhint: `--predictor blend` sees the network alone"
    )]
    NotInTable(String),
    /// As for an evaluation.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The run's folder.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The predictor could not be fitted.
    #[error(transparent)]
    Predictor(#[from] crate::predictor::PredictorError),
}

/// Fits a predictor to the label of `train` networks of a table at random by the seed, and predicts others. Networks and
/// draw are those of an evaluation on different networks with the same seed.
///
/// # Errors
/// If there is no such label, nothing is left of the table, or the predictor cannot see what is asked for.
pub fn predict_from_table(
    table: &Table,
    label: &str,
    kind: Kind,
    train: usize,
    seed: u64,
    asked: &Asked,
) -> Result<Expectations, PredictionError> {
    let benchmark = Benchmark::of(table, label)?;
    let count = benchmark.networks();
    if train >= count {
        return Err(EvaluationError::TooMany { train, found: count }.into());
    }
    let samples = benchmark.samples(kind);
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut seed::stream(seed, "split", 0));
    let chosen = &order[..train];
    let known: Vec<Sample> = chosen.iter().map(|network| samples[*network].clone()).collect();
    let labels: Vec<f64> = chosen.iter().map(|network| benchmark.labels()[*network]).collect();
    let fitted = fit(kind, &known, &labels, seed)?;
    let predictions = fitted.predict(samples);
    let means: Vec<f64> = predictions.iter().map(|prediction| prediction.mean).collect();
    let space = table.space();
    let of_table = |network: usize, arch: String| Expected {
        arch,
        prediction: means[network],
        spread: predictions[network].spread,
        rank: rank(&means, means[network]),
        known: Some(benchmark.labels()[network]),
        fitted: chosen.contains(&network),
    };
    let networks = match asked {
        Asked::Top(most) => {
            let mut best: Vec<usize> = (0..count).collect();
            best.sort_by(|a, b| means[*b].total_cmp(&means[*a]).then(a.cmp(b)));
            let text = |network: &usize| space.format(&table.genotypes()[benchmark.table_row(*network)]);
            best.iter().take(*most).map(|network| of_table(*network, text(network))).collect()
        }
        Asked::Networks(genotypes) => {
            let places: HashMap<Genotype, usize> = (0..count)
                .map(|network| (space.canonical(&table.genotypes()[benchmark.table_row(network)]), network))
                .collect();
            let one = |genotype: &Genotype| match places.get(&space.canonical(genotype)) {
                Some(network) => Ok(of_table(*network, space.format(genotype))),
                None => {
                    let sample = benchmark.sample_of(space, genotype, kind);
                    let sample = sample.ok_or_else(|| PredictionError::NotInTable(space.format(genotype)))?;
                    Ok(of_unknown(&fitted, sample, space.format(genotype), &means))
                }
            };
            genotypes.iter().map(one).collect::<Result<Vec<Expected>, PredictionError>>()?
        }
    };
    Ok(Expectations { predictor: kind, train, ranked: count, networks })
}

/// The space of a run, in which its networks are written.
///
/// # Errors
/// If the folder is no run.
pub fn space_of_run(folder: &Path) -> Result<MacroSpace, RunError> {
    let (config, _, _) = RunFolder::open(folder)?.read_decisions()?;
    Ok(MacroSpace::new(config.space)?)
}

/// Fits a predictor to the cheap trainings in the journal of a run, whole or not, and predicts networks of its space. The
/// journal is only read.
///
/// # Errors
/// If the folder is no run, or its trainings are too few.
pub fn predict_from_run(
    folder: &Path,
    kind: Kind,
    seed: u64,
    asked: &[Genotype],
) -> Result<Expectations, PredictionError> {
    let folder = RunFolder::open(folder)?;
    let (config, target, _) = folder.read_decisions()?;
    let space = MacroSpace::new(config.space).map_err(RunError::from)?;
    let mut site = SpaceSite::new(&space, &target, None);
    let (mut trained, mut samples, mut labels) = (HashMap::new(), Vec::new(), Vec::new());
    for entry in Journal::read(&folder.file("journal.jsonl"))? {
        let Entry::Trial(trial) = entry else { continue };
        let Some(accuracy) = trial.validation_accuracy else { continue };
        let genotype = space.parse(&trial.genotype).map_err(RunError::from)?;
        samples.push(site.describe(&genotype));
        labels.push(accuracy);
        trained.insert(genotype, accuracy);
    }
    let fitted = fit(kind, &samples, &labels, seed)?;
    let means: Vec<f64> = fitted.predict(&samples).iter().map(|prediction| prediction.mean).collect();
    let mut one = |genotype: &Genotype| {
        let known = trained.get(genotype).copied();
        let expected = of_unknown(&fitted, site.describe(genotype), space.format(genotype), &means);
        Expected { known, fitted: known.is_some(), ..expected }
    };
    let networks = asked.iter().map(&mut one).collect();
    Ok(Expectations { predictor: kind, train: samples.len(), ranked: samples.len(), networks })
}

fn of_unknown(fitted: &Fitted, sample: Sample, arch: String, means: &[f64]) -> Expected {
    let prediction = fitted.predict(&[sample])[0];
    Expected {
        arch,
        prediction: prediction.mean,
        spread: prediction.spread,
        rank: rank(means, prediction.mean),
        known: None,
        fitted: false,
    }
}

/// The place that a prediction has among others, from 1.
fn rank(means: &[f64], mean: f64) -> usize {
    1 + means.iter().filter(|other| **other > mean).count()
}
