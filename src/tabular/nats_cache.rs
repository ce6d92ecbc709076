//! NATS-Bench imported into one file: what is known after the last epoch of every training, and costs.

use std::path::Path;

use super::cache::{Cache, Import};
use super::nats::{official_set, sets};
use super::{NatsBench, NatsSeed, TabularError};

const NAME: &str = "nats-bench";
const DATASETS: [&str; 4] = ["cifar10-valid", "cifar10", "cifar100", "ImageNet16-120"];

/// An imported NATS-Bench. Rows are architectures by index; columns are named `200/cifar10/777/test-accuracy` for the
/// answers of [`NatsBench::more_info`] and `200/cifar10/flops` for those of [`NatsBench::cost_info`].
#[derive(Debug)]
pub struct NatsCache {
    cache: Cache,
}

impl NatsCache {
    /// Imports the architectures of a folder whose files are there, all of the benchmark or a part.
    ///
    /// # Errors
    /// If a file is broken. Nothing is written then.
    pub fn import(folder: &Path, imported: &Path) -> Result<usize, TabularError> {
        let mut bench = NatsBench::open(folder)?;
        let mut import = Import { benchmark: NAME.to_string(), ..Import::default() };
        let mut places = std::collections::HashMap::new();
        for index in 0..bench.architectures().len() {
            if !folder.join(format!("{index:06}.pickle.pbz2")).is_file() {
                continue;
            }
            let row = import.keys.len();
            import.keys.push((index as u32).to_be_bytes().to_vec());
            for (name, value) in answers(&mut bench, index)? {
                let place = *places.entry(name.clone()).or_insert_with(|| {
                    import.columns.push((name, Vec::new()));
                    import.columns.len() - 1
                });
                let column = &mut import.columns[place].1;
                column.resize(row, f64::NAN);
                column.push(value);
            }
            bench.forget(index);
        }
        let rows = import.keys.len();
        if rows == 0 {
            return Err(TabularError::format(folder, "a folder of NATS-Bench", "it has no architecture"));
        }
        import.columns.iter_mut().for_each(|(_, column)| column.resize(rows, f64::NAN));
        import.write(imported)?;
        Ok(rows)
    }

    /// Opens an imported benchmark.
    ///
    /// # Errors
    /// If it is not one, or is damaged.
    pub fn open(imported: &Path) -> Result<Self, TabularError> {
        Ok(NatsCache { cache: Cache::open(imported, NAME)? })
    }

    /// Number of architectures that were imported.
    pub fn rows(&self) -> usize {
        self.cache.rows()
    }

    /// Names of the columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.cache.names()
    }

    /// The place of a column, which [`NatsCache::number`] takes.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.cache.column(name)
    }

    /// A number of an architecture; nothing if it was not imported or not recorded.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn number(&self, column: usize, index: u32) -> Result<Option<f64>, TabularError> {
        match self.cache.find(&index.to_be_bytes()) {
            Some(row) => Ok(Some(self.cache.number(column, row)?).filter(|value| !value.is_nan())),
            None => Ok(None),
        }
    }
}

impl NatsCache {
    /// As [`NatsBench::find_best`] among all architectures that were imported, without reading one file.
    ///
    /// # Errors
    /// If no architecture within the limits was trained and tested so, or the file is damaged.
    pub fn find_best(
        &self,
        dataset: &str,
        set: &str,
        hp: &str,
        (most_flops, most_params): (Option<f64>, Option<f64>),
    ) -> Result<(usize, f64), TabularError> {
        let (dataset, set) = official_set(dataset, set);
        let prefix = format!("{hp}/{dataset}/");
        let answer = answer_name(dataset, set);
        let mut trainings = Vec::new();
        for name in self.columns().filter_map(|name| name.strip_prefix(&prefix)) {
            let Some(seed) = name.strip_suffix("/train-accuracy") else { continue };
            let of = |answer: &str| self.column(&format!("{prefix}{seed}/{answer}-accuracy"));
            trainings.push((of("train").expect("it was just named"), answer.and_then(of)));
        }
        let limits = [("flops", most_flops), ("params", most_params)];
        let mut best: Option<(usize, f64)> = None;
        for row in 0..self.rows() {
            let value =
                |column: usize| Ok::<_, TabularError>(Some(self.cache.number(column, row)?).filter(|v| !v.is_nan()));
            let mut is_over = false;
            for (name, most) in limits.into_iter().filter_map(|(name, most)| most.map(|most| (name, most))) {
                let cost = self.column(&format!("{prefix}{name}")).map(value).transpose()?.flatten();
                is_over |= cost.is_none_or(|cost| cost > most);
            }
            if is_over {
                continue;
            }
            // As in the official interface there is no mean if any training of the architecture was not tested on the set.
            let (mut accuracies, mut is_whole) = (Vec::new(), true);
            for (train, tested) in &trainings {
                if value(*train)?.is_some() {
                    let accuracy = tested.map(value).transpose()?.flatten();
                    is_whole &= accuracy.is_some();
                    accuracies.extend(accuracy);
                }
            }
            if accuracies.is_empty() || !is_whole {
                continue;
            }
            let mean = accuracies.iter().sum::<f64>() / accuracies.len() as f64;
            if best.is_none_or(|(_, accuracy)| mean > accuracy) {
                best = Some((self.index(row), mean));
            }
        }
        let missing = || {
            let message =
                format!("no architecture within the limits was tested on `{set}` of `{dataset}` after `{hp}` epochs");
            TabularError::NotFound(message)
        };
        best.ok_or_else(missing)
    }

    /// Which architecture a row is about: its key is the place in big-endian bytes.
    fn index(&self, row: usize) -> usize {
        self.cache.key(row).iter().fold(0, |index, byte| index << 8 | usize::from(*byte))
    }
}

/// Under which name [`NatsBench::more_info`] answers for a set of the files.
fn answer_name(dataset: &str, set: &str) -> Option<&'static str> {
    if set == "train" {
        return Some("train");
    }
    sets(dataset).iter().find(|(_, own)| *own == set).map(|(name, _)| *name)
}

/// All numbers of an architecture, by the names of their columns.
fn answers(bench: &mut NatsBench, index: usize) -> Result<Vec<(String, f64)>, TabularError> {
    let mut found = Vec::new();
    for hp in bench.epochs(index)? {
        for dataset in DATASETS {
            for (name, value) in bench.cost_info(index, dataset, &hp)? {
                found.extend(value.as_f64().map(|value| (format!("{hp}/{dataset}/{name}"), value)));
            }
            for seed in bench.seeds(index, dataset, &hp)? {
                for (name, value) in bench.more_info(index, dataset, &hp, None, NatsSeed::One(seed))? {
                    found.extend(value.as_f64().map(|value| (format!("{hp}/{dataset}/{seed}/{name}"), value)));
                }
            }
        }
    }
    Ok(found)
}
