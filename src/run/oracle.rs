//! Where the accuracy of a network comes from: real training, or a table of trainings done before.

use std::collections::HashMap;

use rayon::prelude::*;

use super::{Fidelity, RunError};
use crate::data::{Dataset, Images};
use crate::seed;
use crate::space::{Genotype, MacroConfig, MacroSpace};
use crate::train::{self, TrainError};

/// An accuracy, or why there is none.
pub type Outcome = Result<f64, String>;

/// Something that knows how good a network is.
pub trait Oracle {
    /// Validation accuracy of a network; `trial` is its place in the search.
    ///
    /// # Errors
    /// If the run cannot go on. A training that fails is an outcome.
    fn evaluate(&mut self, genotype: &Genotype, trial: usize) -> Result<Outcome, RunError>;

    /// How many networks are best evaluated together.
    fn at_once(&self) -> usize {
        1
    }

    /// [`Oracle::evaluate`] of several networks, in their order, with the same outcomes.
    ///
    /// # Errors
    /// As there.
    fn evaluate_all(&mut self, trials: &[(Genotype, usize)]) -> Result<Vec<Outcome>, RunError> {
        trials.iter().map(|(genotype, trial)| self.evaluate(genotype, *trial)).collect()
    }
}

/// Networks that are trained side by side on a processor of several cores: while one waits for its slowest thread, the
/// other works.
const SIDE_BY_SIDE: usize = 2;

/// Trains each network on a part of the training images and tests it on the validation images.
pub struct TrainingOracle<'a> {
    space: MacroSpace,
    images: Images,
    validation: &'a Images,
    fidelity: &'a Fidelity,
    seed: u64,
}

impl<'a> TrainingOracle<'a> {
    /// An oracle for networks of the deployed space, at a fidelity.
    pub fn new(space: &MacroConfig, dataset: &'a Dataset, fidelity: &'a Fidelity, seed: u64) -> Result<Self, RunError> {
        Ok(TrainingOracle {
            space: MacroSpace::new(space.scaled(fidelity.width))?,
            images: dataset.train.take_stratified(fidelity.images, &mut seed::stream(seed, "images", 0)),
            validation: &dataset.validation,
            fidelity,
            seed,
        })
    }
}

impl TrainingOracle<'_> {
    fn train(&self, genotype: &Genotype, trial: usize) -> Result<Outcome, RunError> {
        let graph = self.space.lower(genotype);
        let seed = seed::derive(self.seed, "trial", trial as u64);
        match train::train(&graph, &self.images, &self.fidelity.train, seed, None, &mut |_| {}) {
            Ok(trained) => Ok(Ok(train::accuracy(&graph, &trained.weights, self.validation))),
            Err(diverged @ TrainError::Diverged { .. }) => Ok(Err(diverged.to_string())),
            Err(other) => Err(other.into()),
        }
    }
}

impl Oracle for TrainingOracle<'_> {
    fn evaluate(&mut self, genotype: &Genotype, trial: usize) -> Result<Outcome, RunError> {
        self.train(genotype, trial)
    }

    fn at_once(&self) -> usize {
        SIDE_BY_SIDE.min(rayon::current_num_threads())
    }

    fn evaluate_all(&mut self, trials: &[(Genotype, usize)]) -> Result<Vec<Outcome>, RunError> {
        trials.par_iter().map(|(genotype, trial)| self.train(genotype, *trial)).collect()
    }
}

/// Looks networks up in a table.
pub struct TableOracle {
    space: MacroSpace,
    accuracies: HashMap<Genotype, f64>,
}

impl TableOracle {
    /// A table of networks of a space.
    pub fn new(space: MacroSpace, accuracies: HashMap<Genotype, f64>) -> Self {
        TableOracle { space, accuracies }
    }
}

impl Oracle for TableOracle {
    fn evaluate(&mut self, genotype: &Genotype, _: usize) -> Result<Outcome, RunError> {
        match self.accuracies.get(genotype) {
            Some(accuracy) => Ok(Ok(*accuracy)),
            None => Err(RunError::NotInTable(self.space.format(genotype))),
        }
    }
}
