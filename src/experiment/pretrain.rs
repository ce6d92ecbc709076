//! A predictor fitted to published trainings before a run: how well it ranks networks of its own table, and what it is
//! worth on another data set, where a search has some trials of its own.

use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::Serialize;

use super::predictors::{Benchmark, EvaluationError};
use crate::predictor::{About, HeldOut, Kind, PredictorError, Pretrained, Prior, Sample, fit, fit_warm};
use crate::seed;
use crate::space::Genotype;
use crate::stats;
use crate::tabular::Table;

/// Why nothing was pretrained.
#[derive(Debug, thiserror::Error)]
pub enum PretrainError {
    /// Networks of another space.
    #[error(
        "the table is of space `{0}`\nhint: a predictor is pretrained for space `macro`, on `--table macro-cifar100` for example"
    )]
    Space(String),
    /// As for an evaluation.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// A predictor that could not be fitted.
    #[error(transparent)]
    Predictor(#[from] PredictorError),
}

/// Random splits, and how many networks are fitted in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Splits {
    /// Splits, with seeds from 1.
    pub splits: u64,
    /// Networks that are fitted; all others are ranked.
    pub fitted: usize,
}

/// What a pretrained predictor is worth on networks that were trained on other data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transfer {
    /// The label.
    pub label: String,
    /// Networks.
    pub networks: usize,
    /// Kendall tau of the pretrained predictor on all of them, none of which it has seen.
    pub kendall_tau_alone: f64,
    /// Kendall tau of the number of MACs.
    pub kendall_tau_of_macs: f64,
    /// Networks that predictors are fitted to in each split.
    pub fitted: usize,
    /// Random splits.
    pub splits: u64,
    /// Predictors of the run's own with and without it, by the mean of their tau on the rest.
    pub predictors: Vec<WithAndWithout>,
    /// The first choice of a search: so many networks.
    pub first: usize,
    /// Best label among the first by the pretrained predictor.
    pub best_of_first: f64,
    /// Mean best label among so many at random.
    pub best_at_random: f64,
}

/// A predictor with and without the pretrained one under it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WithAndWithout {
    /// The predictor.
    pub kind: Kind,
    /// Mean Kendall tau with.
    pub with: f64,
    /// The same without.
    pub without: f64,
    /// 95 % interval of the mean difference over the splits.
    pub gain: (f64, f64),
}

/// Resamples of an interval.
const RESAMPLES: usize = 2000;
/// Random choices that the pretrained predictor's first choice is compared with.
const CHOICES: u64 = 500;

/// Fits a predictor to all networks of a table with this name and label, after random splits have told how well it ranks.
///
/// # Errors
/// If the table is of another space or has no such label, or nothing is left to rank.
pub fn pretrain(
    table: &Table,
    (name, label): (&str, &str),
    splits: Splits,
    command: &str,
) -> Result<Pretrained, PretrainError> {
    let networks = Networks::of(table, label)?;
    let taus = networks.over_splits(splits, |fitted, ranked| {
        let about = About { fitted_to: String::new(), command: String::new(), held_out: HeldOut::default() };
        let model = Pretrained::fit(&networks.genotypes(fitted), &networks.labels(fitted), about);
        let (truth, sizes) = (networks.labels(ranked), networks.sizes(ranked));
        let expected = expect(model, &networks.genotypes(ranked));
        Ok((stats::kendall_tau(&expected, &truth), stats::kendall_tau(&sizes, &truth)))
    })?;
    let (own, macs): (Vec<f64>, Vec<f64>) = taus.into_iter().unzip();
    let all: Vec<usize> = (0..networks.count()).collect();
    let held_out = HeldOut {
        splits: own.len(),
        fitted: splits.fitted,
        ranked: all.len() - splits.fitted,
        kendall_tau: stats::mean(&own),
        interval: stats::bootstrap_interval(&own, stats::mean, 0.95, RESAMPLES, 0),
        kendall_tau_of_macs: stats::mean(&macs),
    };
    let fitted_to = format!("`{label}` of the {} networks of table `{name}`", all.len());
    let about = About { fitted_to, command: command.to_string(), held_out };
    Ok(Pretrained::fit(&networks.genotypes(&all), &networks.labels(&all), about))
}

/// Asks what a pretrained predictor is worth on a table of networks that were trained on other data.
///
/// # Errors
/// As [`pretrain`].
pub fn transfer(model: &Pretrained, table: &Table, label: &str, splits: Splits) -> Result<Transfer, PretrainError> {
    let networks = Networks::of(table, label)?;
    let all: Vec<usize> = (0..networks.count()).collect();
    let (truth, expected) = (networks.labels(&all), expect(model.clone(), &networks.genotypes(&all)));
    let predictors = [Kind::Ridge, Kind::Blend].map(|kind| networks.with_and_without(kind, &expected, splits));
    let first = all.len() / 4;
    let best = |chosen: &[usize]| chosen.iter().map(|network| truth[*network]).fold(f64::NEG_INFINITY, f64::max);
    let mut promising = all.clone();
    promising.sort_by(|a, b| expected[*b].total_cmp(&expected[*a]));
    let at_random = |index| {
        let mut order = all.clone();
        order.shuffle(&mut seed::stream(0, "first choice", index));
        best(&order[..first])
    };
    Ok(Transfer {
        label: label.to_string(),
        networks: all.len(),
        kendall_tau_alone: stats::kendall_tau(&expected, &truth),
        kendall_tau_of_macs: stats::kendall_tau(&networks.sizes(&all), &truth),
        fitted: splits.fitted,
        splits: splits.splits,
        predictors: predictors.into_iter().collect::<Result<_, _>>()?,
        first,
        best_of_first: best(&promising[..first]),
        best_at_random: stats::mean(&(0..CHOICES).map(at_random).collect::<Vec<f64>>()),
    })
}

fn expect(model: Pretrained, networks: &[Genotype]) -> Vec<f64> {
    let mut prior = Prior::new(model);
    networks.iter().map(|genotype| prior.expect(genotype)).collect()
}

/// The networks of a table with a label.
struct Networks(Benchmark);

impl Networks {
    fn of(table: &Table, label: &str) -> Result<Self, PretrainError> {
        match table.space().name() {
            "macro" => Ok(Networks(Benchmark::of(table, label)?)),
            other => Err(PretrainError::Space(other.to_string())),
        }
    }

    fn count(&self) -> usize {
        self.0.networks()
    }

    fn genotypes(&self, chosen: &[usize]) -> Vec<Genotype> {
        chosen.iter().map(|network| self.0.genotypes()[*network].clone()).collect()
    }

    fn labels(&self, chosen: &[usize]) -> Vec<f64> {
        chosen.iter().map(|network| self.0.labels()[*network]).collect()
    }

    fn samples(&self, chosen: &[usize]) -> Vec<Sample> {
        chosen.iter().map(|network| self.0.plain_samples()[*network].clone()).collect()
    }

    /// Logarithms of MACs.
    fn sizes(&self, chosen: &[usize]) -> Vec<f64> {
        self.samples(chosen).iter().map(|sample| sample.features[0]).collect()
    }

    /// Something of each split, from the networks that are fitted and those that are ranked.
    fn over_splits<T: Send>(
        &self,
        Splits { splits, fitted }: Splits,
        of: impl Fn(&[usize], &[usize]) -> Result<T, PretrainError> + Sync,
    ) -> Result<Vec<T>, PretrainError> {
        if fitted + 2 > self.count() {
            return Err(EvaluationError::TooMany { train: fitted, found: self.count() }.into());
        }
        let one = |seed| {
            let mut order: Vec<usize> = (0..self.count()).collect();
            order.shuffle(&mut seed::stream(seed, "split", 0));
            let (fitted, ranked) = order.split_at(fitted);
            of(fitted, ranked)
        };
        (1..=splits).into_par_iter().map(one).collect()
    }

    fn with_and_without(&self, kind: Kind, expected: &[f64], splits: Splits) -> Result<WithAndWithout, PretrainError> {
        let warm = |chosen: &[usize]| -> Vec<Sample> {
            let add = |(mut sample, network): (Sample, &usize)| {
                sample.features.push(expected[*network]);
                sample
            };
            self.samples(chosen).into_iter().zip(chosen).map(add).collect()
        };
        let taus = self.over_splits(splits, |fitted, ranked| {
            let (known, truth) = (self.labels(fitted), self.labels(ranked));
            let with = fit_warm(kind, &warm(fitted), &known, 1)?.predict(&warm(ranked));
            let without = fit(kind, &self.samples(fitted), &known, 1)?.predict(&self.samples(ranked));
            let tau = |found: &[crate::predictor::Prediction]| {
                stats::kendall_tau(&found.iter().map(|p| p.mean).collect::<Vec<f64>>(), &truth)
            };
            Ok((tau(&with), tau(&without)))
        })?;
        let gains: Vec<f64> = taus.iter().map(|(with, without)| with - without).collect();
        let (with, without): (Vec<f64>, Vec<f64>) = taus.into_iter().unzip();
        Ok(WithAndWithout {
            kind,
            with: stats::mean(&with),
            without: stats::mean(&without),
            gain: stats::bootstrap_interval(&gains, stats::mean, 0.95, RESAMPLES, 0),
        })
    }
}
