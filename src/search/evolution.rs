//! Regularised evolution (Real and others, Regularized Evolution for Image Classifier Architecture Search, 2019): of a few
//! networks drawn from a population the best one is changed in one choice, and the oldest one dies.

use std::collections::HashSet;

use rand::Rng;
use rand::seq::{IndexedRandom, index};

use super::random::draw;
use super::{Proposal, SearchError, Site, Strategy};
use crate::seed;
use crate::space::Genotype;

/// Sizes of the population and of the tournament.
#[derive(Debug, Clone, PartialEq)]
pub struct EvolutionConfig {
    /// Networks that live.
    pub population: usize,
    /// Networks drawn, of which the best is the parent.
    pub tournament: usize,
}

impl Default for EvolutionConfig {
    /// For searches of some dozen to some hundred trainings; the paper's 100 and 25 are for thousands.
    fn default() -> Self {
        EvolutionConfig { population: 20, tournament: 5 }
    }
}

/// Parents tried before a random network takes a child's place.
const PARENTS_TRIED: usize = 50;

/// The strategy.
pub struct Evolution {
    config: EvolutionConfig,
    seed: u64,
    told: Vec<(Genotype, Option<f64>)>,
    seen: HashSet<Genotype>,
}

impl Evolution {
    /// A search with its seed.
    pub fn new(config: EvolutionConfig, seed: u64) -> Self {
        Evolution { config, seed, told: Vec::new(), seen: HashSet::new() }
    }

    /// A new neighbour of the best of a few of the living.
    fn child(&self, site: &mut dyn Site, rng: &mut impl Rng) -> Option<Genotype> {
        let living = &self.told[self.told.len() - self.config.population..];
        for _ in 0..PARENTS_TRIED {
            let drawn = index::sample(rng, living.len(), self.config.tournament.min(living.len()));
            let accuracy = |place: &usize| living[*place].1.unwrap_or(f64::NEG_INFINITY);
            let best = drawn.iter().max_by(|a, b| accuracy(a).total_cmp(&accuracy(b)))?;
            let neighbours = site.neighbours(&living[best].0);
            let child = neighbours.choose(rng).cloned();
            if let Some(child) = child.filter(|child| !self.seen.contains(child) && site.is_feasible(child)) {
                return Some(child);
            }
        }
        None
    }
}

impl Strategy for Evolution {
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        let index = self.told.len() + pending.len();
        let founding = index < self.config.population;
        if !founding && !pending.is_empty() {
            return Ok(None);
        }
        let child = match founding {
            true => None,
            false => self.child(site, &mut seed::stream(self.seed, "child", index as u64)),
        };
        if let Some(child) = child {
            return Ok(Some(Proposal::evolved(child)));
        }
        let seen = |g: &Genotype| self.seen.contains(g) || pending.contains(g);
        Ok(Some(Proposal::random(draw(site, seen, self.seed, index as u64)?)))
    }

    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>) {
        self.seen.insert(genotype.clone());
        self.told.push((genotype.clone(), accuracy));
    }
}
