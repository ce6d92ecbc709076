//! NATS-Bench as published: a folder of bzip2 pickles, one for each architecture, and the answers of its official
//! interface (`nats_bench` 1.8, Dong and others 2021).

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, json};

use super::TabularError;
use super::nats_run::{Metric, Run, Runs};
use super::pickle::{self, Value};

/// Largest file after unpacking: the genuine ones have about one megabyte.
const LARGEST_FILE: u64 = 256 << 20;
const EXPECTED: &str = "a file of NATS-Bench";

/// Which of several trainings an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NatsSeed {
    /// The mean of all.
    Mean,
    /// The training with this seed.
    One(u32),
}

/// A folder of NATS-Bench. Files are read when an architecture is first asked for.
#[derive(Debug)]
pub struct NatsBench {
    folder: PathBuf,
    texts: Vec<String>,
    indices: HashMap<String, usize>,
    read: HashMap<usize, Architecture>,
    used_time: f64,
}

/// Trainings of one architecture: by number of epochs, by data set.
type Architecture = Vec<(String, Runs)>;

/// What a simulated training gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Simulated {
    /// Validation accuracy in percent.
    pub accuracy: f64,
    /// Latency of a batch in seconds, if it was measured.
    pub latency: Option<f64>,
    /// Time of the training and of one validation in seconds.
    pub time: f64,
    /// Time of all simulated trainings so far in seconds.
    pub used_time: f64,
}

impl NatsBench {
    /// Opens a folder, `NATS-tss-v1_0-3ffb9-simple` or `NATS-sss-v1_0-50262-simple`.
    ///
    /// # Errors
    /// If its list of architectures is missing or broken.
    pub fn open(folder: &Path) -> Result<Self, TabularError> {
        let path = folder.join("meta.pickle.pbz2");
        let meta = read_pickle(&path)?;
        let texts = meta.get("meta_archs").and_then(Value::as_list);
        let texts: Option<Vec<String>> =
            texts.and_then(|texts| texts.iter().map(|text| text.as_text().map(String::from)).collect());
        let texts = texts.ok_or_else(|| TabularError::format(&path, EXPECTED, "it lists no architectures"))?;
        let indices = texts.iter().enumerate().map(|(index, text)| (text.clone(), index)).collect();
        Ok(NatsBench { folder: folder.to_path_buf(), texts, indices, read: HashMap::new(), used_time: 0.0 })
    }

    /// The architectures in official order.
    pub fn architectures(&self) -> &[String] {
        &self.texts
    }

    /// The place of an architecture.
    ///
    /// # Errors
    /// If the benchmark does not have it.
    pub fn index(&self, text: &str) -> Result<usize, TabularError> {
        let missing = || TabularError::NotFound(format!("the benchmark has no architecture `{text}`"));
        self.indices.get(text).copied().ok_or_else(missing)
    }

    /// Numbers of epochs for which an architecture was trained: `12`, `200`, …
    ///
    /// # Errors
    /// If its file is missing or broken.
    pub fn epochs(&mut self, index: usize) -> Result<Vec<String>, TabularError> {
        Ok(self.architecture(index)?.iter().map(|(hp, _)| hp.clone()).collect())
    }

    /// Seeds with which an architecture was trained on a data set.
    ///
    /// # Errors
    /// If there is no such training.
    pub fn seeds(&mut self, index: usize, dataset: &str, hp: &str) -> Result<Vec<u32>, TabularError> {
        Ok(self.trainings(index, dataset, hp)?.iter().map(|(seed, _)| *seed).collect())
    }

    /// Losses, accuracies in percent and times in seconds after an epoch (from 0; the last if none is given), with the
    /// official names. What was not recorded is left out: of 200-epoch trainings some sets were tested at the end only.
    ///
    /// # Errors
    /// If there is no such training or epoch.
    pub fn more_info(
        &mut self,
        index: usize,
        dataset: &str,
        hp: &str,
        epoch: Option<usize>,
        seed: NatsSeed,
    ) -> Result<Map<String, serde_json::Value>, TabularError> {
        let runs = self.trainings(index, dataset, hp)?;
        let chosen = choose(runs, seed, dataset)?;
        let epochs = runs[0].1.epochs;
        let epoch = epoch.unwrap_or(epochs.saturating_sub(1));
        if epoch >= epochs {
            return Err(TabularError::NotFound(format!("there is no epoch {epoch} of {epochs}, they count from 0")));
        }
        let train = metric(runs, &chosen, |run| run.train(epoch))
            .ok_or_else(|| TabularError::NotFound(format!("epoch {epoch} of the training was not recorded")))?;
        let mut answer = Map::new();
        insert(&mut answer, "train", train, epoch);
        for (name, set) in sets(dataset) {
            if let Some(found) = metric(runs, &chosen, |run| run.evaluation(set, epoch)) {
                insert(&mut answer, name, found, epoch);
            }
        }
        if let Some(comment) = comment(dataset, hp) {
            answer.insert("comment".to_string(), json!(comment));
        }
        Ok(answer)
    }

    /// Millions of FLOPs and parameters, latency and times in seconds, means over all seeds, with the official names.
    ///
    /// # Errors
    /// If there is no such training.
    pub fn cost_info(
        &mut self,
        index: usize,
        dataset: &str,
        hp: &str,
    ) -> Result<Map<String, serde_json::Value>, TabularError> {
        let runs = self.trainings(index, dataset, hp)?;
        let of = |value: fn(&Run) -> f64| consistent(runs, value);
        let latencies: Vec<f64> = runs.iter().filter_map(|(_, run)| run.latency).filter(|s| *s > 0.0).collect();
        let mut answer = Map::new();
        answer.insert("flops".to_string(), json!(of(|run| run.flops)));
        answer.insert("params".to_string(), json!(of(|run| run.params)));
        answer.insert("latency".to_string(), json!((!latencies.is_empty()).then(|| mean(&latencies))));
        let mut times = |name: &str, found: Vec<Option<Vec<f64>>>| {
            let found: Option<Vec<Vec<f64>>> = found.into_iter().collect();
            let of = |value: fn(&Vec<f64>) -> f64| {
                found.as_ref().map(|found| mean(&found.iter().map(value).collect::<Vec<f64>>()))
            };
            answer.insert(format!("T-{name}@epoch"), json!(of(|times| mean(times))));
            answer.insert(format!("T-{name}@total"), json!(of(|times| times.iter().sum())));
        };
        times("train", runs.iter().map(|(_, run)| run.train_times.clone()).collect());
        for name in runs[0].1.evaluation_sets() {
            times(name, runs.iter().map(|(_, run)| run.evaluation_times(name)).collect());
        }
        Ok(answer)
    }

    /// What training and validating an architecture would have given and taken.
    ///
    /// # Errors
    /// If there is no such training, or it was not validated at this epoch.
    pub fn simulate_train_eval(
        &mut self,
        index: usize,
        dataset: &str,
        hp: &str,
        epoch: Option<usize>,
        seed: NatsSeed,
    ) -> Result<Simulated, TabularError> {
        let trained_on = if dataset == "cifar10" { "cifar10-valid" } else { dataset };
        let info = self.more_info(index, trained_on, hp, epoch, seed)?;
        let number = |info: &Map<String, serde_json::Value>, name: &str| info.get(name).and_then(|v| v.as_f64());
        let missing = || TabularError::NotFound(format!("architecture {index} was not validated on {dataset}"));
        let train_time = number(&info, "train-all-time").ok_or_else(missing)?;
        let (accuracy, validation_time) = match number(&info, "valid-accuracy") {
            Some(accuracy) => (accuracy, number(&info, "valid-per-time").ok_or_else(missing)?),
            None => {
                let last = self.more_info(index, trained_on, hp, None, seed)?;
                let accuracy = number(&info, "valtest-accuracy").ok_or_else(missing)?;
                (accuracy, number(&last, "valid-per-time").ok_or_else(missing)?)
            }
        };
        let latency = number(&self.cost_info(index, dataset, hp)?, "latency");
        let time = train_time + validation_time;
        self.used_time += time;
        Ok(Simulated { accuracy, latency, time, used_time: self.used_time })
    }

    /// Time of all simulated trainings so far in seconds.
    pub fn used_time(&self) -> f64 {
        self.used_time
    }

    /// The architecture with the highest mean accuracy after the last epoch on a set (`train`, `valid`, `test`, or a name
    /// of the files such as `ori-test`), of those with at most so many million FLOPs and parameters. Of equal ones the
    /// first. Architectures that were not trained so are left out.
    ///
    /// # Errors
    /// If a file is missing or broken, or no architecture is left.
    pub fn find_best(
        &mut self,
        candidates: impl Iterator<Item = usize>,
        dataset: &str,
        set: &str,
        hp: &str,
        (most_flops, most_params): (Option<f64>, Option<f64>),
    ) -> Result<(usize, f64), TabularError> {
        let (dataset, set) = official_set(dataset, set);
        let mut best: Option<(usize, f64)> = None;
        for index in candidates {
            let runs = self.trainings(index, dataset, hp)?;
            let is_over = |most: Option<f64>, value: fn(&Run) -> f64| most.is_some_and(|m| consistent(runs, value) > m);
            if is_over(most_flops, |run| run.flops) || is_over(most_params, |run| run.params) {
                continue;
            }
            let all: Vec<usize> = (0..runs.len()).collect();
            let last = runs[0].1.epochs.saturating_sub(1);
            let found = metric(runs, &all, |run| match set {
                "train" => run.train(last),
                set => run.evaluation(set, last),
            });
            if let Some(found) = found.filter(|found| best.is_none_or(|(_, accuracy)| found.accuracy > accuracy)) {
                best = Some((index, found.accuracy));
            }
        }
        best.ok_or_else(|| TabularError::NotFound(format!("no architecture within the limits was tested on `{set}`")))
    }

    /// Forgets what was read of an architecture, so that going through all of them needs no more memory than one.
    pub(super) fn forget(&mut self, index: usize) {
        self.read.remove(&index);
    }

    fn trainings(&mut self, index: usize, dataset: &str, hp: &str) -> Result<&[(u32, Run)], TabularError> {
        let architecture = self.architecture(index)?;
        let names = |names: Vec<&str>| names.join(", ");
        let Some((_, runs)) = architecture.iter().find(|(own, _)| own == hp) else {
            let have = names(architecture.iter().map(|(own, _)| own.as_str()).collect());
            return Err(TabularError::NotFound(format!("there is no training of `{hp}` epochs, there are {have}")));
        };
        match runs.of(dataset) {
            Some(trainings) => Ok(trainings),
            None => {
                let have = names(runs.datasets().collect());
                Err(TabularError::NotFound(format!("there is no data set `{dataset}`, there are {have}")))
            }
        }
    }

    fn architecture(&mut self, index: usize) -> Result<&Architecture, TabularError> {
        let count = self.texts.len();
        if index >= count {
            return Err(TabularError::NotFound(format!(
                "there is no architecture {index} of {count}, they count from 0"
            )));
        }
        if !self.read.contains_key(&index) {
            let found = self.read_architecture(index)?;
            self.read.insert(index, found);
        }
        Ok(&self.read[&index])
    }

    fn read_architecture(&self, index: usize) -> Result<Architecture, TabularError> {
        let path = self.folder.join(format!("{index:06}.pickle.pbz2"));
        let value = read_pickle(&path)?;
        let wrong = |reason: String| TabularError::format(&path, EXPECTED, reason);
        let entries = value.entries().ok_or_else(|| wrong("it is not a dictionary".to_string()))?;
        let mut architecture = Vec::with_capacity(entries.len());
        for (hp, results) in entries {
            let hp = hp.as_text().ok_or_else(|| wrong("a number of epochs is not text".to_string()))?;
            let text = results.get("arch_str").and_then(Value::as_text);
            if text != Some(&self.texts[index]) {
                return Err(wrong(format!("it is about {text:?}, not about `{}`", self.texts[index])));
            }
            let runs = Runs::of_pickle(results).map_err(|reason| wrong(format!("{hp} epochs: {reason}")))?;
            architecture.push((hp.to_string(), runs));
        }
        Ok(architecture)
    }
}

/// Reads a bzip2 pickle.
fn read_pickle(path: &Path) -> Result<Value, TabularError> {
    let file = std::fs::File::open(path).map_err(|e| TabularError::unreadable(path, e))?;
    let mut bytes = Vec::new();
    let mut reader = bzip2::read::BzDecoder::new(std::io::BufReader::new(file)).take(LARGEST_FILE + 1);
    reader.read_to_end(&mut bytes).map_err(|e| TabularError::format(path, "a bzip2 pickle", e))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(TabularError::format(path, EXPECTED, "it unpacks to more than 256 MB"));
    }
    pickle::read(&bytes).map_err(|reason| TabularError::format(path, "a pickle of plain data", reason))
}

/// Names of an answer and of the set in the files, in the official order.
pub(super) fn sets(dataset: &str) -> &'static [(&'static str, &'static str)] {
    match dataset {
        "cifar10-valid" => &[("valid", "x-valid"), ("test", "ori-test")],
        "cifar10" => &[("valid", "x-valid"), ("test", "ori-test")],
        _ => &[("valid", "x-valid"), ("test", "x-test"), ("valtest", "ori-test")],
    }
}

/// The data set and set that are meant (`remap_dataset_set_names`).
pub(super) fn official_set<'a>(dataset: &'a str, set: &'a str) -> (&'a str, &'a str) {
    match (dataset, set) {
        ("cifar10", "valid") => ("cifar10-valid", "x-valid"),
        ("cifar10", "test") => ("cifar10", "ori-test"),
        ("cifar100" | "ImageNet16-120", "valid") => (dataset, "x-valid"),
        ("cifar100" | "ImageNet16-120", "test") => (dataset, "x-test"),
        _ => (dataset, set),
    }
}

fn choose(runs: &[(u32, Run)], seed: NatsSeed, dataset: &str) -> Result<Vec<usize>, TabularError> {
    match seed {
        NatsSeed::Mean => Ok((0..runs.len()).collect()),
        NatsSeed::One(seed) => match runs.iter().position(|(own, _)| *own == seed) {
            Some(at) => Ok(vec![at]),
            None => {
                let have: Vec<String> = runs.iter().map(|(seed, _)| seed.to_string()).collect();
                let message = format!("`{dataset}` has no seed {seed}, it has {}", have.join(", "));
                Err(TabularError::NotFound(message))
            }
        },
    }
}

/// The mean over the chosen trainings. As in the official interface there is none if any training lacks it, chosen or not.
fn metric(runs: &[(u32, Run)], chosen: &[usize], of: impl Fn(&Run) -> Option<Metric>) -> Option<Metric> {
    let all: Vec<Metric> = runs.iter().map(|(_, run)| of(run)).collect::<Option<_>>()?;
    let mean_of = |value: fn(&Metric) -> f64| mean(&chosen.iter().map(|at| value(&all[*at])).collect::<Vec<f64>>());
    let times: Option<Vec<f64>> = chosen.iter().map(|at| all[*at].all_time).collect();
    Some(Metric {
        loss: mean_of(|metric| metric.loss),
        accuracy: mean_of(|metric| metric.accuracy),
        all_time: times.map(|times| mean(&times)),
    })
}

fn insert(answer: &mut Map<String, serde_json::Value>, name: &str, metric: Metric, epoch: usize) {
    let per_time = metric.all_time.map(|time| time / (epoch + 1) as f64);
    answer.insert(format!("{name}-loss"), json!(metric.loss));
    answer.insert(format!("{name}-accuracy"), json!(metric.accuracy));
    answer.insert(format!("{name}-per-time"), json!(per_time));
    answer.insert(format!("{name}-all-time"), json!(metric.all_time));
}

/// The mean of a cost that should not depend on the seed. Where it does, seed 888's is right, as the official interface
/// knows of its files.
fn consistent(runs: &[(u32, Run)], value: fn(&Run) -> f64) -> f64 {
    let values: Vec<f64> = runs.iter().map(|(_, run)| value(run)).collect();
    let rounded = |value: &f64| format!("{value:.5}");
    let trusted = runs.iter().find(|(seed, _)| *seed == 888);
    match trusted {
        Some((_, run)) if values.iter().any(|other| rounded(other) != rounded(&values[0])) => value(run),
        _ => mean(&values),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn comment(dataset: &str, hp: &str) -> Option<String> {
    let sets = match dataset {
        "cifar10-valid" => "train set",
        "cifar10" => "train+valid sets",
        _ => return None,
    };
    Some(format!(
        "In this dict, train-loss/accuracy/time is the metric on the {sets} of CIFAR-10. The test-loss/accuracy/time is \
         the performance of the CIFAR-10 test set after training on the {sets} by {hp} epochs. The per-time and total-time \
         indicate the per epoch and total time costs, respectively."
    ))
}
