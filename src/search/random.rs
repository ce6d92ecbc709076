//! Random search within the limits: the baseline of every other strategy.

use std::collections::HashSet;

use super::{Origin, Proposal, SearchError, Site, Strategy};
use crate::seed;
use crate::space::Genotype;

/// Candidates drawn before a search gives up.
const MOST_TRIES: usize = 20_000;

/// Random search.
#[derive(Debug)]
pub struct Random {
    seed: u64,
    seen: HashSet<Genotype>,
    told: u64,
}

impl Random {
    /// A search with its seed.
    pub fn new(seed: u64) -> Self {
        Random { seed, seen: HashSet::new(), told: 0 }
    }
}

impl Strategy for Random {
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        let seen = |g: &Genotype| self.seen.contains(g) || pending.contains(g);
        let genotype = draw(site, seen, self.seed, self.told + pending.len() as u64)?;
        Ok(Some(Proposal { genotype, origin: Origin::Random, predicted: None }))
    }

    fn tell(&mut self, genotype: &Genotype, _: Option<f64>) {
        self.seen.insert(genotype.clone());
        self.told += 1;
    }
}

/// A random feasible genotype that is not `seen`, from the stream of trial `index`.
pub(super) fn draw(
    site: &mut dyn Site,
    seen: impl Fn(&Genotype) -> bool,
    seed: u64,
    index: u64,
) -> Result<Genotype, SearchError> {
    let mut rng = seed::stream(seed, "sample", index);
    for _ in 0..MOST_TRIES {
        let genotype = site.sample(&mut rng);
        if !seen(&genotype) && site.is_feasible(&genotype) {
            return Ok(genotype);
        }
    }
    Err(SearchError::Exhausted { tries: MOST_TRIES })
}
