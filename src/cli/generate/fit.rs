//! `netwright generate fit`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::super::{Exit, check_out, print, print_json, write_with_card};
use crate::experiment::{Database, FeatureTraining, Judged, RankingReport, ranking, train_features};
use crate::generate::{ClassKind, FitStep, MetaConfig, MetaFile, MetaModel, MetaTask};
use crate::nn::runtime;
use crate::report::plain_table;

#[derive(Args)]
pub(super) struct DatabaseArgs {
    /// A folder that `netwright label` wrote; can be repeated.
    #[arg(long, required = true)]
    labels: Vec<PathBuf>,
    /// The list of its tasks; as often as `--labels`.
    #[arg(long, required = true)]
    tasks: Vec<PathBuf>,
}

impl DatabaseArgs {
    pub fn read(&self) -> anyhow::Result<Database> {
        anyhow::ensure!(
            self.labels.len() == self.tasks.len(),
            "{} folders of labels and {} lists of tasks\nhint: give a `--tasks` for each `--labels`",
            self.labels.len(),
            self.tasks.len()
        );
        for folder in &self.labels {
            anyhow::ensure!(
                folder.join("journal.jsonl").exists(),
                "`{}` holds no labels\nhint: `netwright label --tasks FILE --out {}` makes some",
                folder.display(),
                folder.display()
            );
        }
        let parts: Vec<(PathBuf, PathBuf)> = self.labels.iter().cloned().zip(self.tasks.iter().cloned()).collect();
        Ok(Database::read(&parts)?)
    }
}

#[derive(Args)]
pub(super) struct FitArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// A source that is not learned from but tested on, by the end of its path; can be repeated.
    #[arg(long)]
    hold_out: Vec<String>,
    /// Most tasks to learn from, the first ones.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    most_tasks: Option<u32>,
    /// Most training images of each class, for the network that makes features.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    feature_images: u32,
    /// Epochs of its training.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    feature_epochs: u32,
    /// Passes of a predictor over the tasks.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: Option<u32>,
    /// Predictors whose mean is the prediction.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    members: Option<u32>,
    /// Largest step size.
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Decay of the weights, as AdamW has it.
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Decides weights, order and draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the model to this file (safetensors), and its card beside it (JSON).
    #[arg(long)]
    out: Option<PathBuf>,
    /// Threads; by default one for each core. The model does not depend on them.
    #[arg(long)]
    threads: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl FitArgs {
    fn config(&self) -> anyhow::Result<MetaConfig> {
        let preset = MetaConfig::default();
        let config = MetaConfig {
            epochs: self.epochs.map_or(preset.epochs, |epochs| epochs as usize),
            members: self.members.map_or(preset.members, |members| members as usize),
            learning_rate: self.learning_rate.unwrap_or(preset.learning_rate),
            weight_decay: self.weight_decay.unwrap_or(preset.weight_decay),
            ..preset
        };
        let is_rate = config.learning_rate.is_finite() && config.learning_rate > 0.0;
        anyhow::ensure!(is_rate, "`--learning-rate` is {}, expected a number above 0", config.learning_rate);
        let is_decay = config.weight_decay.is_finite() && config.weight_decay >= 0.0;
        anyhow::ensure!(is_decay, "`--weight-decay` is {}, expected 0 or more", config.weight_decay);
        Ok(config)
    }
}

pub(super) fn fit(args: &FitArgs) -> anyhow::Result<Exit> {
    runtime::init(args.threads);
    let config = args.config()?;
    args.out.as_deref().map(check_out).transpose()?;
    let (mut learned, held_out) = args.database.read()?.divided(&args.hold_out)?;
    learned.tasks.truncate(args.most_tasks.map_or(usize::MAX, |most| most as usize));
    MetaModel::check_count(learned.tasks.len())?;
    let space = learned.space()?;
    let labels: usize = learned.tasks.iter().map(|task| task.labels.len()).sum();
    eprintln!(
        "learning from {} tasks with {labels} labels; held out are {} tasks",
        learned.tasks.len(),
        held_out.tasks.len()
    );
    let training = FeatureTraining {
        per_class: args.feature_images as usize,
        epochs: args.feature_epochs as usize,
        ..FeatureTraining::default()
    };
    eprintln!("training the network that makes features, {} epochs", training.epochs);
    let (net, accuracy) = train_features(&learned, &training, args.seed, &mut |epoch| {
        eprintln!("  epoch {epoch} of {}", training.epochs)
    })?;
    eprintln!("  {:.1} % of validation images right among {} classes", 100.0 * accuracy, net.spec().classes);
    eprintln!("reading the tasks");
    let told = &mut |done: usize, of: usize| {
        if done == of || done.is_multiple_of(20) {
            eprintln!("  {done} of {of}");
        }
    };
    let tasks = learned.views(&net, Judged::OnValidation, told)?;
    let held_out: Vec<MetaTask> = held_out.views(&net, Judged::OnAllImages, &mut |_, _| {})?;
    let kind = ClassKind::Features(training.features);
    let fit_model = |config: MetaConfig| MetaModel::fit(&space, kind, &tasks, config, args.seed, &mut watch);
    eprintln!("fitting");
    let model = fit_model(config.clone())?;
    let report = match held_out.is_empty() {
        true => None,
        false => {
            eprintln!("testing on the tasks held out, beside the same model without sight of data");
            let blind = fit_model(MetaConfig { sees_data: false, generator_epochs: 0, ..config })?;
            Some(ranking(&model, &blind, &tasks, &held_out, args.seed)?)
        }
    };
    let learned_from = json!({
        "tasks": learned.tasks.len(), "labels": labels, "sources": learned.source_names(), "held_out": args.hold_out,
        "recipe": learned.recipe, "feature_accuracy": accuracy,
    });
    let mut file = MetaFile::new(model, Some(net), args.seed, learned_from);
    file.card.report = json!(report);
    if let Some(out) = &args.out {
        let bytes = file.to_bytes();
        write_with_card(out, &bytes, &json!(file.card))?;
        eprintln!("`{}`: {} weights, {} bytes", out.display(), file.model.weight_count(), bytes.len());
    }
    match (args.json, report) {
        (true, _) => print_json(&json!(file.card))?,
        (false, Some(report)) => print(&table(&report))?,
        (false, None) => {}
    }
    Ok(Exit::Done)
}

pub(super) fn watch(step: FitStep) {
    const EACH: usize = 10;
    match step {
        FitStep::Predictor { member, epoch, error } if epoch.is_multiple_of(EACH) => {
            eprintln!("  predictor {member}, pass {epoch}: squared error {error:.3}");
        }
        FitStep::Generator { epoch, loss } if epoch.is_multiple_of(EACH) => {
            eprintln!("  generator, pass {epoch}: loss {loss:.2}");
        }
        _ => {}
    }
}

fn table(report: &RankingReport) -> String {
    let interval = |(low, high): (f64, f64)| format!("{low:+.3} … {high:+.3}");
    let row = |taus: &crate::experiment::Taus| {
        let (ahead, of_ahead) = taus.model_ahead;
        vec![
            taus.ranking.clone(),
            format!("{:.3}", taus.mean),
            interval(taus.interval),
            format!("{ahead:+.3}"),
            interval(of_ahead),
        ]
    };
    let heads = ["ranking", "tau within tasks", "95 %", "model ahead by", "95 %"];
    let rows = report.rankings.iter().map(row).collect();
    format!("{} tasks held out, {} networks\n{}\n", report.tasks, report.networks, plain_table(&heads, rows))
}
