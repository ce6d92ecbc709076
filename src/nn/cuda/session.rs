//! A network that trains on a device: parameters, optimiser and statistics live there, and nothing comes back before an
//! epoch ends.

use std::rc::Rc;

use super::arena::Arena;
use super::backend::{Backend, BackendError, Ready};
use super::command::{Arg, Buffer, Command, Life, Tape};
use super::step::{EpochBuffers, EvaluationStep, StepSettings, TrainingStep};
use crate::graph::{Graph, Shape};

/// Labelled images on a device.
pub struct DeviceImages<B: Backend> {
    backend: Rc<B>,
    pixels: u64,
    labels: u64,
    shape: Shape,
}

impl<B: Backend> DeviceImages<B> {
    /// Copies images, (image, channel, row, column), and their labels to the device.
    ///
    /// # Errors
    /// If the device lacks memory.
    pub fn new(backend: Rc<B>, shape: Shape, pixels: &[u8], labels: &[u32]) -> Result<Self, BackendError> {
        let address = backend.allocate(pixels.len().max(1))?;
        let images = DeviceImages { pixels: address, labels: 0, shape, backend };
        images.backend.write(images.pixels, pixels)?;
        let address = images.backend.allocate(labels.len().max(1) * 4)?;
        let images = images.with_labels(address);
        images.backend.write(images.labels, &u32_bytes(labels))?;
        Ok(images)
    }

    fn with_labels(mut self, address: u64) -> Self {
        self.labels = address;
        self
    }

    fn addresses(&self) -> [u64; 2] {
        [self.pixels, self.labels]
    }
}

impl<B: Backend> Drop for DeviceImages<B> {
    fn drop(&mut self) {
        for address in self.addresses().into_iter().filter(|address| *address != 0) {
            self.backend.free(address);
        }
    }
}

/// The state of a training between two steps, as a checkpoint keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Trained parameters.
    pub trained: Vec<f32>,
    /// Running statistics.
    pub buffers: Vec<f32>,
    /// What the optimiser remembers, as [`crate::nn::Optimiser::state`].
    pub optimiser: Vec<f32>,
}

/// What an epoch goes through.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// Which image stands where.
    pub order: Vec<u32>,
    /// How each is varied: rows down, columns right, mirrored.
    pub variations: Vec<[i16; 3]>,
    /// Learning rate of each step.
    pub rates: Vec<f32>,
}

/// What an epoch showed, step by step.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochSums {
    /// Mean loss.
    pub losses: Vec<f32>,
    /// Right answers.
    pub rights: Vec<u32>,
}

/// A tape with memory under it, recorded.
struct Machine<B: Backend> {
    backend: Rc<B>,
    memory: u64,
    bytes: usize,
    arena: Arena,
    program: B::Program,
}

impl<B: Backend> Machine<B> {
    fn new(backend: Rc<B>, tape: &Tape, outside: &[u64]) -> Result<Self, BackendError> {
        let arena = Arena::of(tape);
        let memory = backend.allocate(arena.bytes.max(1))?;
        let address = |buffer: Buffer| match tape.buffers[buffer.0].life {
            Life::Outside(which) => outside[which],
            Life::Step | Life::Kept => memory + arena.offsets[buffer.0].expect("it lies in the arena") as u64,
        };
        let ready: Vec<Ready> = tape.commands.iter().map(|command| resolve(command, &address)).collect();
        match backend.record(ready) {
            Ok(program) => Ok(Machine { memory, bytes: arena.bytes, arena, program, backend }),
            Err(error) => {
                backend.free(memory);
                Err(error)
            }
        }
    }

    fn address(&self, buffer: Buffer) -> u64 {
        self.memory + self.arena.offsets[buffer.0].expect("the host touches no outside buffers") as u64
    }

    fn write(&self, buffer: Buffer, bytes: &[u8]) -> Result<(), BackendError> {
        self.backend.write(self.address(buffer), bytes)
    }

    fn floats(&self, buffer: Buffer, len: usize) -> Result<Vec<f32>, BackendError> {
        let words = self.words(buffer, len)?;
        Ok(words.into_iter().map(f32::from_bits).collect())
    }

    fn words(&self, buffer: Buffer, len: usize) -> Result<Vec<u32>, BackendError> {
        let mut bytes = vec![0; len * 4];
        self.backend.read(self.address(buffer), &mut bytes)?;
        Ok(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    fn constants(&self, constants: &[(Buffer, Vec<f32>)]) -> Result<(), BackendError> {
        constants.iter().try_for_each(|(buffer, values)| self.write(*buffer, &f32_bytes(values)))
    }

    /// Writes parameters, and rounds them where kernels read them otherwise than they are kept.
    fn params(&self, params: Buffer, rounded: Buffer, values: &[f32]) -> Result<(), BackendError> {
        self.write(params, &f32_bytes(values))?;
        match params == rounded {
            true => Ok(()),
            false => self.write(rounded, &values.iter().flat_map(|v| bfloat16(*v).to_le_bytes()).collect::<Vec<u8>>()),
        }
    }

    fn begin(&self, at: &EpochBuffers, order: &[u32], variations: &[[i16; 3]]) -> Result<(), BackendError> {
        let varied = variations.iter().flat_map(|[down, right, flip]| [*down, *right, *flip, 0]);
        self.write(at.order, &u32_bytes(order))?;
        self.write(at.variations, &varied.flat_map(i16::to_le_bytes).collect::<Vec<u8>>())?;
        self.write(at.step, &[0; 4])
    }
}

impl<B: Backend> Drop for Machine<B> {
    fn drop(&mut self) {
        self.backend.free(self.memory);
    }
}

/// A training on a device.
pub struct Session<B: Backend> {
    machine: Machine<B>,
    step: TrainingStep,
    images: Rc<DeviceImages<B>>,
    trained: usize,
    buffers: usize,
    steps: usize,
    settings: StepSettings,
}

impl<B: Backend> Session<B> {
    /// A training of `graph` on `images` that goes on from `state`.
    ///
    /// # Errors
    /// If the device lacks memory or cannot run a kernel.
    pub fn new(
        backend: Rc<B>,
        images: Rc<DeviceImages<B>>,
        graph: &Graph,
        settings: &StepSettings,
        state: &State,
    ) -> Result<Self, BackendError> {
        assert_eq!(graph.input_shape(), images.shape, "a network trains on images of its own shape");
        let step = TrainingStep::of(graph, settings, backend.stored_bytes());
        let machine = Machine::new(backend, &step.tape, &images.addresses())?;
        machine.constants(&step.constants)?;
        machine.write(step.decays, &TrainingStep::decays_of(graph))?;
        machine.params(step.params.params, step.params.rounded, &state.trained)?;
        machine.write(step.params.running, &f32_bytes(&state.buffers))?;
        machine.write(step.optimiser, &f32_bytes(&state.optimiser))?;
        let (trained, buffers) = (state.trained.len(), state.buffers.len());
        Ok(Session { machine, step, images, trained, buffers, steps: 0, settings: *settings })
    }

    /// Device memory of the session, without the images.
    pub fn bytes(&self) -> usize {
        self.machine.bytes
    }

    /// Kernels and matrix products of a step.
    pub fn commands(&self) -> usize {
        self.step.tape.commands.len()
    }

    /// The images that it trains on.
    pub fn images(&self) -> &Rc<DeviceImages<B>> {
        &self.images
    }

    /// Gives an epoch to the device; its steps are queued one by one.
    ///
    /// # Errors
    /// If the device fails.
    pub fn begin(&mut self, epoch: &Epoch) -> Result<(), BackendError> {
        self.steps = epoch.rates.len();
        assert!(self.steps <= self.settings.steps && epoch.order.len() >= self.steps * self.settings.batch);
        let images = self.steps * self.settings.batch;
        self.machine.begin(&self.step.epoch, &epoch.order[..images], &epoch.variations[..images])?;
        self.machine.write(self.step.rates, &f32_bytes(&epoch.rates))
    }

    /// Queues the next step.
    ///
    /// # Errors
    /// If the device fails.
    pub fn queue_step(&self) -> Result<(), BackendError> {
        self.machine.backend.run(&self.machine.program)
    }

    /// Whether all queued steps are done.
    ///
    /// # Errors
    /// If the device fails.
    pub fn is_idle(&self) -> Result<bool, BackendError> {
        self.machine.backend.is_idle()
    }

    /// Waits for the queued steps.
    ///
    /// # Errors
    /// If the device fails.
    pub fn wait(&self) -> Result<(), BackendError> {
        self.machine.backend.wait()
    }

    /// Waits for the epoch and says what its steps showed.
    ///
    /// # Errors
    /// If the device fails.
    pub fn finish(&self) -> Result<EpochSums, BackendError> {
        let losses = self.machine.floats(self.step.losses, self.steps)?;
        Ok(EpochSums { losses, rights: self.machine.words(self.step.rights, self.steps)? })
    }

    /// The state after the queued steps.
    ///
    /// # Errors
    /// If the device fails.
    pub fn state(&self) -> Result<State, BackendError> {
        Ok(State {
            trained: self.machine.floats(self.step.params.params, self.trained)?,
            buffers: self.machine.floats(self.step.params.running, self.buffers)?,
            optimiser: self.machine.floats(self.step.optimiser, self.settings.method.state_len(self.trained))?,
        })
    }

    /// The gradient of the last step, before it was shortened.
    ///
    /// # Errors
    /// If the device fails.
    pub fn gradient(&self) -> Result<Vec<f32>, BackendError> {
        self.machine.floats(self.step.params.gradient, self.trained)
    }
}

/// Logits (images, classes) of images on a device with running statistics, in the order of the images; `batch` images at
/// a time.
///
/// # Errors
/// If the device fails.
pub fn logits_on<B: Backend>(
    backend: Rc<B>,
    images: &DeviceImages<B>,
    len: usize,
    graph: &Graph,
    weights: (&[f32], &[f32]),
    batch: usize,
) -> Result<Vec<f32>, BackendError> {
    let steps = len.div_ceil(batch);
    let step = EvaluationStep::of(graph, batch, steps.max(1), backend.stored_bytes());
    let machine = Machine::new(backend, &step.tape, &images.addresses())?;
    machine.constants(&step.constants)?;
    machine.params(step.params.params, step.params.rounded, weights.0)?;
    machine.write(step.params.running, &f32_bytes(weights.1))?;
    // The last batch is filled up with the last image.
    let order: Vec<u32> = (0..steps * batch).map(|i| i.min(len - 1) as u32).collect();
    machine.begin(&step.epoch, &order, &vec![[0; 3]; order.len()])?;
    (0..steps).try_for_each(|_| machine.backend.run(&machine.program))?;
    machine.floats(step.logits, len * graph.output_shape().elements())
}

fn resolve(command: &Command, address: &impl Fn(Buffer) -> u64) -> Ready {
    match command {
        Command::Kernel(call, args) => {
            let slot = |arg: &Arg| match arg {
                Arg::Place(place) => place.map_or(0, |p| address(p.buffer) + p.offset as u64),
                Arg::Int(value) => *value as u64,
                Arg::Float(value) => u64::from(value.to_bits()),
            };
            Ready::Kernel(call.clone(), args.iter().map(slot).collect())
        }
        Command::Product(product, places) => {
            Ready::Product(*product, places.map(|p| address(p.buffer) + p.offset as u64))
        }
    }
}

/// A float as the upper half of its bits, rounded to nearest even.
fn bfloat16(value: f32) -> u16 {
    let bits = value.to_bits();
    match value.is_nan() {
        true => (bits >> 16) as u16 | 0x40,
        false => ((u64::from(bits) + 0x7fff + u64::from((bits >> 16) & 1)) >> 16) as u16,
    }
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn u32_bytes(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
