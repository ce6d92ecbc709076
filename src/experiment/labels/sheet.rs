//! Labels as a table: a row for each network, a column for each task, what the network costs; and the description that
//! `Table` reads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{DataTask, Label, LabelError, Recipe};
use crate::graph::{Cost, NumberFormat};
use crate::run::write_whole;
use crate::space::{Space, Task};

const CSV: &str = "table.csv";
const YAML: &str = "table.yaml";
const COSTS: [&str; 3] = ["macs", "params", "peak_ram_bytes"];

/// A description as `Table` reads it.
#[derive(Serialize)]
struct Description<'a> {
    about: String,
    space: &'a str,
    csv: &'a str,
    key: &'a str,
    encoding: &'a str,
    labels: Vec<String>,
    features: [&'a str; 3],
}

/// Writes `table.csv` and `table.yaml` into a folder; the path of the latter. For each of `tasks` with a label there are
/// two columns of accuracies from 0 to 1: `<task>` on validation images, `<task>.test` on test images. Costs are those of
/// the network as built for colour images of 32×32 and ten classes, so that they can be compared; `seconds` is the time of
/// all its trainings.
///
/// # Errors
/// If a file cannot be written.
pub fn write_table(
    folder: &Path,
    recipe: &Recipe,
    tasks: &[DataTask],
    labels: &[Label],
) -> Result<PathBuf, LabelError> {
    let tasks: Vec<&DataTask> =
        tasks.iter().filter(|task| labels.iter().any(|label| label.task == task.name)).collect();
    let rows = by_network(labels);
    let space = Space::scaled(&recipe.space, recipe.width, Task::default())?;
    let mut csv = csv::Writer::from_writer(Vec::new());
    let columns: Vec<String> = tasks.iter().flat_map(|task| [task.name.clone(), task.test_column()]).collect();
    let heads = ["network"].into_iter().chain(COSTS).chain(["seconds"]);
    write(&mut csv, heads.map(String::from).chain(columns.iter().cloned()));
    for (network, of_tasks) in &rows {
        let cost = Cost::of(&space.lower(&space.parse(network)?));
        let costs = [cost.macs, cost.params, cost.peak_ram(NumberFormat::F32).0].map(|cost| cost.to_string());
        let seconds: f64 = of_tasks.values().map(|label| label.seconds).sum();
        let number = |accuracy: Option<f64>| accuracy.map_or(String::new(), |accuracy| accuracy.to_string());
        let accuracies = tasks.iter().flat_map(|task| {
            let label = of_tasks.get(task.name.as_str());
            [label.and_then(|l| l.validation_accuracy), label.and_then(|l| l.test_accuracy)].map(number)
        });
        write(
            &mut csv,
            [network.to_string()].into_iter().chain(costs).chain([format!("{seconds:.2}")]).chain(accuracies),
        );
    }
    let bytes = csv.into_inner().expect("memory takes every record");
    write_whole(&folder.join(CSV), &bytes)?;
    let length = match recipe.steps {
        Some(steps) => format!("{steps} steps"),
        None => format!("{} epochs", recipe.train.epochs),
    };
    let about = format!(
        "{} networks labelled by `netwright label`: {length} at width {}, seed {}. Accuracies as fractions, `<task>` on \
         validation images, `<task>.test` on test images.",
        rows.len(),
        recipe.width,
        recipe.seed
    );
    let (space, key) = (recipe.space.as_str(), "network");
    let description = Description { about, space, csv: CSV, key, encoding: "text", labels: columns, features: COSTS };
    let yaml = serde_saphyr::to_string(&description).expect("a description is plain data");
    let path = folder.join(YAML);
    write_whole(&path, yaml.as_bytes())?;
    Ok(path)
}

fn write(csv: &mut csv::Writer<Vec<u8>>, record: impl Iterator<Item = String>) {
    csv.write_record(record).expect("memory takes every record, and all have the same fields");
}

/// Networks by their text, so that the table does not depend on the order of trainings, with their labels by task.
fn by_network(labels: &[Label]) -> Vec<(&str, HashMap<&str, &Label>)> {
    let mut rows: std::collections::BTreeMap<&str, HashMap<&str, &Label>> = Default::default();
    for label in labels {
        rows.entry(&label.network).or_default().insert(&label.task, label);
    }
    rows.into_iter().collect()
}
