//! `netwright reproduce`: the studies that this project grew from, on a table of trained networks.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::gnn_study::{self, GnnStudyArgs};
use super::{Exit, print, print_json};
use crate::experiment::{Benchmark, CascadeResult, Selection, SplitResult, Tried, grid};
use crate::predictor::GCN_SCHEDULE;
use crate::report::{percent, plain_table, scatter_svg};
use crate::stats;
use crate::tabular::Table;

#[derive(Args)]
pub(super) struct ReproduceArgs {
    #[command(subcommand)]
    study: Reproduction,
}

#[derive(Subcommand)]
enum Reproduction {
    /// Neural Predictor for Neural Architecture Search (Wen and others, 2019): its network on its splits, the cascade,
    /// hyper-parameters by folds, selection of architectures.
    NeuralPredictor(Box<NeuralPredictorArgs>),
    /// NAS_with_GNN_predictor (2020): random networks trained, a graph network and baselines that rank them, evolution over
    /// its predictions against random search, both trained in full.
    NasWithGnnPredictor(Box<GnnStudyArgs>),
}

#[derive(Args)]
struct NeuralPredictorArgs {
    /// A built-in table or the YAML file of one.
    #[arg(long)]
    table: String,
    /// The folder of the table's files; by default the folder of the YAML file.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Validation accuracy; the table's first label by default.
    #[arg(long)]
    label: Option<String>,
    /// Test accuracy that a selection is judged by; the validation accuracy by default.
    #[arg(long)]
    test_label: Option<String>,
    /// Networks to fit, with commas between.
    #[arg(long, value_delimiter = ',', default_values_t = [172, 334, 860])]
    train: Vec<usize>,
    /// Accuracy as a share at or above which a network is worth ranking.
    #[arg(long, default_value_t = 0.91)]
    cut: f64,
    /// Networks that are chosen after prediction, with commas between.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 30, 100, 300])]
    chosen: Vec<usize>,
    /// Passes over the samples.
    #[arg(long, default_value_t = GCN_SCHEDULE.epochs)]
    epochs: usize,
    /// Seeds, from 1.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Also decide the hyper-parameters by so many folds; takes long.
    #[arg(long)]
    folds: Option<usize>,
    /// Write a picture of predicted against true accuracies of the first split.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What all seeds found.
#[derive(Default)]
struct Found {
    splits: Vec<Vec<SplitResult>>,
    cascades: Vec<CascadeResult>,
    selections: Vec<Vec<Selection>>,
    tried: Vec<Tried>,
}

pub(super) fn reproduce(args: &ReproduceArgs) -> anyhow::Result<Exit> {
    match &args.study {
        Reproduction::NeuralPredictor(args) => neural_predictor(args),
        Reproduction::NasWithGnnPredictor(args) => gnn_study::run(args),
    }
}

fn neural_predictor(args: &NeuralPredictorArgs) -> anyhow::Result<Exit> {
    anyhow::ensure!(
        args.seeds > 0 && !args.train.is_empty(),
        "there is nothing to do\nhint: add `--seeds 3 --train 172`"
    );
    let table = Table::open(&args.table, args.data.as_deref())?;
    let label = args.label.as_ref().or(table.labels().first());
    let label = label.ok_or_else(|| anyhow::anyhow!("table `{}` has no labels", args.table))?;
    let study = Benchmark::of(&table, label)?.study(&table, args.test_label.as_deref())?;
    let mut schedule = crate::predictor::GcnSchedule { epochs: args.epochs, ..GCN_SCHEDULE };
    let smallest = args.train[0];
    let mut found = Found::default();
    if let Some(folds) = args.folds {
        found.tried = study.cross_validate(smallest, folds, &grid(), 1)?;
        schedule = crate::predictor::GcnSchedule { epochs: args.epochs, ..found.tried[0].schedule };
    }
    for seed in 1..=args.seeds {
        eprintln!("  seed {seed} of {}", args.seeds);
        found.splits.push(study.splits(&args.train, args.cut, &schedule, seed)?);
        found.cascades.push(study.cascade(smallest, args.cut, &schedule, seed)?);
        found.selections.push(study.select(smallest, &args.chosen, args.cut, &schedule, seed)?);
    }
    if let Some(path) = &args.plot {
        let first = &found.splits[0][0];
        let svg = scatter_svg(&format!("{} of {}", first.split, args.table), &first.points);
        std::fs::write(path, svg).map_err(|e| anyhow::anyhow!("cannot write `{}`: {e}", path.display()))?;
    }
    match args.json {
        true => print_json(&json!({
            "table": args.table, "label": label, "test_label": args.test_label, "cut": args.cut, "schedule": schedule,
            "networks": study.samples.len(), "splits": found.splits, "cascade": found.cascades,
            "selection": found.selections, "folds": found.tried,
        }))?,
        false => print(&text(&found, args.cut))?,
    }
    Ok(Exit::Done)
}

fn text(found: &Found, cut: f64) -> String {
    let spread = |values: Vec<f64>| format!("{:.2} ± {:.2}", stats::mean(&values), stats::std_dev(&values));
    let split = |at: usize| {
        let of = |value: fn(&SplitResult) -> f64| found.splits.iter().map(|s| value(&s[at])).collect::<Vec<f64>>();
        let first = &found.splits[0][at];
        vec![first.split.clone(), first.tested.to_string(), spread(of(|s| s.mse_e4)), spread(of(|s| s.kendall_tau))]
    };
    let splits = plain_table(
        &["fitted → tested", "tested", "mse · 10⁴", "tau"],
        (0..found.splits[0].len()).map(split).collect(),
    );
    let of = |value: fn(&CascadeResult) -> f64| found.cascades.iter().map(value).collect::<Vec<f64>>();
    let cascade = format!(
        "cascade with its cut at {}: {} classified right, {} kept, mse · 10⁴ {} of those kept rightly, tau {}\n",
        percent(cut),
        percent(stats::mean(&of(|c| c.classified_right))),
        percent(stats::mean(&of(|c| c.kept))),
        spread(of(|c| c.mse_e4)),
        spread(of(|c| c.kendall_tau))
    );
    let selection = |at: usize| {
        let of = |value: fn(&Selection) -> f64| {
            let accuracies: Vec<f64> = found.selections.iter().map(|s| value(&s[at]) * 100.0).collect();
            format!("{} %", spread(accuracies))
        };
        vec![
            found.selections[0][at].trained.to_string(),
            of(|s| s.by_predictor),
            of(|s| s.by_cascade),
            of(|s| s.by_chance),
        ]
    };
    let heads = ["trained", "best by predictor", "by cascade", "by chance"];
    let selections = plain_table(&heads, (0..found.selections[0].len()).map(selection).collect());
    let tried = |tried: &Tried| {
        vec![
            tried.schedule.width.to_string(),
            format!("{:e}", tried.schedule.learning_rate),
            format!("{:.2}", tried.mse_e4),
        ]
    };
    let folds = match found.tried.as_slice() {
        [] => String::new(),
        all => format!(
            "\n{}\n",
            plain_table(&["width", "learning rate", "mse · 10⁴ over folds"], all.iter().map(tried).collect())
        ),
    };
    format!("{splits}\n\n{cascade}\n{selections}\n{folds}")
}
