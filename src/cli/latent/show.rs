//! `netwright latent show`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Exit, Model, TableArgs, print, print_json, written};
use crate::generate::{Map, Point, Step};
use crate::report::{DrawnGraph, graphs_svg, map_svg};
use crate::run::write_whole;
use crate::space::{Codec, Dag};

#[derive(Args)]
pub(super) struct ShowArgs {
    /// A model that `latent fit` wrote.
    #[arg(long)]
    model: PathBuf,
    #[command(flatten)]
    table: TableArgs,
    /// Write a map of the networks on their two principal axes, coloured by performance (of the table, or predicted).
    #[arg(long, required_unless_present = "way")]
    map: Option<PathBuf>,
    /// Write the networks on the way from one to another.
    #[arg(long, requires = "from", requires = "to")]
    way: Option<PathBuf>,
    /// Where the way begins: a network as its space writes it.
    #[arg(long)]
    from: Option<String>,
    /// Where it ends.
    #[arg(long)]
    to: Option<String>,
    /// Steps of the way.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    steps: u16,
    /// Networks of the map at most.
    #[arg(long, default_value_t = 5000)]
    networks: usize,
    /// Decides which networks, if there are more.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn show(args: &ShowArgs) -> anyhow::Result<Exit> {
    let model = Model::read(&args.model)?;
    let mut shown = serde_json::Map::from_iter([("schema_version".to_string(), json!(1))]);
    let mut lines = String::new();
    if let Some(path) = &args.map {
        let (svg, (first, second), count) = map(&model, args)?;
        write_whole(path, svg.as_bytes())?;
        lines += &format!(
            "{count} networks in {}: {:.0} % and {:.0} % of the variance\n",
            path.display(),
            100.0 * first,
            100.0 * second
        );
        shown.insert("map".to_string(), json!({"file": path, "networks": count, "explained": [first, second]}));
    }
    if let (Some(path), Some(from), Some(to)) = (&args.way, &args.from, &args.to) {
        let ends = [model.space.parse(from)?, model.space.parse(to)?].map(|end| model.space.dag(&end));
        let steps = model.vae.between(&ends[0], &ends[1], usize::from(args.steps));
        write_whole(path, way(&model, &steps)?.as_bytes())?;
        let texts: Vec<String> = steps.iter().map(|step| named(&model, &step.dag)).collect();
        for (step, text) in steps.iter().zip(&texts) {
            lines += &format!(
                "{:>4.0} %  {:.4}  {}  {text}\n",
                100.0 * step.at,
                step.performance,
                written(&model.card.complexity, step.complexity)
            );
        }
        lines += &format!("the way in {}\n", path.display());
        let steps: Vec<_> = steps
            .iter()
            .zip(&texts)
            .map(|(step, text)| {
                json!({
                    "at": step.at, "genotype": text, "predicted_performance": step.performance,
                    "predicted_complexity": step.complexity,
                })
            })
            .collect();
        shown.insert("way".to_string(), json!({"file": path, "steps": steps}));
    }
    match args.json {
        true => print_json(&shown.into())?,
        false => print(&lines)?,
    }
    Ok(Exit::Done)
}

/// A decoded network as its space writes it.
fn named(model: &Model, dag: &Dag) -> String {
    model.space.genotype_of(dag).map_or("no network".to_string(), |genotype| model.space.format(&genotype))
}

/// The picture, the share of variance along each axis and the number of networks.
fn map(model: &Model, args: &ShowArgs) -> anyhow::Result<(String, (f64, f64), usize)> {
    use rand::seq::SliceRandom;
    let mut known = model.known(&args.table, args.networks, args.seed)?;
    known.shuffle(&mut crate::seed::stream(args.seed, "latent map", 0));
    known.truncate(args.networks);
    let dags: Vec<Dag> = known.iter().map(|(genotype, _)| model.space.dag(genotype)).collect();
    let points: Vec<Point> = model.vae.encode(&dags).into_iter().map(|(mean, _)| mean).collect();
    let map = Map::of(&points);
    let is_known = args.table.table.is_some();
    let predicted = model.vae.predict(&points);
    // Without any label there is nothing to predict performance by: complexity is what the model knows.
    let (value, of): (String, Vec<f64>) = match (is_known, &model.card.label) {
        (true, label) => (label.clone().unwrap_or("performance".to_string()), known.iter().map(|k| k.1).collect()),
        (false, Some(label)) => (format!("{label}, predicted"), predicted.iter().map(|p| p.0).collect()),
        (false, None) => (format!("{}, predicted", model.card.complexity), predicted.iter().map(|p| p.1).collect()),
    };
    let places: Vec<(f64, f64, f64)> = map.places.iter().zip(of).map(|((x, y), value)| (*x, *y, value)).collect();
    let axis = |name: &str, share: f64| format!("{name} principal axis, {:.0} % of the variance", 100.0 * share);
    let (first, second) = (axis("first", map.explained.0), axis("second", map.explained.1));
    let title = format!("latent space of {} networks of {}", places.len(), model.card.space);
    Ok((map_svg(&title, (&first, &second), &value, &places), map.explained, places.len()))
}

fn way(model: &Model, steps: &[Step]) -> anyhow::Result<String> {
    let codec = Codec::of(&model.space)?;
    let drawn = |step: &Step| DrawnGraph {
        nodes: step.dag.kinds.iter().map(|kind| (codec.kind_name(*kind).to_string(), *kind)).collect(),
        edges: step.dag.edges.clone(),
        caption: vec![
            format!("{:.0} %", 100.0 * step.at),
            match &model.card.label {
                Some(_) => format!("predicted {:.4}", step.performance),
                None => String::new(),
            },
            format!("{} {}", written(&model.card.complexity, step.complexity), model.card.complexity),
        ],
    };
    let title = format!("from one network of {} to another", model.card.space);
    Ok(graphs_svg(&title, &steps.iter().map(drawn).collect::<Vec<DrawnGraph>>()))
}
