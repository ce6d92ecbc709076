//! After BANANAS (White, Neiswanger and Savani, Bayesian Optimization with Neural Architectures for Neural Architecture
//! Search, 2021): an ensemble of plain networks on path encodings; of the neighbours of the best networks those are trained
//! that a draw from what the ensemble believes of each ranks first. The networks are ours (their line through the size
//! included), the rest follows the paper.

use std::collections::BTreeSet;

use super::path_encoding::PathEncoding;
use super::random::draw;
use super::rounds::{Planner, Rounds, best_of, successes};
use super::{Origin, Proposal, SearchError, Site, Strategy};
use crate::predictor::{Kind, Sample, fit};
use crate::seed;
use crate::space::Genotype;
use crate::stats;
use rand::Rng;

/// How many trainings go into what.
#[derive(Debug, Clone, PartialEq)]
pub struct BananasConfig {
    /// Random networks before the first fit.
    pub initial: usize,
    /// Networks trained after each fit.
    pub per_round: usize,
    /// Best networks whose neighbours are candidates.
    pub parents: usize,
}

impl Default for BananasConfig {
    /// The paper's.
    fn default() -> Self {
        BananasConfig { initial: 10, per_round: 10, parents: 10 }
    }
}

/// Random candidates beside the neighbours.
const FRESH: u64 = 50;

/// The strategy.
pub struct Bananas(Rounds<Plan>);

struct Plan {
    config: BananasConfig,
    seed: u64,
}

impl Bananas {
    /// A search with its seed.
    pub fn new(config: BananasConfig, seed: u64) -> Self {
        let (initial, per_round) = (config.initial, config.per_round);
        Bananas(Rounds::new(Plan { config, seed }, initial, per_round, seed))
    }
}

impl Plan {
    fn candidates(&self, told: &[(Genotype, Option<f64>)], site: &mut dyn Site) -> Result<Vec<Genotype>, SearchError> {
        let mut candidates = BTreeSet::new();
        for parent in best_of(told, self.config.parents) {
            candidates.extend(site.neighbours(&parent).into_iter().filter(|other| site.is_feasible(other)));
        }
        let fresh = seed::derive(self.seed, "fresh", told.len() as u64);
        for index in 0..FRESH {
            match draw(site, |g| candidates.contains(g), fresh, index) {
                Ok(drawn) => _ = candidates.insert(drawn),
                Err(SearchError::Exhausted { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        candidates.retain(|candidate| told.iter().all(|(genotype, _)| genotype != candidate));
        Ok(candidates.into_iter().collect())
    }
}

impl Planner for Plan {
    fn plan(&self, told: &[(Genotype, Option<f64>)], site: &mut dyn Site) -> Result<Vec<Proposal>, SearchError> {
        let index = told.len() as u64;
        let known = successes(told);
        if known.len() < self.config.initial.min(4) || told.is_empty() {
            return Ok(Vec::new());
        }
        let described: Vec<Sample> = known.iter().map(|(genotype, _)| site.describe(genotype)).collect();
        let encoding = PathEncoding::of(described.iter().map(|sample| &sample.dag));
        let encode = |sample: Sample| {
            let features = [&sample.features[..1], &encoding.bits(&sample.dag)].concat();
            Sample { features, ..sample }
        };
        let samples: Vec<Sample> = described.into_iter().map(encode).collect();
        let accuracies: Vec<f64> = known.iter().map(|(_, accuracy)| *accuracy).collect();
        let fitted = fit(Kind::Mlp, &samples, &accuracies, seed::derive(self.seed, "predictor", index))?;

        let candidates = self.candidates(told, site)?;
        let samples: Vec<Sample> = candidates.iter().map(|genotype| encode(site.describe(genotype))).collect();
        let mut rng = seed::stream(self.seed, "thompson", index);
        let mut drawn: Vec<(f64, Proposal)> = Vec::with_capacity(candidates.len());
        for (genotype, believed) in candidates.into_iter().zip(fitted.predict(&samples)) {
            let normal = stats::normal_quantile(rng.random::<f64>().max(f64::EPSILON));
            let proposal = Proposal { genotype, origin: Origin::Evolved, predicted: Some(believed.mean) };
            drawn.push((believed.mean + normal * believed.spread, proposal));
        }
        drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(drawn.into_iter().take(self.config.per_round).map(|(_, proposal)| proposal).collect())
    }
}

impl Strategy for Bananas {
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        self.0.ask(site, pending)
    }

    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>) {
        self.0.tell(genotype, accuracy);
    }
}
