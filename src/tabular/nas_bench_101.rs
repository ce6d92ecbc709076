//! NAS-Bench-101 as published (Ying and others 2019): its tfrecord of JSON and protobuf, the copy of it in HDF5, and the
//! answers of its official interface.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine;
use prost::Message;
use rand::Rng;
use serde_json::{Value, json};

use super::TabularError;
use super::cache::{Cache, Import};
use super::tfrecord::Records;
use crate::space::{Genotype, NasBench101 as Space101};

const NAME: &str = "nas-bench-101";
/// Trainings of each network and number of epochs.
const REPEATS: usize = 3;
const POINTS: [&str; 2] = ["halfway", "final"];
const METRICS: [&str; 4] = ["training_time", "train_accuracy", "validation_accuracy", "test_accuracy"];
/// Numbers of one network for one number of epochs.
const VALUES: usize = REPEATS * POINTS.len() * METRICS.len();

/// What the protobuf of a record holds.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelMetrics {
    #[prost(message, repeated, tag = "1")]
    pub evaluation_data: Vec<EvaluationData>,
    #[prost(int32, optional, tag = "2")]
    pub trainable_parameters: Option<i32>,
    #[prost(double, optional, tag = "3")]
    pub total_time: Option<f64>,
}

/// A network after some epochs.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EvaluationData {
    #[prost(double, optional, tag = "1")]
    pub current_epoch: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub training_time: Option<f64>,
    #[prost(double, optional, tag = "3")]
    pub train_accuracy: Option<f64>,
    #[prost(double, optional, tag = "4")]
    pub validation_accuracy: Option<f64>,
    #[prost(double, optional, tag = "5")]
    pub test_accuracy: Option<f64>,
    #[prost(string, optional, tag = "6")]
    pub checkpoint_path: Option<String>,
}

impl EvaluationData {
    fn metrics(&self) -> Option<[f64; METRICS.len()]> {
        Some([self.training_time?, self.train_accuracy?, self.validation_accuracy?, self.test_accuracy?])
    }
}

/// The trainings of one network.
#[derive(Debug, Clone, Default)]
pub(super) struct Network {
    /// The benchmark's matrix and operations, as the space writes genotypes.
    pub symbols: Vec<u8>,
    pub params: f64,
    /// By number of epochs: for each repeat, halfway and final, the four metrics.
    pub trainings: BTreeMap<u32, Vec<[[f64; METRICS.len()]; 2]>>,
}

/// Networks by their hash.
pub(super) type Networks = BTreeMap<[u8; 16], Network>;

/// One answer of the benchmark.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer101 {
    /// The benchmark's matrix of the network, row by row.
    pub module_adjacency: Vec<Vec<u8>>,
    /// The benchmark's operations of the network.
    pub module_operations: Vec<&'static str>,
    /// Trained parameters.
    pub trainable_parameters: u64,
    /// Seconds of training.
    pub training_time: f64,
    /// Accuracy on the training set, 0 to 1.
    pub train_accuracy: f64,
    /// Accuracy on the validation set, 0 to 1.
    pub validation_accuracy: f64,
    /// Accuracy on the test set, 0 to 1.
    pub test_accuracy: f64,
}

impl Answer101 {
    /// The answer under the official names.
    pub fn json(&self) -> Value {
        json!({
            "module_adjacency": self.module_adjacency,
            "module_operations": self.module_operations,
            "trainable_parameters": self.trainable_parameters,
            "training_time": self.training_time,
            "train_accuracy": self.train_accuracy,
            "validation_accuracy": self.validation_accuracy,
            "test_accuracy": self.test_accuracy,
        })
    }
}

/// NAS-Bench-101, imported.
#[derive(Debug)]
pub struct NasBench101 {
    space: Space101,
    cache: Cache,
    params: usize,
    /// Columns of the genotypes' symbols.
    symbols: Vec<usize>,
    /// Numbers of epochs and their first column.
    epochs: Vec<(u32, usize)>,
    /// For each number of epochs, repeat and point the metrics of all rows, beside each other so that an answer is one
    /// step in memory; read when first asked for.
    points: Vec<OnceLock<Vec<[f64; METRICS.len()]>>>,
    spent: RefCell<(f64, u64)>,
}

impl NasBench101 {
    /// Imports the published tfrecord or its HDF5 copy into a file that [`NasBench101::open`] reads.
    ///
    /// # Errors
    /// If the file is broken: the message names the record and the reason. Nothing is written then.
    pub fn import(published: &Path, imported: &Path) -> Result<(), TabularError> {
        let is_hdf5 = published.extension().is_some_and(|e| e == "h5" || e == "hdf5");
        let networks = match is_hdf5 {
            true => super::hdf5::read(published)?,
            false => read_tfrecord(published)?,
        };
        import_of(&networks, published)?.write(imported)
    }

    /// Opens an imported benchmark.
    ///
    /// # Errors
    /// If it is not one, or is damaged.
    pub fn open(imported: &Path) -> Result<Self, TabularError> {
        let cache = Cache::open(imported, NAME)?;
        let broken =
            |what: &str| TabularError::format(imported, "an imported NAS-Bench-101", format!("no column {what}"));
        let params = cache.column("trainable_parameters").ok_or_else(|| broken("trainable_parameters"))?;
        let symbols = (0..).map_while(|at| cache.column(&format!("symbol {at}"))).collect();
        let epochs: Vec<u32> =
            cache.names().filter_map(|name| name.strip_suffix(" 0 halfway training_time")?.parse().ok()).collect();
        let mut first = Vec::with_capacity(epochs.len());
        for epochs in epochs {
            for (at, name) in value_names(epochs).enumerate() {
                let column = cache.column(&name).ok_or_else(|| broken(&name))?;
                if at == 0 {
                    first.push((epochs, column));
                } else if first.last().is_none_or(|(_, first)| column != first + at) {
                    return Err(broken(&format!("{name} in its place")));
                }
            }
        }
        let space = Space101::new(Default::default())?;
        let points = (0..first.len() * REPEATS * POINTS.len()).map(|_| OnceLock::new()).collect();
        Ok(NasBench101 { space, cache, params, symbols, epochs: first, points, spent: RefCell::default() })
    }

    /// Number of networks.
    pub fn networks(&self) -> usize {
        self.cache.rows()
    }

    /// Numbers of epochs that networks were trained for.
    pub fn epochs(&self) -> Vec<u32> {
        self.epochs.iter().map(|(epochs, _)| *epochs).collect()
    }

    /// Hashes of all networks, in ascending order.
    pub fn hashes(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.networks()).map(|row| self.cache.key(row))
    }

    /// The row of a network, by its hash. Rows are what [`NasBench101::metrics`] takes.
    pub fn find(&self, hash: &[u8; 16]) -> Option<usize> {
        self.cache.find(hash)
    }

    /// Time in seconds and accuracies of training, validation and test of one training, at its end or half-way; nothing if
    /// the network was not trained so long or so often.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn metrics(
        &self,
        row: usize,
        epochs: u32,
        repeat: usize,
        halfway: bool,
    ) -> Result<Option<[f64; 4]>, TabularError> {
        let Some(place) = self.epochs.iter().position(|(own, _)| *own == epochs).filter(|_| repeat < REPEATS) else {
            return Ok(None);
        };
        let within = repeat * POINTS.len() + usize::from(!halfway);
        let point = &self.points[place * REPEATS * POINTS.len() + within];
        let rows = match point.get() {
            Some(rows) => rows,
            None => {
                let rows = self.read_point(self.epochs[place].1 + within * METRICS.len())?;
                point.get_or_init(|| rows)
            }
        };
        Ok(rows.get(row).copied().filter(|found| !found[0].is_nan()))
    }

    /// Four columns beside each other.
    fn read_point(&self, first: usize) -> Result<Vec<[f64; METRICS.len()]>, TabularError> {
        let mut rows = vec![[0.0; METRICS.len()]; self.networks()];
        for at in 0..METRICS.len() {
            let numbers = self.cache.numbers(first + at)?;
            rows.iter_mut().zip(numbers).for_each(|(row, number)| row[at] = number);
        }
        Ok(rows)
    }

    /// The benchmark's answer to a network, as the official interface gives it: of three trainings one at random, or the
    /// one that is named. Time and epochs are added to what was spent.
    ///
    /// # Errors
    /// If the benchmark has no such network or number of epochs.
    pub fn query(
        &self,
        genotype: &Genotype,
        epochs: u32,
        stop_halfway: bool,
        repeat: Option<usize>,
        rng: &mut impl Rng,
    ) -> Result<Answer101, TabularError> {
        if !self.epochs.iter().any(|(own, _)| *own == epochs) {
            let have: Vec<String> = self.epochs().iter().map(u32::to_string).collect();
            let message = format!("no network was trained for {epochs} epochs, but for {}", have.join(", "));
            return Err(TabularError::NotFound(message));
        }
        let missing = || TabularError::NotFound(format!("the benchmark has no cell `{}`", self.space.format(genotype)));
        let row = self.find(&self.space.hash(genotype)).ok_or_else(missing)?;
        let repeat = repeat.unwrap_or_else(|| rng.random_range(0..REPEATS));
        let not_trained = || TabularError::NotFound(format!("the network has no training {repeat} of {epochs} epochs"));
        let [training_time, train_accuracy, validation_accuracy, test_accuracy] =
            self.metrics(row, epochs, repeat, stop_halfway)?.ok_or_else(not_trained)?;
        let mut spent = self.spent.borrow_mut();
        spent.0 += training_time;
        spent.1 += u64::from(if stop_halfway { epochs / 2 } else { epochs });
        let (module_adjacency, module_operations) = self.space.spec(&self.genotype(row)?);
        Ok(Answer101 {
            module_adjacency,
            module_operations,
            trainable_parameters: self.cache.number(self.params, row)? as u64,
            training_time,
            train_accuracy,
            validation_accuracy,
            test_accuracy,
        })
    }

    /// The network of a row, its vertices in the benchmark's order.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn genotype(&self, row: usize) -> Result<Genotype, TabularError> {
        let symbols: Result<Vec<u8>, TabularError> =
            self.symbols.iter().map(|column| self.cache.number(*column, row).map(|symbol| symbol as u8)).collect();
        Ok(symbols?.into())
    }

    /// Seconds and epochs that all queries so far stand for.
    pub fn budget_counters(&self) -> (f64, u64) {
        *self.spent.borrow()
    }

    /// Forgets what was spent.
    pub fn reset_budget_counters(&self) {
        self.spent.replace((0.0, 0));
    }
}

/// Columns of one number of epochs, in order.
fn value_names(epochs: u32) -> impl Iterator<Item = String> {
    (0..VALUES).map(move |at| {
        let (repeat, point) = (at / METRICS.len() / POINTS.len(), at / METRICS.len() % POINTS.len());
        format!("{epochs} {repeat} {} {}", POINTS[point], METRICS[at % METRICS.len()])
    })
}

fn read_tfrecord(path: &Path) -> Result<Networks, TabularError> {
    let file = File::open(path).map_err(|e| TabularError::unreadable(path, e))?;
    let space = Space101::new(Default::default())?;
    let mut records = Records::new(BufReader::with_capacity(1 << 20, file));
    let mut networks = Networks::new();
    for number in 1.. {
        let wrong = |reason: String| TabularError::record(path, number, reason);
        let Some(record) = records.next().map_err(wrong)? else { break };
        add_record(&mut networks, &space, record).map_err(wrong)?;
    }
    Ok(networks)
}

/// Reads `[module_hash, epochs, raw_adjacency, raw_operations, raw_metrics]`; the error says what is wrong.
fn add_record(networks: &mut Networks, space: &Space101, record: &[u8]) -> Result<(), String> {
    let (hash, epochs, adjacency, operations, metrics): (String, u32, String, String, String) =
        serde_json::from_slice(record).map_err(|e| format!("it is not the JSON of a training: {e}"))?;
    let side = adjacency.len().isqrt();
    if side * side != adjacency.len() || side == 0 || !adjacency.is_ascii() {
        return Err(format!("a matrix of {} bits is not square", adjacency.len()));
    }
    let rows: Vec<&str> = (0..side).map(|row| &adjacency[row * side..(row + 1) * side]).collect();
    let genotype = space.parse(&format!("{}:{operations}", rows.join("/"))).map_err(|e| e.to_string())?;
    let key = key_of(&hash).ok_or_else(|| format!("`{hash}` is not an MD5"))?;
    // The hash takes longer than all else, and every network has many records.
    let is_known = networks.get(&key).is_some_and(|network| network.symbols == genotype.symbols());
    if !is_known && space.hash(&genotype) != key {
        return Err(format!("its cell does not have the hash {hash}"));
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(metrics.trim_end());
    let bytes = bytes.map_err(|e| format!("its metrics are not base64: {e}"))?;
    let metrics = ModelMetrics::decode(bytes.as_slice()).map_err(|e| format!("its metrics are not protobuf: {e}"))?;
    // The first of three evaluations is before training.
    let point = |at: usize| metrics.evaluation_data.get(at).and_then(EvaluationData::metrics);
    let points = point(1).zip(point(2)).ok_or("its metrics lack the evaluation half-way or at the end")?;
    let params = f64::from(metrics.trainable_parameters.ok_or("its metrics lack the parameters")?);
    let network = networks.entry(key).or_insert_with(|| Network {
        symbols: genotype.symbols().to_vec(),
        params,
        trainings: BTreeMap::new(),
    });
    let trainings = network.trainings.entry(epochs).or_default();
    if trainings.len() == REPEATS {
        return Err(format!("it is training {} of one network for {epochs} epochs", REPEATS + 1));
    }
    trainings.push([points.0, points.1]);
    Ok(())
}

/// Sixteen bytes of their hexadecimal form.
fn key_of(hash: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(hash, 16).ok()?;
    (hash.len() == 32).then(|| number.to_be_bytes())
}

fn import_of(networks: &Networks, path: &Path) -> Result<Import, TabularError> {
    if networks.is_empty() {
        return Err(TabularError::format(path, "NAS-Bench-101", "it has no records"));
    }
    let symbol_count = networks.values().next().map_or(0, |network| network.symbols.len());
    let column = |value: &dyn Fn(&Network) -> f64| networks.values().map(value).collect::<Vec<f64>>();
    let mut columns = vec![("trainable_parameters".to_string(), column(&|network| network.params))];
    for at in 0..symbol_count {
        columns.push((format!("symbol {at}"), column(&|network| f64::from(network.symbols[at]))));
    }
    let epochs: std::collections::BTreeSet<u32> =
        networks.values().flat_map(|network| network.trainings.keys().copied()).collect();
    for epochs in epochs {
        for (at, name) in value_names(epochs).enumerate() {
            let (repeat, point, metric) =
                (at / METRICS.len() / POINTS.len(), at / METRICS.len() % POINTS.len(), at % METRICS.len());
            let value = |network: &Network| {
                let training = network.trainings.get(&epochs).and_then(|trainings| trainings.get(repeat));
                training.map_or(f64::NAN, |training| training[point][metric])
            };
            columns.push((name, column(&value)));
        }
    }
    let keys = networks.keys().map(|key| key.to_vec()).collect();
    Ok(Import { benchmark: NAME.to_string(), keys, columns })
}

/// How fast a benchmark of the size of NAS-Bench-101 with 108 epochs opens and answers, with random numbers. Run
/// `cargo test --release --lib tabular::nas_bench_101::speed -- --exact --ignored --nocapture`.
#[cfg(test)]
#[test]
#[ignore = "a measurement of some seconds"]
fn speed() {
    use std::time::Instant;
    const NETWORKS: usize = 423_624;
    const QUERIES: usize = 4_000_000;
    let mut rng = crate::seed::stream(1, "speed", 0);
    let mut number = || f64::from(rng.random::<f32>());
    let mut network = |_| {
        let training = || [0, 1].map(|_| std::array::from_fn(|_| number()));
        let trainings = BTreeMap::from([(108, std::iter::repeat_with(training).take(REPEATS).collect())]);
        Network { symbols: vec![0; 26], params: 1e6, trainings }
    };
    let hash = |n: u128| -> [u8; 16] {
        md5::Digest::finalize(<md5::Md5 as md5::Digest>::new_with_prefix(n.to_le_bytes())).into()
    };
    let networks: Networks = (0..NETWORKS as u128).map(|n| (hash(n), network(n))).collect();
    let hashes: Vec<[u8; 16]> = networks.keys().copied().collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("speed.table");
    import_of(&networks, &path).unwrap().write(&path).unwrap();
    drop(networks);
    let clock = Instant::now();
    let bench = NasBench101::open(&path).unwrap();
    let opened = clock.elapsed().as_secs_f64() * 1e3;
    let answer = |hash: &[u8; 16]| bench.metrics(bench.find(hash).unwrap(), 108, 1, false).unwrap().unwrap();
    let clock = Instant::now();
    answer(&hashes[7]);
    let first = clock.elapsed().as_secs_f64() * 1e3;
    let asked: Vec<[u8; 16]> = (0..QUERIES).map(|at| hashes[at * 7919 % NETWORKS]).collect();
    let clock = Instant::now();
    let sum: f64 = asked.iter().map(|hash| answer(hash)[3]).sum();
    let millions = QUERIES as f64 / clock.elapsed().as_secs_f64() / 1e6;
    println!(
        "opens in {opened:.1} ms, first answer in {first:.1} ms, then {millions:.2} million answers a second ({sum:.0})"
    );
}
