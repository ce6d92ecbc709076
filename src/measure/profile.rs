//! Where the time of a network goes, operator by operator as the runtime executes them.

use std::time::Instant;

use super::{MeasureError, UNDISTURBED_PERCENTILE, noise_image};
use crate::onnx::{OnnxError, Runnable, Session};
use crate::stats::percentile;

/// Time of one operator of the optimised network.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct OperatorTime {
    /// Its name: that of the operator in the file, often with a suffix of the runtime.
    pub name: String,
    /// What the runtime calls it.
    pub op: String,
    /// Time when nothing disturbs it: 20th percentile of all runs.
    pub time_us: f64,
    /// Share of the sum of all operators, 0…1.
    pub share: f64,
}

/// Times every operator over `runs` runs; in the order of execution.
///
/// # Errors
/// If the file does not load or run.
pub fn profile(model: &[u8], runs: usize) -> Result<Vec<OperatorTime>, MeasureError> {
    let runnable = Runnable::load(model)?;
    let image = noise_image(runnable.input_shape().elements());
    let mut session = runnable.session()?;
    session.run(&image)?;
    let mut recorder = Recorder::default();
    for _ in 0..runs.max(1) {
        recorder.run(&mut session, &image)?;
    }
    Ok(recorder.times())
}

/// Collects the times of operators over many runs of one network.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// For each operator in the order of execution: name, kind, times in microseconds.
    operators: Vec<(String, String, Vec<f64>)>,
}

impl Recorder {
    /// One run.
    pub(super) fn run(&mut self, session: &mut Session, image: &[f32]) -> Result<(), OnnxError> {
        let mut step = 0;
        session.run_around(image, |name, op, evaluate| {
            let start = Instant::now();
            evaluate();
            let elapsed_us = start.elapsed().as_secs_f64() * 1e6;
            if step == self.operators.len() {
                self.operators.push((name.to_string(), op.to_string(), Vec::new()));
            }
            self.operators[step].2.push(elapsed_us);
            step += 1;
        })?;
        Ok(())
    }

    /// Undisturbed times and shares.
    pub(super) fn times(&self) -> Vec<OperatorTime> {
        let undisturbed: Vec<f64> =
            self.operators.iter().map(|(_, _, times)| percentile(times, UNDISTURBED_PERCENTILE)).collect();
        let total: f64 = undisturbed.iter().sum();
        let time = |((name, op, _), time_us): (&(String, String, Vec<f64>), &f64)| OperatorTime {
            name: name.clone(),
            op: op.clone(),
            time_us: *time_us,
            share: if total > 0.0 { time_us / total } else { 0.0 },
        };
        self.operators.iter().zip(&undisturbed).map(time).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::graph::{Weights, deployable};
    use crate::measure::macro_networks::networks;
    use crate::onnx::{ModelInfo, encode};

    #[test]
    fn every_operator_is_timed_and_the_shares_are_those_of_a_whole() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
        let graph = deployable(&networks(1, &mut rng)[0]).graph;
        let model = encode(&graph, &Weights::init(&graph, &mut rng), &ModelInfo::default());
        let times = profile(&model, 3).unwrap();
        assert!(times.iter().any(|t| t.op == "DepthWiseConv" && t.name.starts_with("layer0")));
        assert!((times.iter().map(|t| t.share).sum::<f64>() - 1.0).abs() < 1e-9);
    }
}
