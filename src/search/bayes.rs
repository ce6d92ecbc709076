//! Bayesian optimisation: after each few trainings a Gaussian process with a fixed prior is told of all of them, and those
//! candidates are trained that are expected to be most above the best so far. Where the networks can be listed all are
//! candidates, elsewhere those that an evolution finds.

use std::cell::OnceCell;
use std::collections::HashSet;

use super::evolve::{self, evolve};
use super::random::draw;
use super::rounds::{Planner, Rounds, best_of, successes};
use super::{Origin, Proposal, SearchError, Site, Strategy};
use crate::predictor::{Belief, Described, Hope, Sample};
use crate::seed;
use crate::space::Genotype;

/// How many trainings go into what.
#[derive(Debug, Clone, PartialEq)]
pub struct BayesConfig {
    /// Networks before the process is first asked.
    pub initial: usize,
    /// How many of them are those that zero-cost proxies promise most of, where there are proxies.
    pub promised: usize,
    /// Networks trained between two times that it is asked.
    pub per_round: usize,
}

impl Default for BayesConfig {
    fn default() -> Self {
        BayesConfig { initial: 10, promised: 5, per_round: 3 }
    }
}

/// Successful trainings before the process is worth asking.
const FEWEST_KNOWN: usize = 4;
/// Trained networks that an evolution starts from, the best ones, and random ones beside them.
const STARTS: usize = 10;

/// The strategy.
pub struct Bayes(Rounds<Plan>);

struct Plan {
    config: BayesConfig,
    seed: u64,
    /// Every network there is, if they can be listed: described once for the whole search.
    listed: OnceCell<Option<Listed>>,
}

/// All networks of a site with their rows.
struct Listed {
    genotypes: Vec<Genotype>,
    described: Described,
    rows: Vec<Vec<f64>>,
}

impl Bayes {
    /// A search with its seed.
    pub fn new(config: BayesConfig, seed: u64) -> Self {
        let (initial, per_round) = (config.initial, config.per_round);
        Bayes(Rounds::new(Plan { config, seed, listed: OnceCell::new() }, initial, per_round, seed))
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

    fn listed(&self, site: &mut dyn Site) -> Option<&Listed> {
        let list = || {
            let genotypes = site.pool()?;
            let samples: Vec<Sample> = genotypes.iter().map(|genotype| site.describe(genotype)).collect();
            let (described, rows) = Described::among(&samples);
            Some(Listed { genotypes, described, rows })
        };
        self.listed.get_or_init(list).as_ref()
    }

    /// The candidates with what is hoped of each.
    fn candidates(
        &self,
        told: &[(Genotype, Option<f64>)],
        site: &mut dyn Site,
    ) -> Result<Vec<(Genotype, Hope)>, SearchError> {
        let known = successes(told);
        let samples: Vec<Sample> = known.iter().map(|(genotype, _)| site.describe(genotype)).collect();
        let accuracies: Vec<f64> = known.iter().map(|(_, accuracy)| *accuracy).collect();
        if let Some(Listed { genotypes, described, rows }) = self.listed(site) {
            let belief = Belief::after(described, &samples, &described.rows(&samples), &accuracies)?;
            let hopes = genotypes.iter().zip(belief.hopes(rows));
            let feasible = hopes.filter(|(genotype, _)| site.is_feasible(genotype));
            return Ok(feasible.map(|(genotype, hope)| (genotype.clone(), hope)).collect());
        }
        let mut start = best_of(told, STARTS);
        let index = told.len() as u64;
        for fresh in 0..STARTS as u64 {
            start.push(draw(site, |g| start.contains(g), seed::derive(self.seed, "fresh", index), fresh)?);
        }
        // What is random shows how columns vary; what was trained may have been chosen to be alike.
        let drawn: Vec<Sample> = start.iter().map(|genotype| site.describe(genotype)).collect();
        let (described, _) = Described::among(&[samples.clone(), drawn].concat());
        let belief = Belief::after(&described, &samples, &described.rows(&samples), &accuracies)?;
        let hopes = |samples: &[Sample]| belief.hopes(&described.rows(samples));
        let improvement = |samples: &[Sample]| hopes(samples).iter().map(|hope| hope.improvement).collect();
        let mut rng = seed::stream(self.seed, "evolution", index);
        let met = evolve(site, start, &evolve::Config::default(), &improvement, &mut rng)?;
        let genotypes: Vec<Genotype> = met.into_iter().map(|(genotype, _)| genotype).collect();
        let met: Vec<Sample> = genotypes.iter().map(|genotype| site.describe(genotype)).collect();
        Ok(genotypes.into_iter().zip(hopes(&met)).collect())
    }
}

impl Planner for Plan {
    fn plan(&self, told: &[(Genotype, Option<f64>)], site: &mut dyn Site) -> Result<Vec<Proposal>, SearchError> {
        if told.is_empty() {
            return Ok(self.promised(site));
        }
        if successes(told).len() < FEWEST_KNOWN {
            return Ok(Vec::new());
        }
        let seen: HashSet<&Genotype> = told.iter().map(|(genotype, _)| genotype).collect();
        let mut new = self.candidates(told, site)?;
        new.retain(|(genotype, _)| !seen.contains(genotype));
        new.sort_by(|a, b| b.1.improvement.total_cmp(&a.1.improvement).then_with(|| a.0.cmp(&b.0)));
        let proposal = |(genotype, hope): (Genotype, Hope)| {
            let predicted = Some(hope.accuracy);
            Proposal { genotype, origin: Origin::Chosen, predicted }
        };
        Ok(new.into_iter().take(self.config.per_round).map(proposal).collect())
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
