//! How many networks of a table each strategy asks for until it has met one of the best.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::latent_data::LatentDataError;
use crate::generate::Proposer;
use crate::predictor::Sample;
use crate::run::{LatentConfig, LatentSearch};
use crate::search::{Random, SearchError, Site, Strategy};
use crate::seed;
use crate::space::{Genotype, Space};
use crate::stats;
use crate::tabular::Table;

/// What a strategy needed, over seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Race {
    /// The strategy.
    pub strategy: String,
    /// Networks asked for up to the first of the best ones, for each seed; none if the search ended before.
    pub queries: Vec<Option<usize>>,
    /// Their median, a search that ended counting as longer than any other; none if most ended.
    pub median: Option<f64>,
}

/// Different networks of a table with one label.
pub struct RaceTrack {
    space: Space,
    labels: HashMap<Genotype, f64>,
    /// A network at or above it is one of the best.
    goal: f64,
}

impl RaceTrack {
    /// The networks of a table that a strategy can draw; the best are the given share of them, at least one.
    ///
    /// # Errors
    /// If there is no such label, or nothing has it.
    pub fn of(table: &Table, label: &str, share: f64) -> Result<RaceTrack, LatentDataError> {
        let known = || table.labels().to_vec();
        let column = table.column(label).filter(|_| table.labels().iter().any(|name| name == label));
        let column = column.ok_or_else(|| LatentDataError::Label { name: label.to_string(), known: known() })?;
        let space = table.space().clone();
        let mut labels = HashMap::new();
        for genotype in table.genotypes() {
            let canonical = space.canonical(genotype);
            let is_network = space.genotype_of(&space.dag(&canonical)).is_ok();
            let row = table.find(&canonical).filter(|row| is_network && column[*row].is_finite());
            labels.extend(row.map(|row| (canonical, column[row])));
        }
        let mut sorted: Vec<f64> = labels.values().copied().collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let best = ((sorted.len() as f64 * share).round() as usize).max(1);
        let goal = *sorted.get(best - 1).ok_or(LatentDataError::TooFew { found: sorted.len(), needed: best })?;
        Ok(RaceTrack { space, labels, goal })
    }

    /// Number of networks, and of the best among them.
    pub fn counts(&self) -> (usize, usize) {
        (self.labels.len(), self.labels.values().filter(|label| **label >= self.goal).count())
    }

    /// Latent search, regularised evolution and random search, each with the same seeds and at most so many queries.
    pub fn run(&self, proposer: &Arc<Proposer>, config: LatentConfig, seeds: &[u64], most: usize) -> Vec<Race> {
        let latent = |seed: u64| self.queries(&mut LatentSearch::new(Arc::clone(proposer), config, seed), most);
        let evolution = |seed: u64| self.queries(&mut RegularisedEvolution::new(seed), most);
        let random = |seed: u64| self.queries(&mut Random::new(seed), most);
        let race = |name: &str, one: &(dyn Fn(u64) -> Option<usize> + Sync)| {
            let queries: Vec<Option<usize>> = seeds.par_iter().map(|seed| one(*seed)).collect();
            let median =
                stats::median(&queries.iter().map(|q| q.map_or(f64::INFINITY, |q| q as f64)).collect::<Vec<f64>>());
            Race { strategy: name.to_string(), queries, median: median.is_finite().then_some(median) }
        };
        vec![race("latent", &latent), race("regularised evolution", &evolution), race("random", &random)]
    }

    fn queries(&self, strategy: &mut dyn Strategy, most: usize) -> Option<usize> {
        let mut site = TrackSite(self);
        for query in 1..=most.min(self.labels.len()) {
            let genotype = strategy.ask(&mut site, &[]).ok()??.genotype;
            let label = self.labels.get(&genotype).copied();
            if label.is_some_and(|label| label >= self.goal) {
                return Some(query);
            }
            strategy.tell(&genotype, label);
        }
        None
    }
}

/// The networks of a track, without limits.
struct TrackSite<'t>(&'t RaceTrack);

impl Site for TrackSite<'_> {
    fn sample(&mut self, rng: &mut ChaCha8Rng) -> Genotype {
        self.0.space.sample(rng)
    }

    fn mutate(&mut self, genotype: &Genotype, rate: f64, rng: &mut ChaCha8Rng) -> Genotype {
        self.0.space.mutate(genotype, rate, rng)
    }

    fn cross(&mut self, a: &Genotype, b: &Genotype, rng: &mut ChaCha8Rng) -> Genotype {
        self.0.space.cross(a, b, rng)
    }

    fn is_feasible(&mut self, genotype: &Genotype) -> bool {
        self.0.labels.contains_key(genotype)
    }

    fn choices(&self) -> Vec<u8> {
        self.0.space.choices()
    }

    fn choices_of(&self, genotype: &Genotype) -> Vec<u8> {
        self.0.space.choices_of(genotype)
    }

    fn assemble(&mut self, options: &[u8]) -> Option<Genotype> {
        self.0.space.assemble(options)
    }

    fn describe(&mut self, genotype: &Genotype) -> Sample {
        let cost = crate::graph::Cost::of(&self.0.space.lower(genotype));
        Sample { dag: self.0.space.dag(genotype), features: self.0.space.features(genotype, &cost) }
    }
}

/// Regularised evolution (Real and others, 2019): of a population the best of a random few has a child, and the oldest
/// member dies. A child that was met before costs no query but takes its place.
struct RegularisedEvolution {
    seed: u64,
    population: VecDeque<(Genotype, f64)>,
    met: HashMap<Genotype, f64>,
    asked: u64,
}

const POPULATION: usize = 20;
const GROUP: usize = 5;
/// Mean share of a genotype's parts that a mutation changes; at least one is.
const RATE: f64 = 0.1;
/// Children met before, in a row, after which a random network is asked for.
const PATIENCE: usize = 200;

impl RegularisedEvolution {
    fn new(seed: u64) -> Self {
        RegularisedEvolution { seed, population: VecDeque::new(), met: HashMap::new(), asked: 0 }
    }

    fn join(&mut self, genotype: Genotype, label: f64) {
        self.population.push_back((genotype, label));
        if self.population.len() > POPULATION {
            self.population.pop_front();
        }
    }
}

impl Strategy for RegularisedEvolution {
    fn ask(&mut self, site: &mut dyn Site, _: &[Genotype]) -> Result<Option<crate::search::Proposal>, SearchError> {
        let mut rng = seed::stream(self.seed, "regularised evolution", self.asked);
        self.asked += 1;
        let propose = |genotype| {
            Ok(Some(crate::search::Proposal { genotype, origin: crate::search::Origin::Evolved, predicted: None }))
        };
        if self.population.len() >= POPULATION {
            for _ in 0..PATIENCE {
                let member = |rng: &mut ChaCha8Rng| &self.population[rng.random_range(0..POPULATION)];
                let best = (0..GROUP).map(|_| member(&mut rng)).max_by(|a, b| a.1.total_cmp(&b.1));
                let parent = best.expect("a group has members").0.clone();
                let child = site.mutate(&parent, RATE, &mut rng);
                match self.met.get(&child).copied() {
                    Some(label) => self.join(child, label),
                    None if site.is_feasible(&child) => return propose(child),
                    None => {}
                }
            }
        }
        loop {
            let genotype = site.sample(&mut rng);
            if !self.met.contains_key(&genotype) && site.is_feasible(&genotype) {
                return propose(genotype);
            }
        }
    }

    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>) {
        let label = accuracy.unwrap_or(f64::NEG_INFINITY);
        self.met.insert(genotype.clone(), label);
        self.join(genotype.clone(), label);
    }
}
