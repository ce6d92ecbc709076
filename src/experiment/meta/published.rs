//! The published database of MetaD2A, whose tasks are sets of numbered classes: the same predictor, with a learned vector
//! for each class in place of images. Tasks are held out whole.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use serde::Serialize;

use super::MetaError;
use super::ranking::interval;
use crate::generate::{ClassKind, FitStep, MetaConfig, MetaLabel, MetaModel, MetaTask, TaskView};
use crate::graph::Cost;
use crate::regress::{Lambda, Ridge};
use crate::seed;
use crate::space::{Genotype, Space};
use crate::stats;
use crate::tabular::{METAD2A_CLASSES, MetaD2a};

/// How well accuracies of held-out tasks are predicted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PublishedScores {
    /// What predicted.
    pub predictor: String,
    /// Root of the mean squared error, in percent.
    pub rmse: f64,
    /// Pearson correlation.
    pub pearson: f64,
    /// Kendall tau.
    pub kendall_tau: f64,
    /// Interval of the mean difference of squared errors from the model's, in squared percent: above zero, the model is
    /// better (95 %, bootstrap over records).
    pub behind_model: (f64, f64),
}

/// The comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PublishedReport {
    /// Records and tasks learned from.
    pub learned: (usize, usize),
    /// Records and tasks held out.
    pub held_out: (usize, usize),
    /// The model first.
    pub scores: Vec<PublishedScores>,
}

/// Fits to all tasks but a share, and compares on the others.
///
/// # Errors
/// If the fit fails.
pub fn published(
    database: &MetaD2a,
    held_out: f64,
    config: &MetaConfig,
    seed: u64,
    watch: &mut dyn FnMut(FitStep),
) -> Result<PublishedReport, MetaError> {
    let space = Space::named("nats-tss").map_err(crate::experiment::labels::LabelError::from)?;
    let mut tasks = by_task(database);
    tasks.shuffle(&mut seed::stream(seed, "tasks held out", 0));
    let test = tasks.split_off(((tasks.len() as f64) * (1.0 - held_out)).round() as usize);
    let config = MetaConfig { within_tasks: false, generator_epochs: 0, ..config.clone() };
    let kind = ClassKind::Numbers(METAD2A_CLASSES);
    let mut predictions: Vec<(&str, Vec<f64>)> = Vec::new();
    let all: Vec<f64> = accuracies(&tasks);
    let scale = (stats::mean(&all), stats::std_dev(&all));
    for (name, sees_data) in [("meta-model", true), ("the same without sight of classes", false)] {
        let model = MetaModel::fit(&space, kind, &tasks, MetaConfig { sees_data, ..config.clone() }, seed, watch)?;
        let mut found = Vec::new();
        for task in &test {
            let genotypes: Vec<Genotype> = task.labels.iter().map(|label| label.genotype.clone()).collect();
            let scored = model.score(&task.view, &genotypes)?;
            found.extend(scored.iter().map(|scored| scale.0 + scale.1 * scored.score));
        }
        predictions.push((name, found));
    }
    predictions.push(("mean of all", vec![scale.0; accuracies(&test).len()]));
    for (name, of_cell, of_classes) in [
        ("ridge on cells", true, false),
        ("ridge on classes: means of tasks", false, true),
        ("ridge on both", true, true),
    ] {
        let rows = |tasks: &[MetaTask]| rows(&space, database, tasks, of_cell, of_classes);
        predictions.push((name, Ridge::fit(&rows(&tasks), &all, Lambda::LeaveOneOut).predict(&rows(&test))));
    }
    let targets = accuracies(&test);
    let squares = |found: &[f64]| -> Vec<f64> {
        found.iter().zip(&targets).map(|(found, target)| 1e4 * (found - target).powi(2)).collect()
    };
    let of_model = squares(&predictions[0].1);
    let scores = predictions.iter().map(|(name, found)| {
        let behind: Vec<f64> = squares(found).iter().zip(&of_model).map(|(own, model)| own - model).collect();
        PublishedScores {
            predictor: name.to_string(),
            rmse: stats::mean(&squares(found)).sqrt(),
            pearson: stats::pearson(found, &targets),
            kendall_tau: stats::kendall_tau(found, &targets),
            behind_model: interval(&behind, seed),
        }
    });
    let scores = scores.collect();
    Ok(PublishedReport { learned: (all.len(), tasks.len()), held_out: (targets.len(), test.len()), scores })
}

/// Tasks with their records, in the order of the list.
fn by_task(database: &MetaD2a) -> Vec<MetaTask> {
    let mut labels: BTreeMap<usize, Vec<MetaLabel>> = BTreeMap::new();
    for record in &database.records {
        let label = MetaLabel { genotype: record.cell.clone(), accuracy: record.accuracy };
        labels.entry(record.task).or_default().push(label);
    }
    let task = |(task, labels): (usize, Vec<MetaLabel>)| MetaTask {
        view: TaskView::of_numbers(database.tasks[task].clone()),
        labels,
        tested_on: usize::MAX,
    };
    labels.into_iter().map(task).collect()
}

fn accuracies(tasks: &[MetaTask]) -> Vec<f64> {
    tasks.iter().flat_map(|task| task.labels.iter().map(|label| label.accuracy)).collect()
}

/// A column for each property of the cell, one for each class.
fn rows(space: &Space, database: &MetaD2a, tasks: &[MetaTask], of_cell: bool, of_classes: bool) -> Vec<Vec<f64>> {
    let classes = database.tasks.iter().flatten().max().map_or(0, |most| most + 1);
    let mut rows = Vec::new();
    for task in tasks {
        let crate::generate::Classes::Numbers(numbers) = &task.view.classes else { continue };
        let mut indicators = vec![0.0; if of_classes { classes } else { 0 }];
        if of_classes {
            numbers.iter().for_each(|number| indicators[*number] = 1.0);
        }
        for label in &task.labels {
            let cell = match of_cell {
                true => space.features(&label.genotype, &Cost::of(&space.lower(&label.genotype))),
                false => Vec::new(),
            };
            rows.push([cell, indicators.clone()].concat());
        }
    }
    rows
}
