//! `netwright reproduce nas-with-gnn-predictor`: the experiment of the first seed in one command.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::device::DeviceArgs;
use super::{Exit, label, print, print_json};
use crate::experiment::{
    DataTask, Found, GnnFindings, GnnProgress, GnnStudy, NAMES, Recipe, Scores, Sources, gnn_study, gnn_study_training,
};
use crate::nn::runtime;
use crate::report::{Marked, cloud_svg, percent, plain_table};
use crate::run::write_whole;
use crate::units::Macs;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct GnnStudyArgs {
    /// The data set, a folder of images or `built-in`; the seed has CIFAR-100.
    #[arg(long)]
    data: String,
    /// Folder of journals, table and picture; the same command with the same folder goes on.
    #[arg(long)]
    out: PathBuf,
    /// Random networks that are trained.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..))]
    networks: u32,
    /// Epochs of their trainings.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Epochs of the last trainings, of the network found and of the best random one; `--epochs` by default.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    final_epochs: Option<u32>,
    /// Training images; all by default.
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    images: Option<u32>,
    /// Most images for validation, which compare networks, and for test.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    held_out: u32,
    /// Images in a training step.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(2..))]
    batch: u32,
    /// Width multiplier of the networks.
    #[arg(long, default_value_t = 1.0)]
    width: f64,
    /// Networks to fit predictors to, with commas between; by default one to five sixths, which is 50 to 250 of 300.
    #[arg(long, value_delimiter = ',')]
    train: Vec<usize>,
    /// Random splits for each of these numbers.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..))]
    splits: u32,
    /// Which predictors, with commas between.
    #[arg(long, value_delimiter = ',', default_values_t = PREDICTORS.map(String::from))]
    predictors: Vec<String>,
    /// Most multiply-accumulates of a network, such as `15 M`; by default the seed's share of the largest network's.
    #[arg(long)]
    macs: Option<Macs>,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgs,
    /// Threads; by default one for each core. Results do not depend on them.
    #[arg(long)]
    threads: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  netwright reproduce nas-with-gnn-predictor --data cifar100 --out gnn                   as published; takes a GPU
  netwright reproduce nas-with-gnn-predictor --data cifar10 --out small --networks 24 --epochs 2 --images 2000 \\
    --held-out 1000 --batch 32 --width 0.25                                              the same, small";

/// Both of the seed, and what they have to beat.
const PREDICTORS: [&str; 7] = ["gnn", "mlp", "ridge", "forest", "stack", "macs", "params"];

pub(super) fn run(args: &GnnStudyArgs) -> anyhow::Result<Exit> {
    runtime::init(args.threads);
    anyhow::ensure!(
        args.width.is_finite() && args.width > 0.0,
        "`--width` is {}, expected a number above 0",
        args.width
    );
    if let Some(name) = args.predictors.iter().find(|name| !NAMES.contains(&name.as_str())) {
        anyhow::bail!("`{name}` is not a predictor\nhint: choose from {}", NAMES.join(", "));
    }
    let study = study(args);
    Sources::check(std::slice::from_ref(&study.task))?;
    let device = args.device.choose()?;
    std::fs::create_dir_all(&args.out).map_err(|e| anyhow::anyhow!("cannot make `{}`: {e}", args.out.display()))?;
    let mut watch = |progress: GnnProgress| match progress {
        GnnProgress::Stage(name) => eprintln!("{name}"),
        GnnProgress::Label(found, done, of) => label::told(found, done, of),
        GnnProgress::Scores(scores) => {
            eprintln!("  {} networks, {}: tau {:.3}", scores.train, scores.predictor, scores.kendall_tau.mean);
        }
    };
    let found = gnn_study(&study, &device, &args.out, &mut watch)?;
    let picture = args.out.join("scatter.svg");
    write_whole(&picture, svg(&found).as_bytes())?;
    match args.json {
        true => print_json(&json!({ "study": study, "found": found, "picture": picture }))?,
        false => {
            print(&text(&found))?;
            eprintln!("picture `{}`, table `{}`", picture.display(), found.table.display());
        }
    }
    Ok(Exit::Done)
}

fn study(args: &GnnStudyArgs) -> GnnStudy {
    let (networks, epochs, batch) = (args.networks as usize, args.epochs as usize, args.batch as usize);
    let recipe = |epochs| Recipe {
        space: "macro".to_string(),
        width: args.width,
        train: gnn_study_training(epochs, batch),
        steps: None,
        seed: args.seed,
    };
    let sixths = || (1..=5).map(|part| networks * part / 6).collect();
    GnnStudy {
        task: DataTask {
            images: args.images.map(|images| images as usize),
            held_out: args.held_out as usize,
            ..DataTask::whole("accuracy", &args.data)
        },
        networks,
        recipe: recipe(epochs),
        final_recipe: recipe(args.final_epochs.map_or(epochs, |epochs| epochs as usize)),
        sizes: if args.train.is_empty() { sixths() } else { args.train.clone() },
        splits: u64::from(args.splits),
        predictors: args.predictors.clone(),
        macs_limit: args.macs.map(|macs| macs.0),
    }
}

/// Accuracy on validation images against MACs, as in the seed's picture.
fn svg(found: &GnnFindings) -> String {
    let millions = |macs: u64| macs as f64 / 1e6;
    let points: Vec<(f64, f64)> = found
        .random
        .iter()
        .filter_map(|label| Some((millions(label.macs), label.validation_accuracy? * 100.0)))
        .collect();
    let marked = |name, found: &Found| Marked {
        name,
        point: (millions(found.label.macs), found.label.validation_accuracy.map_or(f64::NAN, |a| a * 100.0)),
    };
    cloud_svg(
        &format!("{} random networks and the one found", found.random.len()),
        ("MACs (millions)", "accuracy on validation images (%)"),
        &points,
        &[
            marked("evolved over predictions of the graph network", &found.evolved),
            marked("best random network", &found.best_random),
        ],
    )
}

fn text(found: &GnnFindings) -> String {
    let row = |scores: &Scores| {
        let (low, high) = scores.kendall_tau_interval;
        vec![
            scores.predictor.clone(),
            scores.train.to_string(),
            format!("{:.3} ± {:.3}", scores.kendall_tau.mean, scores.kendall_tau.sd),
            format!("{low:.3} to {high:.3}"),
        ]
    };
    let predictors = match found.scores.is_empty() {
        true => "too few networks to evaluate predictors".to_string(),
        false => plain_table(
            &["predictor", "fitted to", "tau (mean ± sd)", "95 % interval of the mean"],
            found.scores.iter().map(row).collect(),
        ),
    };
    let splits = found.scores.first().map_or(0, |scores| scores.seeds);
    let networks = plain_table(
        &["search", "network", "MACs", "predicted", "validation", "test", "in full: validation", "test"],
        vec![network("evolution", &found.evolved), network("random", &found.best_random)],
    );
    format!(
        "Kendall tau on the networks that a predictor was not fitted to, {splits} random splits of {}\n\n{predictors}\n\n\
         Within {} MACs; both chosen without a look at test images\n\n{networks}\n",
        found.random.len(),
        Macs(found.macs_limit),
    )
}

fn network(search: &str, found: &Found) -> Vec<String> {
    let share = |accuracy: Option<f64>| accuracy.map_or("diverged".to_string(), percent);
    let last = found.last.as_ref();
    vec![
        search.to_string(),
        found.label.network.clone(),
        Macs(found.label.macs).to_string(),
        found.predicted.map_or(String::new(), percent),
        share(found.label.validation_accuracy),
        share(found.label.test_accuracy),
        share(last.and_then(|label| label.validation_accuracy)),
        share(last.and_then(|label| label.test_accuracy)),
    ]
}
