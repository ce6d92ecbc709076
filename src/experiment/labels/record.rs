//! The journal of labels: what was settled in its first line, then a line for each training.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LabelError;
use crate::run::{Lines, wrong_line};
use crate::train::TrainConfig;

const SCHEMA_VERSION: u32 = 1;

/// What all labels of a journal share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The space of the networks.
    pub space: String,
    /// Multiplies their channels.
    pub width: f64,
    /// How they train. Grey images are never mirrored.
    pub train: TrainConfig,
    /// About so many steps on every task, in place of the epochs of `train`: tasks of few images go through them more
    /// often.
    #[serde(default)]
    pub steps: Option<usize>,
    /// Seed of all trainings; each derives its own from its task and its network.
    pub seed: u64,
}

impl Recipe {
    /// How networks train on a task of so many images: at least one epoch.
    pub fn train_on(&self, images: usize) -> TrainConfig {
        let of_an_epoch = (images / self.train.batch).max(1);
        let epochs = match self.steps {
            Some(steps) => ((steps + of_an_epoch / 2) / of_an_epoch).max(1),
            None => self.train.epochs,
        };
        TrainConfig { epochs, ..self.train.clone() }
    }
}

/// What a training showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The network.
    pub network: String,
    /// The task.
    pub task: String,
    /// Digest of the task's images and labels.
    pub data_digest: String,
    /// Accuracy on the validation images; absent if the training diverged.
    pub validation_accuracy: Option<f64>,
    /// Accuracy on the test images.
    pub test_accuracy: Option<f64>,
    /// Why there is none.
    pub failure: Option<String>,
    /// Multiply-accumulates of the network's convolutions as built for the task.
    pub macs: u64,
    /// Its parameters.
    pub params: u64,
    /// Its peak activation RAM in f32.
    pub peak_ram_bytes: u64,
    /// How long training and testing took; of trainings side by side, each an equal part.
    pub seconds: f64,
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Line {
    /// The first one.
    Started {
        /// Version of the journal.
        schema_version: u32,
        /// What all labels share.
        recipe: Recipe,
    },
    /// A training.
    Label(Label),
}

/// An open journal.
#[derive(Debug)]
pub struct Labels {
    path: PathBuf,
    lines: Lines<Line>,
    all: Vec<Label>,
    pairs: HashSet<(String, String)>,
    digests: HashMap<String, String>,
}

impl Labels {
    /// Opens a journal, or starts one.
    ///
    /// # Errors
    /// If it cannot be read or written, or was begun with another recipe.
    pub fn open(path: &Path, recipe: &Recipe) -> Result<Self, LabelError> {
        let (mut lines, mut entries) = Lines::open(path)?;
        // What was begun and found nothing is begun anew.
        if let [Line::Started { schema_version: SCHEMA_VERSION, .. }] = entries.as_slice() {
            lines.clear()?;
            entries.clear();
        }
        let mut entries = entries.into_iter();
        match entries.next() {
            None => lines.append(&Line::Started { schema_version: SCHEMA_VERSION, recipe: recipe.clone() })?,
            Some(Line::Started { schema_version: SCHEMA_VERSION, recipe: old }) if old == *recipe => {}
            Some(Line::Started { schema_version: SCHEMA_VERSION, recipe: old }) => {
                let differences = differences(&old, recipe);
                return Err(LabelError::OtherSettings { path: path.to_path_buf(), differences });
            }
            Some(other) => {
                let reason = format!("not a journal of labels of version {SCHEMA_VERSION}: {other:?}");
                return Err(wrong_line(path, 1, reason).into());
            }
        }
        let (all, pairs, digests) = Default::default();
        let mut labels = Labels { path: path.to_path_buf(), lines, all, pairs, digests };
        for (at, line) in entries.enumerate() {
            match line {
                Line::Label(label) => labels.remember(label),
                Line::Started { .. } => {
                    return Err(wrong_line(path, at + 2, "the journal begins anew".to_string()).into());
                }
            }
        }
        Ok(labels)
    }

    /// What a journal holds, without opening it for more.
    ///
    /// # Errors
    /// If it cannot be read or is none.
    pub fn read(path: &Path) -> Result<(Recipe, Vec<Label>), LabelError> {
        let mut entries = Lines::read(path)?.into_iter();
        let recipe = match entries.next() {
            Some(Line::Started { schema_version: SCHEMA_VERSION, recipe }) => recipe,
            other => {
                let reason = format!("not a journal of labels of version {SCHEMA_VERSION}: {other:?}");
                return Err(wrong_line(path, 1, reason).into());
            }
        };
        let label = |line| match line {
            Line::Label(label) => Some(label),
            Line::Started { .. } => None,
        };
        Ok((recipe, entries.filter_map(label).collect()))
    }

    /// All labels, in the order in which they were found.
    pub fn all(&self) -> &[Label] {
        &self.all
    }

    /// Whether a network was trained on a task.
    pub fn has(&self, task: &str, network: &str) -> bool {
        // A pair of owned texts is what the set can be asked for.
        self.pairs.contains(&(task.to_string(), network.to_string()))
    }

    /// Adds a label and sees it on the disk.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, label: Label) -> Result<(), LabelError> {
        self.lines.append(&Line::Label(label.clone()))?;
        self.remember(label);
        Ok(())
    }

    /// Refuses images that are not those of the task's first labels.
    pub(super) fn check_data(&self, task: &str, digest: &str) -> Result<(), LabelError> {
        match self.digests.get(task) {
            Some(known) if known != digest => {
                Err(LabelError::DataChanged { task: task.to_string(), path: self.path.clone() })
            }
            _ => Ok(()),
        }
    }

    fn remember(&mut self, label: Label) {
        self.pairs.insert((label.task.clone(), label.network.clone()));
        self.digests.entry(label.task.clone()).or_insert_with(|| label.data_digest.clone());
        self.all.push(label);
    }
}

/// The settings that differ: `epochs` 3, now 5.
fn differences(old: &Recipe, new: &Recipe) -> String {
    let flat = |recipe: &Recipe| -> Vec<(String, Value)> {
        let Value::Object(fields) = serde_json::to_value(recipe).expect("a recipe is plain data") else {
            unreachable!("a struct is an object");
        };
        let inner = |(name, value): (String, Value)| match value {
            Value::Object(fields) if name == "train" => fields.into_iter().collect(),
            other => vec![(name, other)],
        };
        fields.into_iter().flat_map(inner).collect()
    };
    let pairs = flat(old).into_iter().zip(flat(new));
    let different = pairs.filter(|(old, new)| old != new);
    let told = |value: Value| if value.is_null() { "not set".to_string() } else { value.to_string() };
    let differs = |((name, old), (_, new)): (_, (_, Value))| format!("`{name}` {}, now {}", told(old), told(new));
    different.map(differs).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe { space: "macro".to_string(), width: 0.5, train: TrainConfig::default(), steps: None, seed: 1 }
    }

    fn label(network: &str, task: &str) -> Label {
        Label {
            network: network.to_string(),
            task: task.to_string(),
            data_digest: format!("digest of {task}"),
            validation_accuracy: Some(0.5),
            test_accuracy: Some(0.25),
            failure: None,
            macs: 1,
            params: 2,
            peak_ram_bytes: 3,
            seconds: 0.1,
        }
    }

    #[test]
    fn what_was_added_is_there_when_the_journal_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut labels = Labels::open(&path, &recipe()).unwrap();
        labels.add(label("a", "x")).unwrap();
        labels.add(label("b", "x")).unwrap();
        // A killed process leaves a torn line.
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
        let labels = Labels::open(&path, &recipe()).unwrap();
        assert_eq!(labels.all(), [label("a", "x")]);
        assert!(labels.has("x", "a") && !labels.has("x", "b") && !labels.has("y", "a"));
        assert!(labels.check_data("x", "digest of x").is_ok() && labels.check_data("y", "any").is_ok());
        let changed = labels.check_data("x", "other").unwrap_err().to_string();
        assert!(changed.starts_with("the images of task `x` have changed"), "{changed}");
    }

    #[test]
    fn a_number_of_steps_makes_more_epochs_of_fewer_images() {
        let train = TrainConfig { batch: 32, epochs: 3, ..TrainConfig::default() };
        let recipe = Recipe { steps: Some(400), train, ..recipe() };
        let epochs = [1600, 800, 400, 20, 100_000].map(|images| recipe.train_on(images).epochs);
        assert_eq!(epochs, [8, 16, 33, 400, 1]);
        assert_eq!(Recipe { steps: None, ..recipe.clone() }.train_on(400).epochs, 3);
        // A journal from before there were steps.
        let serde_json::Value::Object(mut old) = serde_json::to_value(&recipe).unwrap() else { unreachable!() };
        old.remove("steps");
        let old: Recipe = serde_json::from_value(old.into()).unwrap();
        assert_eq!(old, Recipe { steps: None, ..recipe });
    }

    #[test]
    fn another_recipe_is_refused_with_all_that_differs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        Labels::open(&path, &Recipe { width: 1.0, ..recipe() }).unwrap();
        // Nothing was found yet, so that nothing is lost.
        Labels::open(&path, &recipe()).unwrap().add(label("a", "x")).unwrap();
        let other = Recipe { seed: 2, train: TrainConfig { epochs: 3, ..TrainConfig::default() }, ..recipe() };
        let error = Labels::open(&path, &other).unwrap_err().to_string();
        assert!(error.contains("`seed` 1, now 2") && error.contains("`epochs` 10, now 3"), "{error}");
        assert!(!error.contains("batch") && error.contains("\nhint: "), "{error}");
    }
}
