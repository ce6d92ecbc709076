//! `netwright inspect`: what a network costs.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, print, print_json, read_model};
use crate::graph::{Graph, NumberFormat, Shape, to_dot};
use crate::onnx;
use crate::report::{inspection_json, inspection_text};
use crate::space::{MacroConfig, MacroSpace, Space, Task};

#[derive(Args)]
pub(super) struct InspectArgs {
    /// An ONNX file.
    #[arg(conflicts_with = "genotype", required_unless_present = "genotype")]
    file: Option<PathBuf>,
    /// A network of a search space instead, such as 111000-011101-111111-111111-011101.
    #[arg(long)]
    genotype: Option<String>,
    /// The search space of the genotype.
    #[arg(long, default_value = "macro", value_parser = Space::NAMES)]
    space: String,
    /// Shape of the image: channels×rows×columns.
    #[arg(long, default_value = "3x32x32", value_parser = parse_shape)]
    input: Shape,
    /// Number of classes.
    #[arg(long, default_value_t = 100)]
    classes: usize,
    /// Multiplies the channels of spaces that have a width.
    #[arg(long, default_value_t = 1.0)]
    width: f64,
    /// Channels of the head of the macro space.
    #[arg(long, default_value_t = 1280)]
    head: usize,
    /// Number format in which memory is counted.
    #[arg(long, default_value = "f32", value_parser = parse_numbers)]
    numbers: NumberFormat,
    /// Print JSON.
    #[arg(long, conflicts_with = "dot")]
    json: bool,
    /// Print Graphviz text.
    #[arg(long)]
    dot: bool,
}

pub(super) fn inspect(args: &InspectArgs) -> anyhow::Result<Exit> {
    let graph = graph(args)?;
    match (args.json, args.dot) {
        (true, _) => print_json(&inspection_json(&graph, args.numbers))?,
        (_, true) => print(&to_dot(&graph))?,
        _ => print(&inspection_text(&graph, args.numbers))?,
    }
    Ok(Exit::Done)
}

fn graph(args: &InspectArgs) -> anyhow::Result<Graph> {
    if let Some(file) = &args.file {
        let model = onnx::decode(&read_model(file)?);
        return Ok(model.map_err(|e| anyhow::anyhow!("`{}`: {e}", file.display()))?.graph);
    }
    let channels = args.input.channels;
    let (mean, std) = (vec![0.5; channels], vec![0.25; channels]);
    let (input, classes, width, head) = (args.input, args.classes, args.width, args.head);
    let space = match args.space.as_str() {
        "macro" => {
            let config = MacroConfig { input, classes, width, head, mean, std, ..MacroConfig::default() };
            Space::Macro(MacroSpace::new(config)?)
        }
        other => Space::scaled(other, width, Task { input, classes, mean, std })?,
    };
    let genotype = args.genotype.as_deref().expect("clap requires a file or a genotype");
    Ok(space.lower(&space.parse(genotype)?))
}

pub(super) fn parse_shape(text: &str) -> Result<Shape, String> {
    let sizes: Result<Vec<usize>, _> = text.split(['x', '×', ',']).map(|part| part.trim().parse()).collect();
    match sizes.as_deref() {
        Ok([c, h, w]) if [c, h, w].iter().all(|size| (1..=4096).contains(*size)) => Ok(Shape::new(*c, *h, *w)),
        _ => Err("write channels, rows and columns, for example 3x32x32".to_string()),
    }
}

pub(super) fn parse_numbers(text: &str) -> Result<NumberFormat, String> {
    match text {
        "f32" => Ok(NumberFormat::F32),
        "int8" => Ok(NumberFormat::Int8),
        _ => Err("number formats are f32 and int8".to_string()),
    }
}
