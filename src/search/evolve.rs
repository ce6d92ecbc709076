//! Evolution over predictions, as in the first seed: the best of a population are parents, half of the next one comes
//! from crossover and half from mutation, and offspring over a limit is rejected.

use std::collections::{HashMap, HashSet};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{SearchError, Site};
use crate::predictor::Sample;
use crate::space::Genotype;

/// Settings of the evolution; the defaults are the first seed's but for the number of generations, after which nothing
/// new was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    pub population: usize,
    pub parents: usize,
    pub generations: usize,
    pub mutation_rate: f64,
}

impl Default for Config {
    fn default() -> Self {
        Config { population: 20, parents: 10, generations: 40, mutation_rate: 0.1 }
    }
}

/// Offspring tried for each place of a population before a random one takes it.
const TRIES_PER_CHILD: usize = 50;

/// Every candidate met by an evolution that starts from `start`, with its score, best first.
pub(super) fn evolve(
    site: &mut dyn Site,
    start: Vec<Genotype>,
    config: &Config,
    score: &dyn Fn(&[Sample]) -> Vec<f64>,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<(Genotype, f64)>, SearchError> {
    let mut met: HashMap<Genotype, f64> = HashMap::new();
    let mut population = start;
    for _ in 0..=config.generations {
        rate(site, &population, &mut met, score);
        population.sort_by(|a, b| met[b].total_cmp(&met[a]).then_with(|| a.cmp(b)));
        population.truncate(config.parents);
        let mut here: HashSet<Genotype> = population.iter().cloned().collect();
        let parents = population.clone();
        for place in parents.len()..config.population {
            if let Some(child) = child(site, &parents, place % 2 == 0, config, &here, rng) {
                here.insert(child.clone());
                population.push(child);
            }
        }
    }
    rate(site, &population, &mut met, score);
    let mut ranked: Vec<(Genotype, f64)> = met.into_iter().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(ranked)
}

fn rate(
    site: &mut dyn Site,
    population: &[Genotype],
    met: &mut HashMap<Genotype, f64>,
    score: &dyn Fn(&[Sample]) -> Vec<f64>,
) {
    let new: Vec<&Genotype> = population.iter().filter(|g| !met.contains_key(*g)).collect();
    let samples: Vec<Sample> = new.iter().map(|g| site.describe(g)).collect();
    let scores = score(&samples);
    let scored: Vec<(Genotype, f64)> = new.into_iter().cloned().zip(scores).collect();
    met.extend(scored);
}

fn child(
    site: &mut dyn Site,
    parents: &[Genotype],
    crossed: bool,
    config: &Config,
    here: &HashSet<Genotype>,
    rng: &mut ChaCha8Rng,
) -> Option<Genotype> {
    for _ in 0..TRIES_PER_CHILD {
        let a = &parents[rng.random_range(0..parents.len())];
        let child = match crossed {
            true => {
                let b = &parents[rng.random_range(0..parents.len())];
                site.cross(a, b, rng)
            }
            false => site.mutate(a, config.mutation_rate, rng),
        };
        if !here.contains(&child) && site.is_feasible(&child) {
            return Some(child);
        }
    }
    None
}
