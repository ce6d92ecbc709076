//! `netwright generate test`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::device::DeviceArgs;
use super::super::label::{open, told};
use super::super::{Exit, print, print_json};
use super::fit::DatabaseArgs;
use super::read_model;
use crate::experiment::{BestOf, BestOfPlan, BestOfReport, Judged, best_of};
use crate::nn::runtime;
use crate::report::{percent, plain_table};
use crate::stats;

#[derive(Args)]
pub(super) struct TestArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// A model that `netwright generate fit` wrote; the one that comes with netwright if absent.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Proposals to train for each task.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    trained: u32,
    /// Different networks to draw for each task, of which the best that are unlike each other are trained.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    drawn: u32,
    /// Folder of the trainings; the same command with the same folder goes on.
    #[arg(long)]
    out: PathBuf,
    /// Decides the draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgs,
    /// Threads; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn test(args: &TestArgs) -> anyhow::Result<Exit> {
    runtime::init(args.threads);
    let file = read_model(args.model.as_deref())?;
    let database = args.database.read()?;
    let Some(net) = &file.features else { anyhow::bail!("the model knows classes by number, not images") };
    anyhow::ensure!(
        database.recipe.space == file.card.space,
        "the labels are of space `{}`, the model is of `{}`\nhint: label tasks with `--space {}`",
        database.recipe.space,
        file.card.space,
        file.card.space
    );
    warn_of_known_sources(&file.card.learned_from, &database.source_names());
    anyhow::ensure!(
        args.trained <= args.drawn,
        "`--trained {}` is more than `--drawn {}`\nhint: draw more, of which the best are trained",
        args.trained,
        args.drawn
    );
    let fewest = database.tasks.iter().map(|task| task.labels.len()).min().unwrap_or(0);
    anyhow::ensure!(
        args.trained as usize <= fewest,
        "a task has {fewest} labelled networks, too few to compare with {} proposals\nhint: a smaller `--trained`",
        args.trained
    );
    let views = database.views(net, Judged::OnAllImages, &mut |_, _| {})?;
    let device = args.device.choose()?;
    let mut labels = open(&args.out, &database.recipe)?;
    let plan = BestOfPlan {
        model: &file.model,
        tasks: &database.tasks,
        views: &views,
        recipe: &database.recipe,
        trained: args.trained as usize,
        drawn: args.drawn as usize,
        seed: args.seed,
        device: &device,
    };
    let report = best_of(&plan, &mut labels, &mut told)?;
    if args.json {
        print_json(&json!(report))?;
        return Ok(Exit::Done);
    }
    let BestOfReport { tasks: found, ahead: mean, interval: (low, high), .. } = report;
    print(&table(&found, args.trained))?;
    let column = |of: fn(&BestOf) -> f64| stats::mean(&found.iter().map(of).collect::<Vec<f64>>());
    let points = |share: f64| format!("{:+.2}", 100.0 * share);
    print(&format!(
        "best of {} proposals less best of all random networks: {} points [{}, {}] over {} tasks; less best of {} random \
         networks: {} points\n",
        args.trained,
        points(mean),
        points(low),
        points(high),
        found.len(),
        args.trained,
        points(column(|of| of.proposed) - column(|of| of.as_many_random)),
    ))?;
    Ok(Exit::Done)
}

/// Tasks of sources that a model learned from say little of others.
fn warn_of_known_sources(learned_from: &serde_json::Value, sources: &[String]) {
    let known = learned_from["sources"].as_array().into_iter().flatten().filter_map(|source| source.as_str());
    for source in known.filter(|source| sources.iter().any(|own| own == source)) {
        eprintln!("warning: the model learned from tasks of `{source}`");
    }
}

fn table(found: &[BestOf], trained: u32) -> String {
    let row = |of: &BestOf| {
        vec![
            of.task.clone(),
            of.source.clone(),
            percent(of.proposed),
            percent(of.random),
            of.random_networks.to_string(),
            percent(of.as_many_random),
            percent(of.mean_random),
        ]
    };
    let proposed = format!("best of {trained} proposals");
    let as_many = format!("best of {trained} random");
    let heads = ["task", "source", &proposed, "best random", "of", &as_many, "mean random"];
    format!("{}\n", plain_table(&heads, found.iter().map(row).collect()))
}
