//! The training loop.

use std::path::Path;

use candle_core::{Device, Tensor, Var};

use super::checkpoint::Checkpoint;
use super::loss::Loss;
use super::start::first_weights;
use super::{Guide, Job, TrainConfig, TrainError, accuracy, top1};
use crate::data::{Augment, Images, epoch_order, fill_batch};
use crate::graph::{Graph, Layout, Weights};
use crate::nn::{Net, NetworkOp, Optimiser};
use crate::seed;

/// A loss this many times that of guessing is no longer training.
const DIVERGED_LOSS: f32 = 5.0;
/// Images on which the statistics of normalisations are taken anew, and how many at a time.
const RECALIBRATION_IMAGES: usize = 2048;
const RECALIBRATION_BATCH: usize = 128;

/// What an epoch showed.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EpochRecord {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Mean loss of its steps, against the labels.
    pub loss: f64,
    /// Share of its (augmented) images that were classified right.
    pub train_accuracy: f64,
    /// Accuracy on the validation images after it, where that was looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
}

/// A trained network's numbers.
#[derive(Debug, Clone)]
pub struct Trained {
    /// Weights and running statistics.
    pub weights: Weights,
    /// One record for each epoch.
    pub curve: Vec<EpochRecord>,
}

/// Trains `graph` on `images`. The same seed gives the same bits on any number of threads. With a `checkpoint` path, the
/// state is written after each epoch, and a training that was cut off goes on from there, with the same result.
///
/// # Errors
/// If the loss diverges, if there are fewer than two images, or if a checkpoint cannot be written.
pub fn train(
    graph: &Graph,
    images: &Images,
    config: &TrainConfig,
    seed: u64,
    checkpoint: Option<&Path>,
    observe: &mut dyn FnMut(&EpochRecord),
) -> Result<Trained, TrainError> {
    train_job(&Job { graph, images, config, seed, checkpoint }, &Guide::default(), observe)
}

pub(super) fn train_job(
    job: &Job,
    guide: &Guide,
    observe: &mut dyn FnMut(&EpochRecord),
) -> Result<Trained, TrainError> {
    if job.images.len() < 2 {
        return Err(TrainError::TooFewImages { images: job.images.len() });
    }
    job.config.check()?;
    if job.config.patience.is_some() && guide.validation.is_none_or(Images::is_empty) {
        return Err(TrainError::Config { reason: "`patience` needs validation images".to_string() });
    }
    let identity = identity(job, guide);
    let saved = job.checkpoint.map(|path| Checkpoint::load(path, &identity)).transpose()?.flatten();
    let mut trainer = Trainer::new(job, guide, saved)?;
    while !is_done(job.config, &trainer.curve) {
        trainer.epoch()?;
        observe(trainer.curve.last().expect("an epoch leaves a record"));
        if let Some(path) = job.checkpoint {
            trainer.checkpoint(&identity)?.save(path)?;
        }
    }
    trainer.finish()
}

/// What a checkpoint belongs to.
pub(super) fn identity(job: &Job, guide: &Guide) -> String {
    use sha2::{Digest, Sha256};
    let config = serde_json::to_string(job.config).expect("a configuration is plain data");
    let mut hash = Sha256::new();
    hash.update(format!("{:?} {} {config} {}", job.graph, job.images.len(), job.seed));
    if let Some(validation) = guide.validation {
        hash.update(format!(" validated on {}", validation.len()));
    }
    if let Some(teacher) = &guide.teacher {
        hash.update(format!(" taught by {:?}", teacher.graph));
        [&teacher.weights.trained, &teacher.weights.buffers]
            .into_iter()
            .flatten()
            .for_each(|value| hash.update(value.to_le_bytes()));
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Whether all epochs are done, or the accuracy on the validation images has not risen for too long.
fn is_done(config: &TrainConfig, curve: &[EpochRecord]) -> bool {
    let waited = |patience: usize| best_epoch(curve).is_some_and(|best| curve.len() - best > patience);
    curve.len() >= config.epochs || config.patience.is_some_and(waited)
}

/// Place of the first epoch with the highest accuracy on the validation images.
fn best_epoch(curve: &[EpochRecord]) -> Option<usize> {
    let known = curve.iter().enumerate().filter_map(|(at, record)| Some((at, record.validation_accuracy?)));
    known.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(at, _)| at)
}

/// Statistics of normalisations under `params`, on training images that are not varied.
pub(super) fn recalibrated(net: &Net, job: &Job, params: &[f32]) -> Vec<f32> {
    let images = job.images;
    let mut order = epoch_order(images.len(), seed::derive(job.seed, "recalibration", 0), 0);
    // Whole batches only: the moments of a few images would count as much as those of many.
    let batch = RECALIBRATION_BATCH.min(order.len());
    order.truncate(RECALIBRATION_IMAGES.max(batch));
    let pixels = |indices: &[usize]| {
        let mut pixels = vec![0.0; indices.len() * images.shape().elements()];
        fill_batch(images, indices, None, &mut pixels, &mut vec![0; indices.len()]);
        pixels
    };
    net.statistics(params, order.chunks_exact(batch).map(pixels))
}

struct Trainer<'a> {
    job: Job<'a>,
    guide: Guide<'a>,
    loss: Loss<'a>,
    net: Net,
    network: NetworkOp,
    layout: Layout,
    params: Var,
    optimiser: Optimiser,
    batch: usize,
    /// Mean of the weights so far; empty if none is kept.
    average: Vec<f32>,
    /// Weights and statistics of the best epoch so far; empty if none is kept.
    best: [Vec<f32>; 2],
    curve: Vec<EpochRecord>,
}

impl<'a> Trainer<'a> {
    fn new(job: &Job<'a>, guide: &Guide<'a>, saved: Option<Checkpoint>) -> Result<Self, TrainError> {
        let Job { graph, images, config, seed, .. } = *job;
        let Weights { layout, trained, buffers } = first_weights(graph, seed);
        let optimiser = Optimiser::new(&layout, config.optimiser, config.weight_decay as f32, config.clip_norm as f32);
        let (trained, buffers, average, best, curve) = match saved {
            Some(saved) => {
                optimiser.set_state(saved.optimiser);
                (saved.trained, saved.buffers, saved.average, saved.best, saved.curve)
            }
            None => {
                let average = config.ema.map_or(Vec::new(), |_| trained.clone());
                (trained, buffers, average, Default::default(), Vec::new())
            }
        };
        let params = Var::from_tensor(&Tensor::from_vec(trained, layout.trained(), &Device::Cpu)?)?;
        let network = NetworkOp::new(Net::new(graph), buffers);
        let loss = Loss::new(config, images, graph.output_shape().elements(), guide.teacher);
        let (job, guide, net, batch) = (*job, *guide, Net::new(graph), config.batch.min(images.len()));
        Ok(Trainer { job, guide, loss, net, network, layout, params, optimiser, batch, average, best, curve })
    }

    /// Goes through all images once and adds what was seen to the curve.
    fn epoch(&mut self) -> Result<(), TrainError> {
        let (epoch, Job { images, config, seed, .. }) = (self.curve.len(), self.job);
        let order = epoch_order(images.len(), seed::derive(seed, "order", 0), epoch as u64);
        let shape = images.shape();
        let steps = order.len() / self.batch;
        let (mut losses, mut right) = (0.0, 0);
        let mut labels = vec![0; self.batch];
        let augment = Augment { pad: config.shift, flip: config.mirror, cutout: config.cutout };
        let draw = (&augment, seed::derive(seed, "augment", 0), epoch as u64);
        for (step, indices) in order.chunks_exact(self.batch).enumerate() {
            let mut pixels = vec![0.0; self.batch * shape.elements()];
            fill_batch(images, indices, Some(draw), &mut pixels, &mut labels);
            let rate = config.learning_rate_at(epoch * steps + step, config.epochs * steps);
            let (loss, logits) = self.step(pixels, &labels, rate as f32)?;
            self.follow(epoch * steps + step)?;
            check(loss, logits.len() / self.batch, epoch, step)?;
            let classes = logits.len() / self.batch;
            right += logits.chunks(classes).zip(&labels).filter(|(l, label)| top1(l) == **label as usize).count();
            losses += f64::from(loss);
        }
        let train_accuracy = right as f64 / (steps * self.batch) as f64;
        let loss = losses / steps as f64;
        self.curve.push(EpochRecord { epoch: epoch + 1, loss, train_accuracy, validation_accuracy: None });
        self.validate()
    }

    fn step(&self, pixels: Vec<f32>, labels: &[u32], rate: f32) -> Result<(f32, Vec<f32>), TrainError> {
        let shape = self.job.images.shape();
        let dims = (self.batch, shape.channels, shape.height, shape.width);
        let x = Tensor::from_slice(&pixels, dims, &Device::Cpu)?;
        let logits = x.apply_op2(&self.params, self.network.clone())?;
        let loss = self.loss.of(&logits, &pixels, labels)?;
        let gradients = loss.total.backward()?;
        let gradient = gradients.get(&self.params).expect("the loss depends on the parameters");
        self.optimiser.step(&self.params, gradient, rate)?;
        Ok((loss.of_labels.to_scalar::<f32>()?, logits.flatten_all()?.to_vec1::<f32>()?))
    }

    /// Moves the mean of the weights, if one is kept, after `steps` others.
    fn follow(&mut self, steps: usize) -> Result<(), TrainError> {
        if let Some(decay) = self.job.config.ema {
            let share = 1.0 - self.job.config.ema_at(decay, steps);
            let params = self.params.to_vec1::<f32>()?;
            self.average.iter_mut().zip(params).for_each(|(mean, now)| *mean += share * (now - *mean));
        }
        Ok(())
    }

    /// Looks up the accuracy on the validation images, if there are any, and keeps the best weights if they are wanted.
    fn validate(&mut self) -> Result<(), TrainError> {
        let Some(images) = self.guide.validation else { return Ok(()) };
        let weights = self.weights()?;
        let last = self.curve.last_mut().expect("an epoch leaves a record before it is validated");
        last.validation_accuracy = Some(accuracy(self.job.graph, &weights, images));
        let is_best = best_epoch(&self.curve) == Some(self.curve.len() - 1);
        if is_best && self.job.config.patience.is_some() {
            self.best = [weights.trained, weights.buffers];
        }
        Ok(())
    }

    /// What the training has reached: the mean of the weights if one is kept, with statistics of its own.
    fn weights(&self) -> Result<Weights, TrainError> {
        let config = self.job.config;
        let trained = if config.ema.is_some() { self.average.clone() } else { self.params.to_vec1()? };
        let buffers = match config.recalibrate || config.ema.is_some() {
            true => recalibrated(&self.net, &self.job, &trained),
            false => self.network.buffers(),
        };
        Ok(Weights { layout: self.layout.clone(), trained, buffers })
    }

    fn checkpoint(&self, identity: &str) -> Result<Checkpoint, TrainError> {
        Ok(Checkpoint {
            identity: identity.to_string(),
            trained: self.params.to_vec1()?,
            buffers: self.network.buffers(),
            optimiser: self.optimiser.state(),
            average: self.average.clone(),
            best: self.best.clone(),
            curve: self.curve.clone(),
        })
    }

    fn finish(self) -> Result<Trained, TrainError> {
        let weights = match &self.best {
            [trained, _] if trained.is_empty() => self.weights()?,
            [trained, buffers] => {
                Weights { layout: self.layout.clone(), trained: trained.clone(), buffers: buffers.clone() }
            }
        };
        Ok(Trained { weights, curve: self.curve })
    }
}

/// Whether the loss of a step still is that of training. Epochs and steps count from 0.
pub(super) fn check(loss: f32, classes: usize, epoch: usize, step: usize) -> Result<(), TrainError> {
    let guessing = (classes as f32).ln().max(0.5);
    let diverged = !loss.is_finite() || (epoch + step > 0 && loss > DIVERGED_LOSS * guessing);
    match diverged {
        true => Err(TrainError::Diverged {
            epoch: epoch + 1,
            reason: format!("loss {loss:.3} in step {}, guessing has {guessing:.3}", step + 1),
        }),
        false => Ok(()),
    }
}
