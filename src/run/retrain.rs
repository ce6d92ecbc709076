//! The winner trained once more: longer than was affordable for every finalist, with the most accurate finalist as its
//! teacher if that is asked for, which it may be itself (Furlanello and others, 2018). The validation images say whether
//! that helped.

use serde::{Deserialize, Serialize};

use super::finalists::Finals;
use super::{Distil, Entry, Finalist, Longer, Progress, RunError, Watch};
use crate::graph::Weights;
use crate::measure::Stopwatch;
use crate::nn::Device;
use crate::seed;
use crate::train::{self, EpochRecord, Guide, Job, Teacher, TrainConfig, Trained};

/// What a second training gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retrained {
    /// How long it was.
    #[serde(flatten)]
    pub training: Longer,
    /// The network that taught, if one did.
    pub teacher: Option<String>,
    /// Accuracy on the validation images; absent if the training diverged.
    pub validation_accuracy: Option<f64>,
    /// The same after the winner's training as a finalist.
    pub before: f64,
    /// Whether this training is the one that is exported.
    pub kept: bool,
    /// What each epoch of it showed.
    #[serde(skip)]
    pub curve: Vec<EpochRecord>,
}

impl Finals<'_> {
    /// Trains the winner once more if the run's configuration says so: what that gave, and the weights if they are to be
    /// exported.
    pub fn retrain(
        &mut self,
        finalists: &[Finalist],
        winner: usize,
        watch: Watch,
    ) -> Result<Option<(Retrained, Option<Weights>)>, RunError> {
        let teaches = match (self.config.distil, self.device) {
            (Distil::Off, _) => false,
            (Distil::Auto | Distil::On, Device::Cpu) => true,
            (Distil::Auto | Distil::On, Device::Cuda(_)) => {
                watch(Progress::Warning(
                    "a GPU does not train with a teacher yet; the winner learns alone".to_string(),
                ));
                false
            }
        };
        let training = match (self.config.retrain, teaches) {
            (Some(longer), _) => longer,
            (None, true) => Longer { epochs: self.config.full.train.epochs, images: self.config.full.images },
            (None, false) => return Ok(None),
        };
        watch(Progress::Stage("training the winner once more"));
        // Finalists come in the order of their accuracy.
        let (teacher, pupil) = (teaches.then_some(&finalists[0]), &finalists[winner]);
        let clock = Stopwatch::start();
        let trained = self.once_more(teacher, pupil, training, watch)?;
        let teacher = teacher.map(|teacher| teacher.trial.genotype.clone());
        let accuracy = match (self.known(pupil), &trained) {
            (Some(known), _) => known,
            (None, Ok(trained)) => {
                let validation = &self.prepared.dataset.validation;
                Some(train::accuracy_on(self.device, &self.graph(&pupil.trial)?, &trained.weights, validation)?)
            }
            (None, Err(_)) => None,
        };
        if self.known(pupil).is_none() {
            self.journal.append(&Entry::Retrained {
                genotype: pupil.trial.genotype.clone(),
                teacher: teacher.clone(),
                validation_accuracy: accuracy,
                failure: trained.as_ref().err().cloned(),
                seconds: clock.seconds(),
            })?;
        }
        let before = pupil.validation_accuracy;
        let kept = accuracy.is_some_and(|accuracy| self.config.distil == Distil::On || accuracy > before);
        let (curve, weights) = trained.map_or((Vec::new(), None), |trained| (trained.curve, Some(trained.weights)));
        let retrained = Retrained { training, teacher, validation_accuracy: accuracy, before, kept, curve };
        Ok(Some((retrained, weights.filter(|_| kept))))
    }

    /// What the journal holds of it.
    fn known(&self, pupil: &Finalist) -> Option<Option<f64>> {
        self.past.iter().find_map(|entry| match entry {
            Entry::Retrained { genotype, validation_accuracy, .. } if *genotype == pupil.trial.genotype => {
                Some(*validation_accuracy)
            }
            _ => None,
        })
    }

    /// The training, from its checkpoint as far as that goes; or why it diverged.
    fn once_more(
        &self,
        teacher: Option<&Finalist>,
        pupil: &Finalist,
        training: Longer,
        watch: Watch,
    ) -> Result<Result<Trained, String>, RunError> {
        let taught_by = match teacher {
            Some(teacher) => {
                let trained = self.trained(&teacher.trial, &self.images(self.config.full.images), &mut |_| {})?;
                Some((self.graph(&teacher.trial)?, trained.expect("a finalist has been trained").weights))
            }
            None => None,
        };
        let teacher = taught_by.as_ref().map(|(graph, weights)| Teacher { graph, weights });
        let guide = Guide { teacher, ..self.guide() };
        let (graph, images) = (&self.graph(&pupil.trial)?, &self.images(training.images));
        let checkpoint = self.folder.checkpoint(&format!("{}-retrained", pupil.trial.genotype));
        let config = &TrainConfig { epochs: training.epochs, ..self.config.full.train.clone() };
        let seed = seed::derive(self.config.seed, "retrain", 0);
        let job = Job { graph, images, config, seed, checkpoint: Some(&checkpoint) };
        let mut observe = |record: &EpochRecord| {
            watch(Progress::Step("training the winner once more, epochs", record.epoch, config.epochs));
        };
        self.guided(&job, &guide, &mut observe)
    }
}
