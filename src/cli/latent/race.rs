//! `netwright latent race`.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::{Exit, TableArgs, print, print_json};
use crate::experiment::{Complexity, Race, RaceTrack};
use crate::generate::{Proposer, VaeConfig};
use crate::report::plain_table;
use crate::run::LatentConfig;

#[derive(Args)]
pub(super) struct RaceArgs {
    #[command(flatten)]
    table: TableArgs,
    /// Share of the networks that counts as the best.
    #[arg(long, default_value_t = 0.001)]
    share: f64,
    /// Networks asked for at most.
    #[arg(long, default_value_t = 1000)]
    queries: usize,
    /// Seeds, from 1.
    #[arg(long, default_value_t = 50)]
    seeds: u64,
    /// Random networks of the space, without accuracies, that the latent space is learnt from.
    #[arg(long, default_value_t = 10_000)]
    networks: usize,
    /// Passes over them.
    #[arg(long, default_value_t = 20)]
    epochs: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn race(args: &RaceArgs) -> anyhow::Result<Exit> {
    let (table, label) =
        args.table.open()?.ok_or_else(|| anyhow::anyhow!("a race needs a table\nhint: add `--table nas-bench-201`"))?;
    anyhow::ensure!(
        args.share > 0.0 && args.share < 1.0,
        "a share of {} is not between 0 and 1\nhint: add `--share 0.001`",
        args.share
    );
    anyhow::ensure!(args.seeds > 0, "there is nothing to run\nhint: add `--seeds 50`");
    let track = RaceTrack::of(&table, &label, args.share)?;
    let (networks, best) = track.counts();
    eprintln!("  {networks} networks, {best} of them the best; learning the latent space");
    let config = VaeConfig { epochs: args.epochs, ..VaeConfig::measured() };
    let complexity = |genotype: &crate::space::Genotype| {
        Complexity::Macs.exact(table.space(), genotype).expect("MACs are computed").max(1.0)
    };
    let proposer = Proposer::learn(table.space(), args.networks, config, &complexity, 1, &mut |pass, losses| {
        eprintln!("  pass {pass}: reconstruction {:.4}, complexity {:.5}", losses.reconstruction, losses.complexity);
    })?;
    let seeds: Vec<u64> = (1..=args.seeds).collect();
    let races = track.run(&Arc::new(proposer), LatentConfig::of(args.queries), &seeds, args.queries);
    match args.json {
        true => print_json(&json!({
            "schema_version": 1, "label": label, "networks": networks, "best": best, "races": races,
        }))?,
        false => print(&text(&races, &label, networks, best))?,
    }
    Ok(Exit::Done)
}

fn text(races: &[Race], label: &str, networks: usize, best: usize) -> String {
    let row = |race: &Race| {
        let found = race.queries.iter().flatten().count();
        vec![
            race.strategy.clone(),
            race.median.map_or("–".to_string(), |median| format!("{median:.0}")),
            format!("{found} of {}", race.queries.len()),
        ]
    };
    let table = plain_table(&["strategy", "queries, median", "found"], races.iter().map(row).collect());
    format!("queries to one of the best {best} of {networks} networks by `{label}`\n\n{table}\n")
}
