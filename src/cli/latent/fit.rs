//! `netwright latent fit`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::super::{check_out, write_with_card};
use super::{Exit, TableArgs, print, print_json};
use crate::experiment::{Complexity, LatentData, LatentReport, LatentStep, Split, fit_latent};
use crate::generate::{GraphVae, MODEL_VERSION, ModelCard, VaeConfig};
use crate::report::{percent, plain_table};
use crate::space::Space;

/// Sizes and schedules that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// Chosen by measuring: minutes on two cores.
    Measured,
    /// Of NGAE and D-VAE: many hours.
    Published,
}

#[derive(Args)]
pub(super) struct FitArgs {
    #[command(flatten)]
    table: TableArgs,
    /// Learn from random networks of this space, of which no accuracy is known, instead of a table.
    #[arg(long, conflicts_with = "table", required_unless_present = "table")]
    space: Option<String>,
    /// Random networks of a space to learn from.
    #[arg(long, default_value_t = 10_000)]
    networks: usize,
    /// macs, params, peak-ram, or a latency column of the table.
    #[arg(long, default_value = "macs")]
    complexity: Complexity,
    /// Networks held out; for table `enas6` as published, otherwise at random.
    #[arg(long, value_enum)]
    split: Option<Split>,
    /// Test on a tenth of the networks to learn from, to choose sizes and schedules by; those held out are not looked at.
    #[arg(long)]
    validation: bool,
    /// Sizes and schedule to start from.
    #[arg(long, value_enum, default_value_t = Preset::Measured)]
    preset: Preset,
    /// Passes over the networks.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    epochs: Option<u32>,
    /// Networks of a step.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
    /// Largest step size.
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Values of a node's state.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    hidden: Option<u32>,
    /// Dimensions of the latent space.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    latent: Option<u32>,
    /// Decides weights, order and draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the model to this file (safetensors), and its card beside it (JSON).
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl FitArgs {
    fn config(&self) -> anyhow::Result<VaeConfig> {
        let mut config = match self.preset {
            Preset::Measured => VaeConfig::measured(),
            Preset::Published => VaeConfig::published(),
        };
        let given = |value: Option<u32>, preset: usize| value.map_or(preset, |value| value as usize);
        config.epochs = given(self.epochs, config.epochs);
        config.batch = given(self.batch, config.batch);
        config.hidden = given(self.hidden, config.hidden);
        config.latent = given(self.latent, config.latent);
        config.learning_rate = self.learning_rate.unwrap_or(config.learning_rate);
        anyhow::ensure!(
            config.learning_rate > 0.0 && config.learning_rate <= 1.0,
            "a step size of {} is not between 0 and 1\nhint: add `--learning-rate 0.001`",
            config.learning_rate
        );
        Ok(config)
    }

    fn data(&self) -> anyhow::Result<(LatentData, Option<String>)> {
        let (data, label) = match (self.table.open()?, &self.space) {
            (Some((table, label)), _) => {
                let published = self.table.table.as_deref() == Some("enas6");
                let split = self.split.unwrap_or(if published { Split::Published } else { Split::Random });
                (LatentData::of_table(&table, &label, &self.complexity, split, self.seed)?, Some(label))
            }
            (None, Some(name)) => {
                (LatentData::of_space(&Space::named(name)?, self.networks, &self.complexity, self.seed)?, None)
            }
            (None, None) => anyhow::bail!("there is nothing to learn from\nhint: add `--table enas6 --data DIR`"),
        };
        Ok((if self.validation { data.validation()? } else { data }, label))
    }
}

pub(super) fn fit(args: &FitArgs) -> anyhow::Result<Exit> {
    let config = args.config()?;
    args.out.as_deref().map(check_out).transpose()?;
    let (data, label) = args.data()?;
    eprintln!(
        "  {} networks to learn from, {} held out, {} left out",
        data.train.len(),
        data.test.len(),
        data.left_out
    );
    let passes = config.epochs;
    let card_of = |vae: &GraphVae, report: serde_json::Value| {
        let (performance_scale, complexity_scale) = vae.scales();
        ModelCard {
            schema_version: MODEL_VERSION,
            netwright: env!("CARGO_PKG_VERSION").to_string(),
            space: data.space.name().to_string(),
            table: args.table.table.clone(),
            label: label.clone(),
            complexity: args.complexity.to_string(),
            seed: args.seed,
            config: config.clone(),
            performance_scale,
            complexity_scale,
            report,
        }
    };
    let write = |vae: &GraphVae, card: &ModelCard| match &args.out {
        Some(path) => write_with_card(path, &vae.to_bytes(card), &json!(card)).map(Some),
        None => Ok(None),
    };
    let mut written = Ok(None);
    let (vae, report) = fit_latent(&data, &args.complexity, config.clone(), args.seed, &mut |step| match step {
        LatentStep::Pass(pass, losses) => eprintln!(
            "  pass {pass} of {passes}: reconstruction {:.4}, divergence {:.2}, performance {:.4}, complexity {:.5}",
            losses.reconstruction, losses.divergence, losses.performance, losses.complexity
        ),
        // What was fitted is not lost if the test is interrupted.
        LatentStep::Fitted(vae) => {
            written = write(vae, &card_of(vae, serde_json::Value::Null));
            eprintln!("  testing on the networks held out, beside simple predictors");
        }
    })?;
    written?;
    let card = card_of(&vae, json!(report));
    if let (Some(path), Some(beside)) = (&args.out, write(&vae, &card)?) {
        eprintln!("  model in {}, its card in {}", path.display(), beside.display());
    }
    match args.json {
        true => print_json(&json!(card))?,
        false => print(&text(&report, &card))?,
    }
    Ok(Exit::Done)
}

fn text(report: &LatentReport, card: &ModelCard) -> String {
    let mut rows = vec![
        ["reconstruction of networks held out".to_string(), percent_of_nearly_all(report.reconstruction_accuracy)],
        ["validity of draws".to_string(), percent(report.sampling.validity)],
        ["uniqueness of draws".to_string(), percent(report.sampling.uniqueness)],
        ["novelty of draws".to_string(), percent(report.sampling.novelty)],
        [
            format!("median relative error of {}", card.complexity),
            format!("{:.2} %", 100.0 * report.complexity_median_relative_error),
        ],
    ];
    rows.extend(
        report
            .inside_limit_at_first_try
            .map(|share| ["climbs inside the limit at first try".to_string(), percent(share)]),
    );
    let rows = rows.into_iter().map(Vec::from).collect();
    let performance = report.performance.iter().map(|scores| {
        vec![
            scores.predictor.clone(),
            format!("{:.3e}", scores.rmse),
            format!("{:.3}", scores.normalised_rmse),
            scores.pearson.map_or("–".to_string(), |pearson| format!("{pearson:.4}")),
        ]
    });
    let predictors = match report.performance.is_empty() {
        true => String::new(),
        false => format!(
            "\n\n{}",
            plain_table(&["performance predicted by", "rmse", "rmse / sd", "pearson r"], performance.collect())
        ),
    };
    format!(
        "{} networks learnt from in {:.0} s, tested on {} others; {} weights\n\n{}{predictors}\n",
        report.train,
        report.fit_s,
        report.test,
        report.weights,
        plain_table(&["latent space", ""], rows)
    )
}

/// Near to all of it, one digit does not tell.
fn percent_of_nearly_all(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
