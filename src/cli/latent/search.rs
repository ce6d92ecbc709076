//! `netwright latent search`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Exit, Model, TableArgs, print, print_json, written};
use crate::experiment::{LatentFound, LatentSearchConfig, search_latent};
use crate::generate::{Ascent, Climber};
use crate::report::{percent, plain_table};
use crate::units::{Bytes, Macs};

#[derive(Args)]
pub(super) struct SearchArgs {
    /// A model that `latent fit` wrote.
    #[arg(long)]
    model: PathBuf,
    #[command(flatten)]
    table: TableArgs,
    /// Limit of the complexity that the model was fitted with: `15 M` MACs or parameters, `64 KiB` of RAM, a latency.
    #[arg(long)]
    limit: Option<String>,
    /// What is kept free below the limit while climbing, as a share of it.
    #[arg(long, default_value_t = 0.03)]
    margin: f64,
    /// Best networks of the table to climb from.
    #[arg(long, default_value_t = 50)]
    best_starts: usize,
    /// Random points to climb from.
    #[arg(long, default_value_t = 50)]
    random_starts: usize,
    /// How points move, with commas between: sgd, momentum, adam.
    #[arg(long, value_delimiter = ',', default_value = "sgd,momentum,adam")]
    climbers: Vec<Climber>,
    /// Moves of each point.
    #[arg(long, default_value_t = 60)]
    steps: usize,
    /// Length of a move, in deviations of a dimension.
    #[arg(long, default_value_t = 0.05)]
    rate: f64,
    /// Networks to print.
    #[arg(short, long, default_value_t = 10)]
    networks: usize,
    /// Decides the random points.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Random networks that tell where networks lie, where no table does.
const SAMPLE: usize = 2000;

pub(super) fn search(args: &SearchArgs) -> anyhow::Result<Exit> {
    let model = Model::read(&args.model)?;
    let limit = args.limit.as_deref().map(|text| limit(&model, text)).transpose()?;
    anyhow::ensure!(
        (0.0..1.0).contains(&args.margin),
        "a margin of {} is no share\nhint: add `--margin 0.03`",
        args.margin
    );
    anyhow::ensure!(
        args.rate > 0.0 && args.rate.is_finite(),
        "a move of length {} leads nowhere\nhint: add `--rate 0.05`",
        args.rate
    );
    anyhow::ensure!(
        args.best_starts + args.random_starts > 0,
        "there is nothing to climb from\nhint: add `--random-starts 50`"
    );
    if model.card.label.is_none() {
        eprintln!(
            "warning: the model was fitted without accuracies, so `predicted` says nothing\nhint: `netwright latent fit --table \
             enas6 --data DIR`"
        );
    }
    let known = model.known(&args.table, SAMPLE, args.seed)?;
    let config = LatentSearchConfig {
        limit,
        margin: args.margin,
        best_starts: args.best_starts,
        random_starts: args.random_starts,
        climbers: args.climbers.clone(),
        ascent: Ascent { steps: args.steps, rate: args.rate, ..Ascent::default() },
        seed: args.seed,
    };
    let mut found = search_latent(&model.vae, &model.space, &known, &model.complexity(), &config);
    let all = found.networks.len();
    if all == 0 {
        let exact = known.iter().filter_map(|(genotype, _)| model.complexity().exact(&model.space, genotype));
        let least = exact.reduce(f64::min).map_or(String::new(), |least| {
            format!("\nhint: the least of the known networks is {}", written(&model.card.complexity, least))
        });
        eprintln!("no climb led to a network within the limit{least}");
    }
    found.networks.truncate(args.networks);
    match args.json {
        true => print_json(&json!({
            "schema_version": 1, "space": model.card.space, "complexity": model.card.complexity, "limit": limit,
            "found": all, "search": found,
        }))?,
        false => print(&text(&found, all, &model.card.complexity))?,
    }
    Ok(if all > 0 { Exit::Done } else { Exit::NotDeployable })
}

/// A limit in units of the model's complexity.
fn limit(model: &Model, text: &str) -> anyhow::Result<f64> {
    let value = match model.card.complexity.as_str() {
        "macs" | "params" => text.parse::<Macs>()?.0 as f64,
        "peak-ram" => text.parse::<Bytes>()?.0 as f64,
        column => text.parse::<f64>().map_err(|_| {
            anyhow::anyhow!("`{text}` is not a number\nhint: write the limit in the units of column `{column}`")
        })?,
    };
    anyhow::ensure!(value.is_finite() && value > 0.0, "a limit of `{text}` leaves no network");
    Ok(value)
}

fn text(found: &LatentFound, all: usize, complexity: &str) -> String {
    let climb = |climb: &crate::experiment::ClimbScores| {
        vec![
            climb.climber.to_string(),
            climb.climbs.to_string(),
            percent(climb.let_through),
            climb.networks.to_string(),
            climb.inside_at_first_try.map_or("–".to_string(), percent),
            climb.best_predicted.map_or("–".to_string(), |best| format!("{best:.4}")),
        ]
    };
    let climbs = plain_table(
        &["climber", "climbs", "let through", "networks", "inside at first try", "best predicted"],
        found.climbs.iter().map(climb).collect(),
    );
    let network = |network: &crate::experiment::FoundNetwork| {
        vec![
            network.genotype.clone(),
            format!("{:.4}", network.predicted_performance),
            written(complexity, network.predicted_complexity),
            network.complexity.map_or("–".to_string(), |value| written(complexity, value)),
            network.known_performance.map_or("–".to_string(), |value| format!("{value:.4}")),
        ]
    };
    let heads = ["network", "predicted", &format!("predicted {complexity}"), complexity, "in the table"];
    let networks = plain_table(&heads, found.networks.iter().map(network).collect());
    let over = match found.over_limit {
        0 => String::new(),
        count => format!("; {count} decoded networks over the limit are left out"),
    };
    format!("{climbs}\n\n{all} networks{over}\n\n{networks}\n")
}
