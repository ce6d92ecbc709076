//! `netwright query`: published benchmarks and tables, asked as their official interfaces answer.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Exit, print, print_json};
use crate::report::plain_table;
use crate::seed;
use crate::space::NasBench101 as Space101;
use crate::tabular::{NasBench101, NatsBench, NatsCache, NatsSeed, Table};

#[derive(Args)]
pub(super) struct QueryArgs {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// NAS-Bench-101: a cell's time and accuracies.
    #[command(name = "nas-bench-101")]
    NasBench101(Args101),
    /// NATS-Bench, topology space (NAS-Bench-201): an architecture's losses, accuracies, times and costs.
    NatsTss(ArgsNats),
    /// NATS-Bench, size space.
    NatsSss(ArgsNats),
    /// A table that a YAML file describes, or a built-in one.
    Table(ArgsTable),
}

#[derive(Args)]
struct Args101 {
    /// The published `.tfrecord`, or its HDF5 copy. It is imported once.
    #[arg(long, visible_alias = "data")]
    path: PathBuf,
    /// Rows of the adjacency matrix, such as 0110/0011/0001/0000, or the same as JSON.
    #[arg(long)]
    matrix: String,
    /// Operations of the vertices with commas between them: input,conv3x3-bn-relu,maxpool3x3,output.
    #[arg(long)]
    ops: String,
    /// Epochs of the training.
    #[arg(long, default_value_t = 108)]
    epochs: u32,
    /// Stop half-way.
    #[arg(long)]
    stop_halfway: bool,
    /// Which of the three trainings, from 0; a random one if absent.
    #[arg(long)]
    repeat: Option<usize>,
    /// Seed of the random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ArgsNats {
    /// The folder of the published pickles, `NATS-…-simple`.
    #[arg(long, visible_alias = "data")]
    path: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Data set: cifar10-valid, cifar10, cifar100 or ImageNet16-120.
    #[arg(long, default_value = "cifar10")]
    dataset: String,
    /// Epochs of the training: 12 or 200 (topology), 01, 12 or 90 (size).
    #[arg(long, default_value = "12")]
    hp: String,
    /// Ask for the state after this epoch, from 0; after the last if absent.
    #[arg(long)]
    epoch: Option<usize>,
    /// Seed of the training; the mean of all seeds if absent.
    #[arg(long)]
    seed: Option<u32>,
    /// What training and validating would have given and taken, instead of all that is known.
    #[arg(long)]
    simulate: bool,
    /// With `--best`: at most so many million FLOPs.
    #[arg(long, requires = "best")]
    most_flops: Option<f64>,
    /// With `--best`: at most so many million parameters.
    #[arg(long, requires = "best")]
    most_params: Option<f64>,
    /// With `--best`: the file that the folder is imported to once; by default one in the user's cache directory.
    #[arg(long, requires = "best")]
    cache: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The architecture's text.
    #[arg(long)]
    arch: Option<String>,
    /// The architecture's place, from 0.
    #[arg(long)]
    index: Option<usize>,
    /// The architecture with the best mean accuracy after the last epoch on a set: train, valid, test (if none is named), or
    /// a name of the files such as ori-test.
    #[arg(long, value_name = "SET", num_args = 0..=1, default_missing_value = "test")]
    best: Option<String>,
}

#[derive(Args)]
struct ArgsTable {
    /// A description in YAML, or the name of a built-in one.
    #[arg(long)]
    table: String,
    /// The folder of the table's files; by default the folder of the YAML file.
    #[arg(long, visible_alias = "path")]
    data: Option<PathBuf>,
    /// The network, as its space writes it.
    #[arg(long)]
    arch: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn query(args: &QueryArgs) -> anyhow::Result<Exit> {
    let (answer, as_json) = match &args.benchmark {
        Benchmark::NasBench101(args) => (query_101(args)?, args.json),
        Benchmark::NatsTss(args) | Benchmark::NatsSss(args) => (query_nats(args)?, args.json),
        Benchmark::Table(args) => (query_table(args)?, args.json),
    };
    match as_json {
        true => print_json(&Value::Object(answer))?,
        false => print(&(plain_table(&["", ""], rows("", &answer)) + "\n"))?,
    }
    Ok(Exit::Done)
}

/// What people read: one line for each value.
fn rows(prefix: &str, answer: &Map<String, Value>) -> Vec<Vec<String>> {
    let row = |(name, value): (&String, &Value)| match value {
        Value::Object(inner) => rows(&format!("{prefix}{name} "), inner),
        Value::String(text) => vec![vec![format!("{prefix}{name}"), text.clone()]],
        other => vec![vec![format!("{prefix}{name}"), other.to_string()]],
    };
    answer.iter().flat_map(row).collect()
}

fn query_101(args: &Args101) -> anyhow::Result<Map<String, Value>> {
    let space = Space101::new(Default::default())?;
    let genotype = space.parse(&format!("{}:{}", matrix_rows(&args.matrix)?, args.ops))?;
    let bench = NasBench101::open(&imported(&args.path)?)?;
    let mut rng: ChaCha8Rng = seed::stream(args.seed, "repeat", 0);
    let answer = bench.query(&genotype, args.epochs, args.stop_halfway, args.repeat, &mut rng)?;
    match answer.json() {
        Value::Object(answer) => Ok(answer),
        other => anyhow::bail!("an answer is an object, not {other}"),
    }
}

/// Rows as the space writes them, from those or from JSON.
fn matrix_rows(text: &str) -> anyhow::Result<String> {
    if !text.trim_start().starts_with('[') {
        return Ok(text.to_string());
    }
    let rows: Vec<Vec<u8>> =
        serde_json::from_str(text).map_err(|e| anyhow::anyhow!("`--matrix` is not a matrix of 0 and 1: {e}"))?;
    let row = |row: Vec<u8>| row.iter().map(u8::to_string).collect::<String>();
    Ok(rows.into_iter().map(row).collect::<Vec<_>>().join("/"))
}

/// The imported form of a published file: from the user's cache directory, or made now and kept there.
fn imported(published: &Path) -> anyhow::Result<PathBuf> {
    let file = cache_file("nas-bench-101", published)?;
    if NasBench101::open(&file).is_err() {
        eprintln!("importing `{}`, once", published.display());
        NasBench101::import(published, &file)?;
    }
    Ok(file)
}

/// Where the user's cache directory keeps the imported form of a published file or folder. One of another size or time of
/// change is another one.
fn cache_file(benchmark: &str, published: &Path) -> anyhow::Result<PathBuf> {
    let unreadable = |e: std::io::Error| anyhow::anyhow!("cannot read `{}`: {e}", published.display());
    let whole = published.canonicalize().map_err(unreadable)?;
    let about = whole.metadata().map_err(unreadable)?;
    let changed = about.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let digest = Sha256::digest(format!("{} {} {changed:?}", whole.display(), about.len()));
    let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let here = directories::ProjectDirs::from("", "", "netwright").map(|dirs| dirs.cache_dir().to_path_buf());
    let root = std::env::var_os("NETWRIGHT_CACHE").map(PathBuf::from).or(here);
    let root = root.ok_or_else(|| anyhow::anyhow!("this system has no cache directory\nhint: set NETWRIGHT_CACHE"))?;
    Ok(root.join(format!("{benchmark}-{name}.table")))
}

/// The imported form of a folder of NATS-Bench, without which a search for the best would read every file.
fn imported_nats(args: &ArgsNats, architectures: usize) -> anyhow::Result<NatsCache> {
    let file = match &args.cache {
        Some(file) => file.clone(),
        None => cache_file("nats-bench", &args.path)?,
    };
    let is_own = args.cache.is_none();
    let cache = match NatsCache::open(&file) {
        Ok(cache) => cache,
        // A file that somebody names and that is something else is not written over.
        Err(error) if file.exists() && !is_own => return Err(error.into()),
        Err(_) => {
            eprintln!("importing `{}` to `{}`, once", args.path.display(), file.display());
            NatsCache::import(&args.path, &file)?;
            NatsCache::open(&file)?
        }
    };
    if cache.rows() < architectures {
        eprintln!("note: the best of {} architectures that were imported, of {architectures}", cache.rows());
    }
    Ok(cache)
}

fn query_nats(args: &ArgsNats) -> anyhow::Result<Map<String, Value>> {
    let mut bench = NatsBench::open(&args.path)?;
    let mut answer = Map::new();
    let index = match (&args.which.arch, args.which.index, &args.which.best) {
        (Some(text), _, _) => bench.index(text)?,
        (_, Some(index), _) => index,
        (_, _, Some(set)) => {
            let cache = imported_nats(args, bench.architectures().len())?;
            let limits = (args.most_flops, args.most_params);
            let (index, accuracy) = cache.find_best(&args.dataset, set, &args.hp, limits)?;
            answer.insert("highest_accuracy".to_string(), json!(accuracy));
            index
        }
        (None, None, None) => anyhow::bail!("name an architecture\nhint: --index 11"),
    };
    let seed = args.seed.map_or(NatsSeed::Mean, NatsSeed::One);
    if args.simulate {
        let simulated = bench.simulate_train_eval(index, &args.dataset, &args.hp, args.epoch, seed)?;
        answer.insert("validation_accuracy".to_string(), json!(simulated.accuracy));
        answer.insert("latency".to_string(), json!(simulated.latency));
        answer.insert("time_cost".to_string(), json!(simulated.time));
        answer.insert("current_total_time_cost".to_string(), json!(simulated.used_time));
    } else {
        // Names of the two official answers do not meet.
        answer.extend(bench.more_info(index, &args.dataset, &args.hp, args.epoch, seed)?);
        answer.extend(bench.cost_info(index, &args.dataset, &args.hp)?);
    }
    answer.insert("index".to_string(), json!(index));
    answer.insert("arch".to_string(), json!(bench.architectures()[index]));
    Ok(answer)
}

fn query_table(args: &ArgsTable) -> anyhow::Result<Map<String, Value>> {
    let table = Table::open(&args.table, args.data.as_deref())?;
    let genotype = table.space().parse(&args.arch)?;
    let row = table.find(&genotype);
    let row = row.ok_or_else(|| anyhow::anyhow!("table `{}` has no network `{}`", args.table, args.arch))?;
    let numbers = |names: &[String]| {
        let value = |name: &String| table.column(name).map(|column| column[row]).filter(|value| !value.is_nan());
        Value::Object(names.iter().map(|name| (name.clone(), json!(value(name)))).collect())
    };
    let mut answer = Map::new();
    answer.insert("space".to_string(), json!(table.space().name()));
    answer.insert("row".to_string(), json!(row));
    answer.insert("arch".to_string(), json!(table.space().format(&table.genotypes()[row])));
    answer.insert("labels".to_string(), numbers(table.labels()));
    answer.insert("features".to_string(), numbers(table.features()));
    answer.insert("latencies".to_string(), numbers(table.latencies()));
    Ok(answer)
}
