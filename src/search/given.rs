//! A search whose first networks are given: what was learned elsewhere, before anything is trained here.

use super::{Origin, Proposal, SearchError, Site, Strategy};
use crate::space::Genotype;

/// Another strategy after a list of networks. They count among its trainings, so that it draws fewer at random.
pub struct Given {
    first: Vec<Genotype>,
    then: Box<dyn Strategy>,
    told: usize,
}

impl Given {
    /// The list, best first, then the strategy.
    pub fn new(first: Vec<Genotype>, then: Box<dyn Strategy>) -> Self {
        Given { first, then, told: 0 }
    }
}

impl Strategy for Given {
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        match self.first.get(self.told + pending.len()) {
            Some(genotype) => Ok(Some(Proposal { genotype: genotype.clone(), origin: Origin::Meta, predicted: None })),
            None => self.then.ask(site, pending),
        }
    }

    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>) {
        self.told += 1;
        self.then.tell(genotype, accuracy);
    }
}
