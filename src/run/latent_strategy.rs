//! Search in a latent space as a strategy among others: ask and tell around a proposer, which knows neither.

use std::collections::HashSet;
use std::sync::Arc;

use crate::generate::{Barrier, Proposer, Wanted};
use crate::search::{Origin, Proposal, SearchError, Site, Strategy};
use crate::seed;
use crate::space::Genotype;

/// How many trainings go into what, and from where climbs start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatentConfig {
    /// Random networks before the first climb.
    pub initial: usize,
    /// Networks proposed after each fit; the last one of a round is random, so that the fit keeps seeing networks that no
    /// climb led to.
    pub per_round: usize,
    /// Best networks to climb from.
    pub best_starts: usize,
    /// Random points to climb from.
    pub random_starts: usize,
    /// Limit of the complexity that the latent space was fitted with, if the target has one. Others are checked exactly
    /// before anything is proposed.
    pub barrier: Option<Barrier>,
}

impl LatentConfig {
    /// How a search of so many trainings divides them.
    pub fn of(trials: usize) -> Self {
        LatentConfig {
            initial: (trials / 3).clamp(4, 10),
            per_round: 5,
            best_starts: 10,
            random_starts: 20,
            barrier: None,
        }
    }
}

/// The strategy. A round's proposals follow from its seed and from what had been told when the round began.
pub struct LatentSearch {
    proposer: Arc<Proposer>,
    config: LatentConfig,
    seed: u64,
    told: Vec<(Genotype, Option<f64>)>,
    /// Trainings told before the round, and its proposals.
    round: (usize, Vec<Proposal>),
}

/// Successful trainings before a fit is worth its while.
const FEWEST_KNOWN: usize = 4;
/// Candidates drawn before a search gives up.
const MOST_TRIES: u64 = 20_000;

impl LatentSearch {
    /// A search with its seed in a latent space that was learnt before.
    pub fn new(proposer: Arc<Proposer>, config: LatentConfig, seed: u64) -> Self {
        LatentSearch { proposer, config, seed, told: Vec::new(), round: (0, Vec::new()) }
    }

    fn is_new(&self, genotype: &Genotype, pending: &[Genotype]) -> bool {
        !pending.contains(genotype) && !self.told.iter().any(|(told, _)| told == genotype)
    }

    fn random(&self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        let index = (self.told.len() + pending.len()) as u64;
        let mut rng = seed::stream(self.seed, "sample", index);
        for _ in 0..MOST_TRIES {
            let genotype = site.sample(&mut rng);
            if self.is_new(&genotype, pending) && site.is_feasible(&genotype) {
                return Ok(Some(Proposal { genotype, origin: Origin::Random, predicted: None }));
            }
        }
        Err(SearchError::Exhausted { tries: MOST_TRIES as usize })
    }

    fn plan_round(&self, site: &mut dyn Site, start: usize) -> Vec<Proposal> {
        let told = &self.told[..start];
        let seen: HashSet<&Genotype> = told.iter().map(|(genotype, _)| genotype).collect();
        let known: Vec<(Genotype, f64)> = told.iter().filter_map(|(g, a)| a.map(|a| (g.clone(), a))).collect();
        let LatentConfig { per_round, best_starts, random_starts, barrier, .. } = self.config;
        let wanted = Wanted { count: per_round, barrier, best_starts, random_starts };
        let mut is_new = |genotype: &Genotype| !seen.contains(genotype) && site.is_feasible(genotype);
        let found =
            self.proposer.propose(&known, &wanted, &mut is_new, seed::derive(self.seed, "latent", start as u64));
        let proposal = |genotype| Proposal { genotype, origin: Origin::Latent, predicted: None };
        found.into_iter().map(|decoded| proposal(decoded.genotype)).collect()
    }
}

impl Strategy for LatentSearch {
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        let index = self.told.len() + pending.len();
        let Some(since) = index.checked_sub(self.config.initial) else { return self.random(site, pending) };
        let place = since % self.config.per_round;
        let start = index - place;
        if start > self.told.len() {
            return Ok(None);
        }
        let successes = self.told[..start].iter().filter(|(_, accuracy)| accuracy.is_some()).count();
        let explores = self.config.per_round > 1 && place + 1 == self.config.per_round;
        if explores || successes < FEWEST_KNOWN {
            return self.random(site, pending);
        }
        if self.round.0 != start || self.round.1.is_empty() {
            self.round = (start, self.plan_round(site, start));
        }
        let next = self.round.1.iter().find(|p| self.is_new(&p.genotype, pending)).cloned();
        next.map_or_else(|| self.random(site, pending), |next| Ok(Some(next)))
    }

    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>) {
        self.told.push((genotype.clone(), accuracy));
    }
}
