//! Where the accuracy of a network comes from: real training, or a table of trainings done before.

use std::collections::HashMap;

use super::{Fidelity, RunError, best_together};
use crate::data::{Dataset, Images};
use crate::graph::Graph;
use crate::nn::Device;
use crate::seed;
use crate::space::{Genotype, MacroConfig, MacroSpace};
use crate::train::{self, Job, TrainError, Trained};

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
    ///
    /// # Errors
    /// If that cannot be measured.
    fn at_once(&mut self) -> Result<usize, RunError> {
        Ok(1)
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

/// How many networks are best trained at once; on a GPU that is measured on the one given.
///
/// # Errors
/// If the GPU fails.
pub fn trained_at_once(device: &Device, graph: &Graph, batch: usize) -> Result<usize, RunError> {
    match device {
        Device::Cpu => Ok(SIDE_BY_SIDE.min(rayon::current_num_threads())),
        Device::Cuda(gpu) => {
            let tried = best_together(gpu, graph, batch).map_err(TrainError::from)?;
            let best = tried.iter().max_by(|a, b| a.train_images_per_s.total_cmp(&b.train_images_per_s));
            Ok(best.map_or(1, |best| best.together))
        }
    }
}

/// Trains each network on a part of the training images and tests it on the validation images.
pub struct TrainingOracle<'a> {
    space: MacroSpace,
    images: Images,
    validation: &'a Images,
    fidelity: &'a Fidelity,
    seed: u64,
    device: Device,
    /// How many networks train at once, once that is known.
    at_once: Option<usize>,
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
            device: Device::Cpu,
            at_once: None,
        })
    }

    /// The same, training on a device.
    pub fn on(self, device: &Device) -> Self {
        TrainingOracle { device: device.clone(), ..self }
    }
}

impl TrainingOracle<'_> {
    fn job<'j>(&'j self, graph: &'j Graph, trial: usize) -> Job<'j> {
        let seed = seed::derive(self.seed, "trial", trial as u64);
        Job { graph, images: &self.images, config: &self.fidelity.train, seed, checkpoint: None }
    }

    fn outcome(&self, graph: &Graph, trained: Result<Trained, TrainError>) -> Result<Outcome, RunError> {
        match trained {
            Ok(trained) => Ok(Ok(train::accuracy_on(&self.device, graph, &trained.weights, self.validation)?)),
            Err(diverged @ TrainError::Diverged { .. }) => Ok(Err(diverged.to_string())),
            Err(other) => Err(other.into()),
        }
    }
}

impl Oracle for TrainingOracle<'_> {
    fn evaluate(&mut self, genotype: &Genotype, trial: usize) -> Result<Outcome, RunError> {
        let graph = self.space.lower(genotype);
        self.outcome(&graph, train::train_on(&self.device, &self.job(&graph, trial), &mut |_| {}))
    }

    /// On a GPU this is measured on the largest network of the space, when it is first asked for: a run that only looks
    /// back trains nothing.
    fn at_once(&mut self) -> Result<usize, RunError> {
        if let Some(known) = self.at_once {
            return Ok(known);
        }
        let at_once =
            trained_at_once(&self.device, &self.space.lower(&self.space.largest()), self.fidelity.train.batch)?;
        self.at_once = Some(at_once);
        Ok(at_once)
    }

    fn evaluate_all(&mut self, trials: &[(Genotype, usize)]) -> Result<Vec<Outcome>, RunError> {
        let graphs: Vec<Graph> = trials.iter().map(|(genotype, _)| self.space.lower(genotype)).collect();
        let jobs: Vec<Job> = graphs.iter().zip(trials).map(|(graph, (_, trial))| self.job(graph, *trial)).collect();
        let trained = train::train_many(&self.device, &jobs, trials.len(), &mut |_, _| {});
        graphs.iter().zip(trained).map(|(graph, trained)| self.outcome(graph, trained)).collect()
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
