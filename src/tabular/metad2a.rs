//! The database that MetaD2A's predictor was trained on: accuracies of NAS-Bench-201 cells on tasks of twenty classes of
//! ImageNet, which are known by number only (Lee and others, 2021).

use std::io::Read;
use std::path::Path;

use super::TabularError;
use super::pickle::{self, Value};
use crate::space::{Genotype, Space};

/// A cell's accuracy on a task.
#[derive(Debug, Clone, PartialEq)]
pub struct MetaD2aRecord {
    /// Place of the task.
    pub task: usize,
    /// The cell.
    pub cell: Genotype,
    /// Accuracy, 0 to 1.
    pub accuracy: f64,
}

/// Tasks and records.
#[derive(Debug, Clone, PartialEq)]
pub struct MetaD2a {
    /// The classes of each task.
    pub tasks: Vec<Vec<usize>>,
    /// What was trained.
    pub records: Vec<MetaD2aRecord>,
}

const TASKS: &str = "meta_train_task_lst.pt";
const RECORDS: &str = "meta_train_tasks_predictor.pt";
/// Largest file that is read.
const LARGEST: u64 = 256 << 20;
/// Classes of ImageNet.
pub const CLASSES: usize = 1000;

impl MetaD2a {
    /// Reads the two files of the release in a folder.
    ///
    /// # Errors
    /// If one is missing, or not what the release has.
    pub fn open(folder: &Path) -> Result<MetaD2a, TabularError> {
        let (tasks, records) = (folder.join(TASKS), folder.join(RECORDS));
        let wrong = |path: &Path| {
            let path = path.to_path_buf();
            move |reason: String| TabularError::format(&path, "a file of MetaD2A's database", reason)
        };
        let list = pickle::read_torch(&read_file(&tasks)?).map_err(wrong(&tasks))?;
        let tasks_of = tasks_of(&list).ok_or_else(|| wrong(&tasks)("no list of lists of classes".to_string()))?;
        let pickled = pickle_in_zip(&read_file(&records)?).map_err(wrong(&records))?;
        let table = pickle::read(&pickled).map_err(wrong(&records))?;
        let records = records_of(&table, tasks_of.len()).map_err(wrong(&records))?;
        Ok(MetaD2a { tasks: tasks_of, records })
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, TabularError> {
    let failed = |e: std::io::Error| TabularError::unreadable(path, e);
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > LARGEST {
        let reason = format!("{size} bytes, at most {LARGEST} are read");
        return Err(TabularError::format(path, "a file of MetaD2A's database", reason));
    }
    std::fs::read(path).map_err(failed)
}

/// The pickle in what `torch.save` writes today.
fn pickle_in_zip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).map_err(|e| e.to_string())?;
    let mut names = archive.file_names().filter_map(Result::ok).map(|name| name.into_owned());
    let name = names.find(|name| name.ends_with("/data.pkl")).ok_or("there is no `data.pkl` in it")?;
    drop(names);
    let file = archive.by_name(&name).map_err(|e| e.to_string())?;
    let mut pickled = Vec::new();
    file.take(LARGEST).read_to_end(&mut pickled).map_err(|e| e.to_string())?;
    Ok(pickled)
}

fn tasks_of(list: &Value) -> Option<Vec<Vec<usize>>> {
    let class = |value: &Value| usize::try_from(value.as_i64()?).ok().filter(|class| *class < CLASSES);
    list.as_list()?.iter().map(|task| task.as_list()?.iter().map(class).collect()).collect()
}

fn records_of(table: &Value, tasks: usize) -> Result<Vec<MetaD2aRecord>, String> {
    let column =
        |name: &str| table.get(name).and_then(Value::as_list).ok_or_else(|| format!("there is no list `{name}`"));
    let (accuracies, places, graphs) = (column("acc")?, column("task")?, column("g")?);
    if accuracies.len() != places.len() || accuracies.len() != graphs.len() {
        let (a, b, c) = (accuracies.len(), places.len(), graphs.len());
        return Err(format!("{a} accuracies, {b} tasks and {c} graphs do not go together"));
    }
    let space = Space::named("nats-tss").expect("the space has this name");
    let record = |(at, ((accuracy, task), graph)): (usize, ((&Value, &Value), &Value))| {
        let accuracy = accuracy.as_f64().filter(|percent| (0.0..=100.0).contains(percent));
        let task = task.as_i64().and_then(|task| usize::try_from(task).ok()).filter(|task| *task < tasks);
        let cell = cell_of(&space, graph);
        match (accuracy, task, cell) {
            (Some(percent), Some(task), Some(cell)) => Ok(MetaD2aRecord { task, cell, accuracy: percent / 100.0 }),
            (None, _, _) => Err(format!("record {at} has no accuracy in percent")),
            (_, None, _) => Err(format!("record {at} names a task that is not in `{TASKS}`")),
            (_, _, None) => Err(format!("the graph of record {at} is no cell of NAS-Bench-201")),
        }
    };
    accuracies.iter().zip(places).zip(graphs).enumerate().map(record).collect()
}

/// The arguments of an igraph: number of vertices, edges, whether directed, three dictionaries of attributes. Operations
/// stand on the vertices, in the order of the benchmark's text; edges follow from them, and some more make a chain.
fn cell_of(space: &Space, graph: &Value) -> Option<Genotype> {
    const OPERATIONS: [&str; 5] = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];
    const FIRST: usize = 2;
    let kinds = graph.as_list()?.get(4)?.get("type")?.as_list()?;
    let name = |kind: &Value| OPERATIONS.get(usize::try_from(kind.as_i64()?).ok()?.checked_sub(FIRST)?).copied();
    let [_, a, b, c, d, e, f, _] = kinds else { return None };
    let [a, b, c, d, e, f] = [name(a)?, name(b)?, name(c)?, name(d)?, name(e)?, name(f)?];
    space.parse(&format!("|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(values: Vec<Value>) -> Value {
        Value::List(values.into())
    }

    fn ints(values: &[i64]) -> Value {
        list(values.iter().map(|value| Value::Int(*value)).collect())
    }

    fn dict(entries: Vec<(&str, Value)>) -> Value {
        Value::Dict(entries.into_iter().map(|(key, value)| (Value::Text(key.into()), value)).collect::<Vec<_>>().into())
    }

    fn table(types: &[i64], task: i64) -> Value {
        let empty = || list(Vec::new());
        let graph =
            list(vec![Value::Int(8), empty(), Value::Bool(true), dict(vec![]), dict(vec![("type", ints(types))])]);
        dict(vec![("acc", list(vec![Value::Float(74.5)])), ("task", ints(&[task])), ("g", list(vec![graph]))])
    }

    #[test]
    fn vertices_are_the_operations_of_the_text() {
        let records = records_of(&table(&[0, 5, 4, 3, 2, 6, 5, 1], 1), 2).unwrap();
        let text = Space::named("nats-tss").unwrap().format(&records[0].cell);
        assert_eq!(text, "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|avg_pool_3x3~1|nor_conv_3x3~2|");
        assert_eq!((records[0].task, records[0].accuracy), (1, 0.745));
    }

    #[test]
    fn what_is_wrong_is_named_by_record() {
        let told = |types: &[i64], task| records_of(&table(types, task), 2).unwrap_err();
        assert_eq!(told(&[0, 5, 4, 3, 2, 6, 5, 1], 2), format!("record 0 names a task that is not in `{TASKS}`"));
        assert_eq!(told(&[0, 5, 4, 3, 2, 9, 5, 1], 1), "the graph of record 0 is no cell of NAS-Bench-201");
        assert_eq!(records_of(&dict(vec![]), 2).unwrap_err(), "there is no list `acc`");
    }
}
