//! `netwright generate`: networks for a data set, without training on it.

mod fit;
mod published;
mod test;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, print, print_json};
use crate::data::{Dataset, Format, OpenOptions};
use crate::generate::{MetaFile, Scored, varied};
use crate::graph::NumberFormat;
use crate::nn::runtime;
use crate::report::plain_table;
use crate::run::{Asked, DataConfig, Proposals, Proposed, propose_networks};
use crate::target::Target;

const EXAMPLES: &str = "\
Examples:
  netwright generate --data photos --target stm32f746 -n 20
  netwright generate --data photos --model models/mine.safetensors --json
  netwright generate fit --labels labels --tasks tasks.yaml --hold-out built-in:glyphs --out mine.safetensors
  netwright generate test --model mine.safetensors --labels labels --tasks tasks.yaml --trained 3 --out tested";

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(super) struct GenerateArgs {
    #[command(subcommand)]
    verb: Option<GenerateVerb>,
    #[command(flatten)]
    propose: ProposeArgs,
}

#[derive(Subcommand)]
enum GenerateVerb {
    /// Fit a meta-model to labelled tasks.
    Fit(fit::FitArgs),
    /// Compare trained proposals with random trainings, on tasks of sources that the model has not seen.
    Test(test::TestArgs),
    /// Fit the same predictor to the published database of MetaD2A, whose tasks are sets of numbered classes.
    Published(published::PublishedArgs),
}

#[derive(Args)]
struct ProposeArgs {
    /// Class folders of PNG or JPEG, IDX or CIFAR files, or a `.npz` file; built-in images if absent.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Format of the data, if it is not to be recognised: folders, idx, cifar10, cifar100, npz.
    #[arg(long)]
    format: Option<Format>,
    /// Side in pixels to which images of a folder are resized.
    #[arg(long)]
    side: Option<usize>,
    /// A built-in target or the path of a profile; its limits are kept.
    #[arg(long, default_value = "host")]
    target: String,
    /// Number format of the deployed network, instead of the target's.
    #[arg(long, value_parser = super::inspect::parse_numbers)]
    numbers: Option<NumberFormat>,
    /// Width multiplier; the widest one that leaves enough networks within the limits if absent.
    #[arg(long)]
    width: Option<f64>,
    /// Networks to print: the best, of which up to ten are picked unlike each other.
    #[arg(short, long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    n: u32,
    /// Different networks to draw, to print these of; twice as many by default, at least 500.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    drawn: Option<u32>,
    /// A model that `netwright generate fit` wrote; the one that comes with netwright if absent.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Decides the draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn generate(args: &GenerateArgs) -> anyhow::Result<Exit> {
    match &args.verb {
        Some(GenerateVerb::Fit(args)) => fit::fit(args),
        Some(GenerateVerb::Test(args)) => test::test(args),
        Some(GenerateVerb::Published(args)) => published::published(args),
        None => propose(&args.propose),
    }
}

/// A model from a file, or the one that comes with netwright.
fn read_model(path: Option<&Path>) -> anyhow::Result<MetaFile> {
    let Some(path) = path else { return Ok(crate::run::shipped_model()?) };
    let bytes = std::fs::read(path).map_err(|e| {
        anyhow::anyhow!(
            "cannot read `{}`: {e}\nhint: make a model with `netwright generate fit --out FILE`",
            path.display()
        )
    })?;
    Ok(MetaFile::from_bytes(&bytes, &path.display().to_string())?)
}

fn propose(args: &ProposeArgs) -> anyhow::Result<Exit> {
    runtime::init(args.threads);
    let file = read_model(args.model.as_deref())?;
    let target = Target::open(&args.target)?;
    let target = args.numbers.map_or(Ok(target.clone()), |numbers| target.with_numbers(numbers))?;
    let dataset = match &args.data {
        Some(path) => {
            let options = OpenOptions { side: args.side, format: args.format, ..OpenOptions::default() };
            Dataset::open(path, &options)?
        }
        None => DataConfig::built_in(args.seed).open()?,
    };
    let wanted = args.n as usize;
    let drawn = args.drawn.map_or((2 * wanted).max(500), |drawn| drawn as usize);
    anyhow::ensure!(drawn >= wanted, "`--drawn {drawn}` is less than `-n {wanted}`\nhint: draw as many or more");
    let asked = Asked { target: &target, width: args.width, drawn, seed: args.seed };
    let Proposals { size, networks: found } = propose_networks(&file, &dataset, &asked)?;
    anyhow::ensure!(
        !found.is_empty(),
        "no network that keeps the limits of `{}` was drawn\nhint: loosen them, or draw more with `--drawn`",
        target.name
    );
    let best = varied(&found, wanted, |proposed| &proposed.scored.genotype);
    match args.json {
        true => print_json(&json!({
            "schema_version": 1, "data": dataset.name, "target": target.name, "numbers": target.numbers,
            "space": file.card.space, "size": size, "drawn": found.len(),
            "networks": best.iter().map(|one| as_json(one, target.numbers)).collect::<Vec<_>>(),
        }))?,
        false => print(&table(&best, target.numbers))?,
    }
    eprintln!(
        "{} of {} different networks of space `{}` ({size}) for `{}` within the limits of `{}`; scores are standard deviations \
         above the mean of random networks on the data, predicted without training on it",
        best.len(),
        found.len(),
        file.card.space,
        dataset.name,
        target.name
    );
    if target.is_local() && target.limits.latency.is_some() {
        eprintln!("the limit on latency is not among them: it is measured on this machine, by `netwright compile`");
    }
    if file.card.space == "macro" {
        eprintln!("hint: `netwright compile --warm-start meta` with this data and target trains such networks first");
    }
    Ok(Exit::Done)
}

/// A proposal with its costs in the numbers of the target.
fn as_json(proposed: &Proposed, numbers: NumberFormat) -> serde_json::Value {
    let Proposed { network, scored: Scored { score, spread, .. }, cost } = proposed;
    json!({
        "network": network, "score": score, "spread": spread, "macs": cost.macs, "params": cost.params,
        "peak_ram_bytes": cost.peak_ram(numbers).0, "weights_flash_bytes": cost.weights_flash(numbers).0,
    })
}

fn table(best: &[&Proposed], numbers: NumberFormat) -> String {
    let row = |(at, proposed): (usize, &&Proposed)| {
        let Proposed { network, scored, cost } = proposed;
        vec![
            (at + 1).to_string(),
            network.clone(),
            format!("{:+.2}", scored.score),
            format!("{:.2}", scored.spread),
            format!("{:.2} M", cost.macs as f64 / 1e6),
            cost.peak_ram(numbers).to_string(),
            cost.weights_flash(numbers).to_string(),
        ]
    };
    let heads = ["rank", "network", "score", "spread", "MACs", "peak RAM", "weights"];
    format!("{}\n", plain_table(&heads, best.iter().enumerate().map(row).collect()))
}
