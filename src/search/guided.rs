//! Predictor-guided evolution in rounds: train a random sample, fit the predictor on all trainings so far, evolve over its
//! predictions, train the most promising, refit.

use std::collections::HashSet;

use super::evolve::{self, evolve};
use super::random::draw;
use super::rounds::{Planner, Rounds, best_of, successes};
use super::{Origin, Proposal, SearchError, Site, Strategy};
use crate::predictor::{Kind, Prediction, Sample, fit, fit_warm};
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
    /// How a search of so many trainings divides them: half at random before the first fit, then three rounds, fewer if
    /// that leaves less than four to a round.
    pub fn of(trials: usize) -> Self {
        GuidedConfig { initial: (trials / 2).max(4), per_round: (trials / 6).max(4), predictor: Kind::Blend }
    }
}

/// The strategy.
pub struct Guided(Rounds<Plan>);

struct Plan {
    config: GuidedConfig,
    seed: u64,
    warm: bool,
}

/// Predicted accuracies of networks.
type Score = dyn Fn(&[Sample]) -> Vec<f64>;

/// Successful trainings before a predictor is worth fitting.
const FEWEST_KNOWN: usize = 4;
/// Trained networks that an evolution starts from, the best ones.
const BEST_STARTS: usize = 10;
/// Random candidates that it starts from beside them.
const FRESH_STARTS: usize = 10;

impl Guided {
    /// A search with its seed.
    pub fn new(config: GuidedConfig, seed: u64) -> Self {
        Guided::begin(Plan { config, seed, warm: false })
    }

    /// A search on a site whose samples end with an expectation from elsewhere (see [`fit_warm`]).
    pub fn warm(config: GuidedConfig, seed: u64) -> Self {
        Guided::begin(Plan { config, seed, warm: true })
    }

    fn begin(plan: Plan) -> Self {
        let (initial, per_round, seed) = (plan.config.initial, plan.config.per_round, plan.seed);
        Guided(Rounds::new(plan, initial, per_round, seed))
    }
}

impl Planner for Plan {
    fn plan(&self, told: &[(Genotype, Option<f64>)], site: &mut dyn Site) -> Result<Vec<Proposal>, SearchError> {
        let index = told.len() as u64;
        let known = successes(told);
        if known.len() < FEWEST_KNOWN {
            return Ok(Vec::new());
        }
        let samples: Vec<Sample> = known.iter().map(|(g, _)| site.describe(g)).collect();
        let accuracies: Vec<f64> = known.iter().map(|(_, a)| *a).collect();
        let (kind, seed) = (self.config.predictor, seed::derive(self.seed, "predictor", index));
        let means = |predictions: Vec<Prediction>| predictions.iter().map(|p| p.mean).collect::<Vec<f64>>();
        let score: Box<Score> = match self.warm {
            true => {
                let fitted = fit_warm(kind, &samples, &accuracies, seed)?;
                Box::new(move |samples| means(fitted.predict(samples)))
            }
            false => {
                let fitted = fit(kind, &samples, &accuracies, seed)?;
                Box::new(move |samples| means(fitted.predict(samples)))
            }
        };

        let mut population = best_of(told, BEST_STARTS);
        for fresh in 0..FRESH_STARTS as u64 {
            let drawn = draw(site, |g| population.contains(g), seed::derive(self.seed, "fresh", index), fresh)?;
            population.push(drawn);
        }
        let mut rng = seed::stream(self.seed, "evolution", index);
        let ranked = evolve(site, population, &evolve::Config::default(), &score, &mut rng)?;
        let seen: HashSet<&Genotype> = told.iter().map(|(g, _)| g).collect();
        let new = ranked.into_iter().filter(|(g, _)| !seen.contains(g));
        let shortlist = new.take(self.config.per_round * site.looked_at_per_training()).collect();
        let looked = site.look_closer(&known, shortlist, seed::derive(self.seed, "closer look", index))?;
        let proposal =
            |(genotype, predicted)| Proposal { genotype, origin: Origin::Evolved, predicted: Some(predicted) };
        // The last place of a round is left to a random network, unless it is the only one.
        let chosen = (self.config.per_round - 1).max(1);
        Ok(looked.into_iter().take(chosen).map(proposal).collect())
    }
}

impl Strategy for Guided {
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        self.0.ask(site, pending)
    }

    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>) {
        self.0.tell(genotype, accuracy);
    }
}
