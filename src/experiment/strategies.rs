//! Guided search against random search with as many trainings, in pairs of one seed each.

use std::collections::HashMap;

use serde::Serialize;

use crate::run::{Oracle, Outcome, RunError, SpaceSite, search};
use crate::search::{Guided, GuidedConfig, Random, Strategy};
use crate::seed;
use crate::space::{Genotype, MacroSpace};
use crate::stats;
use crate::target::Target;

/// One seed: the best validation accuracy that each strategy found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pair {
    /// The seed.
    pub seed: u64,
    /// By guided search.
    pub guided: f64,
    /// By random search.
    pub random: f64,
}

/// Pairs and their mean difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// One for each seed.
    pub pairs: Vec<Pair>,
    /// Mean of guided less random.
    pub mean_difference: f64,
    /// 95 % bootstrap interval of that mean.
    pub interval: (f64, f64),
}

/// An oracle that trains no network twice under one seed, so that both strategies share the random networks they begin
/// with.
struct Remembering<'a> {
    oracle: &'a mut dyn Oracle,
    known: HashMap<Genotype, Outcome>,
}

impl Oracle for Remembering<'_> {
    fn evaluate(&mut self, genotype: &Genotype, trial: usize) -> Result<Outcome, RunError> {
        if let Some(outcome) = self.known.get(genotype) {
            return Ok(outcome.clone());
        }
        let outcome = self.oracle.evaluate(genotype, trial)?;
        self.known.insert(genotype.clone(), outcome.clone());
        Ok(outcome)
    }
}

/// Runs both strategies for each seed with the same number of trainings. `oracle` makes the oracle of a seed.
///
/// # Errors
/// If a search cannot go on.
pub fn compare_strategies<'o>(
    space: &MacroSpace,
    target: &Target,
    trials: usize,
    seeds: &[u64],
    oracle: &mut dyn FnMut(u64) -> Result<Box<dyn Oracle + 'o>, RunError>,
    step: &mut dyn FnMut(Pair),
) -> Result<Comparison, RunError> {
    let mut pairs = Vec::new();
    for seed in seeds {
        let mut trainer = oracle(*seed)?;
        let mut remembering = Remembering { oracle: trainer.as_mut(), known: HashMap::new() };
        let search_seed = seed::derive(*seed, "search", 0);
        let guided = GuidedConfig::of(trials);
        let mut best = |strategy: &mut dyn Strategy| {
            let mut site = SpaceSite::new(space, target, None);
            let found = search(&mut site, strategy, &mut remembering, trials, &[], &mut |_| Ok(()));
            let accuracies = found?.into_iter().filter_map(|t| t.validation_accuracy);
            Ok::<f64, RunError>(accuracies.fold(0.0, f64::max))
        };
        let guided = best(&mut Guided::new(guided, search_seed))?;
        let random = best(&mut Random::new(search_seed))?;
        let pair = Pair { seed: *seed, guided, random };
        step(pair);
        pairs.push(pair);
    }
    let differences: Vec<f64> = pairs.iter().map(|p| p.guided - p.random).collect();
    let interval = stats::bootstrap_interval(&differences, stats::mean, 0.95, 10_000, 0);
    Ok(Comparison { mean_difference: stats::mean(&differences), interval, pairs })
}
