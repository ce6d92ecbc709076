//! `netwright predictor pretrain`: a predictor for warm starts, with its card.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Exit, print, print_json};
use crate::experiment::{Splits, Transfer, pretrain, transfer};
use crate::nn::runtime;
use crate::predictor::Pretrained;
use crate::report::{markdown_table, plain_table};
use crate::run::write_whole;
use crate::tabular::Table;

#[derive(Args)]
pub(super) struct PretrainArgs {
    /// A table of trained networks of space `macro`, or the YAML file of one.
    #[arg(long, default_value = "macro-cifar100")]
    table: String,
    /// The folder of the table's files; by default the folder of the YAML file.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Which label; the table's first one by default.
    #[arg(long)]
    label: Option<String>,
    /// Random splits of the table that tell how well it ranks.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..))]
    splits: u64,
    /// Networks that are fitted in each split; all others are ranked.
    #[arg(long, default_value_t = 250)]
    train: usize,
    /// A table of networks trained on other data, such as `netwright label` writes: what the predictor is worth there. Can
    /// be repeated.
    #[arg(long, value_name = "TABLE")]
    against: Vec<String>,
    /// Networks of such a table that a search is supposed to have trained.
    #[arg(long, default_value_t = 12)]
    trials: usize,
    /// Where the predictor is written, as JSON; its card is written beside it, as Markdown.
    #[arg(long)]
    out: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn pretrain_predictor(args: &PretrainArgs) -> anyhow::Result<Exit> {
    runtime::init(None);
    let table = Table::open(&args.table, args.data.as_deref())?;
    let label = args.label.as_ref().or(table.labels().first());
    let label = label.ok_or_else(|| anyhow::anyhow!("table `{}` has no labels", args.table))?;
    let splits = Splits { splits: args.splits, fitted: args.train };
    let model = pretrain(&table, (&args.table, label), splits, &command(args))?;
    let mut transfers = Vec::new();
    for other in &args.against {
        let table = Table::open(other, None)?;
        for label in table.labels() {
            let splits = Splits { splits: args.splits, fitted: args.trials };
            transfers.push(transfer(&model, &table, label, splits)?);
        }
    }
    let text = serde_json::to_string_pretty(&model).expect("a predictor is plain data");
    write_whole(&args.out, format!("{text}\n").as_bytes())?;
    write_whole(&args.out.with_extension("md"), card(&model, &transfers).as_bytes())?;
    let found = json!({ "predictor": args.out, "held_out": model.held_out, "transfers": transfers });
    match args.json {
        true => print_json(&found)?,
        false => print(&summary(args, &model, &transfers))?,
    }
    Ok(Exit::Done)
}

/// The command without paths of one machine.
fn command(args: &PretrainArgs) -> String {
    let label = args.label.as_ref().map_or(String::new(), |label| format!(" --label {label}"));
    let (table, splits, train) = (&args.table, args.splits, args.train);
    let file = args.out.file_name().unwrap_or_default().display();
    format!(
        "netwright predictor pretrain --table {table}{label} --data DIR --splits {splits} --train {train} --out models/{file}"
    )
}

const HEADS: [&str; 8] =
    ["label", "networks", "alone", "MACs", "fitted", "predictor", "without", "with (95 % interval of the gain)"];

fn rows(transfers: &[Transfer]) -> Vec<Vec<String>> {
    let row = |transfer: &Transfer| {
        let of = move |found: &crate::experiment::WithAndWithout| {
            vec![
                transfer.label.clone(),
                transfer.networks.to_string(),
                format!("{:.2}", transfer.kendall_tau_alone),
                format!("{:.2}", transfer.kendall_tau_of_macs),
                transfer.fitted.to_string(),
                found.kind.to_string(),
                format!("{:.2}", found.without),
                format!("{:.2} ({:+.2} to {:+.2})", found.with, found.gain.0, found.gain.1),
            ]
        };
        transfer.predictors.iter().map(of).collect::<Vec<_>>()
    };
    transfers.iter().flat_map(row).collect()
}

/// How well it ranks its own table.
fn ranks(model: &Pretrained) -> String {
    let held_out = &model.held_out;
    format!(
        "Kendall tau {:.3} (95 % interval of the mean {:.3} to {:.3}; MACs alone {:.3}) on {} networks that it was not fitted \
         to, fitted to {}, mean of {} random splits",
        held_out.kendall_tau,
        held_out.interval.0,
        held_out.interval.1,
        held_out.kendall_tau_of_macs,
        held_out.ranked,
        held_out.fitted,
        held_out.splits
    )
}

fn first_choices(transfers: &[Transfer]) -> String {
    let line = |of: &Transfer| {
        format!(
            "`{}`: best of the {} most promising of {} networks {:.3}, of as many at random {:.3} in the mean\n",
            of.label, of.first, of.networks, of.best_of_first, of.best_at_random
        )
    };
    transfers.iter().map(line).collect()
}

fn summary(args: &PretrainArgs, model: &Pretrained, transfers: &[Transfer]) -> String {
    let mut text = format!("{}\n", ranks(model));
    if !transfers.is_empty() {
        text += &format!("\n{}\n\n{}", plain_table(&HEADS, rows(transfers)), first_choices(transfers));
    }
    text + &format!("\nwritten to {}, its card beside it\n", args.out.display())
}

fn card(model: &Pretrained, transfers: &[Transfer]) -> String {
    let mut text = format!(
        "# A predictor for space `macro`\n\n\
         Ridge regression on {} columns that follow from a genotype: operations, MACs and paths of the network as published, \
         operations of each layer. It ranks networks before a run has trained any: `netwright compile --warm-start \
         predictor` puts it under the predictor that guides the search, if the run's own trials agree that it helps.\n\n\
         - data seen: {}\n- ranks: {}\n- made by: `{}`\n",
        model.columns.len(),
        model.fitted_to,
        ranks(model),
        model.command
    );
    if !transfers.is_empty() {
        text += &format!(
            "\n## On other data\n\nKendall tau on networks trained on other data, alone and as part of a predictor that is \
             fitted to some of them and ranks the rest (mean of {} splits). By `--against`, tables of `netwright label`.\n\n\
             {}\n\nAs the first choice of a search:\n\n",
            transfers[0].splits,
            markdown_table(&HEADS, rows(transfers))
        );
        text += &first_choices(transfers).lines().map(|line| format!("- {line}\n")).collect::<String>();
    }
    text
}
