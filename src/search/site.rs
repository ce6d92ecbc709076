//! What a strategy may ask about the space and the limits.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;

use crate::predictor::{PredictorError, Sample};
use crate::space::Genotype;

/// What a strategy may ask about the space and the limits.
pub trait Site {
    /// A random genotype.
    fn sample(&mut self, rng: &mut ChaCha8Rng) -> Genotype;
    /// A changed genotype: each symbol's bits with probability `rate`.
    fn mutate(&mut self, genotype: &Genotype, rate: f64, rng: &mut ChaCha8Rng) -> Genotype;
    /// A genotype of two parents.
    fn cross(&mut self, a: &Genotype, b: &Genotype, rng: &mut ChaCha8Rng) -> Genotype;
    /// Whether the network keeps all limits, as far as that is known before it is trained.
    fn is_feasible(&mut self, genotype: &Genotype) -> bool;
    /// What predictors see.
    fn describe(&mut self, genotype: &Genotype) -> Sample;

    /// How many candidates, for each that is going to be trained, are worth a closer look before.
    fn looked_at_per_training(&self) -> usize {
        1
    }
    /// A closer look at candidates with their predictions, best first: the same ones in a better order, given the networks
    /// trained so far with their accuracies. By default the order is good enough.
    ///
    /// # Errors
    /// If what looks cannot be fitted.
    fn look_closer(
        &mut self,
        _trained: &[(&Genotype, f64)],
        candidates: Vec<(Genotype, f64)>,
        _seed: u64,
    ) -> Result<Vec<(Genotype, f64)>, PredictorError> {
        Ok(candidates)
    }

    /// Number of options of each choice that makes a network.
    fn choices(&self) -> Vec<u8>;
    /// The options that were chosen in a genotype.
    fn choices_of(&self, genotype: &Genotype) -> Vec<u8>;
    /// The genotype of these options, if they make one.
    fn assemble(&mut self, options: &[u8]) -> Option<Genotype>;

    /// The other networks that differ in one choice.
    fn neighbours(&mut self, genotype: &Genotype) -> Vec<Genotype> {
        one_change_away(self, genotype)
    }

    /// Every network there is, where they are few enough to be listed.
    fn pool(&mut self) -> Option<Vec<Genotype>> {
        None
    }

    /// What is believed of a network before any was trained, higher being better; nothing where there are no zero-cost
    /// proxies.
    fn promise(&mut self, _: &Genotype) -> Option<f64> {
        None
    }
}

/// The other networks of a site that differ in one choice.
pub fn one_change_away<S: Site + ?Sized>(site: &mut S, genotype: &Genotype) -> Vec<Genotype> {
    let (choices, own) = (site.choices(), site.choices_of(genotype));
    let mut found = BTreeSet::new();
    for (place, options) in choices.into_iter().enumerate() {
        for option in (0..options).filter(|option| *option != own[place]) {
            let mut changed = own.clone();
            changed[place] = option;
            found.extend(site.assemble(&changed).filter(|other| other != genotype));
        }
    }
    found.into_iter().collect()
}
