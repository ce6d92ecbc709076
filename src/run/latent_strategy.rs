//! Search in a latent space as a strategy among others: ask and tell around a proposer, which knows neither.

use std::collections::HashSet;
use std::sync::Arc;

use super::RunError;
use crate::generate::{Barrier, Proposer, VaeConfig, Wanted};
use crate::graph::Cost;
use crate::search::{Origin, Planner, Proposal, Rounds, SearchError, Site, Strategy};
use crate::seed;
use crate::space::{Genotype, MacroConfig, MacroSpace, Space};
use crate::target::Target;

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

/// The strategy.
pub struct LatentSearch(Rounds<Climbs>);

/// What a round proposes: where climbs in the latent space lead.
struct Climbs {
    proposer: Arc<Proposer>,
    config: LatentConfig,
    seed: u64,
}

/// Successful trainings before a fit is worth its while.
const FEWEST_KNOWN: usize = 4;

impl LatentSearch {
    /// A search with its seed in a latent space that was learnt before.
    pub fn new(proposer: Arc<Proposer>, config: LatentConfig, seed: u64) -> Self {
        let climbs = Climbs { proposer, config, seed };
        LatentSearch(Rounds::new(climbs, config.initial, config.per_round, seed))
    }
}

/// Networks that a run's latent space is learned from, and passes over them: enough that nearly all come back from it.
const LEARNED: usize = 6000;
const PASSES: usize = 20;
/// Kept free below a limit on multiply-accumulates, as a share of it.
const MARGIN: f64 = 0.01;

impl LatentSearch {
    /// A search in the latent space of a run's own space, learned from random networks and their multiply-accumulates.
    ///
    /// # Errors
    /// If the space cannot be learned.
    pub(super) fn in_space(
        config: &MacroConfig,
        target: &Target,
        trials: usize,
        seed: u64,
    ) -> Result<LatentSearch, RunError> {
        let space = Space::Macro(MacroSpace::new(config.clone())?);
        let sizes = VaeConfig {
            hidden: 64,
            latent: 64,
            emitter: 64,
            head: 64,
            epochs: PASSES,
            batch: 64,
            ..VaeConfig::measured()
        };
        let macs = |genotype: &Genotype| Cost::of(&space.lower(genotype)).macs.max(1) as f64;
        let proposer = Proposer::learn(&space, LEARNED, sizes, &macs, seed, &mut |_, _| {})?;
        let limit = target.limits.macs.map(|limit| limit.0 as f64);
        let barrier = limit.map(|limit| Barrier { limit, margin: MARGIN });
        Ok(LatentSearch::new(Arc::new(proposer), LatentConfig { barrier, ..LatentConfig::of(trials) }, seed))
    }
}

impl Planner for Climbs {
    fn plan(&self, told: &[(Genotype, Option<f64>)], site: &mut dyn Site) -> Result<Vec<Proposal>, SearchError> {
        let known: Vec<(Genotype, f64)> = told.iter().filter_map(|(g, a)| a.map(|a| (g.clone(), a))).collect();
        if known.len() < FEWEST_KNOWN {
            return Ok(Vec::new());
        }
        let seen: HashSet<&Genotype> = told.iter().map(|(genotype, _)| genotype).collect();
        let LatentConfig { per_round, best_starts, random_starts, barrier, .. } = self.config;
        let wanted = Wanted { count: per_round, barrier, best_starts, random_starts };
        let mut is_new = |genotype: &Genotype| !seen.contains(genotype) && site.is_feasible(genotype);
        let seed = seed::derive(self.seed, "latent", told.len() as u64);
        let found = self.proposer.propose(&known, &wanted, &mut is_new, seed);
        let proposal = |genotype| Proposal { genotype, origin: Origin::Latent, predicted: None };
        // The last place of a round is left to a random network, unless it is the only one.
        let chosen = (per_round - 1).max(1);
        Ok(found.into_iter().take(chosen).map(|decoded| proposal(decoded.genotype)).collect())
    }
}

impl Strategy for LatentSearch {
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        self.0.ask(site, pending)
    }

    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>) {
        self.0.tell(genotype, accuracy);
    }
}
