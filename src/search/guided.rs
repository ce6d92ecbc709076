//! Predictor-guided evolution in rounds: train a random sample, fit the predictor on all trainings so far, evolve over its
//! predictions, train the most promising, refit.

use std::collections::HashSet;

use super::evolve::{EvolutionConfig, evolve};
use super::random::draw;
use super::{Origin, Proposal, SearchError, Site, Strategy};
use crate::predictor::{Kind, Sample, fit};
use crate::seed;
use crate::space::Genotype;

/// How many trainings go into what.
#[derive(Debug, Clone, PartialEq)]
pub struct GuidedConfig {
    /// Random networks before the first fit.
    pub initial: usize,
    /// Networks proposed after each fit; the last one of a round is random, so that the predictor keeps seeing networks
    /// that it did not choose.
    pub per_round: usize,
    /// What predicts.
    pub predictor: Kind,
}

impl GuidedConfig {
    /// How a search of so many trainings divides them: half at random before the first fit, then three rounds.
    pub fn of(trials: usize) -> Self {
        GuidedConfig { initial: (trials / 2).max(4), per_round: (trials / 6).max(2), predictor: Kind::Blend }
    }
}

/// The strategy.
pub struct Guided {
    config: GuidedConfig,
    seed: u64,
    told: Vec<(Genotype, Option<f64>)>,
    seen: HashSet<Genotype>,
    round: Round,
}

/// The proposals of one round, which follow from what had been told when it began.
#[derive(Default)]
struct Round {
    /// Trainings told before the round; none yet if zero.
    start: usize,
    proposals: Vec<Proposal>,
}

/// Successful trainings before a predictor is worth fitting.
const FEWEST_KNOWN: usize = 4;
/// Random candidates that an evolution starts from, beside the best trained ones.
const FRESH_STARTS: usize = 10;

impl Guided {
    /// A search with its seed.
    pub fn new(config: GuidedConfig, seed: u64) -> Self {
        Guided { config, seed, told: Vec::new(), seen: HashSet::new(), round: Round::default() }
    }

    fn random(&self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        let seen = |g: &Genotype| self.seen.contains(g) || pending.contains(g);
        let genotype = draw(site, seen, self.seed, (self.told.len() + pending.len()) as u64)?;
        Ok(Some(Proposal { genotype, origin: Origin::Random, predicted: None }))
    }

    /// Fits on the first `start` trainings and evolves; the most promising new networks, best first.
    fn plan_round(&self, site: &mut dyn Site, start: usize) -> Result<Vec<Proposal>, SearchError> {
        let index = start as u64;
        let told = &self.told[..start];
        let seen: HashSet<&Genotype> = told.iter().map(|(g, _)| g).collect();
        let known: Vec<(&Genotype, f64)> = told.iter().filter_map(|(g, a)| a.map(|a| (g, a))).collect();
        let samples: Vec<Sample> = known.iter().map(|(g, _)| site.describe(g)).collect();
        let accuracies: Vec<f64> = known.iter().map(|(_, a)| *a).collect();
        let fitted = fit(self.config.predictor, &samples, &accuracies, seed::derive(self.seed, "predictor", index))?;
        let score = |samples: &[Sample]| fitted.predict(samples).iter().map(|p| p.mean).collect::<Vec<f64>>();

        let mut start: Vec<(&Genotype, f64)> = known;
        start.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let mut population: Vec<Genotype> = start.iter().take(10).map(|(g, _)| (*g).clone()).collect();
        for fresh in 0..FRESH_STARTS as u64 {
            let drawn = draw(site, |g| population.contains(g), seed::derive(self.seed, "fresh", index), fresh)?;
            population.push(drawn);
        }
        let mut rng = seed::stream(self.seed, "evolution", index);
        let ranked = evolve(site, population, &EvolutionConfig::default(), &score, &mut rng)?;
        let new = ranked.into_iter().filter(|(g, _)| !seen.contains(g));
        let proposal =
            |(genotype, predicted)| Proposal { genotype, origin: Origin::Evolved, predicted: Some(predicted) };
        Ok(new.take(self.config.per_round).map(proposal).collect())
    }

    /// Where the round of the next training began, and the training's place in it.
    fn place_in_round(&self, pending: usize) -> Option<(usize, usize)> {
        let index = self.told.len() + pending;
        let place = index.checked_sub(self.config.initial)? % self.config.per_round;
        Some((index - place, place))
    }
}

impl Strategy for Guided {
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        let Some((start, place)) = self.place_in_round(pending.len()) else { return self.random(site, pending) };
        if start > self.told.len() {
            return Ok(None);
        }
        let successes = self.told[..start].iter().filter(|(_, a)| a.is_some()).count();
        let explores = self.config.per_round > 1 && place + 1 == self.config.per_round;
        if explores || successes < FEWEST_KNOWN {
            return self.random(site, pending);
        }
        if self.round.start != start {
            self.round = Round { start, proposals: self.plan_round(site, start)? };
        }
        let new = |p: &&Proposal| !self.seen.contains(&p.genotype) && !pending.contains(&p.genotype);
        let next = self.round.proposals.iter().find(new).cloned();
        next.map_or_else(|| self.random(site, pending), |next| Ok(Some(next)))
    }

    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>) {
        self.seen.insert(genotype.clone());
        self.told.push((genotype.clone(), accuracy));
    }
}
