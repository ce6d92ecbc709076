//! How fast a GPU trains, one network or several at once, and how many at once are worth it.

use std::rc::Rc;

use serde::Serialize;

use crate::graph::{Graph, Weights};
use crate::measure::Stopwatch;
use crate::nn::cuda::{Backend, BackendError, DeviceImages, Epoch, Gpu, Session, State, logits_on};
use crate::seed;
use crate::stats;
use crate::train::TrainConfig;

/// Throughput of some networks that train side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Throughput {
    /// Networks.
    pub together: usize,
    /// Images in a step of each.
    pub batch: usize,
    /// Steps timed, a hundred without a word from the host at a time.
    pub steps: usize,
    /// Median time in which every network makes a step.
    pub step_ms: f64,
    /// Images trained in a second by all networks.
    pub train_images_per_s: f64,
    /// Images evaluated in a second by one network, the preparation of the network included.
    pub inference_images_per_s: f64,
    /// Kernels and matrix products of a step.
    pub commands: usize,
    /// Device memory of one network, without data set and workspace.
    pub network_bytes: usize,
}

/// Steps that are queued without a word from the host, as in an epoch.
const ROUND: usize = 100;
/// Seconds for which steps are timed, and fewest rounds.
const SECONDS: f64 = 2.0;
const FEWEST_ROUNDS: usize = 5;
/// Images in device memory.
const IMAGES: usize = 4096;
/// Images evaluated at a time.
const EVALUATED_TOGETHER: usize = 256;
/// More networks at once are taken as long as they bring this much.
const WORTH: f64 = 1.1;
/// Most networks that are tried at once.
const MOST_TOGETHER: usize = 64;
/// Memory that each lane takes besides its network: workspace, and what driver and cuBLAS keep.
const LANE_BYTES: usize = 64 << 20;

/// Times steps of `together` copies of a network on random images.
///
/// # Errors
/// If the GPU fails.
pub fn throughput(gpu: &Gpu, graph: &Graph, batch: usize, together: usize) -> Result<Throughput, BackendError> {
    let lane = Rc::new(gpu.lane()?);
    let images = Rc::new(random_images(&lane, graph)?);
    let weights = Weights::init(graph, &mut seed::stream(0, "weights", 0));
    let settings = TrainConfig::default().step_settings(batch, ROUND);
    let optimiser = vec![0.0; settings.method.state_len(weights.trained.len())];
    let state = State { trained: weights.trained, buffers: weights.buffers, optimiser };
    let start = |lane| Session::new(lane, images.clone(), graph, &settings, &state);
    let mut sessions = vec![start(lane.clone())?];
    for _ in 1..together {
        sessions.push(start(Rc::new(gpu.lane()?))?);
    }
    let (rounds, step_ms) = median_step_ms(&mut sessions, batch)?;
    let inference_images_per_s = inference(&lane, &images, graph, &state)?;
    Ok(Throughput {
        together,
        batch,
        steps: rounds * ROUND,
        step_ms,
        train_images_per_s: (together * batch) as f64 / step_ms * 1e3,
        inference_images_per_s,
        commands: sessions[0].commands(),
        network_bytes: sessions[0].bytes(),
    })
}

/// Doubles the number of networks as long as memory allows and all together gain at least a tenth; the last one tried is
/// the first that did not. The best is the one with the most images in a second.
///
/// # Errors
/// If the GPU fails.
pub fn best_together(gpu: &Gpu, graph: &Graph, batch: usize) -> Result<Vec<Throughput>, BackendError> {
    let mut tried = vec![throughput(gpu, graph, batch, 1)?];
    loop {
        let last = tried.last().expect("one was tried");
        let next = last.together * 2;
        let needed = next * (last.network_bytes + LANE_BYTES);
        if next > MOST_TOGETHER || needed > gpu.memory()?.0 {
            return Ok(tried);
        }
        let worth = last.train_images_per_s * WORTH;
        tried.push(throughput(gpu, graph, batch, next)?);
        if tried.last().expect("one was tried").train_images_per_s < worth {
            return Ok(tried);
        }
    }
}

fn random_images<B: Backend>(lane: &Rc<B>, graph: &Graph) -> Result<DeviceImages<B>, BackendError> {
    let (shape, classes) = (graph.input_shape(), graph.output_shape().elements());
    let pixels: Vec<u8> = (0..IMAGES * shape.elements()).map(|i| (i * 7919 % 251) as u8).collect();
    let labels: Vec<u32> = (0..IMAGES).map(|i| (i % classes) as u32).collect();
    DeviceImages::new(lane.clone(), shape, &pixels, &labels)
}

/// Rounds and the median time of a step, after two rounds that do not count.
fn median_step_ms<B: Backend>(sessions: &mut [Session<B>], batch: usize) -> Result<(usize, f64), BackendError> {
    let order: Vec<u32> = (0..ROUND * batch).map(|i| (i * 31 % IMAGES) as u32).collect();
    let variations = (0..order.len()).map(|i| [i as i16 % 5 - 2, i as i16 % 3 - 1, i as i16 % 2]).collect();
    let epoch = Epoch { order, variations, rates: vec![1e-3; ROUND] };
    let (all, mut times) = (Stopwatch::start(), Vec::new());
    while times.len() < FEWEST_ROUNDS + 2 || all.seconds() < SECONDS {
        sessions.iter_mut().try_for_each(|session| session.begin(&epoch))?;
        let clock = Stopwatch::start();
        for _ in 0..ROUND {
            sessions.iter().try_for_each(Session::queue_step)?;
        }
        sessions.iter().try_for_each(Session::wait)?;
        times.push(clock.seconds() * 1e3 / ROUND as f64);
    }
    let counted = &times[2..];
    Ok((counted.len(), stats::median(counted)))
}

fn inference<B: Backend>(
    lane: &Rc<B>,
    images: &DeviceImages<B>,
    graph: &Graph,
    state: &State,
) -> Result<f64, BackendError> {
    let mut times = Vec::new();
    while times.len() < FEWEST_ROUNDS {
        let clock = Stopwatch::start();
        let weights = (state.trained.as_slice(), state.buffers.as_slice());
        logits_on(lane.clone(), images, IMAGES, graph, weights, EVALUATED_TOGETHER)?;
        times.push(clock.seconds());
    }
    Ok(IMAGES as f64 / stats::median(&times))
}
