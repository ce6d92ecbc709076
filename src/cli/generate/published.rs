//! `netwright generate published`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::{Exit, print, print_json};
use crate::experiment::{PublishedScores, published as compare};
use crate::generate::MetaConfig;
use crate::nn::runtime;
use crate::report::plain_table;
use crate::tabular::MetaD2a;

#[derive(Args)]
pub(super) struct PublishedArgs {
    /// The folder with `meta_train_task_lst.pt` and `meta_train_tasks_predictor.pt` of MetaD2A's release.
    #[arg(long)]
    data: PathBuf,
    /// Share of the tasks that is held out.
    #[arg(long, default_value_t = 0.15)]
    held_out: f64,
    /// Passes of a predictor over the tasks.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: u32,
    /// Predictors whose mean is the prediction.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    members: u32,
    /// Decides the tasks held out, weights and order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn published(args: &PublishedArgs) -> anyhow::Result<Exit> {
    runtime::init(args.threads);
    anyhow::ensure!(
        (0.01..=0.9).contains(&args.held_out),
        "`--held-out` is {}, expected a share from 0.01 to 0.9",
        args.held_out
    );
    const RELEASE: &str = "hint: `--data` names the folder that holds both files of the release";
    let database = MetaD2a::open(&args.data).map_err(|e| anyhow::anyhow!("{e}\n{RELEASE}"))?;
    let config = MetaConfig { epochs: args.epochs as usize, members: args.members as usize, ..MetaConfig::default() };
    let report = compare(&database, args.held_out, &config, args.seed, &mut super::fit::watch)?;
    if args.json {
        print_json(&json!(report))?;
        return Ok(Exit::Done);
    }
    let row = |scores: &PublishedScores| {
        let (low, high) = scores.behind_model;
        vec![
            scores.predictor.clone(),
            format!("{:.2}", scores.rmse),
            format!("{:.3}", scores.pearson),
            format!("{:.3}", scores.kendall_tau),
            format!("{low:+.1} … {high:+.1}"),
        ]
    };
    let heads = ["predictor", "RMSE (%)", "Pearson", "tau", "squared error above the model's, 95 %"];
    let ((learned, of_tasks), (tested, on_tasks)) = (report.learned, report.held_out);
    print(&format!(
        "{learned} records of {of_tasks} tasks learned from, {tested} of {on_tasks} held out\n{}\n",
        plain_table(&heads, report.scores.iter().map(row).collect())
    ))?;
    Ok(Exit::Done)
}
