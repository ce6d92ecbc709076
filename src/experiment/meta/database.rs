//! Tasks with their labels, as `label` left them.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::MetaError;
use crate::experiment::labels::{DataTask, Label, LabelError, Labels, Recipe, Sources, TaskList};
use crate::generate::{FeatureNet, GenerateError, MetaLabel, MetaTask};
use crate::space::Space;

/// Which images tell how good networks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// Those for validation: whoever learns from them may be tested on the others.
    OnValidation,
    /// Those for test as well: the labels are twice as sure.
    OnAllImages,
}

/// A task with the networks that were trained on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// The task.
    pub task: DataTask,
    /// Its labels with an accuracy.
    pub labels: Vec<Label>,
}

/// Tasks that were labelled alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Database {
    /// How all networks were trained.
    pub recipe: Recipe,
    /// The tasks with labels.
    pub tasks: Vec<Labelled>,
}

impl Database {
    /// Reads folders that `label` wrote, each with the list of its tasks.
    ///
    /// # Errors
    /// If one cannot be read, or they were labelled differently.
    pub fn read(parts: &[(PathBuf, PathBuf)]) -> Result<Database, MetaError> {
        let mut found: Option<(PathBuf, Database)> = None;
        let mut folders = HashSet::new();
        let mut is_new = |folder: &PathBuf| folders.insert(folder.canonicalize().unwrap_or_else(|_| folder.clone()));
        if let Some((twice, _)) = parts.iter().find(|(folder, _)| !is_new(folder)) {
            return Err(MetaError::Twice { folder: twice.clone() });
        }
        for (folder, tasks) in parts {
            let (recipe, labels) = Labels::read(&folder.join("journal.jsonl"))?;
            let mut by_task: HashMap<String, Vec<Label>> = HashMap::new();
            for label in labels.into_iter().filter(|label| label.validation_accuracy.is_some()) {
                by_task.entry(label.task.clone()).or_default().push(label);
            }
            let tasks = TaskList::open(tasks)?.tasks.into_iter();
            let labelled = tasks.filter_map(|task| Some(Labelled { labels: by_task.remove(&task.name)?, task }));
            match &mut found {
                None => found = Some((folder.clone(), Database { recipe, tasks: labelled.collect() })),
                Some((_, all)) if all.recipe == recipe => all.tasks.extend(labelled),
                Some((first, _)) => return Err(MetaError::Recipes { first: first.clone(), other: folder.clone() }),
            }
        }
        let (_, database) = found.ok_or(MetaError::NothingLeft)?;
        if database.tasks.is_empty() { Err(MetaError::NothingLeft) } else { Ok(database) }
    }

    /// All sources, each once.
    pub fn sources(&self) -> Vec<String> {
        let mut all: Vec<String> = self.tasks.iter().map(|labelled| labelled.task.source.clone()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// The same without the folders that they lie in.
    pub fn source_names(&self) -> Vec<String> {
        let name = |source: &String| source.rsplit('/').next().unwrap_or(source).to_string();
        let mut names: Vec<String> = self.sources().iter().map(name).collect();
        names.sort();
        names.dedup();
        names
    }

    /// What is left to learn from, and the tasks of the sources that are held out. A source is named by the end of its
    /// path.
    ///
    /// # Errors
    /// If there is no such source, or nothing is left.
    pub fn divided(self, held_out: &[String]) -> Result<(Database, Database), MetaError> {
        let sources = self.sources();
        let is_named = |source: &str, wanted: &String| source == wanted || source.ends_with(&format!("/{wanted}"));
        if let Some(wanted) = held_out.iter().find(|wanted| !sources.iter().any(|source| is_named(source, wanted))) {
            let known = sources.iter().map(|source| format!("`{source}`")).collect::<Vec<_>>().join(", ");
            return Err(MetaError::Source { wanted: wanted.clone(), known });
        }
        let is_held_out = |labelled: &Labelled| held_out.iter().any(|wanted| is_named(&labelled.task.source, wanted));
        let (held_out, left): (Vec<Labelled>, Vec<Labelled>) = self.tasks.into_iter().partition(is_held_out);
        let recipe = self.recipe;
        match left.is_empty() {
            true => Err(MetaError::NothingLeft),
            false => Ok((Database { recipe: recipe.clone(), tasks: left }, Database { recipe, tasks: held_out })),
        }
    }

    /// The space of the networks, as published.
    ///
    /// # Errors
    /// If there is no such space.
    pub fn space(&self) -> Result<Space, MetaError> {
        Ok(Space::named(&self.recipe.space).map_err(LabelError::from)?)
    }

    /// The tasks as a meta-model sees them, in their order; `observe` is told how many are done. Images that a source has
    /// lost since are an error: the labels would be of other data. Only tasks that nothing is learned from may be `judged`
    /// on test images, too.
    ///
    /// # Errors
    /// If a source cannot be read or has changed.
    pub fn views(
        &self,
        net: &FeatureNet,
        judged: Judged,
        observe: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<MetaTask>, MetaError> {
        let space = self.space()?;
        let mut order: Vec<usize> = (0..self.tasks.len()).collect();
        order.sort_by_key(|at| (&self.tasks[*at].task.source, self.tasks[*at].task.side));
        let mut found: Vec<Option<MetaTask>> = vec![None; self.tasks.len()];
        let mut sources = Sources::default();
        for (done, at) in order.into_iter().enumerate() {
            let Labelled { task, labels } = &self.tasks[at];
            let dataset = sources.dataset(task)?;
            if labels.iter().any(|label| label.data_digest != dataset.digest) {
                let reason = "its images are not those of its labels".to_string();
                return Err(LabelError::Task { task: task.name.clone(), reason }.into());
            }
            let (validation, test) = (dataset.validation.len(), dataset.test.len());
            let tested_on = validation + if judged == Judged::OnAllImages { test } else { 0 };
            let share = validation as f64 / tested_on.max(1) as f64;
            let of = |label: &Label| -> Result<MetaLabel, MetaError> {
                let genotype = space.parse(&label.network).map_err(LabelError::from)?;
                Ok(MetaLabel { genotype, accuracy: accuracy(label, share) })
            };
            let labels = labels.iter().map(of).collect::<Result<Vec<MetaLabel>, MetaError>>()?;
            let wrong = |e: GenerateError| LabelError::Task { task: task.name.clone(), reason: e.to_string() };
            found[at] = Some(MetaTask { view: net.view(&dataset).map_err(wrong)?, labels, tested_on });
            observe(done + 1, self.tasks.len());
        }
        Ok(found.into_iter().map(|task| task.expect("every task was visited")).collect())
    }
}

/// Accuracy on validation and test images together.
fn accuracy(label: &Label, share_of_validation: f64) -> f64 {
    let (validation, test) = (label.validation_accuracy.unwrap_or(0.0), label.test_accuracy.unwrap_or(0.0));
    share_of_validation * validation + (1.0 - share_of_validation) * test
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_held_out_whole_and_by_name() {
        let labelled = |source: &str| Labelled { task: DataTask::whole("t", source), labels: Vec::new() };
        let train = crate::train::TrainConfig::default();
        let database = Database {
            recipe: Recipe { space: "macro".to_string(), width: 0.5, train, steps: None, seed: 1 },
            tasks: ["built-in", "/data/photos", "built-in:glyphs", "/data/photos"].map(labelled).to_vec(),
        };
        let names = |held_out: &[&str]| {
            let wanted: Vec<String> = held_out.iter().map(|name| name.to_string()).collect();
            database.clone().divided(&wanted).map(|(left, out)| (left.tasks.len(), out.tasks.len()))
        };
        assert_eq!(names(&["photos", "built-in:glyphs"]).unwrap(), (1, 3));
        assert_eq!(names(&["built-in"]).unwrap(), (3, 1));
        let told = names(&["birds"]).unwrap_err().to_string();
        assert!(told.contains("`birds`\nhint: the sources are `/data/photos`, `built-in`"), "{told}");
        assert!(matches!(names(&["photos", "built-in:glyphs", "built-in"]), Err(MetaError::NothingLeft)));
    }
}
