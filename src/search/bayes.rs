//! Bayesian optimisation with what predicts best here: after each few trainings trees and a Gaussian process are fitted to
//! what can be counted in the graphs and to what zero-cost proxies say, and those candidates are trained of which most may
//! be hoped. Where the networks can be listed all are candidates, elsewhere those that an evolution finds.

use std::collections::HashSet;

use rand::seq::SliceRandom;

use super::evolve::{self, evolve};
use super::random::draw;
use super::rounds::{Planner, Rounds, best_of, successes};
use super::{Origin, Proposal, SearchError, Site, Strategy};
use crate::predictor::{Kind, Sample, fit};
use crate::seed;
use crate::space::Genotype;

/// How many trainings go into what.
#[derive(Debug, Clone, PartialEq)]
pub struct BayesConfig {
    /// Networks before the first fit.
    pub initial: usize,
    /// How many of them are those that zero-cost proxies promise most of, where there are proxies.
    pub promised: usize,
    /// Networks trained after each fit.
    pub per_round: usize,
    /// How many of these are drawn from the best few in a hundred, so that a predictor that is wrong about the very best learns
    /// of it.
    pub wandering: usize,
    /// How many spreads above its expectation a network is hoped to be.
    pub hope: f64,
    /// What predicts.
    pub predictor: Kind,
}

impl Default for BayesConfig {
    fn default() -> Self {
        BayesConfig { initial: 10, promised: 5, per_round: 3, wandering: 1, hope: 0.25, predictor: Kind::Pair }
    }
}

/// Successful trainings before a predictor is worth fitting.
const FEWEST_KNOWN: usize = 4;
/// Trained networks that an evolution starts from, the best ones, and random ones beside them.
const STARTS: usize = 10;

/// One of so many candidates is near enough to the best to wander to.
const NEAR_SHARE: usize = 33;

/// The strategy.
pub struct Bayes(Rounds<Plan>);

struct Plan {
    config: BayesConfig,
    seed: u64,
}

impl Bayes {
    /// A search with its seed.
    pub fn new(config: BayesConfig, seed: u64) -> Self {
        let (initial, per_round) = (config.initial, config.per_round);
        Bayes(Rounds::new(Plan { config, seed }, initial, per_round, seed))
    }
}

impl Plan {
    /// The networks that proxies promise most of.
    fn promised(&self, site: &mut dyn Site) -> Vec<Proposal> {
        let pool = site.pool().unwrap_or_default();
        let feasible = pool.into_iter().filter(|genotype| site.is_feasible(genotype)).collect::<Vec<_>>();
        let mut ranked: Vec<(f64, Genotype)> = feasible
            .into_iter()
            .filter_map(|genotype| site.promise(&genotype).map(|promise| (promise, genotype)))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let chosen = ranked.into_iter().take(self.config.promised);
        chosen.map(|(_, genotype)| Proposal { genotype, origin: Origin::Chosen, predicted: None }).collect()
    }

    /// The candidates with what is hoped of each, best first.
    fn ranked(
        &self,
        told: &[(Genotype, Option<f64>)],
        site: &mut dyn Site,
        hope: &dyn Fn(&[Sample]) -> Vec<f64>,
    ) -> Result<Vec<(Genotype, f64)>, SearchError> {
        let index = told.len() as u64;
        if let Some(pool) = site.pool() {
            let feasible: Vec<Genotype> = pool.into_iter().filter(|genotype| site.is_feasible(genotype)).collect();
            let samples: Vec<Sample> = feasible.iter().map(|genotype| site.describe(genotype)).collect();
            let mut ranked: Vec<(Genotype, f64)> = feasible.into_iter().zip(hope(&samples)).collect();
            ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            return Ok(ranked);
        }
        let mut population = best_of(told, STARTS);
        for fresh in 0..STARTS as u64 {
            let drawn = draw(site, |g| population.contains(g), seed::derive(self.seed, "fresh", index), fresh)?;
            population.push(drawn);
        }
        let mut rng = seed::stream(self.seed, "evolution", index);
        evolve(site, population, &evolve::Config::default(), hope, &mut rng)
    }
}

impl Planner for Plan {
    fn plan(&self, told: &[(Genotype, Option<f64>)], site: &mut dyn Site) -> Result<Vec<Proposal>, SearchError> {
        let known = successes(told);
        if told.is_empty() {
            return Ok(self.promised(site));
        }
        if known.len() < FEWEST_KNOWN {
            return Ok(Vec::new());
        }
        let samples: Vec<Sample> = known.iter().map(|(genotype, _)| site.describe(genotype)).collect();
        let accuracies: Vec<f64> = known.iter().map(|(_, accuracy)| *accuracy).collect();
        let fit_seed = seed::derive(self.seed, "predictor", told.len() as u64);
        let fitted = fit(self.config.predictor, &samples, &accuracies, fit_seed)?;
        let hope = |samples: &[Sample]| -> Vec<f64> {
            fitted.predict(samples).iter().map(|p| p.mean + self.config.hope * p.spread).collect()
        };
        let seen: HashSet<&Genotype> = told.iter().map(|(genotype, _)| genotype).collect();
        let ranked = self.ranked(told, site, &hope)?;
        let mut new: Vec<(Genotype, f64)> =
            ranked.into_iter().filter(|(genotype, _)| !seen.contains(genotype)).collect();
        let proposal = |(genotype, hoped)| Proposal { genotype, origin: Origin::Chosen, predicted: Some(hoped) };
        let best = (self.config.per_round - self.config.wandering).min(new.len());
        let mut rng = seed::stream(self.seed, "wandering", told.len() as u64);
        let near = (new.len() / NEAR_SHARE).clamp(self.config.per_round.min(new.len()), new.len());
        new[best..near].shuffle(&mut rng);
        new.truncate(self.config.per_round);
        Ok(new.into_iter().map(proposal).collect())
    }
}

impl Strategy for Bayes {
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        self.0.ask(site, pending)
    }

    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>) {
        self.0.tell(genotype, accuracy);
    }
}
