//! `netwright predict`: what a predictor expects of networks.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::{Exit, print, print_json};
use crate::experiment::{Asked, Expectations, Expected, predict_from_run, predict_from_table, space_of_run};
use crate::nn::runtime;
use crate::predictor::Kind;
use crate::report::plain_table;
use crate::space::{Genotype, SpaceError};
use crate::tabular::Table;

#[derive(Args)]
#[command(group = ArgGroup::new("source").required(true), group = ArgGroup::new("asked").required(true).multiple(true))]
pub(super) struct PredictArgs {
    /// A built-in table such as `nas-bench-201`, or the YAML file of one.
    #[arg(long, group = "source")]
    table: Option<String>,
    /// The folder of a run, finished or not: the predictor is fitted to its trainings.
    #[arg(long, group = "source", conflicts_with_all = ["data", "label", "train", "top"])]
    run: Option<PathBuf>,
    /// The folder of the table's files; by default the folder of the YAML file.
    #[arg(long, alias = "path")]
    data: Option<PathBuf>,
    /// Which label; the table's first one by default.
    #[arg(long)]
    label: Option<String>,
    /// Different networks of the table to fit, at random by the seed.
    #[arg(long, default_value_t = 156)]
    train: usize,
    /// Seed of the draw and of the predictor.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The predictor: gnn, mlp, ridge, macs, blend, forest, boosting, process or stack. By default stack for a table and
    /// blend, which guides a search, for a run.
    #[arg(long)]
    predictor: Option<Kind>,
    /// A network, as its space writes it; may come several times.
    #[arg(long, group = "asked")]
    arch: Vec<String>,
    /// A file with a network on each line; empty lines and those that begin with `#` are left out.
    #[arg(long, group = "asked")]
    archs: Option<PathBuf>,
    /// The so many best predicted networks of the table.
    #[arg(long, group = "asked", conflicts_with_all = ["arch", "archs"])]
    top: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn predict(args: &PredictArgs) -> anyhow::Result<Exit> {
    runtime::init(None);
    let (found, about) = match &args.run {
        Some(run) => {
            let kind = args.predictor.unwrap_or(Kind::Blend);
            let space = space_of_run(run)?;
            let asked = networks(args, &|text| space.parse(text))?;
            let about = json!({ "run": run.display().to_string(), "label": "validation_accuracy" });
            (predict_from_run(run, kind, args.seed, &asked)?, about)
        }
        None => from_table(args)?,
    };
    match args.json {
        true => print_json(&merged(about, &found))?,
        false => print(&text(&found, about["label"].as_str().unwrap_or_default()))?,
    }
    Ok(Exit::Done)
}

fn from_table(args: &PredictArgs) -> anyhow::Result<(Expectations, Value)> {
    let name = args.table.as_deref().expect("the command line names a table or a run");
    let table = Table::open(name, args.data.as_deref())?;
    let label = args.label.as_ref().or(table.labels().first());
    let label = label.ok_or_else(|| anyhow::anyhow!("table `{name}` has no labels"))?;
    let asked = match args.top {
        Some(top) => Asked::Top(top),
        None => Asked::Networks(networks(args, &|text| table.space().parse(text))?),
    };
    let kind = args.predictor.unwrap_or(Kind::Stack);
    let found = predict_from_table(&table, label, kind, args.train, args.seed, &asked)?;
    Ok((found, json!({ "table": name, "space": table.space().name(), "label": label, "seed": args.seed })))
}

/// The networks of `--arch` and `--archs`.
fn networks(args: &PredictArgs, parse: &dyn Fn(&str) -> Result<Genotype, SpaceError>) -> anyhow::Result<Vec<Genotype>> {
    let mut found: Vec<Genotype> = args.arch.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
    if let Some(path) = &args.archs {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|e| anyhow::anyhow!("cannot read `{}`: {e}", path.display()))?;
        let lines = text.lines().map(str::trim).enumerate();
        for (at, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let genotype = parse(line);
            found.push(genotype.map_err(|e| anyhow::anyhow!("`{}`, line {}: {e}", path.display(), at + 1))?);
        }
        anyhow::ensure!(!found.is_empty(), "`{}` names no network", path.display());
    }
    Ok(found)
}

fn merged(about: Value, found: &Expectations) -> Value {
    let mut all = about;
    for (name, value) in json!(found).as_object().into_iter().flatten() {
        all[name.as_str()] = value.clone();
    }
    all
}

fn text(found: &Expectations, label: &str) -> String {
    let row = |of: &Expected| {
        let known = match (of.known, of.fitted) {
            (Some(known), true) => format!("{known:.4} (fitted to it)"),
            (Some(known), false) => format!("{known:.4}"),
            (None, _) => "-".to_string(),
        };
        let prediction = format!("{:.4} ± {:.4}", of.prediction, of.spread);
        vec![of.rank.to_string(), prediction, known, of.arch.clone()]
    };
    let table = plain_table(&["rank", "prediction", "known", "network"], found.networks.iter().map(row).collect());
    format!(
        "`{label}` by {}, fitted to {} networks; rank among {}\n\n{table}\n",
        found.predictor, found.train, found.ranked
    )
}
