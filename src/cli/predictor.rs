//! `netwright predictor`: how well predictors of accuracy rank the networks of a table.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::pretrain::{PretrainArgs, pretrain_predictor};
use super::proxies::{ProxiesArgs, ShortlistArgs, proxies, shortlist};
use super::{Exit, print, print_json};
use crate::experiment::{Benchmark, HELP_DEVICES, Moments, NAMES, Population, Scores, evaluate_latencies};
use crate::report::{percent, plain_table};
use crate::tabular::Table;

#[derive(Args)]
pub(super) struct PredictorArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Fit predictors to some networks of a table at random and test them on all others.
    Eval(EvalArgs),
    /// Fit the predictor of a warm start to published trainings, and write it with its card.
    Pretrain(PretrainArgs),
    /// Predict the latency of all networks of a table from a few measured ones.
    Latency(LatencyArgs),
    /// Compute zero-cost proxies of a table's networks and compare them with its published ones.
    Proxies(ProxiesArgs),
    /// Whether proxies, heeded before a training, choose better networks than predictions alone.
    Shortlist(ShortlistArgs),
}

#[derive(Args)]
struct EvalArgs {
    /// A built-in table such as `nas-bench-201`, or the YAML file of one.
    #[arg(long)]
    table: String,
    /// The folder of the table's files; by default the folder of the YAML file.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Refuse a table of another space than this.
    #[arg(long)]
    space: Option<String>,
    /// Which label; the table's first one by default.
    #[arg(long)]
    label: Option<String>,
    /// Networks to fit, one number or several with commas between.
    #[arg(long, value_delimiter = ',', required = true)]
    train: Vec<usize>,
    /// Random orders, from 1.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// What is drawn: every row of the table, or every different network once.
    #[arg(long, value_enum, default_value_t = Population::Networks)]
    population: Population,
    /// Which predictors, with commas between.
    #[arg(long, value_delimiter = ',', default_values_t = DEFAULT.map(String::from))]
    predictors: Vec<String>,
    /// Standard deviation of a label over trainings, in units of the label: prints the ceiling it sets.
    #[arg(long)]
    label_noise: Option<f64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct LatencyArgs {
    /// A built-in table such as `nas-bench-201`, or the YAML file of one.
    #[arg(long, default_value = "nas-bench-201")]
    table: String,
    /// The folder of the table's files; by default the folder of the YAML file.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Networks that are measured on each device.
    #[arg(long, default_value_t = 10)]
    networks: usize,
    /// Draws of these networks, from 1.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// Latency columns of the table, with commas between; by default the six devices of HELP's protocol.
    #[arg(long, value_delimiter = ',', default_values_t = HELP_DEVICES.map(String::from))]
    devices: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// All but the graph networks, which take minutes.
const DEFAULT: [&str; 8] = ["macs", "params", "ridge", "mlp", "forest", "boosting", "process", "stack"];

pub(super) fn predictor(args: &PredictorArgs) -> anyhow::Result<Exit> {
    match &args.verb {
        Verb::Eval(args) => evaluate(args),
        Verb::Pretrain(args) => pretrain_predictor(args),
        Verb::Latency(args) => latency(args),
        Verb::Proxies(args) => proxies(args),
        Verb::Shortlist(args) => shortlist(args),
    }
}

fn latency(args: &LatencyArgs) -> anyhow::Result<Exit> {
    anyhow::ensure!(args.seeds >= 2, "a standard deviation needs 2 seeds or more\nhint: add `--seeds 10`");
    let table = Table::open(&args.table, args.data.as_deref())?;
    let seeds: Vec<u64> = (1..=args.seeds).collect();
    let found = evaluate_latencies(&table, &args.devices, args.networks, &seeds)?;
    if args.json {
        print_json(&json!(found))?;
        return Ok(Exit::Done);
    }
    let cells = |name: &str, spearman: Moments, near: Moments| {
        vec![
            name.to_string(),
            format!("{:.3} ± {:.3}", spearman.mean, spearman.sd),
            format!("{} ± {}", percent(near.mean), percent(near.sd)),
        ]
    };
    let devices = found.devices.iter().map(|of| cells(&of.device, of.spearman, of.within_10_percent));
    let rows = devices.chain([cells("mean", found.spearman, found.within_10_percent)]).collect();
    print(&format!(
        "{} measured networks, all others predicted; mean ± sd over {} draws\n\n{}\n",
        found.measured,
        found.seeds,
        plain_table(&["device", "spearman", "within 10 %"], rows)
    ))?;
    Ok(Exit::Done)
}

fn evaluate(args: &EvalArgs) -> anyhow::Result<Exit> {
    anyhow::ensure!(args.seeds >= 2, "a mean with an interval needs 2 seeds or more\nhint: add `--seeds 10`");
    if let Some(name) = args.predictors.iter().find(|name| !NAMES.contains(&name.as_str())) {
        anyhow::bail!("`{name}` is not a predictor\nhint: choose from {}", NAMES.join(", "));
    }
    let table = Table::open(&args.table, args.data.as_deref())?;
    let space = table.space().name();
    if let Some(other) = args.space.as_ref().filter(|name| *name != space) {
        anyhow::bail!("table `{}` is of space `{space}`, not `{other}`\nhint: leave out `--space`", args.table);
    }
    let label = args.label.as_ref().or(table.labels().first());
    let label = label.ok_or_else(|| anyhow::anyhow!("table `{}` has no labels", args.table))?;
    let benchmark = Benchmark::of(&table, label)?;
    let ceiling = args.label_noise.map(|noise| (noise, benchmark.ceiling(args.population, noise)));
    let seeds: Vec<u64> = (args.first_seed..args.first_seed + args.seeds).collect();
    let mut found = Vec::new();
    for train in &args.train {
        for name in &args.predictors {
            let scores = benchmark.evaluate(name, args.population, *train, &seeds)?;
            eprintln!("  {train} networks, {name}: tau {:.3}", scores.kendall_tau.mean);
            found.push(scores);
        }
    }
    match args.json {
        true => print_json(&json!({
            "table": args.table, "space": space, "label": label, "population": args.population,
            "networks": benchmark.networks(), "rows": benchmark.rows(), "proxies": benchmark.proxies(),
            "label_noise": ceiling.map(|(noise, _)| noise), "ceiling": ceiling.map(|(_, tau)| tau), "scores": found,
        }))?,
        false => print(&text(&benchmark, label, &found, ceiling))?,
    }
    Ok(Exit::Done)
}

fn text(benchmark: &Benchmark, label: &str, found: &[Scores], ceiling: Option<(f64, f64)>) -> String {
    let heads = [
        "predictor",
        "fitted to",
        "tau",
        "95 % interval",
        "spearman",
        "mse",
        "precision 1 %",
        "n@10",
        "fit s",
        "per s",
    ];
    let spread = |of: Moments| format!("{:.3} ± {:.3}", of.mean, of.sd);
    let row = |scores: &Scores| {
        let (low, high) = scores.kendall_tau_interval;
        vec![
            scores.predictor.clone(),
            scores.train.to_string(),
            spread(scores.kendall_tau),
            format!("{low:.3} to {high:.3}"),
            spread(scores.spearman),
            format!("{:.3e}", scores.mse.mean),
            format!("{:.2} ± {:.2}", scores.precision_at_1_percent.mean, scores.precision_at_1_percent.sd),
            format!("{:.0} ± {:.0}", scores.n_at_10.mean, scores.n_at_10.sd),
            format!("{:.2}", scores.fit_s),
            format!("{:.0}", scores.predictions_per_s),
        ]
    };
    let table = plain_table(&heads, found.iter().map(row).collect());
    let seeds = found.first().map_or(0, |scores| scores.seeds);
    let (networks, rows) = (benchmark.networks(), benchmark.rows());
    let about = format!("`{label}` of {networks} networks in {rows} rows; mean ± sd over {seeds} random orders");
    let seen = match benchmark.proxies() {
        [] => String::new(),
        names => format!(
            "forest, boosting, process and stack also see these columns by their rank among all networks: {}\n",
            names.join(", ")
        ),
    };
    let ceiling = ceiling.map_or(String::new(), |(noise, tau)| {
        format!("labels with normal noise of sd {noise} agree with themselves to tau {tau:.3}\n")
    });
    format!("{about}\n\n{table}\n\n{seen}{ceiling}")
}
