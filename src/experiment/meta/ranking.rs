//! How well networks are ranked on tasks of sources that were held out: Kendall tau within each task, the mean over tasks
//! with an interval, and the difference from the same model that sees no data.

use serde::Serialize;

use super::MetaError;
use super::simple::Simple;
use crate::generate::{MetaModel, MetaTask};
use crate::space::Genotype;
use crate::stats;

/// Tau within tasks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Taus {
    /// What ranked.
    pub ranking: String,
    /// Kendall tau within each task.
    pub by_task: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Interval of the mean (95 %, bootstrap over tasks).
    pub interval: (f64, f64),
    /// Mean of the model's tau less this one's, task by task, with its interval.
    pub model_ahead: (f64, (f64, f64)),
}

/// The comparison on tasks held out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankingReport {
    /// Number of tasks.
    pub tasks: usize,
    /// Networks on them, together.
    pub networks: usize,
    /// The model first, then what it is compared with.
    pub rankings: Vec<Taus>,
}

const RESAMPLES: usize = 2000;

/// Compares a model and the same without sight of data (`blind`) with simple rankings, fitted to the same tasks.
///
/// # Errors
/// If the model does not know such tasks.
pub fn ranking(
    model: &MetaModel,
    blind: &MetaModel,
    learned: &[MetaTask],
    held_out: &[MetaTask],
    seed: u64,
) -> Result<RankingReport, MetaError> {
    let space = model.space();
    let mut found: Vec<(String, Vec<f64>)> = Vec::new();
    for (name, model) in [("meta-model", model), ("the same without sight of data", blind)] {
        let tau = |task: &MetaTask| -> Result<f64, MetaError> {
            let scored = model.score(&task.view, &genotypes(task))?;
            Ok(stats::kendall_tau(&scored.iter().map(|s| s.score).collect::<Vec<f64>>(), &accuracies(task)))
        };
        found.push((name.to_string(), held_out.iter().map(tau).collect::<Result<_, _>>()?));
    }
    for simple in Simple::all(space, learned, seed) {
        let tau = |task| stats::kendall_tau(&simple.score(space, task, &genotypes(task)), &accuracies(task));
        found.push((simple.name().to_string(), held_out.iter().map(tau).collect()));
    }
    let of_model = found[0].1.clone();
    let rankings = found.into_iter().map(|(ranking, by_task)| {
        let ahead: Vec<f64> = of_model.iter().zip(&by_task).map(|(model, other)| model - other).collect();
        Taus {
            ranking,
            mean: stats::mean(&by_task),
            interval: interval(&by_task, seed),
            model_ahead: (stats::mean(&ahead), interval(&ahead, seed)),
            by_task,
        }
    });
    let networks = held_out.iter().map(|task| task.labels.len()).sum();
    Ok(RankingReport { tasks: held_out.len(), networks, rankings: rankings.collect() })
}

/// Interval of a mean over tasks.
pub(super) fn interval(values: &[f64], seed: u64) -> (f64, f64) {
    stats::bootstrap_interval(values, stats::mean, 0.95, RESAMPLES, seed)
}

fn genotypes(task: &MetaTask) -> Vec<Genotype> {
    task.labels.iter().map(|label| label.genotype.clone()).collect()
}

fn accuracies(task: &MetaTask) -> Vec<f64> {
    task.labels.iter().map(|label| label.accuracy).collect()
}
