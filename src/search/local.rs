//! Local search (White, Nolen and Savani, Exploring the Loss Landscape in Neural Architecture Search, 2021): all neighbours
//! of a network are trained, the search moves to the best one if it is better, and begins anew where none is.

use std::collections::HashMap;

use rand::seq::SliceRandom;

use super::random::draw;
use super::{Proposal, SearchError, Site, Strategy};
use crate::seed;
use crate::space::Genotype;

/// The strategy.
pub struct Local {
    seed: u64,
    told: Vec<(Genotype, Option<f64>)>,
    known: HashMap<Genotype, f64>,
    /// Where the search stands, and the neighbours it looks at in their order; none before it has begun anew.
    place: Option<Place>,
    /// Trainings that are taken into account: the search is walked again from the start after a replay.
    walked: usize,
}

struct Place {
    centre: Genotype,
    neighbours: Vec<Genotype>,
}

impl Local {
    /// A search with its seed.
    pub fn new(seed: u64) -> Self {
        Local { seed, told: Vec::new(), known: HashMap::new(), place: None, walked: 0 }
    }

    /// Takes up the trainings told since, one by one, as if the search had asked for each.
    fn walk(&mut self, site: &mut dyn Site) {
        while self.walked < self.told.len() {
            let (genotype, accuracy) = self.told[self.walked].clone();
            self.known.insert(genotype.clone(), accuracy.unwrap_or(f64::NEG_INFINITY));
            self.walked += 1;
            if self.place.is_none() {
                self.place = Some(self.around(site, genotype));
            }
            self.settle(site);
        }
    }

    /// Moves on while the neighbours of a place are all known.
    fn settle(&mut self, site: &mut dyn Site) {
        while let Some(place) = &self.place {
            if place.neighbours.iter().any(|neighbour| !self.known.contains_key(neighbour)) {
                return;
            }
            let best = place.neighbours.iter().max_by(|a, b| self.known[*a].total_cmp(&self.known[*b]));
            let better = best.filter(|best| self.known[*best] > self.known[&place.centre]).cloned();
            self.place = better.map(|centre| self.around(site, centre));
        }
    }

    fn around(&self, site: &mut dyn Site, centre: Genotype) -> Place {
        let mut neighbours: Vec<Genotype> = site.neighbours(&centre);
        neighbours.retain(|neighbour| site.is_feasible(neighbour));
        neighbours.shuffle(&mut seed::stream(self.seed, "neighbours", self.walked as u64));
        Place { centre, neighbours }
    }
}

impl Strategy for Local {
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        self.walk(site);
        let is_new = |g: &Genotype| !self.known.contains_key(g) && !pending.contains(g);
        if let Some(place) = &self.place {
            let next = place.neighbours.iter().find(|neighbour| is_new(neighbour));
            return Ok(next.cloned().map(Proposal::evolved));
        }
        if !pending.is_empty() {
            return Ok(None);
        }
        let index = self.told.len() as u64;
        Ok(Some(Proposal::random(draw(site, |g| !is_new(g), self.seed, index)?)))
    }

    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>) {
        self.told.push((genotype.clone(), accuracy));
    }
}
