//! Whether a few trained proposals are as good as many random trainings: on each task held out, the best of a few
//! proposals against the best of all labelled networks, each chosen on validation images and told by test images.

use serde::Serialize;

use super::ranking::interval;
use super::{Labelled, MetaError};
use crate::experiment::labels::{Label, LabelError, Labels, Networks, Plan, Recipe, label};
use crate::generate::{MetaModel, MetaTask, varied};
use crate::nn::Device;
use crate::stats;

/// What is compared.
pub struct BestOfPlan<'a> {
    /// The model.
    pub model: &'a MetaModel,
    /// The tasks, with the labels of random networks.
    pub tasks: &'a [Labelled],
    /// The same as the model sees them.
    pub views: &'a [MetaTask],
    /// How networks train.
    pub recipe: &'a Recipe,
    /// Proposals trained for each task.
    pub trained: usize,
    /// Networks drawn for each task, of which these are the best that are unlike each other.
    pub drawn: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Where networks train.
    pub device: &'a Device,
}

/// The comparison on a task. Accuracies are on test images, of the network that was best on validation images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestOf {
    /// The task.
    pub task: String,
    /// Its source.
    pub source: String,
    /// The best of the trained proposals.
    pub proposed: f64,
    /// The best of all random networks.
    pub random: f64,
    /// Number of random networks.
    pub random_networks: usize,
    /// As many random networks as proposals: the mean of their best, over all choices of successive ones.
    pub as_many_random: f64,
    /// Mean accuracy of the random networks.
    pub mean_random: f64,
}

/// The comparison on all tasks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestOfReport {
    /// Proposals trained for each task.
    pub trained: usize,
    /// Task by task.
    pub tasks: Vec<BestOf>,
    /// Mean of the best proposal's accuracy less the best random network's.
    pub ahead: f64,
    /// Its interval (95 %, bootstrap over tasks).
    pub interval: (f64, f64),
}

/// Trains a few proposals for each task, unless a journal has them, and compares.
///
/// # Errors
/// If a training or the journal fails.
pub fn best_of(
    plan: &BestOfPlan,
    labels: &mut Labels,
    observe: &mut dyn FnMut(&Label, usize, usize),
) -> Result<BestOfReport, MetaError> {
    let mut found = Vec::with_capacity(plan.tasks.len());
    for (labelled, view) in plan.tasks.iter().zip(plan.views) {
        let proposed = plan.model.propose(&view.view, plan.drawn, &|genotype| genotype, &mut |_| true, plan.seed)?;
        let first = varied(&proposed, plan.trained, |scored| &scored.genotype).into_iter();
        let networks = Networks { texts: first.map(|scored| plan.model.space().format(&scored.genotype)).collect() };
        let tasks = std::slice::from_ref(&labelled.task);
        let (recipe, device) = (plan.recipe, plan.device);
        let training = Plan { networks: &networks, tasks, per_task: None, recipe, device, together: None };
        label(&training, labels, observe)?;
        let is_proposed = |l: &&Label| l.task == labelled.task.name && networks.texts.contains(&l.network);
        let proposed: Vec<&Label> = labels.all().iter().filter(is_proposed).collect();
        found.push(compared(labelled, &proposed).ok_or_else(|| diverged(&labelled.task.name))?);
    }
    let ahead: Vec<f64> = found.iter().map(|of| of.proposed - of.random).collect();
    Ok(BestOfReport {
        trained: plan.trained,
        ahead: stats::mean(&ahead),
        interval: interval(&ahead, plan.seed),
        tasks: found,
    })
}

fn diverged(task: &str) -> LabelError {
    LabelError::Task { task: task.to_string(), reason: "every proposal's training diverged".to_string() }
}

fn compared(labelled: &Labelled, proposed: &[&Label]) -> Option<BestOf> {
    let random: Vec<&Label> = labelled.labels.iter().collect();
    let as_many = proposed.len().clamp(1, random.len().max(1));
    let as_many: Vec<f64> = random.windows(as_many).filter_map(best).collect();
    let test: Vec<f64> = random.iter().filter_map(|label| label.test_accuracy).collect();
    Some(BestOf {
        task: labelled.task.name.clone(),
        source: labelled.task.source.rsplit('/').next().unwrap_or_default().to_string(),
        proposed: best(proposed)?,
        random: best(&random)?,
        random_networks: random.len(),
        as_many_random: stats::mean(&as_many),
        mean_random: stats::mean(&test),
    })
}

/// Test accuracy of the network with the best validation accuracy.
fn best(labels: &[&Label]) -> Option<f64> {
    let trained = labels.iter().filter_map(|label| Some((label.validation_accuracy?, label.test_accuracy?)));
    trained.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, test)| test)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::labels::DataTask;

    fn label(validation: f64, test: f64) -> Label {
        Label {
            network: format!("{validation}"),
            task: "t".to_string(),
            data_digest: String::new(),
            validation_accuracy: Some(validation),
            test_accuracy: Some(test),
            failure: None,
            macs: 1,
            params: 1,
            peak_ram_bytes: 1,
            seconds: 1.0,
        }
    }

    #[test]
    fn networks_are_chosen_on_validation_images_and_told_by_test_images() {
        let random = vec![label(0.5, 0.9), label(0.7, 0.6), label(0.6, 0.8)];
        let labelled = Labelled { task: DataTask::whole("t", "built-in"), labels: random };
        let proposed = [label(0.8, 0.65), label(0.75, 0.95)];
        let found = compared(&labelled, &[&proposed[0], &proposed[1]]).unwrap();
        assert_eq!((found.proposed, found.random, found.random_networks), (0.65, 0.6, 3));
        // Of the first two the second is chosen, of the last two the first.
        assert_eq!(found.as_many_random, 0.6);
        assert!((found.mean_random - (0.9 + 0.6 + 0.8) / 3.0).abs() < 1e-12);
        assert_eq!(compared(&labelled, &[]), None);
    }
}
