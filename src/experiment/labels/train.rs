//! The trainings themselves: every pair that has no label yet. A label depends on task, network and recipe alone, not on
//! the order of pairs or on how many train at once.

use rand::seq::SliceRandom;

use super::{DataTask, Label, LabelError, Labels, Networks, Recipe, Sources};
use crate::data::Dataset;
use crate::graph::{Cost, Graph, NumberFormat};
use crate::measure::Stopwatch;
use crate::nn::Device;
use crate::run::{task_of, trained_at_once};
use crate::seed;
use crate::space::{Space, SpaceError, Task};
use crate::train::{self, Job, TrainConfig, TrainError, Trained};

/// What is to be labelled.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The networks.
    pub networks: &'a Networks,
    /// The data sets.
    pub tasks: &'a [DataTask],
    /// Networks of the list that each task draws for itself; all if absent.
    pub per_task: Option<usize>,
    /// What all labels share.
    pub recipe: &'a Recipe,
    /// Where networks train.
    pub device: &'a Device,
    /// Networks that train at once; as many as pays if absent.
    pub together: Option<usize>,
}

impl Plan<'_> {
    /// The networks that a task asks for.
    fn networks_of(&self, task: &DataTask) -> Vec<&str> {
        let mut all: Vec<&str> = self.networks.texts.iter().map(String::as_str).collect();
        if let Some(few) = self.per_task {
            all.shuffle(&mut seed::stream(self.recipe.seed, &format!("networks of {}", task.name), 0));
            all.truncate(few);
        }
        all
    }

    /// The networks of a task that have no label.
    fn missing(&self, task: &DataTask, labels: &Labels) -> Vec<String> {
        let networks = self.networks_of(task).into_iter();
        networks.filter(|network| !labels.has(&task.name, network)).map(String::from).collect()
    }

    /// Whether the sources of all tasks without a label have their classes, and images that are large enough, before the
    /// first training: the last task may be hours away.
    fn check(&self, labels: &Labels, sources: &mut Sources) -> Result<(), LabelError> {
        let tasks: Vec<&DataTask> =
            by_source(self.tasks).into_iter().filter(|task| !self.missing(task, labels).is_empty()).collect();
        // The first source comes last, to be in memory when its networks train.
        for of_source in tasks.chunk_by(|a, b| a.source == b.source).rev() {
            let smallest =
                of_source.iter().min_by_key(|task| task.side.unwrap_or(usize::MAX)).expect("no chunk is empty");
            let source = sources.open(&smallest.source, smallest.side)?;
            for task in of_source {
                let wrong = |reason: String| LabelError::Task { task: task.name.clone(), reason };
                source.places_of(&task.classes).map_err(wrong)?;
            }
            self.space_on(&smallest.name, task_of(source))?;
        }
        Ok(())
    }

    /// The space for the images of a task.
    fn space_on(&self, task: &str, images: Task) -> Result<Space, LabelError> {
        let Recipe { space, width, .. } = self.recipe;
        let hint = format!("networks of space `{space}` may need larger images, `side` in the list");
        let unsuited =
            |e: SpaceError| LabelError::Task { task: task.to_string(), reason: format!("{e}\nhint: {hint}") };
        Space::scaled(space, *width, images).map_err(unsuited)
    }

    /// Number of pairs that have a label.
    pub fn done(&self, labels: &Labels) -> usize {
        self.pairs() - self.tasks.iter().map(|task| self.missing(task, labels).len()).sum::<usize>()
    }

    /// Number of pairs.
    pub fn pairs(&self) -> usize {
        self.tasks.iter().map(|task| self.networks_of(task).len()).sum()
    }
}

/// Trains every pair without a label; `observe` sees each new label, after it is in the journal, with the number of pairs
/// that are done and of all.
///
/// # Errors
/// If data cannot be read, a network does not suit them, or the journal cannot be written. A training that diverges is a
/// label without an accuracy.
pub fn label(
    plan: &Plan,
    labels: &mut Labels,
    observe: &mut dyn FnMut(&Label, usize, usize),
) -> Result<(), LabelError> {
    let (mut done, of) = (plan.done(labels), plan.pairs());
    let mut sources = Sources::default();
    plan.check(labels, &mut sources)?;
    for task in by_source(plan.tasks) {
        let missing = plan.missing(task, labels);
        if missing.is_empty() {
            continue;
        }
        let dataset = sources.dataset(task)?;
        labels.check_data(&task.name, &dataset.digest)?;
        let bench = Bench::of(plan, &dataset)?;
        for group in missing.chunks(bench.together(&missing[0])?) {
            for label in bench.label(group)? {
                done += 1;
                labels.add(label.clone())?;
                observe(&label, done, of);
            }
        }
    }
    Ok(())
}

/// Tasks of one source after each other, so that it is read once.
fn by_source(tasks: &[DataTask]) -> Vec<&DataTask> {
    let mut tasks: Vec<&DataTask> = tasks.iter().collect();
    tasks.sort_by(|a, b| (&a.source, a.side).cmp(&(&b.source, b.side)));
    tasks
}

/// Where the networks of a task are trained.
struct Bench<'a> {
    plan: &'a Plan<'a>,
    dataset: &'a Dataset,
    space: Space,
    train: TrainConfig,
}

impl<'a> Bench<'a> {
    fn of(plan: &'a Plan, dataset: &'a Dataset) -> Result<Self, LabelError> {
        let recipe = plan.recipe;
        let space = plan.space_on(&dataset.name, task_of(dataset))?;
        // Digits and letters are other digits and letters in the mirror, and they come in grey.
        let mirror = recipe.train.mirror && dataset.shape().channels > 1;
        let train = TrainConfig { mirror, ..recipe.train_on(dataset.train.len()) };
        train.check_for(plan.device, &dataset.train, dataset.classes.len())?;
        Ok(Bench { plan, dataset, space, train })
    }

    fn together(&self, first: &str) -> Result<usize, LabelError> {
        if let Some(together) = self.plan.together {
            return Ok(together.max(1));
        }
        let graph = self.space.lower(&self.space.parse(first)?);
        Ok(trained_at_once(self.plan.device, &graph, self.train.batch)?)
    }

    /// Trains a group of networks at once.
    fn label(&self, group: &[String]) -> Result<Vec<Label>, LabelError> {
        let clock = Stopwatch::start();
        let lower = |network: &String| Ok(self.space.lower(&self.space.parse(network)?));
        let graphs = group.iter().map(lower).collect::<Result<Vec<Graph>, LabelError>>()?;
        let jobs: Vec<Job> = graphs.iter().zip(group).map(|(graph, network)| self.job(graph, network)).collect();
        let trained = train::train_many(self.plan.device, &jobs, group.len(), &mut |_, _| {});
        let labels: Result<Vec<Label>, LabelError> = group
            .iter()
            .zip(&graphs)
            .zip(trained)
            .map(|((network, graph), t)| self.outcome(network, graph, t))
            .collect();
        let seconds = clock.seconds() / group.len() as f64;
        Ok(labels?.into_iter().map(|label| Label { seconds, ..label }).collect())
    }

    fn job<'j>(&'j self, graph: &'j Graph, network: &str) -> Job<'j> {
        let seed = seed::derive(self.plan.recipe.seed, &format!("label {} {network}", self.dataset.name), 0);
        Job { graph, images: &self.dataset.train, config: &self.train, seed, checkpoint: None }
    }

    fn outcome(&self, network: &str, graph: &Graph, trained: Result<Trained, TrainError>) -> Result<Label, LabelError> {
        let cost = Cost::of(graph);
        let accuracy =
            |trained: &Trained, images| train::accuracy_on(self.plan.device, graph, &trained.weights, images);
        let (validation_accuracy, test_accuracy, failure) = match trained {
            Ok(trained) => {
                let validation = accuracy(&trained, &self.dataset.validation)?;
                (Some(validation), Some(accuracy(&trained, &self.dataset.test)?), None)
            }
            Err(diverged @ TrainError::Diverged { .. }) => (None, None, Some(diverged.to_string())),
            Err(other) => return Err(other.into()),
        };
        Ok(Label {
            network: network.to_string(),
            task: self.dataset.name.clone(),
            data_digest: self.dataset.digest.clone(),
            validation_accuracy,
            test_accuracy,
            failure,
            macs: cost.macs,
            params: cost.params,
            peak_ram_bytes: cost.peak_ram(NumberFormat::F32).0,
            seconds: 0.0,
        })
    }
}
