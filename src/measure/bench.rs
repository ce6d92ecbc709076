//! The latency of one file on this machine, measured as MLPerf Tiny does it: single images one after the other, five
//! windows, warm-up apart, the cold start on its own.

use std::time::{Duration, Instant};

use super::samples::{Latency, Noise, Samples};
use super::{Host, MeasureError, RUNTIME, host, noise_image};
use crate::onnx::Runnable;
use crate::units::Millis;

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BenchConfig {
    /// Runs before the first one that counts.
    pub warm_up: usize,
    /// Runs that count, at least.
    pub min_runs: usize,
    /// Time that counts, at least, in seconds.
    pub min_seconds: f64,
    /// Windows that the runs are divided into.
    pub windows: usize,
}

impl Default for BenchConfig {
    fn default() -> Self {
        BenchConfig { warm_up: 10, min_runs: 100, min_seconds: 2.0, windows: 5 }
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BenchReport {
    /// Version of this format.
    pub schema_version: u32,
    /// The runtime with its version.
    pub runtime: String,
    /// Threads that the network ran on.
    pub threads: usize,
    /// The machine.
    pub host: Host,
    /// Multiply-accumulates of one image.
    pub macs: u64,
    /// Runs before those that counted.
    pub warm_up_runs: usize,
    /// Runs that counted.
    pub runs: usize,
    /// Latency of one image.
    pub latency: Latency,
    /// Reading and optimising the file.
    pub load_ms: f64,
    /// Reading, optimising and the first run.
    pub cold_start_ms: f64,
    /// Memory of the process before the file was read.
    pub rss_before_bytes: Option<u64>,
    /// Peak memory of the process, the file and the runtime included.
    pub peak_rss_bytes: Option<u64>,
    /// How steady the machine was.
    pub noise: Noise,
    /// What makes the numbers doubtful, as advice.
    pub warnings: Vec<String>,
}

/// Measures a file.
///
/// # Errors
/// If it does not load or run.
pub fn bench(model: &[u8], config: &BenchConfig) -> Result<BenchReport, MeasureError> {
    host::reset_peak_memory();
    let before = host::memory_bytes();
    let start = Instant::now();
    let runnable = Runnable::load(model)?;
    let load = start.elapsed();
    let image = noise_image(runnable.input_shape().elements());
    let mut session = runnable.session()?;
    let first = timed(|| session.run(&image))?;
    for _ in 0..config.warm_up {
        session.run(&image)?;
    }
    let min_time = Duration::from_secs_f64(config.min_seconds.clamp(0.0, 3600.0));
    let samples = Samples::collect(config.windows, config.min_runs, min_time, || timed(|| session.run(&image)))?;
    let (host, noise) = (Host::here(), samples.noise());
    let warnings = noise.warning().into_iter().chain(host.warnings()).collect();
    Ok(BenchReport {
        schema_version: 1,
        runtime: RUNTIME.into(),
        threads: 1,
        host,
        macs: runnable.macs(),
        warm_up_runs: config.warm_up,
        runs: samples.runs(),
        latency: samples.latency(),
        load_ms: Millis::from(load).0,
        cold_start_ms: Millis::from(load + first).0,
        rss_before_bytes: before.map(|(now, _)| now),
        peak_rss_bytes: host::memory_bytes().map(|(_, peak)| peak),
        noise,
        warnings,
    })
}

/// How long something takes.
pub(super) fn timed<T, E>(run: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let start = Instant::now();
    std::hint::black_box(run()?);
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::graph::{Cost, Weights, deployable};
    use crate::measure::macro_networks::networks;
    use crate::onnx::{ModelInfo, encode};

    #[test]
    fn a_report_has_all_its_figures_and_survives_its_file() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
        let graph = deployable(&networks(1, &mut rng)[0]).graph;
        let model = encode(&graph, &Weights::init(&graph, &mut rng), &ModelInfo::default());
        let config = BenchConfig { warm_up: 1, min_runs: 20, min_seconds: 0.0, windows: 5 };
        let report = bench(&model, &config).unwrap();
        let cost = Cost::of(&graph);
        assert_eq!((report.runs, report.macs), (20, cost.macs + cost.linear_macs));
        let latency = report.latency;
        assert!(0.0 < latency.min_ms && latency.min_ms <= latency.p50_ms && latency.p50_ms <= latency.p99_ms);
        assert!(report.load_ms < report.cold_start_ms && report.noise.window_medians_ms.len() == 5);
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<BenchReport>(&text).unwrap(), report);
    }

    #[test]
    fn a_file_that_is_no_model_is_an_error() {
        let error = bench(b"nothing", &BenchConfig::default()).unwrap_err().to_string();
        assert!(error.starts_with("this is not an ONNX file, or it is damaged"), "{error}");
    }
}
