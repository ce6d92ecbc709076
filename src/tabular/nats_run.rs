//! One training of NATS-Bench, read from the pickle of an architecture.

use std::collections::HashMap;

use super::pickle::Value;

/// Trainings with one number of epochs: by data set, by seed.
#[derive(Debug)]
pub(super) struct Runs {
    datasets: Vec<(String, Vec<(u32, Run)>)>,
}

/// One training.
#[derive(Debug)]
pub(super) struct Run {
    pub epochs: usize,
    /// Millions of FLOPs.
    pub flops: f64,
    /// Millions of parameters.
    pub params: f64,
    /// Mean latency in seconds.
    pub latency: Option<f64>,
    /// Seconds of each epoch.
    pub train_times: Option<Vec<f64>>,
    train_losses: Vec<f64>,
    train_accuracies: Vec<f64>,
    evaluations: Vec<(String, Evaluation)>,
}

/// Tests on one set: by epoch, losses and accuracies perhaps only of the last.
#[derive(Debug, Default)]
struct Evaluation {
    losses: HashMap<usize, f64>,
    accuracies: HashMap<usize, f64>,
    times: HashMap<usize, f64>,
    /// Whether the training recorded any time at all.
    is_timed: bool,
}

/// What is known after an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Metric {
    pub loss: f64,
    /// Percent.
    pub accuracy: f64,
    /// Seconds up to here, if recorded.
    pub all_time: Option<f64>,
}

impl Runs {
    /// Reads the results of one number of epochs; the error says what is missing.
    pub fn of_pickle(results: &Value) -> Result<Self, String> {
        let field = |name: &str| results.get(name).ok_or_else(|| format!("`{name}` is missing"));
        let all = field("all_results")?.entries().ok_or("`all_results` is not a dictionary")?;
        let seeds = field("dataset_seed")?.entries().ok_or("`dataset_seed` is not a dictionary")?;
        let mut datasets = Vec::with_capacity(seeds.len());
        for (dataset, seeds) in seeds {
            let dataset = dataset.as_text().ok_or("a data set is not text")?;
            let seeds = seeds.as_list().filter(|s| !s.is_empty()).ok_or_else(|| format!("`{dataset}` has no seeds"))?;
            let mut runs = Vec::with_capacity(seeds.len());
            for seed in seeds {
                let seed = seed.as_i64().and_then(|seed| u32::try_from(seed).ok()).ok_or("a seed is not a number")?;
                let is_run = |key: &Value| match key.as_list() {
                    Some([own, number]) => own.as_text() == Some(dataset) && number.as_i64() == Some(seed.into()),
                    _ => false,
                };
                let run = all.iter().find(|(key, _)| is_run(key)).map(|(_, run)| run);
                let run = run.ok_or_else(|| format!("the results of `{dataset}` with seed {seed} are missing"))?;
                runs.push((seed, Run::of_pickle(run).map_err(|reason| format!("`{dataset}`, seed {seed}: {reason}"))?));
            }
            datasets.push((dataset.to_string(), runs));
        }
        Ok(Runs { datasets })
    }

    pub fn datasets(&self) -> impl Iterator<Item = &str> {
        self.datasets.iter().map(|(name, _)| name.as_str())
    }

    /// Trainings on a data set, at least one, by seed.
    pub fn of(&self, dataset: &str) -> Option<&[(u32, Run)]> {
        self.datasets.iter().find(|(name, _)| name == dataset).map(|(_, runs)| runs.as_slice())
    }
}

impl Run {
    fn of_pickle(run: &Value) -> Result<Self, String> {
        let field = |name: &str| run.get(name).ok_or_else(|| format!("`{name}` is missing"));
        let number = |name: &str| field(name)?.as_f64().ok_or_else(|| format!("`{name}` is not a number"));
        let epochs =
            field("epochs")?.as_i64().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=10_000).contains(n));
        let epochs = epochs.ok_or("`epochs` is not a number of epochs")?;
        let by_epoch = |name: &str| -> Result<Vec<f64>, String> {
            let entries = field(name)?.entries().ok_or_else(|| format!("`{name}` is not a dictionary"))?;
            let by_epoch: HashMap<i64, f64> =
                entries.iter().filter_map(|(epoch, value)| Some((epoch.as_i64()?, value.as_f64()?))).collect();
            let of = |epoch: usize| by_epoch.get(&(epoch as i64)).copied();
            (0..epochs).map(|e| of(e).ok_or_else(|| format!("`{name}` has no epoch {e}"))).collect()
        };
        let train_times = match field("train_times")? {
            Value::None => None,
            _ => Some(by_epoch("train_times")?),
        };
        let latency = field("latency")?.as_list().and_then(|times| {
            let times: Vec<f64> = times.iter().filter_map(Value::as_f64).collect();
            (!times.is_empty()).then(|| times.iter().sum::<f64>() / times.len() as f64)
        });
        Ok(Run {
            epochs,
            flops: number("flop")?,
            params: number("params")?,
            latency,
            train_times,
            train_losses: by_epoch("train_losses")?,
            train_accuracies: by_epoch("train_acc1es")?,
            evaluations: evaluations(run)?,
        })
    }

    /// The training set after an epoch.
    pub fn train(&self, epoch: usize) -> Option<Metric> {
        let all_time = self.train_times.as_ref().map(|times| times[..=epoch].iter().sum());
        Some(Metric { loss: *self.train_losses.get(epoch)?, accuracy: *self.train_accuracies.get(epoch)?, all_time })
    }

    /// A set after an epoch, if it was tested then.
    pub fn evaluation(&self, set: &str, epoch: usize) -> Option<Metric> {
        let (_, evaluation) = self.evaluations.iter().find(|(name, _)| name == set)?;
        let all_time = match evaluation.is_timed {
            true => {
                let times: Option<Vec<f64>> = (0..=epoch).map(|e| evaluation.times.get(&e).copied()).collect();
                Some(times?.iter().sum())
            }
            false => None,
        };
        Some(Metric { loss: *evaluation.losses.get(&epoch)?, accuracy: *evaluation.accuracies.get(&epoch)?, all_time })
    }

    /// Names of the sets that were tested, in the order of the file.
    pub fn evaluation_sets(&self) -> impl Iterator<Item = &str> {
        self.evaluations.iter().map(|(name, _)| name.as_str())
    }

    /// Seconds of a test on a set after each epoch, if all are known.
    pub fn evaluation_times(&self, set: &str) -> Option<Vec<f64>> {
        let (_, evaluation) = self.evaluations.iter().find(|(name, _)| name == set)?;
        (0..self.epochs).map(|epoch| evaluation.times.get(&epoch).copied()).collect()
    }
}

/// Reads the tests, whose entries are named `x-valid@11`.
fn evaluations(run: &Value) -> Result<Vec<(String, Evaluation)>, String> {
    let names = run.get("eval_names").and_then(Value::as_list).ok_or("`eval_names` are missing")?;
    let name = |name: &Value| name.as_text().map(|name| (name.to_string(), Evaluation::default()));
    let mut found: Vec<(String, Evaluation)> =
        names.iter().map(name).collect::<Option<_>>().ok_or("a set is not text")?;
    let mut read = |field: &str, into: fn(&mut Evaluation) -> &mut HashMap<usize, f64>| {
        let entries = run.get(field).and_then(Value::entries).ok_or_else(|| format!("`{field}` are missing"))?;
        for (key, value) in entries {
            let place = key.as_text().and_then(|key| key.split_once('@'));
            let place = place.and_then(|(set, epoch)| Some((set, epoch.parse().ok()?, value.as_f64()?)));
            let (set, epoch, value) =
                place.ok_or_else(|| format!("`{field}` has an entry that is no set and epoch"))?;
            if let Some((_, evaluation)) = found.iter_mut().find(|(name, _)| name == set) {
                into(evaluation).insert(epoch, value);
            }
        }
        Ok::<bool, String>(!entries.is_empty())
    };
    read("eval_acc1es", |evaluation| &mut evaluation.accuracies)?;
    read("eval_losses", |evaluation| &mut evaluation.losses)?;
    let is_timed = read("eval_times", |evaluation| &mut evaluation.times)?;
    found.iter_mut().for_each(|(_, evaluation)| evaluation.is_timed = is_timed);
    Ok(found)
}
