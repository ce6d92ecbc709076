//! How fast this machine trains: a whole training step of a network, its evaluation, and what the processor could do at
//! best.

use candle_core::{Device, Tensor, Var};
use serde::Serialize;

use crate::graph::{Graph, Weights};
use crate::measure::{self, Stopwatch};
use crate::nn::kernels::matrix::{Matrix, multiply};
use crate::nn::{Net, NetworkOp, Optimiser, cross_entropy};
use crate::predictor::PredictorWork;
use crate::seed;
use crate::stats;
use crate::train::{TrainConfig, TrainError};

/// Time of a training step and of evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepTime {
    /// Images in a step.
    pub batch: usize,
    /// Threads.
    pub threads: usize,
    /// Steps timed.
    pub steps: usize,
    /// Median time of a step: forward, loss, backward and optimiser.
    pub step_ms: f64,
    /// Images trained in a second, by that median.
    pub train_images_per_s: f64,
    /// By how much the step raised the memory of the process at its peak, in bytes; where the system tells.
    pub step_memory_bytes: Option<u64>,
    /// Images evaluated in a second, by the median of as many evaluations of a batch.
    pub inference_images_per_s: f64,
}

/// What one core does at best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Peak {
    /// Arithmetic of a matrix product of 512 × 512 matrices, in 10⁹ operations a second (a multiply-accumulate is two).
    pub gflop_per_s: f64,
    /// Memory read and written by a copy of 64 MB, in 10⁹ bytes a second.
    pub gb_per_s: f64,
}

/// Seconds for which each figure is measured, and fewest runs.
const SECONDS: f64 = 2.0;
const FEWEST_RUNS: usize = 5;

/// Times training steps of a network on random images.
///
/// # Errors
/// If a step fails.
pub fn time_step(graph: &Graph, batch: usize) -> Result<StepTime, TrainError> {
    let config = TrainConfig::default();
    let weights = Weights::init(graph, &mut seed::stream(0, "weights", 0));
    let shape = graph.input_shape();
    let classes = graph.output_shape().elements();
    let pixels: Vec<f32> = (0..batch * shape.elements()).map(|i| (i * 7919 % 1021) as f32 / 1021.0).collect();
    let labels: Vec<u32> = (0..batch).map(|i| (i % classes) as u32).collect();
    let x = Tensor::from_vec(pixels.clone(), (batch, shape.channels, shape.height, shape.width), &Device::Cpu)?;
    let params = Var::from_tensor(&Tensor::from_vec(weights.trained.clone(), weights.layout.trained(), &Device::Cpu)?)?;
    let optimiser =
        Optimiser::new(&weights.layout, config.optimiser, config.weight_decay as f32, config.clip_norm as f32);
    let network = NetworkOp::new(Net::new(graph), weights.buffers.clone());
    let before = measure::memory_bytes();
    let (steps, step_ms) = median_ms(|| {
        let loss = cross_entropy(&x.apply_op2(&params, network.clone())?, &labels, 0.0)?;
        let gradients = loss.backward()?;
        let gradient = gradients.get(&params).expect("the loss depends on the parameters");
        optimiser.step(&params, gradient, 1e-3)?;
        Ok::<(), TrainError>(())
    })?;
    let after = measure::memory_bytes();
    let step_memory_bytes = before.zip(after).map(|((before, _), (_, peak))| peak.saturating_sub(before));
    let (_, evaluation_ms) = median_ms(|| {
        Net::logits(graph, &weights, batch, |i, image| {
            image.copy_from_slice(&pixels[i * shape.elements()..(i + 1) * shape.elements()]);
        });
        Ok::<(), TrainError>(())
    })?;
    let per_second = |ms: f64| batch as f64 / ms * 1e3;
    Ok(StepTime {
        batch,
        threads: rayon::current_num_threads(),
        steps,
        step_ms,
        train_images_per_s: per_second(step_ms),
        step_memory_bytes,
        inference_images_per_s: per_second(evaluation_ms),
    })
}

/// Speed of the graph convolutional predictor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PredictorTime {
    /// Median time of a training step, in milliseconds.
    pub train_step_ms: f64,
    /// Graphs scored in a second.
    pub scored_per_s: f64,
}

/// Times the predictor of Wen et al. (2019) on cells of seven nodes: a training step on `graphs` graphs, and scoring them.
pub fn time_predictor(graphs: usize) -> PredictorTime {
    let mut work = PredictorWork::new(graphs);
    let train_step_ms = median_ms_of(|| work.train());
    let score_ms = median_ms_of(|| drop(std::hint::black_box(work.score())));
    PredictorTime { train_step_ms, scored_per_s: graphs as f64 / score_ms * 1e3 }
}

/// Measures what one core does at best.
pub fn peak() -> Peak {
    const SIDE: usize = 512;
    const VALUES: usize = 16 << 20;
    let (a, b) = (vec![1.0f32; SIDE * SIDE], vec![0.5f32; SIDE * SIDE]);
    let mut c = vec![0.0f32; SIDE * SIDE];
    let square = Matrix::new(SIDE, SIDE);
    let product = median_ms_of(|| multiply((square, &a), (square, &b), false, (square, &mut c)));
    let (from, mut to) = (vec![1.0f32; VALUES], vec![0.0f32; VALUES]);
    let copy = median_ms_of(|| {
        to.copy_from_slice(std::hint::black_box(&from));
        // What nobody reads would not be copied.
        std::hint::black_box(&mut to);
    });
    let rate = |amount: f64, ms: f64| amount / ms / 1e6;
    Peak {
        gflop_per_s: rate(2.0 * (SIDE * SIDE * SIDE) as f64, product),
        gb_per_s: rate(2.0 * (VALUES * size_of::<f32>()) as f64, copy),
    }
}

/// Median time of what cannot fail, after two runs that do not count.
pub(super) fn median_ms_of(mut run: impl FnMut()) -> f64 {
    let Ok((_, ms)) = median_ms(|| {
        run();
        Ok::<(), std::convert::Infallible>(())
    });
    ms
}

/// Number of runs and their median time, after two that do not count.
fn median_ms<E>(mut run: impl FnMut() -> Result<(), E>) -> Result<(usize, f64), E> {
    for _ in 0..2 {
        run()?;
    }
    let (all, mut times) = (Stopwatch::start(), Vec::new());
    while times.len() < FEWEST_RUNS || all.seconds() < SECONDS {
        let clock = Stopwatch::start();
        run()?;
        times.push(clock.seconds() * 1e3);
    }
    Ok((times.len(), stats::median(&times)))
}
