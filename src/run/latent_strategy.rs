//! Search in a latent space as a strategy among others: ask and tell around a proposer, which knows neither.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{RunError, SpaceSite};
use crate::generate::{Barrier, Proposer, VaeConfig, Wanted};
use crate::graph::{Cost, Graph, deployable};
use crate::search::{Origin, Planner, Proposal, Rounds, SearchError, Site, Strategy};
use crate::seed;
use crate::space::{Genotype, Space};
use crate::target::{LatencyModel, Limit, Target};

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
/// Kept free below a limit, as a share of it.
const MARGIN: f64 = 0.01;
/// Networks that tell which limit excludes most.
const SAMPLED: usize = 200;

impl LatentSearch {
    /// A search in the latent space of a run's own space, learned from random networks and what they need of that which the
    /// target has least of.
    ///
    /// # Errors
    /// If the space cannot be learned.
    pub(super) fn in_space(site: &mut SpaceSite, trials: usize, seed: u64) -> Result<LatentSearch, RunError> {
        let space = Space::Macro(site.space().clone());
        let (target, times) = (site.target(), site.operator_times());
        let sizes = VaeConfig {
            hidden: 64,
            latent: 64,
            emitter: 64,
            head: 64,
            epochs: PASSES,
            batch: 64,
            ..VaeConfig::measured()
        };
        let binding = most_binding(site, seed);
        let need = |genotype: &Genotype| {
            let graph = space.lower(genotype);
            needed(&graph, target, times, binding.unwrap_or(Limit::Macs)).max(f64::MIN_POSITIVE)
        };
        let proposer = Proposer::learn(&space, LEARNED, sizes, &need, seed, &mut |_, _| {})?;
        let barrier = binding.map(|limit| Barrier { limit: allowed(target, limit), margin: MARGIN });
        Ok(LatentSearch::new(Arc::new(proposer), LatentConfig { barrier, ..LatentConfig::of(trials) }, seed))
    }
}

/// The limit that excludes most networks, if any does.
fn most_binding(site: &mut SpaceSite, seed: u64) -> Option<Limit> {
    let mut rng = seed::stream(seed, "latent limits", 0);
    let mut excluded: BTreeMap<Limit, usize> = BTreeMap::new();
    for _ in 0..SAMPLED {
        let genotype = site.sample(&mut rng);
        for broken in site.verdict(&genotype).broken {
            *excluded.entry(broken.limit).or_default() += 1;
        }
    }
    excluded.into_iter().max_by_key(|(_, networks)| *networks).map(|(limit, _)| limit)
}

/// What a limit allows, in its own unit.
fn allowed(target: &Target, limit: Limit) -> f64 {
    let limits = &target.limits;
    let allowed = match limit {
        Limit::PeakRam => limits.peak_ram.map(|bytes| bytes.0 as f64),
        Limit::WeightsFlash => limits.weights_flash.map(|bytes| bytes.0 as f64),
        Limit::Macs => limits.macs.map(|macs| macs.0 as f64),
        Limit::Latency => limits.latency.map(|latency| latency.most.0),
    };
    allowed.unwrap_or(f64::INFINITY)
}

/// What a network needs of what a limit is on. An operator whose time is not known takes none.
fn needed(graph: &Graph, target: &Target, times: Option<&LatencyModel>, limit: Limit) -> f64 {
    let cost = Cost::of(graph);
    match limit {
        Limit::PeakRam => cost.peak_ram(target.numbers).0 as f64,
        Limit::WeightsFlash => cost.weights_flash(target.numbers).0 as f64,
        Limit::Macs => cost.macs as f64,
        Limit::Latency => match times {
            Some(model) => model.predict(&deployable(graph).graph).map_or(model.offset_ms, |time| time.0),
            None => target.estimated(&cost).map_or(0.0, |time| time.0),
        },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{MacroConfig, MacroSpace};

    #[test]
    fn the_barrier_is_on_what_the_target_has_least_of() {
        let space = MacroSpace::new(MacroConfig::default()).unwrap();
        let binding = |limits: &str| {
            let target = Target::parse(&format!("name: small\nlimits: {limits}\n"), "test").unwrap();
            let limit = most_binding(&mut SpaceSite::new(&space, &target, None), 1);
            limit.map(|limit| {
                (limit, allowed(&target, limit), needed(&space.lower(&space.largest()), &target, None, limit))
            })
        };
        assert_eq!(binding("{macs: 1 G}"), None);
        let (limit, allowed, needed) = binding("{macs: 17 M, peak_ram: 64 KiB}").unwrap();
        assert_eq!((limit, allowed), (Limit::PeakRam, 65_536.0));
        assert!(needed > allowed, "{needed}");
        assert_eq!(binding("{macs: 9 M, weights_flash: 100 MiB}").map(|found| found.0), Some(Limit::Macs));
    }
}
