//! Time and memory of a network on this machine, robust statistics of it, and the calibration of a latency model. Time
//! enters the program here and nowhere else.

mod attribution;
mod bench;
mod cache;
mod calibrate;
mod error;
mod host;
mod profile;
mod samples;
mod stopwatch;

#[cfg(test)]
mod macro_networks;

pub use bench::{BenchConfig, BenchReport, bench};
pub use cache::{calibrated, calibration_file, keep};
pub use calibrate::{Calibration, CalibrationConfig, NetworkTime, calibrate};
pub use error::MeasureError;
pub use host::{Host, memory_bytes};
pub use profile::{OperatorTime, profile};
pub use samples::{Latency, Noise, Samples};
pub use stopwatch::Stopwatch;

/// The runtime whose times are measured.
pub const RUNTIME: &str = "tract 0.23.9";

/// Other programs only ever add time: for a model of the network alone, the time is what the fastest fifth of the runs
/// reaches. On a quiet machine it is within a few percent of the median; on a busy one the median means little.
const UNDISTURBED_PERCENTILE: f64 = 20.0;

/// An image of noise: zeros would let denormal numbers or shortcuts pass for speed.
fn noise_image(values: usize) -> Vec<f32> {
    use rand::{Rng, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
    (0..values).map(|_| rng.random()).collect()
}
