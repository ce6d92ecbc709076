//! `netwright latent`: a latent space of networks, fitted, searched and shown.

mod fit;
mod search;
mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Exit, print, print_json};
use crate::experiment::Complexity;
use crate::generate::{GraphVae, ModelCard};
use crate::space::{Genotype, Space};
use crate::tabular::Table;

#[derive(Args)]
pub(super) struct LatentArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Fit a graph autoencoder with predictors of performance and complexity, and test it on networks held out.
    Fit(Box<fit::FitArgs>),
    /// Climb in a fitted latent space to networks that promise more, under a limit of complexity.
    Search(Box<search::SearchArgs>),
    /// Draw the map of a fitted latent space, or the way from one network to another, as SVG.
    Show(Box<show::ShowArgs>),
}

pub(super) fn latent(args: &LatentArgs) -> anyhow::Result<Exit> {
    match &args.verb {
        Verb::Fit(args) => fit::fit(args),
        Verb::Search(args) => search::search(args),
        Verb::Show(args) => show::show(args),
    }
}

/// Which table, and where its files are.
#[derive(Args)]
struct TableArgs {
    /// A built-in table such as `enas6`, or the YAML file of one.
    #[arg(long)]
    table: Option<String>,
    /// The folder of the table's files; by default the folder of the YAML file.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Which label is the performance; the table's first one by default.
    #[arg(long)]
    label: Option<String>,
}

impl TableArgs {
    /// The table, if one is named, with the label.
    fn open(&self) -> anyhow::Result<Option<(Table, String)>> {
        let Some(name) = &self.table else { return Ok(None) };
        let table = Table::open(name, self.data.as_deref())?;
        let label = self.label.as_ref().or(table.labels().first()).cloned();
        let label = label.ok_or_else(|| anyhow::anyhow!("table `{name}` has no labels"))?;
        Ok(Some((table, label)))
    }
}

/// A model read from a file.
struct Model {
    vae: GraphVae,
    space: Space,
    card: ModelCard,
}

impl Model {
    fn read(path: &Path) -> anyhow::Result<Model> {
        let bytes = std::fs::read(path).map_err(|e| {
            anyhow::anyhow!(
                "cannot read `{}`: {e}\nhint: make a model with `netwright latent fit --out FILE`",
                path.display()
            )
        })?;
        let (vae, space, card) = GraphVae::from_bytes(&bytes, &path.display().to_string())?;
        Ok(Model { vae, space, card })
    }

    fn complexity(&self) -> Complexity {
        self.card.complexity.parse().expect("any name is a complexity")
    }

    /// Networks of the table with their labels, or of the model's space alone.
    fn known(&self, table: &TableArgs, networks: usize, seed: u64) -> anyhow::Result<Vec<(Genotype, f64)>> {
        let Some((table, label)) = table.open()? else {
            let mut rng = crate::seed::stream(seed, "latent networks", 0);
            return Ok((0..networks).map(|_| (self.space.sample(&mut rng), f64::NAN)).collect());
        };
        anyhow::ensure!(
            table.space().name() == self.space.name(),
            "the model is of space `{}`, the table of `{}`\nhint: name a table of the model's space",
            self.space.name(),
            table.space().name()
        );
        let column = table.column(&label).filter(|_| table.labels().contains(&label));
        let column = column.ok_or_else(|| {
            anyhow::anyhow!("the table has no label `{label}`\nhint: choose one of {}", table.labels().join(", "))
        })?;
        let mut seen = std::collections::HashSet::new();
        let rows = table.genotypes().iter().zip(column).filter(|(_, value)| value.is_finite());
        let canonical = rows.filter_map(|(genotype, value)| {
            let genotype = self.space.genotype_of(&self.space.dag(genotype)).ok()?;
            seen.insert(genotype.clone()).then_some((genotype, *value))
        });
        let known: Vec<(Genotype, f64)> = canonical.collect();
        anyhow::ensure!(!known.is_empty(), "no network of the table can be decoded from the latent space");
        Ok(known)
    }
}

/// A complexity as people read it.
fn written(complexity: &str, value: f64) -> String {
    match complexity {
        "macs" => format!("{:.2} M", value / 1e6),
        "params" => format!("{:.1} k", value / 1e3),
        "peak-ram" => format!("{:.1} KiB", value / 1024.0),
        _ => format!("{value:.3}"),
    }
}
