//! Several trainings at once: on a GPU, which one small network leaves idle, and on the CPU, where one waits for its slowest
//! thread.

use std::path::Path;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use rayon::prelude::*;

use super::checkpoint::Checkpoint;
use super::start::first_weights;
use super::trainer::{check, identity, recalibrated, train_job};
use super::{EpochRecord, Teacher, TrainConfig, TrainError, Trained};
use crate::data::{Augment, Images, epoch_order};
use crate::graph::{Graph, Layout, Weights};
use crate::nn::cuda::{Backend, BackendError, DeviceImages, Epoch, EpochSums, Session, State};
use crate::nn::{Device, Net};
use crate::seed;

/// One training.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// What it learns from.
    pub images: &'a Images,
    /// How.
    pub config: &'a TrainConfig,
    /// Its seed.
    pub seed: u64,
    /// Where its state is kept between epochs, if anywhere.
    pub checkpoint: Option<&'a Path>,
}

/// What a training goes by beside its images.
#[derive(Clone, Copy, Default)]
pub struct Guide<'a> {
    /// Where its accuracy is looked up after each epoch; [`TrainConfig::patience`] needs it.
    pub validation: Option<&'a Images>,
    /// A network to learn from.
    pub teacher: Option<Teacher<'a>>,
}

/// Called with the place of a job and what its epoch showed.
pub type Observe<'a> = &'a mut (dyn FnMut(usize, &EpochRecord) + Send);
type ObserveHere<'a> = &'a mut dyn FnMut(usize, &EpochRecord);

/// Trains a network on a device. The CPU gives the bits of [`train`](super::train()); a GPU sees the same pictures in the same order and
/// adds up in another order, so its results agree within rounding. Checkpoints of one device serve the other.
///
/// # Errors
/// As [`train`](super::train()), or if a GPU fails.
pub fn train_on(device: &Device, job: &Job, observe: &mut dyn FnMut(&EpochRecord)) -> Result<Trained, TrainError> {
    match device {
        Device::Cpu => train_job(job, &Guide::default(), observe),
        Device::Cuda(gpu) => {
            let mut one = side_by_side(&|| gpu.lane(), &[*job], 1, &mut |_, record| observe(record));
            one.pop().expect("a job has an outcome")
        }
    }
}

/// [`train_on`] with a guide. With validation images, every record of the curve has the accuracy on them.
///
/// # Errors
/// As there, and on a GPU if there is something to go by.
pub fn train_guided(
    device: &Device,
    job: &Job,
    guide: &Guide,
    observe: &mut dyn FnMut(&EpochRecord),
) -> Result<Trained, TrainError> {
    let unknown = [(guide.validation.is_some(), "validation images"), (guide.teacher.is_some(), "distil")];
    let unknown: Vec<&str> = unknown.into_iter().filter_map(|(is_used, name)| is_used.then_some(name)).collect();
    match device {
        Device::Cpu => train_job(job, guide, observe),
        Device::Cuda(_) if !unknown.is_empty() => Err(TrainError::OnlyOnCpu(unknown)),
        Device::Cuda(_) => train_on(device, job, observe),
    }
}

/// Trains several networks, up to `together` at once: an outcome for each job, in their order. How many train at once
/// changes no outcome.
pub fn train_many(
    device: &Device,
    jobs: &[Job],
    together: usize,
    observe: Observe,
) -> Vec<Result<Trained, TrainError>> {
    match device {
        Device::Cpu => on_the_cpu(jobs, together, observe),
        Device::Cuda(gpu) => side_by_side(&|| gpu.lane(), jobs, together, observe),
    }
}

/// In groups that share all threads: while one training waits for its slowest thread, the others work.
fn on_the_cpu(jobs: &[Job], together: usize, observe: Observe) -> Vec<Result<Trained, TrainError>> {
    let observe = Mutex::new(observe);
    let train = |place: usize, job: &Job| {
        let mut seen = |record: &EpochRecord| {
            let mut observe = observe.lock().expect("an observer does not panic");
            (**observe)(place, record);
        };
        train_job(job, &Guide::default(), &mut seen)
    };
    let group = together.max(1);
    let of_group = |(at, jobs): (usize, &[Job])| -> Vec<Result<Trained, TrainError>> {
        jobs.par_iter().enumerate().map(|(i, job)| train(at * group + i, job)).collect()
    };
    jobs.chunks(group).enumerate().flat_map(of_group).collect()
}

/// Steps that are queued for one training before another has its turn.
const BURST: usize = 16;
/// How long the host rests when every lane has work.
const REST: Duration = Duration::from_micros(50);

/// Trains jobs on lanes of a device. No training waits for another: whenever one ends, the next takes its place.
fn side_by_side<B: Backend>(
    lane: &dyn Fn() -> Result<B, BackendError>,
    jobs: &[Job],
    together: usize,
    observe: ObserveHere,
) -> Vec<Result<Trained, TrainError>> {
    let mut outcomes: Vec<Option<Result<Trained, TrainError>>> = jobs.iter().map(|_| None).collect();
    let mut running: Vec<Running<B>> = Vec::new();
    let mut waiting = jobs.iter().enumerate();
    loop {
        while running.len() < together.max(1) {
            let Some((place, job)) = waiting.next() else { break };
            match Running::start(lane, place, job, &running) {
                Ok(started) => running.push(started),
                Err(error) => outcomes[place] = Some(Err(error)),
            }
        }
        if running.is_empty() {
            return outcomes.into_iter().map(|o| o.expect("every job was started and has ended")).collect();
        }
        let mut rests = true;
        for at in (0..running.len()).rev() {
            match running[at].go_on(observe) {
                Ok(Turn::Waits) => {}
                Ok(Turn::Works) => rests = false,
                Ok(Turn::Ended) => {
                    let one = running.swap_remove(at);
                    let place = one.place;
                    outcomes[place] = Some(one.outcome());
                    rests = false;
                }
                Err(error) => outcomes[running.swap_remove(at).place] = Some(Err(error)),
            }
        }
        if rests {
            std::thread::sleep(REST);
        }
    }
}

/// What a training did in its turn.
enum Turn {
    /// Nothing: the device is busy with it.
    Waits,
    /// It queued steps, or began an epoch.
    Works,
    /// All epochs are done.
    Ended,
}

/// A training under way.
struct Running<'a, B: Backend> {
    place: usize,
    job: Job<'a>,
    identity: String,
    session: Session<B>,
    batch: usize,
    steps: usize,
    /// Steps of this epoch that are not queued yet; none if no epoch was begun.
    unqueued: Option<usize>,
    /// The epoch that comes next, drawn while the device works.
    next: Option<Epoch>,
    curve: Vec<EpochRecord>,
}

impl<'a, B: Backend> Running<'a, B> {
    fn start(
        lane: &dyn Fn() -> Result<B, BackendError>,
        place: usize,
        job: &Job<'a>,
        others: &[Running<'a, B>],
    ) -> Result<Self, TrainError> {
        let Job { graph, images, config, seed, checkpoint } = *job;
        if images.len() < 2 {
            return Err(TrainError::TooFewImages { images: images.len() });
        }
        config.check()?;
        config.check_for_gpu(images, graph.output_shape().elements())?;
        let identity = identity(job, &Guide::default());
        let saved = checkpoint.map(|path| Checkpoint::load(path, &identity)).transpose()?.flatten();
        let (state, curve) = match saved {
            Some(s) => (State { trained: s.trained, buffers: s.buffers, optimiser: s.optimiser }, s.curve),
            None => (first_state(graph, config, seed), Vec::new()),
        };
        let batch = config.batch.min(images.len());
        let steps = images.len() / batch;
        let settings = config.step_settings(batch, steps);
        let backend = Rc::new(lane()?);
        // Trainings on the same images share them.
        let shared = others.iter().find(|other| std::ptr::eq(other.job.images, images));
        let on_device = match shared {
            Some(other) => other.session.images().clone(),
            None => Rc::new(copy_to(&backend, images)?),
        };
        let session = Session::new(backend, on_device, graph, &settings, &state)?;
        Ok(Running { place, job: *job, identity, session, batch, steps, unqueued: None, next: None, curve })
    }

    /// Does what can be done without waiting.
    fn go_on(&mut self, observe: ObserveHere) -> Result<Turn, TrainError> {
        match self.unqueued {
            None => self.begin_epoch(),
            Some(0) if self.next.is_none() && self.curve.len() + 1 < self.job.config.epochs => {
                self.next = Some(self.epoch(self.curve.len() + 1));
                Ok(Turn::Works)
            }
            Some(0) => match self.session.is_idle()? {
                true => self.end_epoch(observe),
                false => Ok(Turn::Waits),
            },
            Some(left) => {
                let burst = left.min(BURST);
                (0..burst).try_for_each(|_| self.session.queue_step())?;
                self.unqueued = Some(left - burst);
                Ok(Turn::Works)
            }
        }
    }

    fn begin_epoch(&mut self) -> Result<Turn, TrainError> {
        let epoch = self.curve.len();
        if epoch >= self.job.config.epochs {
            return Ok(Turn::Ended);
        }
        let epoch = self.next.take().unwrap_or_else(|| self.epoch(epoch));
        self.session.begin(&epoch)?;
        self.unqueued = Some(self.steps);
        Ok(Turn::Works)
    }

    /// The epoch as the CPU would go through it.
    fn epoch(&self, epoch: usize) -> Epoch {
        let Job { images, config, seed, .. } = self.job;
        let order = epoch_order(images.len(), seed::derive(seed, "order", 0), epoch as u64);
        let augment = Augment { pad: config.shift, flip: config.mirror, cutout: 0 };
        let variations = augment.variations(seed::derive(seed, "augment", 0), epoch as u64, &order);
        let rate = |step| config.learning_rate_at(epoch * self.steps + step, config.epochs * self.steps) as f32;
        let rates = (0..self.steps).map(rate).collect();
        Epoch { order: order.into_iter().map(|i| i as u32).collect(), variations, rates }
    }

    fn end_epoch(&mut self, observe: ObserveHere) -> Result<Turn, TrainError> {
        let record = self.record(&self.session.finish()?)?;
        observe(self.place, &record);
        self.curve.push(record);
        self.unqueued = None;
        if let Some(path) = self.job.checkpoint {
            self.checkpoint()?.save(path)?;
        }
        Ok(Turn::Works)
    }

    fn record(&self, sums: &EpochSums) -> Result<EpochRecord, TrainError> {
        let (epoch, classes) = (self.curve.len(), self.job.graph.output_shape().elements());
        sums.losses.iter().enumerate().try_for_each(|(step, loss)| check(*loss, classes, epoch, step))?;
        let loss = sums.losses.iter().map(|l| f64::from(*l)).sum::<f64>() / self.steps as f64;
        let right: u64 = sums.rights.iter().map(|r| u64::from(*r)).sum();
        let train_accuracy = right as f64 / (self.steps * self.batch) as f64;
        Ok(EpochRecord { epoch: epoch + 1, loss, train_accuracy, validation_accuracy: None })
    }

    fn checkpoint(&self) -> Result<Checkpoint, TrainError> {
        let State { trained, buffers, optimiser } = self.session.state()?;
        let (identity, curve) = (self.identity.clone(), self.curve.clone());
        Ok(Checkpoint { identity, trained, buffers, optimiser, average: Vec::new(), best: Default::default(), curve })
    }

    fn outcome(self) -> Result<Trained, TrainError> {
        let State { trained, mut buffers, .. } = self.session.state()?;
        if self.job.config.recalibrate {
            buffers = recalibrated(&Net::new(self.job.graph), &self.job, &trained);
        }
        let weights = Weights { layout: Layout::of(self.job.graph), trained, buffers };
        Ok(Trained { weights, curve: self.curve })
    }
}

fn first_state(graph: &Graph, config: &TrainConfig, seed: u64) -> State {
    let Weights { layout, trained, buffers } = first_weights(graph, seed);
    State { optimiser: vec![0.0; config.optimiser.state_len(layout.trained())], trained, buffers }
}

fn copy_to<B: Backend>(backend: &Rc<B>, images: &Images) -> Result<DeviceImages<B>, BackendError> {
    let labels: Vec<u32> = images.labels().iter().map(|label| *label as u32).collect();
    DeviceImages::new(backend.clone(), images.shape(), images.all_pixels(), &labels)
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::super::evaluate::{logits, logits_through};
    use super::super::train;
    use super::*;
    use crate::graph::Shape;
    use crate::nn::cuda::Emulated;
    use crate::space::{LayerConfig, MacroConfig, MacroSpace};

    /// All operations of the space, on maps small enough for emulated kernels.
    fn network(genotype: &str) -> Graph {
        let layer = |channels, stride| LayerConfig { channels, stride };
        let layers = vec![layer(4, 1), layer(6, 2)];
        let config =
            MacroConfig { input: Shape::new(3, 8, 8), classes: 3, stem: 4, layers, head: 8, ..MacroConfig::default() };
        let space = MacroSpace::new(config).unwrap();
        space.lower(&space.parse(genotype).unwrap())
    }

    /// Bright, dark and striped images with noise.
    fn images(len: usize) -> Images {
        let mut rng = seed::stream(9, "images", 0);
        let labels: Vec<usize> = (0..len).map(|i| i % 3).collect();
        let pixel = |label: usize, i: usize| [200, 60, if i % 16 < 8 { 220 } else { 30 }][label];
        let pixels = labels.iter().flat_map(|label| (0..192).map(move |i| pixel(*label, i)));
        let pixels: Vec<u8> = pixels.map(|p: u8| p.saturating_add(rng.random_range(0..30))).collect();
        Images::new(Shape::new(3, 8, 8), pixels, labels)
    }

    fn emulated() -> Option<impl Fn() -> Result<Emulated, BackendError>> {
        match Emulated::new(false) {
            Ok(_) => Some(|| Ok(Emulated::new(false).expect("it compiled before"))),
            Err(why) => {
                eprintln!("not tested: {why}");
                None
            }
        }
    }

    fn config(epochs: usize) -> TrainConfig {
        TrainConfig { epochs, batch: 8, learning_rate: 0.05, ..TrainConfig::default() }
    }

    fn only(mut outcomes: Vec<Result<Trained, TrainError>>) -> Trained {
        outcomes.pop().unwrap().unwrap()
    }

    #[test]
    fn training_on_emulated_kernels_follows_the_cpu() {
        let Some(lane) = emulated() else { return };
        let (graph, images, config) = (network("111111-111111"), images(27), config(3));
        let job = Job { graph: &graph, images: &images, config: &config, seed: 4, checkpoint: None };
        let there = only(side_by_side(&lane, &[job], 1, &mut |_, _| {}));
        let here = train(&graph, &images, &config, 4, None, &mut |_| {}).unwrap();
        for (a, b) in there.curve.iter().zip(&here.curve) {
            assert!((a.loss - b.loss).abs() < 0.02, "{:?} {:?}", there.curve, here.curve);
        }
        assert_eq!(there.curve.len(), 3);
        let backend = Rc::new(lane().unwrap());
        let found = logits_through(&backend, &graph, &here.weights, &images).unwrap();
        let expected = logits(&graph, &here.weights, &images);
        assert!(found.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-3), "{found:?} {expected:?}");
    }

    #[test]
    fn trainings_side_by_side_end_as_each_would_alone() {
        let Some(lane) = emulated() else { return };
        let (graphs, images) =
            ([network("100000-010000"), network("001000-100001"), network("000010-000100")], images(16));
        let configs = [config(2), config(1), config(3)];
        let jobs: Vec<Job> = (0..3)
            .map(|i| Job { graph: &graphs[i], images: &images, config: &configs[i], seed: 1, checkpoint: None })
            .collect();
        let together = side_by_side(&lane, &jobs, 2, &mut |_, _| {});
        for (job, outcome) in jobs.iter().zip(together) {
            let alone = only(side_by_side(&lane, &[*job], 1, &mut |_, _| {}));
            let outcome = outcome.unwrap();
            assert_eq!((&alone.weights, &alone.curve), (&outcome.weights, &outcome.curve));
        }
    }

    #[test]
    fn a_checkpoint_of_one_device_serves_the_other() {
        let Some(lane) = emulated() else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        let (graph, images, config) = (network("100000-010000"), images(16), config(2));
        let job = Job { graph: &graph, images: &images, config: &config, seed: 4, checkpoint: Some(&path) };
        let whole = only(side_by_side(&lane, &[job], 1, &mut |_, _| {}));
        // Nothing is left to do: the CPU hands out what the other device trained.
        let read = train(&graph, &images, &config, 4, Some(&path), &mut |_| {}).unwrap();
        assert_eq!((&read.weights, &read.curve), (&whole.weights, &whole.curve));
        std::fs::remove_file(&path).unwrap();
        let here = train(&graph, &images, &config, 4, Some(&path), &mut |_| {}).unwrap();
        let again = only(side_by_side(&lane, &[job], 1, &mut |_, _| panic!("no epoch is left")));
        assert_eq!(again.weights, here.weights);
    }

    #[test]
    fn a_training_that_diverges_says_so_and_the_others_go_on() {
        let Some(lane) = emulated() else { return };
        let (graph, images, good) = (network("100000-010000"), images(16), config(1));
        let bad = TrainConfig { learning_rate: 1e30, clip_norm: 1e30, warm_up: 0.0, ..config(3) };
        let job = |config| Job { graph: &graph, images: &images, config, seed: 4, checkpoint: None };
        let outcomes = side_by_side(&lane, &[job(&bad), job(&good)], 2, &mut |_, _| {});
        assert!(matches!(outcomes[0], Err(TrainError::Diverged { .. })) && outcomes[1].is_ok());
    }
}
