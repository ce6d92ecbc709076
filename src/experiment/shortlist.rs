//! Whether a closer look by zero-cost proxies pays: on a table, the networks that a search would train next, chosen with
//! and without it.

use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::Serialize;

use super::proxies::ProxyStudyError;
use crate::graph::{Cost, Graph};
use crate::predictor::{Kind, Sample, fit};
use crate::proxy::{self, Batch, ProxyError};
use crate::run::CloserLook;
use crate::search::{Looked, second_opinion};
use crate::seed;
use crate::space::Genotype;
use crate::stats;
use crate::tabular::Table;

/// How often the closer look chose better, by how much.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShortlistScores {
    /// Networks that predictors were fitted to.
    pub train: usize,
    /// Networks chosen after that.
    pub chosen: usize,
    /// Random draws of the networks to fit.
    pub seeds: usize,
    /// Whether the proxies are the table's own columns; else they were computed on noise.
    pub published: bool,
    /// Mean label of those chosen by the search's predictor alone.
    pub without: f64,
    /// Mean label of those chosen after the closer look.
    pub with: f64,
    /// Mean difference of the two, and its 95 % bootstrap interval over the seeds.
    pub difference: f64,
    /// The interval.
    pub interval: (f64, f64),
    /// Mean difference of the best label among those chosen.
    pub difference_of_best: f64,
    /// The 95 % bootstrap interval of that.
    pub interval_of_best: (f64, f64),
}

/// A table's different networks, looked at.
pub struct Shortlists {
    networks: Vec<Looked>,
    labels: Vec<f64>,
    published: bool,
}

impl Shortlists {
    /// Looks at every different network of a table that has the label: at its published columns, if it has all of them, or
    /// by measuring each on a batch of normal noise. `step` is told how many are done, of how many.
    ///
    /// # Errors
    /// If there is no such label, or a proxy cannot be computed.
    pub fn of(
        table: &Table,
        label: &str,
        batch: usize,
        seed: u64,
        step: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Shortlists, ProxyStudyError> {
        let unknown = || ProxyStudyError::Label { name: label.to_string(), known: table.labels().to_vec() };
        let is_label = table.labels().iter().any(|known| known == label);
        let column = table.column(label).filter(|_| is_label).ok_or_else(unknown)?;
        let space = table.space();
        let mut seen = std::collections::HashSet::new();
        let rows: Vec<usize> = (0..table.genotypes().len())
            .filter(|row| column[*row].is_finite() && seen.insert(space.canonical(&table.genotypes()[*row])))
            .collect();
        let columns: Option<Vec<&[f64]>> = CloserLook::PROXIES.iter().map(|proxy| table.column(proxy.name())).collect();
        let done = std::sync::atomic::AtomicUsize::new(0);
        let look = |row: &usize| -> Result<Looked, ProxyError> {
            let genotype: &Genotype = &table.genotypes()[*row];
            let graph: Graph = space.lower(genotype);
            let sample = Sample { dag: space.dag(genotype), features: space.features(genotype, &Cost::of(&graph)) };
            let proxies = match &columns {
                Some(columns) => columns.iter().map(|column| Some(column[*row]).filter(|v| v.is_finite())).collect(),
                None => {
                    let noise = Batch::random(&graph, batch, seed);
                    let found = proxy::measure(&graph, &noise, &CloserLook::PROXIES, seed)?;
                    step(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, rows.len());
                    found
                }
            };
            Ok(Looked { sample, proxies })
        };
        let networks: Result<Vec<Looked>, ProxyError> = rows.par_iter().map(look).collect();
        let labels = rows.iter().map(|row| column[*row]).collect();
        Ok(Shortlists { networks: networks?, labels, published: columns.is_some() })
    }

    /// For each seed, fits what guides a search to `train` random networks, shortlists the most promising others and chooses
    /// `chosen` of these, with and without the closer look.
    ///
    /// # Errors
    /// If the table has too few networks, or a fit fails.
    pub fn compare(&self, train: usize, chosen: usize, seeds: &[u64]) -> Result<ShortlistScores, ProxyStudyError> {
        if train < 4 || self.networks.len() < train + chosen * CloserLook::SHORTLISTED {
            return Err(ProxyStudyError::TooFew(self.networks.len().min(train)));
        }
        let runs: Result<Vec<[f64; 4]>, ProxyStudyError> =
            seeds.par_iter().map(|seed| self.choose(train, chosen, *seed)).collect();
        let runs = runs?;
        let all = |at: usize| runs.iter().map(|run| run[at]).collect::<Vec<f64>>();
        let differences = |a: usize, b: usize| runs.iter().map(|run| run[a] - run[b]).collect::<Vec<f64>>();
        let interval = |values: &[f64]| stats::bootstrap_interval(values, stats::mean, 0.95, 10_000, 0);
        let (of_mean, of_best) = (differences(1, 0), differences(3, 2));
        Ok(ShortlistScores {
            train,
            chosen,
            seeds: seeds.len(),
            published: self.published,
            without: stats::mean(&all(0)),
            with: stats::mean(&all(1)),
            difference: stats::mean(&of_mean),
            interval: interval(&of_mean),
            difference_of_best: stats::mean(&of_best),
            interval_of_best: interval(&of_best),
        })
    }

    /// Mean label of those chosen without and with the closer look, then the best label of both.
    fn choose(&self, train: usize, chosen: usize, seed: u64) -> Result<[f64; 4], ProxyStudyError> {
        let mut order: Vec<usize> = (0..self.networks.len()).collect();
        order.shuffle(&mut seed::stream(seed, "shortlist", 0));
        let (known, others) = order.split_at(train);
        let pick = |places: &[usize]| places.iter().map(|place| self.networks[*place].clone()).collect::<Vec<Looked>>();
        let samples = |looked: &[Looked]| looked.iter().map(|network| network.sample.clone()).collect::<Vec<Sample>>();
        let trained = pick(known);
        let accuracies: Vec<f64> = known.iter().map(|place| self.labels[*place]).collect();
        let fitted = fit(Kind::Blend, &samples(&trained), &accuracies, seed)?;
        let predicted: Vec<f64> = fitted.predict(&samples(&pick(others))).iter().map(|p| p.mean).collect();
        let mut ranked: Vec<(usize, f64)> = others.iter().copied().zip(predicted).collect();
        let best_first = |a: &(usize, f64), b: &(usize, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        ranked.sort_by(best_first);
        ranked.truncate(chosen * CloserLook::SHORTLISTED);
        let (shortlist, predicted): (Vec<usize>, Vec<f64>) = ranked.iter().copied().unzip();
        let second = second_opinion(&trained, &accuracies, &pick(&shortlist), &predicted, seed)?;
        let mut looked: Vec<(usize, f64)> = shortlist.into_iter().zip(second).collect();
        looked.sort_by(best_first);
        let labels =
            |of: &[(usize, f64)]| of[..chosen].iter().map(|(place, _)| self.labels[*place]).collect::<Vec<f64>>();
        let best = |labels: &[f64]| labels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (without, with) = (labels(&ranked), labels(&looked));
        Ok([stats::mean(&without), stats::mean(&with), best(&without), best(&with)])
    }
}
