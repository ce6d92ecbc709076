//! A closer look at candidates that a search is about to train: zero-cost proxies of the network as it would be trained, on
//! images that it would be trained on.

use std::collections::HashMap;

use super::{Fidelity, RunError};
use crate::data::Dataset;
use crate::predictor::Sample;
use crate::proxy::{self, Batch, Proxy};
use crate::search::Looked;
use crate::seed;
use crate::space::{Genotype, MacroConfig, MacroSpace};

/// Looks at networks once and remembers what it saw. What it sees follows from the data, the fidelity and the seed alone.
pub struct CloserLook {
    space: MacroSpace,
    batch: Batch,
    seed: u64,
    seen: HashMap<Genotype, Vec<Option<f64>>>,
}

impl CloserLook {
    /// Candidates looked at for each that is trained.
    pub const SHORTLISTED: usize = 3;
    /// The proxies that are looked at.
    pub const PROXIES: [Proxy; 5] = [Proxy::Synflow, Proxy::Nwot, Proxy::Jacov, Proxy::Snip, Proxy::Zen];
    /// Images of the batch: half of what proxies are published with, since a look must cost little beside a training.
    const IMAGES: usize = 32;

    /// A look at networks of the deployed space, at the fidelity of their training.
    ///
    /// # Errors
    /// If the space does not suit the fidelity.
    pub fn new(space: &MacroConfig, fidelity: &Fidelity, dataset: &Dataset, seed: u64) -> Result<Self, RunError> {
        let seed = seed::derive(seed, "proxies", 0);
        Ok(CloserLook {
            space: MacroSpace::new(space.scaled(fidelity.width))?,
            batch: Batch::of(dataset, Self::IMAGES, seed),
            seed,
            seen: HashMap::new(),
        })
    }

    /// What is known of a network without training it. On a data set of fewer than two images there is nothing to see.
    pub(super) fn look(&mut self, genotype: &Genotype, sample: Sample) -> Looked {
        let (space, batch, seed) = (&self.space, &self.batch, self.seed);
        let look = || {
            let found = proxy::measure(&space.lower(genotype), batch, &Self::PROXIES, seed);
            found.unwrap_or_else(|_| vec![None; Self::PROXIES.len()])
        };
        let proxies = self.seen.entry(genotype.clone()).or_insert_with(look).clone();
        Looked { sample, proxies }
    }
}
