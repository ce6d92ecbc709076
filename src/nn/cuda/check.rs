//! A device against the CPU: one whole training step of small networks, each around one operator, and of any others.

use std::rc::Rc;

use rand::Rng;

use super::super::net::{Net, Workspace};
use super::backend::{Backend, BackendError};
use super::session::{DeviceImages, Epoch, Session, State, logits_on};
use super::step::StepSettings;
use crate::graph::{Graph, Layout, Shape, Weights};
use crate::nn::{Method, Optimiser};
use crate::seed;

/// Images in the step: no power of two.
const BATCH: usize = 6;
const LABEL_SMOOTHING: f32 = 0.1;
const WEIGHT_DECAY: f32 = 0.01;
const CLIP_NORM: f32 = 0.5;
/// Steps that the optimiser has behind it.
const STEPS_TAKEN: f32 = 3.0;
const RATE: f32 = 0.05;
/// Gradients smaller than this share of the largest are compared with that share: those that are zero but for rounding,
/// such as of a bias before a normalisation, have no relative error.
const SMALLEST_SHARE: f64 = 0.02;

/// How far a device is from the CPU on one network: largest difference relative to the largest value.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The network.
    pub name: String,
    /// Of the loss.
    pub loss: f64,
    /// Of the gradient by any parameter array.
    pub gradient: f64,
    /// Of running statistics.
    pub statistics: f64,
    /// Of the parameters' move in the step.
    pub step: f64,
    /// Of logits with running statistics.
    pub logits: f64,
}

impl Check {
    /// The largest of all.
    pub fn worst(&self) -> f64 {
        [self.loss, self.gradient, self.statistics, self.step, self.logits].into_iter().fold(0.0, |a, b| {
            // A NaN is the worst there is.
            if a.is_nan() || a > b { a } else { b }
        })
    }
}

/// Trains a network for one step on random images, on the device and on the CPU, and evaluates it.
///
/// # Errors
/// If the device fails.
pub fn check<B: Backend>(backend: &Rc<B>, name: &str, graph: &Graph, method: Method) -> Result<Check, BackendError> {
    let case = Case::new(graph, method);
    let settings = StepSettings {
        batch: BATCH,
        steps: 2,
        label_smoothing: LABEL_SMOOTHING,
        method,
        weight_decay: WEIGHT_DECAY,
        clip_norm: CLIP_NORM,
    };
    let images = Rc::new(DeviceImages::new(backend.clone(), graph.input_shape(), &case.pixels, &case.labels)?);
    let mut session = Session::new(backend.clone(), images.clone(), graph, &settings, &case.state)?;
    let variations = case.variations.clone();
    session.begin(&Epoch { order: case.order.clone(), variations, rates: vec![RATE] })?;
    session.queue_step()?;
    let (sums, gradient, state) = (session.finish()?, session.gradient()?, session.state()?);
    let weights = (case.state.trained.as_slice(), case.state.buffers.as_slice());
    let logits = logits_on(backend.clone(), &images, case.labels.len(), graph, weights, 4)?;
    let expected = case.on_cpu(graph, &settings);
    let moved = |state: &State| {
        let moves = state.trained.iter().zip(&case.state.trained).map(|(a, b)| a - b);
        moves.chain(state.optimiser.iter().copied()).collect::<Vec<f32>>()
    };
    Ok(Check {
        name: name.to_string(),
        loss: error(&[sums.losses[0]], &[expected.loss], 0.0),
        gradient: gradient_error(graph, &gradient, &expected.gradient),
        statistics: error(&state.buffers, &expected.state.buffers, 0.0),
        step: error(&moved(&state), &moved(&expected.state), 0.0),
        logits: error(&logits, &expected.logits, 0.0),
    })
}

struct Case {
    pixels: Vec<u8>,
    labels: Vec<u32>,
    order: Vec<u32>,
    variations: Vec<[i16; 3]>,
    state: State,
}

struct Expected {
    loss: f32,
    gradient: Vec<f32>,
    state: State,
    logits: Vec<f32>,
}

impl Case {
    fn new(graph: &Graph, method: Method) -> Self {
        let mut rng = seed::stream(11, "check", graph.nodes().len() as u64);
        let mut weights = Weights::init(graph, &mut rng);
        weights.trained.iter_mut().for_each(|w| *w += rng.random_range(-0.1..0.1));
        weights.buffers.iter_mut().for_each(|b| *b += rng.random_range(0.0..0.2));
        let remembered = method.state_len(weights.trained.len());
        // Positive, as means of squares are.
        let mut optimiser: Vec<f32> = (0..remembered).map(|_| rng.random_range(0.01..0.1)).collect();
        if let Method::AdamW { .. } = method {
            optimiser[remembered - 1] = STEPS_TAKEN;
        }
        let (shape, classes) = (graph.input_shape(), graph.output_shape().elements() as u32);
        let images = BATCH + 3;
        Case {
            pixels: (0..images * shape.elements()).map(|_| rng.random()).collect(),
            labels: (0..images).map(|_| rng.random_range(0..classes)).collect(),
            order: (0..BATCH as u32).map(|i| (i * 5 + 3) % images as u32).collect(),
            variations: (0..BATCH as i16)
                .map(|i| [rng.random_range(-2..=2), rng.random_range(-2..=2), i % 2])
                .collect(),
            state: State { trained: weights.trained, buffers: weights.buffers, optimiser },
        }
    }

    fn on_cpu(&self, graph: &Graph, settings: &StepSettings) -> Expected {
        let (net, mut workspace) = (Net::new(graph), Workspace::default());
        let mut state = self.state.clone();
        let images = self.batch(graph.input_shape());
        let logits = net.forward(&state.trained, &mut state.buffers, &images, &mut workspace);
        let labels: Vec<u32> = self.order.iter().map(|i| self.labels[*i as usize]).collect();
        let (loss, logits_gradient) = cross_entropy(&logits, &labels);
        let gradient = net.backward(&state.trained, &images, &logits_gradient, &mut workspace);
        let optimiser = Optimiser::new(&Layout::of(graph), settings.method, settings.weight_decay, settings.clip_norm);
        optimiser.set_state(std::mem::take(&mut state.optimiser));
        optimiser.step_flat(&mut state.trained, &gradient, RATE);
        state.optimiser = optimiser.state();
        let weights = Weights { trained: self.state.trained.clone(), ..Weights::neutral(graph) };
        let weights = Weights { buffers: self.state.buffers.clone(), ..weights };
        let size = graph.input_shape().elements();
        let logits = Net::logits(graph, &weights, self.labels.len(), |i, image| {
            image.iter_mut().zip(&self.pixels[i * size..]).for_each(|(to, from)| *to = f32::from(*from) / 255.0);
        });
        Expected { loss, gradient, state, logits }
    }

    /// The varied batch, by the definition.
    fn batch(&self, shape: Shape) -> Vec<f32> {
        let mut batch = Vec::new();
        for (source, [down, right, flip]) in self.order.iter().zip(&self.variations) {
            for i in 0..shape.elements() {
                let (c, row, column) = (i / shape.plane(), i / shape.width % shape.height, i % shape.width);
                let column = if *flip == 1 { shape.width - 1 - column } else { column };
                let row = reflected(row as i64 + i64::from(*down), shape.height as i64);
                let column = reflected(column as i64 + i64::from(*right), shape.width as i64);
                let place = *source as usize * shape.elements() + c * shape.plane() + row * shape.width + column;
                batch.push(f32::from(self.pixels[place]) / 255.0);
            }
        }
        batch
    }
}

/// Walks from 0 along the map and back at its borders.
fn reflected(at: i64, size: i64) -> usize {
    let (mut place, mut step) = (0, if at < 0 { -1 } else { 1 });
    for _ in 0..at.abs() {
        if !(0..size).contains(&(place + step)) {
            step = -step;
        }
        if (0..size).contains(&(place + step)) {
            place += step;
        }
    }
    place as usize
}

/// Loss and its gradient by the logits, from the definition.
fn cross_entropy(logits: &[f32], labels: &[u32]) -> (f32, Vec<f32>) {
    let classes = logits.len() / labels.len();
    let smoothing = f64::from(LABEL_SMOOTHING);
    let (mut loss, mut gradient) = (0.0, Vec::new());
    for (row, label) in logits.chunks(classes).zip(labels) {
        let sum: f64 = row.iter().map(|l| f64::from(*l).exp()).sum();
        for (k, logit) in row.iter().enumerate() {
            let target = smoothing / classes as f64 + if k == *label as usize { 1.0 - smoothing } else { 0.0 };
            loss -= target * (f64::from(*logit) - sum.ln());
            gradient.push(((f64::from(*logit).exp() / sum - target) / labels.len() as f64) as f32);
        }
    }
    ((loss / labels.len() as f64) as f32, gradient)
}

fn gradient_error(graph: &Graph, found: &[f32], expected: &[f32]) -> f64 {
    let layout = Layout::of(graph);
    let least = largest(expected) * SMALLEST_SHARE;
    let trained = layout.specs().filter(|s| s.role.is_trained());
    let errors = trained.map(|s| {
        let range = s.offset..s.offset + s.elements();
        error(&found[range.clone()], &expected[range], least)
    });
    errors.fold(0.0, |a, b| if a > b || a.is_nan() { a } else { b })
}

/// Largest difference relative to the largest value, or to `least` if that is larger.
fn error(found: &[f32], expected: &[f32], least: f64) -> f64 {
    let scale = largest(expected).max(least).max(f64::MIN_POSITIVE);
    let differences = found.iter().zip(expected).map(|(f, e)| (f64::from(*f) - f64::from(*e)).abs() / scale);
    differences.fold(0.0, |a, b| if a > b || a.is_nan() { a } else { b })
}

fn largest(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(v.abs())).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::super::check_graphs::{every_operator_together, operator_graphs};
    use super::super::emulated::Emulated;
    use super::*;

    const SGD: Method = Method::Sgd { momentum: 0.9 };

    fn check_all(bfloat16: bool, graphs: &[(String, Graph)], method: Method, tolerance: f64) {
        let backend = match Emulated::new(bfloat16) {
            Ok(backend) => Rc::new(backend),
            Err(why) => {
                eprintln!("not checked: {why}");
                return;
            }
        };
        let run = |(name, graph): &(String, Graph)| check(&backend, name, graph, method).expect("it runs");
        let checks: Vec<Check> = graphs.iter().map(run).collect();
        if let Some(worst) = checks.iter().max_by(|a, b| a.worst().total_cmp(&b.worst())) {
            eprintln!("largest difference of {} networks: {:.1e} ({})", checks.len(), worst.worst(), worst.name);
        }
        let is_wrong = |c: &&Check| c.worst().is_nan() || c.worst() > tolerance;
        let wrong: Vec<String> = checks.iter().filter(is_wrong).map(|c| format!("{c:?}")).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_operator_trains_and_evaluates_on_emulated_kernels_as_on_the_cpu() {
        check_all(false, &operator_graphs(), SGD, 2e-4);
    }

    #[test]
    fn a_network_of_all_operators_trains_on_emulated_kernels_as_on_the_cpu() {
        for method in [SGD, Method::AdamW { beta1: 0.9, beta2: 0.999 }] {
            check_all(false, &[("all".to_string(), every_operator_together())], method, 5e-4);
        }
    }

    #[test]
    fn bfloat16_maps_follow_the_cpu_as_far_as_eight_bits_go() {
        // A third of them: the kernels are the same, only how they read and write differs.
        let some: Vec<(String, Graph)> = operator_graphs().into_iter().step_by(3).collect();
        check_all(true, &some, SGD, 0.15);
    }
}
