//! What a meta-model is compared with: models on columns that know tasks by their size alone, or not at all.

use crate::generate::MetaTask;
use crate::graph::Cost;
use crate::regress::{Forest, ForestConfig, Lambda, Ridge};
use crate::space::{Genotype, Space};
use crate::stats;

/// A simple way to rank networks on a task.
pub(super) enum Simple {
    /// More multiply-accumulates are better.
    Macs,
    /// Ridge regression on the columns of the space: one ranking for all tasks.
    Ridge(Ridge),
    /// A forest on the columns of the space and the size of the task.
    Forest(Forest),
}

impl Simple {
    pub fn name(&self) -> &'static str {
        match self {
            Simple::Macs => "MACs",
            Simple::Ridge(_) => "ridge, task-independent",
            Simple::Forest(_) => "forest with sizes of tasks",
        }
    }

    /// All of them, fitted to tasks.
    pub fn all(space: &Space, tasks: &[MetaTask], seed: u64) -> Vec<Simple> {
        let (mut rows, mut with_task, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for task in tasks {
            let accuracies: Vec<f64> = task.labels.iter().map(|label| label.accuracy).collect();
            let (mean, deviation) = (stats::mean(&accuracies), stats::std_dev(&accuracies));
            // Of one network there is no deviation.
            if deviation.is_nan() || deviation <= 0.0 {
                continue;
            }
            for label in &task.labels {
                let columns = columns(space, &label.genotype);
                with_task.push(beside(&columns, task));
                rows.push(columns);
                targets.push((label.accuracy - mean) / deviation);
            }
        }
        let config = ForestConfig { trees: 200, ..ForestConfig::default() };
        vec![
            Simple::Macs,
            Simple::Ridge(Ridge::fit(&rows, &targets, Lambda::LeaveOneOut)),
            Simple::Forest(Forest::fit(&with_task, &targets, &config, seed)),
        ]
    }

    /// Scores of networks on a task.
    pub fn score(&self, space: &Space, task: &MetaTask, genotypes: &[Genotype]) -> Vec<f64> {
        let rows: Vec<Vec<f64>> = genotypes.iter().map(|genotype| columns(space, genotype)).collect();
        match self {
            Simple::Macs => rows.iter().map(|row| row[0]).collect(),
            Simple::Ridge(ridge) => ridge.predict(&rows),
            Simple::Forest(forest) => {
                let rows: Vec<Vec<f64>> = rows.iter().map(|row| beside(row, task)).collect();
                forest.predict(&rows).into_iter().map(|(mean, _)| mean).collect()
            }
        }
    }
}

fn columns(space: &Space, genotype: &Genotype) -> Vec<f64> {
    space.features(genotype, &Cost::of(&space.lower(genotype)))
}

fn beside(columns: &[f64], task: &MetaTask) -> Vec<f64> {
    columns.iter().copied().chain(task.view.descriptors.iter().map(|value| f64::from(*value))).collect()
}
