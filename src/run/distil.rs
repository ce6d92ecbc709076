//! The winner trained once more, with the most accurate finalist as its teacher, which it may be itself (Furlanello and
//! others, 2018). The validation images say whether that helped.

use serde::{Deserialize, Serialize};

use super::finalists::Finals;
use super::{Distil, Entry, Finalist, Progress, RunError, Watch};
use crate::graph::Weights;
use crate::measure::Stopwatch;
use crate::nn::Device;
use crate::seed;
use crate::train::{self, EpochRecord, Guide, Job, Teacher, TrainError, Trained};

/// What a training with a teacher gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distilled {
    /// The network that taught.
    pub teacher: String,
    /// Accuracy of the winner on the validation images with the teacher; absent if the training diverged.
    pub validation_accuracy: Option<f64>,
    /// The same without.
    pub alone: f64,
    /// Whether the training with the teacher is the one that is exported.
    pub kept: bool,
}

impl Finals<'_> {
    /// Trains the winner with a teacher if the run's configuration says so: what that gave, and the weights if they are
    /// to be exported. A GPU does not do this.
    pub fn distil(
        &mut self,
        finalists: &[Finalist],
        winner: usize,
        watch: Watch,
    ) -> Result<Option<(Distilled, Option<Weights>)>, RunError> {
        match (self.config.distil, self.device) {
            (Distil::Off, _) => return Ok(None),
            (Distil::Auto | Distil::On, Device::Cuda(_)) => {
                watch(Progress::Warning(
                    "a GPU does not train with a teacher yet; the winner stays as it is".to_string(),
                ));
                return Ok(None);
            }
            (Distil::Auto | Distil::On, Device::Cpu) => {}
        }
        watch(Progress::Stage("training the winner with a teacher"));
        // Finalists come in the order of their accuracy.
        let (teacher, pupil) = (&finalists[0], &finalists[winner]);
        let clock = Stopwatch::start();
        let trained = self.taught(teacher, pupil, watch)?;
        let accuracy = match (self.known(pupil), &trained) {
            (Some(known), _) => known,
            (None, Ok(trained)) => {
                let validation = &self.prepared.dataset.validation;
                Some(train::accuracy_on(self.device, &self.graph(&pupil.trial)?, &trained.weights, validation)?)
            }
            (None, Err(_)) => None,
        };
        if self.known(pupil).is_none() {
            self.journal.append(&Entry::Distilled {
                genotype: pupil.trial.genotype.clone(),
                teacher: teacher.trial.genotype.clone(),
                validation_accuracy: accuracy,
                failure: trained.as_ref().err().cloned(),
                seconds: clock.seconds(),
            })?;
        }
        let alone = pupil.validation_accuracy;
        let kept = accuracy.is_some_and(|accuracy| self.config.distil == Distil::On || accuracy > alone);
        let teacher = teacher.trial.genotype.clone();
        let weights = trained.ok().filter(|_| kept).map(|trained| trained.weights);
        Ok(Some((Distilled { teacher, validation_accuracy: accuracy, alone, kept }, weights)))
    }

    /// What the journal holds of it.
    fn known(&self, pupil: &Finalist) -> Option<Option<f64>> {
        self.past.iter().find_map(|entry| match entry {
            Entry::Distilled { genotype, validation_accuracy, .. } if *genotype == pupil.trial.genotype => {
                Some(*validation_accuracy)
            }
            _ => None,
        })
    }

    /// The training, from its checkpoint as far as that goes; or why it diverged.
    fn taught(&self, teacher: &Finalist, pupil: &Finalist, watch: Watch) -> Result<Result<Trained, String>, RunError> {
        let images = &self.images();
        let weights = self.trained(&teacher.trial, images, &mut |_| {})?.expect("a finalist has been trained").weights;
        let (graph, teacher) = (&self.graph(&pupil.trial)?, &self.graph(&teacher.trial)?);
        let guide = Guide { teacher: Some(Teacher { graph: teacher, weights: &weights }), ..self.guide() };
        let checkpoint = self.folder.checkpoint(&format!("{}-distilled", pupil.trial.genotype));
        let (config, seed) = (&self.config.full.train, seed::derive(self.config.seed, "distil", 0));
        let job = Job { graph, images, config, seed, checkpoint: Some(&checkpoint) };
        let mut observe = |record: &EpochRecord| {
            watch(Progress::Step("training with a teacher, epochs", record.epoch, config.epochs));
        };
        match train::train_guided(self.device, &job, &guide, &mut observe) {
            Ok(trained) => Ok(Ok(trained)),
            Err(diverged @ TrainError::Diverged { .. }) => Ok(Err(diverged.to_string())),
            Err(other) => Err(other.into()),
        }
    }
}
