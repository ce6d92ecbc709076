//! The training loop.

use std::path::Path;

use candle_core::{Device, Tensor, Var};

use super::checkpoint::Checkpoint;
use super::{TrainConfig, TrainError, top1};
use crate::data::{Augment, Images, epoch_order, fill_batch};
use crate::graph::{Graph, Layout, Weights};
use crate::nn::{Net, NetworkOp, Optimiser, cross_entropy};
use crate::seed;

/// A loss this many times that of guessing is no longer training.
const DIVERGED_LOSS: f32 = 5.0;

/// What an epoch showed.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EpochRecord {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Mean loss of its steps.
    pub loss: f64,
    /// Share of its (augmented) images that were classified right.
    pub train_accuracy: f64,
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
    if images.len() < 2 {
        return Err(TrainError::TooFewImages { images: images.len() });
    }
    let identity = identity(graph, images, config, seed);
    let saved = checkpoint.map(|path| Checkpoint::load(path, &identity)).transpose()?.flatten();
    let mut trainer = Trainer::new(graph, images, config, seed, saved)?;
    while trainer.curve.len() < config.epochs {
        let record = trainer.epoch()?;
        observe(&record);
        trainer.curve.push(record);
        if let Some(path) = checkpoint {
            trainer.checkpoint(&identity)?.save(path)?;
        }
    }
    trainer.finish()
}

pub(super) fn identity(graph: &Graph, images: &Images, config: &TrainConfig, seed: u64) -> String {
    use sha2::{Digest, Sha256};
    let config = serde_json::to_string(config).expect("a configuration is plain data");
    let text = format!("{graph:?} {} {config} {seed}", images.len());
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

struct Trainer<'a> {
    images: &'a Images,
    config: &'a TrainConfig,
    seed: u64,
    network: NetworkOp,
    layout: Layout,
    params: Var,
    optimiser: Optimiser,
    batch: usize,
    curve: Vec<EpochRecord>,
}

impl<'a> Trainer<'a> {
    fn new(
        graph: &Graph,
        images: &'a Images,
        config: &'a TrainConfig,
        seed: u64,
        saved: Option<Checkpoint>,
    ) -> Result<Self, TrainError> {
        let Weights { layout, trained, buffers } = Weights::init(graph, &mut seed::stream(seed, "weights", 0));
        let optimiser = Optimiser::new(&layout, config.optimiser, config.weight_decay as f32, config.clip_norm as f32);
        let (trained, buffers, curve) = match saved {
            Some(saved) => {
                optimiser.set_state(saved.optimiser);
                (saved.trained, saved.buffers, saved.curve)
            }
            None => (trained, buffers, Vec::new()),
        };
        let params = Var::from_tensor(&Tensor::from_vec(trained, layout.trained(), &Device::Cpu)?)?;
        let network = NetworkOp::new(Net::new(graph), buffers);
        let batch = config.batch.min(images.len());
        Ok(Trainer { images, config, seed, network, layout, params, optimiser, batch, curve })
    }

    fn epoch(&self) -> Result<EpochRecord, TrainError> {
        let epoch = self.curve.len();
        let order = epoch_order(self.images.len(), seed::derive(self.seed, "order", 0), epoch as u64);
        let shape = self.images.shape();
        let steps = order.len() / self.batch;
        let (mut losses, mut right) = (0.0, 0);
        let mut labels = vec![0; self.batch];
        for (step, indices) in order.chunks_exact(self.batch).enumerate() {
            let mut pixels = vec![0.0; self.batch * shape.elements()];
            let augment = Augment { pad: self.config.shift, flip: self.config.mirror };
            let draw = (&augment, seed::derive(self.seed, "augment", 0), epoch as u64);
            fill_batch(self.images, indices, Some(draw), &mut pixels, &mut labels);
            let dims = (self.batch, shape.channels, shape.height, shape.width);
            let x = Tensor::from_vec(pixels, dims, &Device::Cpu)?;
            let rate = self.config.learning_rate_at(epoch * steps + step, self.config.epochs * steps);
            let (loss, logits) = self.step(&x, &labels, rate as f32)?;
            check(loss, logits.len() / self.batch, epoch, step)?;
            let classes = logits.len() / self.batch;
            right += logits.chunks(classes).zip(&labels).filter(|(l, label)| top1(l) == **label as usize).count();
            losses += f64::from(loss);
        }
        let train_accuracy = right as f64 / (steps * self.batch) as f64;
        Ok(EpochRecord { epoch: epoch + 1, loss: losses / steps as f64, train_accuracy })
    }

    fn step(&self, x: &Tensor, labels: &[u32], rate: f32) -> Result<(f32, Vec<f32>), TrainError> {
        let logits = x.apply_op2(&self.params, self.network.clone())?;
        let loss = cross_entropy(&logits, labels, self.config.label_smoothing as f32)?;
        let gradients = loss.backward()?;
        let gradient = gradients.get(&self.params).expect("the loss depends on the parameters");
        self.optimiser.step(&self.params, gradient, rate)?;
        Ok((loss.to_scalar::<f32>()?, logits.flatten_all()?.to_vec1::<f32>()?))
    }

    fn checkpoint(&self, identity: &str) -> Result<Checkpoint, TrainError> {
        Ok(Checkpoint {
            identity: identity.to_string(),
            trained: self.params.to_vec1()?,
            buffers: self.network.buffers(),
            optimiser: self.optimiser.state(),
            curve: self.curve.clone(),
        })
    }

    fn finish(self) -> Result<Trained, TrainError> {
        let trained = self.params.to_vec1()?;
        let weights = Weights { layout: self.layout, trained, buffers: self.network.buffers() };
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
