//! Durations of many runs and what they say. The runs are a closure that answers with its duration, so the statistics are
//! tested without a clock.

use std::time::Duration;

use crate::stats::{mean, median, percentile, std_dev};

/// Windows whose medians differ by more than this were not measured on a quiet machine.
const LARGEST_WINDOW_SPREAD: f64 = 0.05;

/// Latency of one image, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Latency {
    /// Half of the runs are faster.
    pub p50_ms: f64,
    /// Nine of ten runs are faster.
    pub p90_ms: f64,
    /// 99 of 100 runs are faster.
    pub p99_ms: f64,
    /// The fastest run.
    pub min_ms: f64,
    /// The mean.
    pub mean_ms: f64,
    /// Standard deviation over all runs.
    pub std_dev_ms: f64,
}

/// How steady the machine was.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Noise {
    /// Median of each window, in the order of time.
    pub window_medians_ms: Vec<f64>,
    /// Standard deviation of the windows' medians over their mean.
    pub coefficient_of_variation: f64,
    /// The largest of the windows' medians over the smallest, less one.
    pub window_spread: f64,
}

/// Durations in milliseconds, window by window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Samples {
    windows: Vec<Vec<f64>>,
}

impl Samples {
    /// Runs until each of `windows` has its share of `min_runs` and of `min_time`.
    pub fn collect<E>(
        windows: usize,
        min_runs: usize,
        min_time: Duration,
        mut run: impl FnMut() -> Result<Duration, E>,
    ) -> Result<Self, E> {
        let windows = windows.max(1);
        let (runs, time) = (min_runs.div_ceil(windows).max(1), min_time / windows as u32);
        let mut samples = Samples::default();
        for _ in 0..windows {
            let mut window = Vec::with_capacity(runs);
            let mut total = Duration::ZERO;
            while window.len() < runs || total < time {
                let duration = run()?;
                // A run of no time at all must still come to an end.
                total += duration.max(Duration::from_nanos(1));
                window.push(duration.as_secs_f64() * 1e3);
            }
            samples.windows.push(window);
        }
        Ok(samples)
    }

    /// Number of runs.
    pub fn runs(&self) -> usize {
        self.windows.iter().map(Vec::len).sum()
    }

    /// Statistics over all runs.
    pub fn latency(&self) -> Latency {
        let all = self.windows.concat();
        Latency {
            p50_ms: median(&all),
            p90_ms: percentile(&all, 90.0),
            p99_ms: percentile(&all, 99.0),
            min_ms: all.iter().copied().fold(f64::INFINITY, f64::min),
            mean_ms: mean(&all),
            std_dev_ms: std_dev(&all),
        }
    }

    /// Statistics over the windows.
    pub fn noise(&self) -> Noise {
        let medians: Vec<f64> = self.windows.iter().map(|window| median(window)).collect();
        let (low, high) = medians.iter().fold((f64::INFINITY, 0.0f64), |(low, high), m| (low.min(*m), high.max(*m)));
        let spread = |deviation: f64| if medians.len() < 2 { 0.0 } else { deviation };
        Noise {
            coefficient_of_variation: spread(std_dev(&medians) / mean(&medians)),
            window_spread: spread(high / low - 1.0),
            window_medians_ms: medians,
        }
    }
}

impl Noise {
    /// What to think of it, if anything.
    pub fn warning(&self) -> Option<String> {
        (self.window_spread > LARGEST_WINDOW_SPREAD).then(|| {
            format!(
                "the machine is not quiet: medians of {} windows differ by {:.0} %\nhint: close other programs, plug the power in, measure again",
                self.window_medians_ms.len(),
                self.window_spread * 100.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs that take the given milliseconds in turn.
    fn fake(durations: Vec<f64>) -> impl FnMut() -> Result<Duration, ()> {
        let mut next = durations.into_iter().cycle();
        move || Ok(Duration::from_secs_f64(next.next().unwrap() / 1e3))
    }

    #[test]
    fn every_window_gets_its_runs_and_its_time() {
        let by_runs = Samples::collect(5, 103, Duration::ZERO, fake(vec![1.0])).unwrap();
        assert_eq!(by_runs.runs(), 105);
        let by_time = Samples::collect(5, 10, Duration::from_secs(1), fake(vec![2.0])).unwrap();
        assert_eq!(by_time.runs(), 500);
    }

    #[test]
    fn percentiles_are_those_of_all_runs() {
        let samples = Samples::collect(1, 101, Duration::ZERO, fake((0..101).map(f64::from).collect())).unwrap();
        let latency = samples.latency();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(latency.p50_ms, 50.0) && close(latency.p90_ms, 90.0) && close(latency.p99_ms, 99.0));
        assert!(close(latency.min_ms, 0.0) && close(latency.mean_ms, 50.0));
    }

    #[test]
    fn a_machine_that_slows_down_is_called_noisy() {
        let steady = Samples::collect(5, 100, Duration::ZERO, fake(vec![1.0, 1.01])).unwrap();
        assert_eq!(steady.noise().warning(), None);
        let mut run = 0;
        let slowing = Samples::collect(5, 100, Duration::ZERO, || {
            run += 1;
            Ok::<_, ()>(Duration::from_micros(if run > 80 { 1100 } else { 1000 }))
        });
        let noise = slowing.unwrap().noise();
        assert!((noise.window_spread - 0.1).abs() < 1e-9);
        assert!(noise.warning().unwrap().starts_with("the machine is not quiet: medians of 5 windows differ by 10 %"));
    }

    #[test]
    fn a_run_that_fails_ends_the_measurement() {
        assert_eq!(Samples::collect(5, 100, Duration::ZERO, || Err("broken")), Err("broken"));
    }
}
