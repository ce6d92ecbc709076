//! A latency model of this machine.
//!
//! Operators are timed where they run: inside whole networks, as the runtime fuses and orders them. Timed alone they
//! would miss fusion and find their data in a cache that a network has already filled otherwise. A latency is then the
//! sum of its operators' times, scaled and shifted by a line through whole-network times (as a lookup table in
//! ProxylessNAS, Cai et al. 2019), and the error is that on networks that took part in neither step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::bench::timed;
use super::profile::Recorder;
use super::{Host, MeasureError, RUNTIME, UNDISTURBED_PERCENTILE, attribution, noise_image};
use crate::graph::{Graph, Op, Weights, deployable};
use crate::onnx::{ModelInfo, Runnable, Session, encode};
use crate::stats::{median, percentile, spearman};
use crate::target::{LatencyModel, signature};

/// Networks that a line and an error need.
const FEWEST_NETWORKS: usize = 4;
/// A line has an offset only if the largest sum is this many times the smallest.
const WIDE_RANGE: f64 = 1.5;

/// How much to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationConfig {
    /// Networks timed as a whole: half of them for the line, half for the error.
    pub networks: usize,
    /// Networks whose operators are timed, at most. As many are taken as bring new operators.
    pub profiled: usize,
    /// Rounds over all networks: they are interleaved, so that a disturbance hits all alike.
    pub rounds: usize,
    /// Timed runs of each network in a round, after one that is not.
    pub runs_per_round: usize,
}

impl Default for CalibrationConfig {
    fn default() -> Self {
        CalibrationConfig { networks: 24, profiled: 48, rounds: 15, runs_per_round: 3 }
    }
}

/// One network, measured and predicted.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NetworkTime {
    /// Place among the networks given.
    pub network: usize,
    /// Its time when nothing disturbs it.
    pub measured_ms: f64,
    /// What the model says.
    pub predicted_ms: f64,
}

/// A latency model and what it was judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// The model.
    pub model: LatencyModel,
    /// Networks that took no part in making it.
    pub held_out: Vec<NetworkTime>,
    /// Networks whose operators were timed.
    pub profiled: usize,
}

/// Which of the networks given serve for what.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Roles {
    /// Their operators are timed.
    profiled: Vec<usize>,
    /// Profiled ones that are timed as a whole, for the line.
    line: Vec<usize>,
    /// Timed as a whole, for the error.
    held_out: Vec<usize>,
}

impl Roles {
    fn choose(graphs: &[Graph], config: &CalibrationConfig) -> Self {
        let mut profiled = cover(graphs, config.profiled);
        let half = (config.networks / 2).max(2);
        let rest = |profiled: &[usize]| (0..graphs.len()).filter(|i| !profiled.contains(i)).collect::<Vec<_>>();
        let mut held_out = rest(&profiled);
        // Where every network brings a new operator, the last ones serve for the error: what they alone have is timed
        // too, but not as part of the line.
        if held_out.len() < 2 {
            held_out = profiled.iter().rev().take(half.min(graphs.len() / 2)).copied().collect();
        }
        held_out.truncate(half);
        for more in rest(&profiled) {
            if profiled.len() < half && !held_out.contains(&more) {
                profiled.push(more);
            }
        }
        let line = profiled.iter().filter(|i| !held_out.contains(i)).take(half).copied().collect();
        Roles { profiled, line, held_out }
    }
}

/// Networks that together have every operator: each one brings the most that are new.
fn cover(graphs: &[Graph], most: usize) -> Vec<usize> {
    let signatures: Vec<BTreeSet<String>> = graphs.iter().map(signatures).collect();
    let mut seen = BTreeSet::new();
    let mut chosen = Vec::new();
    while chosen.len() < most {
        let new = |i: &usize| signatures[*i].difference(&seen).count();
        // The first of the best, so that the choice does not depend on anything but the order given.
        let best = (0..graphs.len()).rev().max_by_key(new).filter(|i| new(i) > 0);
        let Some(best) = best else { break };
        seen.extend(signatures[best].iter().cloned());
        chosen.push(best);
    }
    chosen
}

fn signatures(graph: &Graph) -> BTreeSet<String> {
    (0..graph.nodes().len()).map(|id| signature(graph, id)).collect()
}

/// A network that is being timed.
struct Subject {
    network: usize,
    session: Session,
    image: Vec<f32>,
    recorder: Option<Recorder>,
    whole_ms: Vec<f64>,
    is_whole: bool,
}

impl Subject {
    fn load(network: usize, graph: &Graph, roles: &Roles) -> Result<Self, MeasureError> {
        let weights = Weights::init(graph, &mut ChaCha8Rng::seed_from_u64(network as u64));
        let runnable = Runnable::load(&encode(graph, &weights, &ModelInfo::default()))?;
        Ok(Subject {
            network,
            session: runnable.session()?,
            image: noise_image(graph.input_shape().elements()),
            recorder: roles.profiled.contains(&network).then(Recorder::default),
            whole_ms: Vec::new(),
            is_whole: roles.line.contains(&network) || roles.held_out.contains(&network),
        })
    }

    fn round(&mut self, runs: usize) -> Result<(), MeasureError> {
        self.session.run(&self.image)?;
        for _ in 0..runs {
            if self.is_whole {
                let time: Duration = timed(|| self.session.run(&self.image))?;
                self.whole_ms.push(time.as_secs_f64() * 1e3);
            }
            if let Some(recorder) = &mut self.recorder {
                recorder.run(&mut self.session, &self.image)?;
            }
        }
        Ok(())
    }
}

/// Makes a latency model for this machine from a sample of the networks it will be asked about. `progress` is told how
/// much is done, and of how much.
///
/// # Errors
/// If a network does not run, if there are fewer than four, or if no network held out has only operators that were timed.
pub fn calibrate(
    graphs: &[Graph],
    config: &CalibrationConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Calibration, MeasureError> {
    if graphs.len() < FEWEST_NETWORKS {
        return Err(MeasureError::TooFewNetworks { needed: FEWEST_NETWORKS, found: graphs.len() });
    }
    let graphs: Vec<Graph> = graphs.iter().map(|graph| deployable(graph).graph).collect();
    let roles = Roles::choose(&graphs, config);
    let chosen: BTreeSet<usize> = roles.profiled.iter().chain(&roles.held_out).copied().collect();
    let steps = chosen.len() + config.rounds;
    let mut subjects = Vec::new();
    for (done, network) in chosen.into_iter().enumerate() {
        progress(done, steps);
        subjects.push(Subject::load(network, &graphs[network], &roles)?);
    }
    for round in 0..config.rounds.max(1) {
        progress(subjects.len() + round, steps);
        subjects.iter_mut().try_for_each(|subject| subject.round(config.runs_per_round.max(1)))?;
    }
    progress(steps, steps);
    evaluate(&graphs, &roles, &subjects)
}

fn evaluate(graphs: &[Graph], roles: &Roles, subjects: &[Subject]) -> Result<Calibration, MeasureError> {
    let mut model = LatencyModel {
        schema_version: LatencyModel::SCHEMA_VERSION,
        runtime: RUNTIME.into(),
        host: Host::here().cpu,
        threads: 1,
        offset_ms: 0.0,
        scale: 1.0,
        operators_ms: operators(graphs, subjects),
        networks_measured: subjects.iter().filter(|s| s.is_whole).count(),
        median_relative_error: 0.0,
        spearman: 0.0,
    };
    let whole = |networks: &[usize]| -> Vec<(usize, f64)> {
        let timed = subjects.iter().filter(|s| networks.contains(&s.network));
        timed.map(|s| (s.network, percentile(&s.whole_ms, UNDISTURBED_PERCENTILE))).collect()
    };
    let points = whole(&roles.line).into_iter();
    let points: Vec<(f64, f64)> = points.filter_map(|(i, ms)| Some((model.sum_ms(&graphs[i])?, ms))).collect();
    (model.offset_ms, model.scale) = line(&points);
    let judge = |(network, measured_ms)| {
        let predicted_ms = model.predict(&graphs[network])?.0;
        Some(NetworkTime { network, measured_ms, predicted_ms })
    };
    let held_out: Vec<NetworkTime> = whole(&roles.held_out).into_iter().filter_map(judge).collect();
    if held_out.is_empty() {
        return Err(MeasureError::NothingPredicted);
    }
    let error = |t: &NetworkTime| (t.predicted_ms - t.measured_ms).abs() / t.measured_ms;
    let of = |f: &dyn Fn(&NetworkTime) -> f64| held_out.iter().map(f).collect::<Vec<f64>>();
    model.median_relative_error = median(&of(&error));
    model.spearman = spearman(&of(&|t| t.predicted_ms), &of(&|t| t.measured_ms));
    Ok(Calibration { model, held_out, profiled: roles.profiled.len() })
}

/// Mean time of each operator over its occurrences, each the undisturbed time over all runs.
fn operators(graphs: &[Graph], subjects: &[Subject]) -> BTreeMap<String, f64> {
    let mut times: BTreeMap<String, (f64, usize)> = BTreeMap::new();
    for subject in subjects {
        let Some(recorder) = &subject.recorder else { continue };
        let graph = &graphs[subject.network];
        for (id, us) in attribution::by_node(graph, &recorder.times()).into_iter().enumerate() {
            if let Op::Input(_) = graph.node(id).op {
                continue;
            }
            for key in BTreeSet::from([signature(graph, id), LatencyModel::signature_in_context(graph, id)]) {
                let (sum, count) = times.entry(key).or_default();
                *sum += us / 1e3;
                *count += 1;
            }
        }
    }
    times.into_iter().map(|(key, (sum, count))| (key, sum / count as f64)).collect()
}

/// Offset and scale of the line whose relative errors have the least sum of squares. Neither may be negative; points
/// that lie close together or that ask for a negative offset get a line through the origin.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    // Weighted by 1 / y²: the sums of Σ ((offset + scale · x) / y − 1)².
    let sum = |f: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| f(*x, *y) / (y * y)).sum::<f64>();
    let (s1, sx, sy) = (sum(&|_, _| 1.0), sum(&|x, _| x), sum(&|_, y| y));
    let (sxx, sxy) = (sum(&|x, _| x * x), sum(&|x, y| x * y));
    let through_origin = if sxx > 0.0 { (0.0, sxy / sxx) } else { (0.0, 1.0) };
    let (low, high) = points.iter().fold((f64::INFINITY, 0.0f64), |(low, high), (x, _)| (low.min(*x), high.max(*x)));
    let determinant = s1 * sxx - sx * sx;
    if points.len() < 3 || high < WIDE_RANGE * low || determinant <= 0.0 {
        return through_origin;
    }
    let (offset, scale) = ((sy * sxx - sx * sxy) / determinant, (s1 * sxy - sx * sy) / determinant);
    if offset >= 0.0 && scale > 0.0 { (offset, scale) } else { through_origin }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::macro_networks::networks;

    #[test]
    fn a_line_is_found_and_has_no_negative_offset() {
        let (offset, scale) = line(&[(1.0, 2.5), (2.0, 4.5), (4.0, 8.5)]);
        assert!((offset - 0.5).abs() < 1e-9 && (scale - 2.0).abs() < 1e-9);
        assert_eq!(line(&[(1.0, 1.0), (2.0, 3.0), (4.0, 7.0)]).0, 0.0);
        assert_eq!(line(&[]), (0.0, 1.0));
    }

    #[test]
    fn the_cover_has_every_operator_of_all_networks() {
        let graphs: Vec<Graph> =
            networks(30, &mut ChaCha8Rng::seed_from_u64(0)).iter().map(|g| deployable(g).graph).collect();
        let all: BTreeSet<String> = graphs.iter().flat_map(signatures).collect();
        let chosen = cover(&graphs, 30);
        let covered: BTreeSet<String> = chosen.iter().flat_map(|i| signatures(&graphs[*i])).collect();
        assert_eq!(covered, all);
        assert!(chosen.len() < 15);
    }

    #[test]
    fn networks_for_the_error_take_no_other_part() {
        let graphs: Vec<Graph> =
            networks(30, &mut ChaCha8Rng::seed_from_u64(0)).iter().map(|g| deployable(g).graph).collect();
        let roles = Roles::choose(&graphs, &CalibrationConfig::default());
        assert!(roles.held_out.len() >= 8 && roles.line.len() >= 6, "{roles:?}");
        assert!(roles.held_out.iter().all(|i| !roles.profiled.contains(i)));
        let few = Roles::choose(&graphs[..4], &CalibrationConfig::default());
        assert!(few.held_out.len() == 2 && few.line.len() == 2, "{few:?}");
        assert!(few.held_out.iter().all(|i| !few.line.contains(i)));
    }

    #[test]
    fn three_networks_are_too_few() {
        let error = calibrate(&networks(3, &mut ChaCha8Rng::seed_from_u64(0)), &Default::default(), &mut |_, _| ());
        assert_eq!(error.unwrap_err().to_string(), "a calibration needs at least 4 networks, got 3");
    }

    /// The figures depend on the machine: `cargo test --release --lib measure:: -- --nocapture` shows them. The bounds
    /// are wide enough for a machine that builds other things at the same time.
    #[test]
    fn networks_that_were_held_out_are_predicted() {
        let graphs = networks(32, &mut ChaCha8Rng::seed_from_u64(1));
        let config = CalibrationConfig { networks: 16, rounds: 8, ..CalibrationConfig::default() };
        let mut told = Vec::new();
        let calibration = calibrate(&graphs, &config, &mut |done, of| told.push((done, of))).unwrap();
        for t in &calibration.held_out {
            println!("network {:2}: measured {:.3} ms, predicted {:.3} ms", t.network, t.measured_ms, t.predicted_ms);
        }
        let model = &calibration.model;
        println!("median relative error {:.3}, Spearman {:.2}", model.median_relative_error, model.spearman);
        assert_eq!(calibration.held_out.len(), 8);
        assert!(model.median_relative_error < 0.5);
        assert!(graphs.iter().all(|g| model.predict(&deployable(g).graph).is_some_and(|ms| ms.0 > 0.0)));
        assert!(told.iter().is_sorted() && told.last().is_some_and(|(done, of)| done == of));
    }
}
