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
use crate::tabular::{NasBench101, NatsBench, NatsSeed, Table};

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
    #[arg(long)]
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
    #[arg(long)]
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
    /// The best architecture on a set: train, valid, test, or a name of the files such as ori-test.
    #[arg(long, value_name = "SET")]
    best: Option<String>,
}

#[derive(Args)]
struct ArgsTable {
    /// A description in YAML, or the name of a built-in one.
    #[arg(long)]
    table: String,
    /// Where the table's files are; beside the description if absent.
    #[arg(long)]
    path: Option<PathBuf>,
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

/// The imported form of a published file: from the user's cache directory, or made now and kept there. A file of another
/// size or time of change is another file.
fn imported(published: &Path) -> anyhow::Result<PathBuf> {
    let unreadable = |e: std::io::Error| anyhow::anyhow!("cannot read `{}`: {e}", published.display());
    let whole = published.canonicalize().map_err(unreadable)?;
    let about = whole.metadata().map_err(unreadable)?;
    let changed = about.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let digest = Sha256::digest(format!("{} {} {changed:?}", whole.display(), about.len()));
    let name: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let here = directories::ProjectDirs::from("", "", "netwright").map(|dirs| dirs.cache_dir().to_path_buf());
    let root = std::env::var_os("NETWRIGHT_CACHE").map(PathBuf::from).or(here);
    let root = root.ok_or_else(|| anyhow::anyhow!("this system has no cache directory\nhint: set NETWRIGHT_CACHE"))?;
    let file = root.join(format!("nas-bench-101-{name}.table"));
    if NasBench101::open(&file).is_err() {
        eprintln!("importing `{}`, once", published.display());
        NasBench101::import(published, &file)?;
    }
    Ok(file)
}

fn query_nats(args: &ArgsNats) -> anyhow::Result<Map<String, Value>> {
    let mut bench = NatsBench::open(&args.path)?;
    let index = match (&args.which.arch, args.which.index, &args.which.best) {
        (Some(text), _, _) => bench.index(text)?,
        (_, Some(index), _) => index,
        (_, _, Some(set)) => {
            let all = 0..bench.architectures().len();
            bench.find_best(all, &args.dataset, set, &args.hp, (None, None))?.0
        }
        (None, None, None) => anyhow::bail!("name an architecture\nhint: --index 11"),
    };
    let seed = args.seed.map_or(NatsSeed::Mean, NatsSeed::One);
    // Names of the two official answers do not meet.
    let mut answer = bench.more_info(index, &args.dataset, &args.hp, args.epoch, seed)?;
    answer.extend(bench.cost_info(index, &args.dataset, &args.hp)?);
    answer.insert("index".to_string(), json!(index));
    answer.insert("arch".to_string(), json!(bench.architectures()[index]));
    Ok(answer)
}

fn query_table(args: &ArgsTable) -> anyhow::Result<Map<String, Value>> {
    let table = Table::open(&args.table, args.path.as_deref())?;
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
