//! The networks of a table as a search meets them: every strategy draws from the same list of different networks and moves
//! between those that are in it.

use std::collections::HashMap;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::predictors::Benchmark;
use crate::predictor::Sample;
use crate::search::{Site, one_change_away};
use crate::space::{Genotype, Space};

/// Neighbours of a network whose neighbours in the space are not in the table.
const NEAREST: usize = 8;

/// Which columns predictors see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// MACs and genotype.
    Plain,
    /// Parameters and the table's own columns beside them.
    Rich,
}

/// Different networks of a table, canonical, with their places in its [`Benchmark`].
pub struct Pool<'a> {
    space: &'a Space,
    benchmark: &'a Benchmark,
    genotypes: Vec<Genotype>,
    places: HashMap<Genotype, usize>,
    promises: Option<Vec<f64>>,
}

impl<'a> Pool<'a> {
    /// The networks of a benchmark of this space.
    pub fn new(space: &'a Space, benchmark: &'a Benchmark) -> Self {
        let genotypes: Vec<Genotype> = benchmark.genotypes().iter().map(|genotype| space.canonical(genotype)).collect();
        let places = genotypes.iter().cloned().zip(0..).collect();
        Pool { space, benchmark, genotypes, places, promises: promises(benchmark) }
    }

    /// Their space.
    pub fn space(&self) -> &'a Space {
        self.space
    }

    /// Their labels and descriptions.
    pub fn benchmark(&self) -> &'a Benchmark {
        self.benchmark
    }

    /// Number of networks.
    pub fn len(&self) -> usize {
        self.genotypes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.genotypes.is_empty()
    }

    /// A network's place in the benchmark.
    ///
    /// # Panics
    /// If it is not in the pool.
    pub fn place(&self, genotype: &Genotype) -> usize {
        self.places[genotype]
    }

    /// What zero-cost proxies promise of each network, higher being better; nothing if the table has none of those that vote.
    pub fn promises(&self) -> Option<&[f64]> {
        self.promises.as_deref()
    }

    /// What a strategy sees of it, without those networks that are known or believed to break a limit.
    pub fn site(&'a self, view: View, feasible: Option<&'a [bool]>) -> PoolSite<'a> {
        PoolSite { pool: self, view, feasible }
    }
}

/// Proxies that vote on networks of which nothing else is known: those that the literature finds to rank best across spaces
/// (Abdelfattah and others, Zero-Cost Proxies for Lightweight NAS, 2021; Mellor and others, Neural Architecture Search
/// without Training, 2021).
const VOTERS: [&str; 3] = ["synflow", "nwot", "jacov"];

/// The sum of the voters' normal scores; none if the table has no voter. No label is looked at.
fn promises(benchmark: &Benchmark) -> Option<Vec<f64>> {
    let (rich, proxies) = (benchmark.rich_samples(), benchmark.proxies());
    // Proxies are the last columns.
    let first = rich.first()?.features.len() - proxies.len();
    let votes = |name: &str| VOTERS.contains(&name);
    let voters: Vec<usize> = (0..proxies.len()).filter(|place| votes(&proxies[*place])).collect();
    let sum = |sample: &Sample| voters.iter().map(|place| sample.features[first + place]).sum::<f64>();
    (!voters.is_empty()).then(|| rich.iter().map(sum).collect())
}

/// A pool within limits.
pub struct PoolSite<'a> {
    pool: &'a Pool<'a>,
    view: View,
    feasible: Option<&'a [bool]>,
}

impl Site for PoolSite<'_> {
    fn sample(&mut self, rng: &mut ChaCha8Rng) -> Genotype {
        self.pool.genotypes[rng.random_range(0..self.pool.len())].clone()
    }

    /// One of the neighbours, whatever the rate: it is one change.
    fn mutate(&mut self, genotype: &Genotype, _: f64, rng: &mut ChaCha8Rng) -> Genotype {
        self.neighbours(genotype).choose(rng).unwrap_or(genotype).clone()
    }

    /// A child that is in the pool; the first parent if none of some draws is.
    fn cross(&mut self, a: &Genotype, b: &Genotype, rng: &mut ChaCha8Rng) -> Genotype {
        const DRAWS: usize = 16;
        let child = |_| Some(self.pool.space.cross(a, b, rng)).filter(|child| self.pool.places.contains_key(child));
        (0..DRAWS).find_map(child).unwrap_or_else(|| a.clone())
    }

    /// What the table does not list cannot be looked up.
    fn is_feasible(&mut self, genotype: &Genotype) -> bool {
        let is_within = |place: &usize| self.feasible.is_none_or(|feasible| feasible[*place]);
        self.pool.places.get(genotype).is_some_and(is_within)
    }

    fn describe(&mut self, genotype: &Genotype) -> Sample {
        let samples = match self.view {
            View::Plain => self.pool.benchmark.plain_samples(),
            View::Rich => self.pool.benchmark.rich_samples(),
        };
        samples[self.pool.place(genotype)].clone()
    }

    fn choices(&self) -> Vec<u8> {
        self.pool.space.choices()
    }

    fn choices_of(&self, genotype: &Genotype) -> Vec<u8> {
        self.pool.space.choices_of(genotype)
    }

    fn assemble(&mut self, options: &[u8]) -> Option<Genotype> {
        self.pool.space.assemble(options).filter(|genotype| self.pool.places.contains_key(genotype))
    }

    /// Networks that differ in one choice; where a table holds few of a large space, those that differ in the fewest.
    fn neighbours(&mut self, genotype: &Genotype) -> Vec<Genotype> {
        let found = one_change_away(self, genotype);
        if !found.is_empty() {
            return found;
        }
        let own = self.pool.space.choices_of(genotype);
        let distance = |other: &Genotype| {
            self.pool.space.choices_of(other).iter().zip(&own).filter(|(theirs, own)| theirs != own).count()
        };
        let mut others: Vec<(usize, &Genotype)> = self.pool.genotypes.iter().map(|g| (distance(g), g)).collect();
        others.sort_unstable();
        others
            .into_iter()
            .filter(|(_, other)| *other != genotype)
            .take(NEAREST)
            .map(|(_, other)| other.clone())
            .collect()
    }

    fn pool(&mut self) -> Option<Vec<Genotype>> {
        Some(self.pool.genotypes.clone())
    }

    fn promise(&mut self, genotype: &Genotype) -> Option<f64> {
        self.pool.promises().map(|promises| promises[self.pool.place(genotype)])
    }
}
