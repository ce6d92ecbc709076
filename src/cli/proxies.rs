//! `netwright predictor proxies` and `shortlist`: our zero-cost proxies beside the published columns of a table, and what
//! they are worth to a search.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Exit, print, print_json};
use crate::data::{Dataset, OpenOptions};
use crate::experiment::{ProxyScore, ProxyScores, ProxyStudy, ShortlistScores, Shortlists, study_proxies};
use crate::nn::runtime;
use crate::proxy::Proxy;
use crate::report::plain_table;
use crate::tabular::Table;

#[derive(Args)]
pub(super) struct ProxiesArgs {
    /// A built-in table such as `nas-bench-201`, or the YAML file of one.
    #[arg(long)]
    table: String,
    /// The folder of the table's files; by default the folder of the YAML file.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Which label; the table's first one by default.
    #[arg(long)]
    label: Option<String>,
    /// Different networks, at random.
    #[arg(long, default_value_t = 300)]
    networks: usize,
    /// Which proxies, with commas between.
    #[arg(long, value_delimiter = ',', default_values_t = DEFAULT)]
    proxies: Vec<Proxy>,
    /// A folder of images for the batch, as `compile` reads them; normal noise if absent.
    #[arg(long)]
    images: Option<PathBuf>,
    /// Images of the batch.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Seed of networks, batch and weights.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads; by default one for each core. Values do not depend on them.
    #[arg(long)]
    threads: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct ShortlistArgs {
    /// A built-in table such as `nas-bench-201`, or the YAML file of one.
    #[arg(long)]
    table: String,
    /// The folder of the table's files; by default the folder of the YAML file.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Which label; the table's first one by default.
    #[arg(long)]
    label: Option<String>,
    /// Networks that predictors are fitted to, one number or several with commas between.
    #[arg(long, value_delimiter = ',', default_values_t = [12, 24, 48])]
    train: Vec<usize>,
    /// Networks that are chosen then.
    #[arg(long, default_value_t = 4)]
    chosen: usize,
    /// Random draws of the networks to fit, from 1.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// Images of noise for the proxies, where the table has no columns of them.
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Those that say most of the accuracy.
const DEFAULT: [Proxy; 6] = [Proxy::Synflow, Proxy::Nwot, Proxy::Jacov, Proxy::Snip, Proxy::GradNorm, Proxy::Zen];

pub(super) fn proxies(args: &ProxiesArgs) -> anyhow::Result<Exit> {
    runtime::init(args.threads);
    let table = Table::open(&args.table, args.data.as_deref())?;
    let label = args.label.as_ref().or(table.labels().first());
    let label = label.ok_or_else(|| anyhow::anyhow!("table `{}` has no labels", args.table))?;
    let options = OpenOptions { seed: args.seed, ..OpenOptions::default() };
    let dataset = args.images.as_ref().map(|path| Dataset::open(path, &options)).transpose()?;
    let study = ProxyStudy {
        proxies: &args.proxies,
        label,
        networks: args.networks,
        batch: args.batch,
        images: dataset.as_ref(),
        seed: args.seed,
    };
    let mut step = |done: usize, of: usize| {
        if done.is_multiple_of(50) || done == of {
            eprintln!("  {done} of {of} networks");
        }
    };
    let found = study_proxies(&table, &study, &mut step)?;
    let batch = dataset.map_or("normal noise".to_string(), |dataset| format!("images of {}", dataset.name));
    match args.json {
        true => print_json(&json!({
            "table": args.table, "space": table.space().name(), "label": label, "seed": args.seed,
            "networks": found.networks, "batch": found.batch, "images": batch,
            "threads": rayon::current_num_threads(), "seconds_per_network": found.seconds_per_network,
            "proxies": found.scores,
        }))?,
        false => print(&text(&found, label, &batch))?,
    }
    Ok(Exit::Done)
}

fn text(found: &ProxyScores, label: &str, batch: &str) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.3}"));
    let row = |score: &ProxyScore| {
        vec![
            score.proxy.to_string(),
            number(score.spearman_published),
            number(Some(score.kendall_tau)),
            number(score.kendall_tau_published),
            score.without_value.to_string(),
            format!("{:.3}", score.seconds_per_network),
        ]
    };
    let heads = ["proxy", "spearman with published", "tau", "tau of published", "no value", "s per network"];
    format!(
        "{} networks, {} images of a batch ({batch}), untrained; tau with `{label}`\n\n{}\n\n\
         all of them together: {:.3} s per network on {} threads\n",
        found.networks,
        found.batch,
        plain_table(&heads, found.scores.iter().map(row).collect()),
        found.seconds_per_network,
        rayon::current_num_threads(),
    )
}

pub(super) fn shortlist(args: &ShortlistArgs) -> anyhow::Result<Exit> {
    runtime::init(None);
    anyhow::ensure!(args.seeds >= 2, "a mean with an interval needs 2 seeds or more\nhint: add `--seeds 100`");
    anyhow::ensure!(args.chosen > 0, "at least one network is chosen\nhint: add `--chosen 4`");
    let table = Table::open(&args.table, args.data.as_deref())?;
    let label = args.label.as_ref().or(table.labels().first());
    let label = label.ok_or_else(|| anyhow::anyhow!("table `{}` has no labels", args.table))?;
    let step = |done: usize, of: usize| {
        if done.is_multiple_of(50) || done == of {
            eprintln!("  {done} of {of} networks");
        }
    };
    let shortlists = Shortlists::of(&table, label, args.batch, 1, &step)?;
    let seeds: Vec<u64> = (1..=args.seeds).collect();
    let found: Result<Vec<ShortlistScores>, _> =
        args.train.iter().map(|train| shortlists.compare(*train, args.chosen, &seeds)).collect();
    let found = found?;
    if args.json {
        print_json(&json!({ "table": args.table, "label": label, "scores": found }))?;
        return Ok(Exit::Done);
    }
    let between = |(low, high): (f64, f64)| format!("{low:+.3} to {high:+.3}");
    let row = |of: &ShortlistScores| {
        vec![
            of.train.to_string(),
            format!("{:.3}", of.without),
            format!("{:.3}", of.with),
            format!("{:+.3}", of.difference),
            between(of.interval),
            format!("{:+.3}", of.difference_of_best),
            between(of.interval_of_best),
        ]
    };
    let heads = ["fitted to", "without", "with", "difference", "95 % interval", "of the best", "95 % interval"];
    print(&format!(
        "mean `{label}` of {} networks chosen without and with their proxies ({}), over {} draws\n\n{}\n",
        args.chosen,
        if found.iter().any(|of| of.published) { "published columns" } else { "our own, on noise" },
        args.seeds,
        plain_table(&heads, found.iter().map(row).collect())
    ))?;
    Ok(Exit::Done)
}
