//! A table of networks measured before: a description in YAML says which file holds what, the files hold the numbers.
//!
//! ```yaml
//! space: nats-tss
//! csv: accuracy.csv            # beside the description, or in the folder that is given
//! key: arch                    # the column, or a list of columns
//! encoding: text               # text, operation-tuple, nas-bench-101-matrix, nas-bench-101-triangle, macro-bits, row
//! labels: [cifar10_test]       # what predictors learn
//! features: [synflow]          # what predictors may look at
//! latencies: [raspi4_ms]       # what a device measured
//! join:                        # more columns for the same networks, from other files
//! - {csv: proxies.csv, key: net, encoding: operation-tuple, features: [snip]}
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::TabularError;
use super::encoding::{Encoding, Key};
use super::sheet::{Format, Sheet};
use crate::space::{Genotype, Space};

/// Descriptions that are part of the program. Their files are not.
const BUILT_IN: [(&str, &str); 6] = [
    ("enas6", include_str!("tables/enas6.yaml")),
    ("macro-cifar100", include_str!("tables/macro-cifar100.yaml")),
    ("nas-bench-101-accuracies", include_str!("tables/nas-bench-101-accuracies.yaml")),
    ("nas-bench-101-energy", include_str!("tables/nas-bench-101-energy.yaml")),
    ("nas-bench-201", include_str!("tables/nas-bench-201.yaml")),
    ("nas-bench-macro", include_str!("tables/nas-bench-macro.yaml")),
];
/// A description is a page of text, not more.
const LARGEST_DESCRIPTION: u64 = 64 * 1024;

/// Names of the tables whose descriptions are built in.
pub fn built_in_tables() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

/// Networks of a space and columns of numbers about them.
#[derive(Debug)]
pub struct Table {
    space: Space,
    genotypes: Vec<Genotype>,
    rows: HashMap<Genotype, usize>,
    canonical_rows: HashMap<Genotype, usize>,
    columns: HashMap<String, Vec<f64>>,
    labels: Vec<String>,
    features: Vec<String>,
    latencies: Vec<String>,
}

/// A description as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    /// For people: where the table is from.
    #[serde(default, rename = "about")]
    _about: String,
    space: String,
    csv: PathBuf,
    #[serde(default)]
    format: Format,
    key: Columns,
    encoding: Encoding,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    latencies: Vec<String>,
    #[serde(default)]
    join: Vec<Part>,
}

/// One file of a table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    csv: PathBuf,
    #[serde(default)]
    format: Format,
    key: Columns,
    encoding: Encoding,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    latencies: Vec<String>,
}

/// One column or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Columns {
    One(String),
    Many(Vec<String>),
}

impl Columns {
    fn names(&self) -> &[String] {
        match self {
            Columns::One(name) => std::slice::from_ref(name),
            Columns::Many(names) => names,
        }
    }
}

impl Part {
    fn value_columns(&self) -> impl Iterator<Item = &String> + Clone {
        self.labels.iter().chain(&self.features).chain(&self.latencies)
    }
}

impl Table {
    /// Reads a table: a built-in description by its name, or a YAML file. Its files are looked for in `folder`, or beside
    /// the YAML file.
    ///
    /// # Errors
    /// If a file is missing or broken; the message names file, record and reason.
    pub fn open(description: &str, folder: Option<&Path>) -> Result<Self, TabularError> {
        let built_in = BUILT_IN.iter().find(|(name, _)| *name == description);
        let path = Path::new(description);
        match (built_in, folder) {
            (Some((name, text)), Some(folder)) => Table::read(name, text, folder),
            (Some((name, _)), None) => Err(TabularError::NoFolder { name: name.to_string() }),
            (None, _) if !path.is_file() => Err(TabularError::UnknownTable { name: description.to_string() }),
            (None, _) => {
                let beside = path.parent().unwrap_or(Path::new(""));
                Table::read(description, &read_description(path)?, folder.unwrap_or(beside))
            }
        }
    }

    fn read(origin: &str, text: &str, folder: &Path) -> Result<Self, TabularError> {
        let invalid = |faults: String| TabularError::Description { origin: origin.to_string(), faults };
        let description: Description = serde_saphyr::from_str(text).map_err(|e| invalid(e.to_string()))?;
        let (space, parts) = description.parts()?;
        let faults = faults(&space, &parts);
        if !faults.is_empty() {
            return Err(invalid(faults.join("\n")));
        }
        let (first, joined) = parts.split_first().expect("a description has a first part");
        let mut table = Table::of_first(space, first, folder)?;
        joined.iter().try_for_each(|part| table.join(part, folder))?;
        Ok(table)
    }

    fn of_first(space: Space, part: &Part, folder: &Path) -> Result<Self, TabularError> {
        let sheet = Sheet::open(&folder.join(&part.csv), part.format)?;
        let mut genotypes = Vec::with_capacity(sheet.rows().len());
        for (at, key) in keys(&sheet, part, &space)?.into_iter().enumerate() {
            match key {
                Key::Genotype(genotype) => genotypes.push(genotype),
                Key::Row(_) => return Err(TabularError::record(sheet.path(), at + 1, "the first file names networks")),
            }
        }
        let (mut rows, mut canonical_rows) = (HashMap::new(), HashMap::new());
        for (row, genotype) in genotypes.iter().enumerate() {
            rows.entry(genotype.clone()).or_insert(row);
            canonical_rows.entry(space.canonical(genotype)).or_insert(row);
        }
        let mut table = Table {
            space,
            genotypes,
            rows,
            canonical_rows,
            columns: HashMap::new(),
            labels: Vec::new(),
            features: Vec::new(),
            latencies: Vec::new(),
        };
        let own_rows: Vec<Option<usize>> = (0..table.genotypes.len()).map(Some).collect();
        table.add_columns(&sheet, part, &own_rows)?;
        Ok(table)
    }

    /// Adds the columns of another file. A network that the file does not name has the numbers of its canonical form, or
    /// none.
    fn join(&mut self, part: &Part, folder: &Path) -> Result<(), TabularError> {
        let sheet = Sheet::open(&folder.join(&part.csv), part.format)?;
        let mut named: HashMap<Genotype, usize> = HashMap::new();
        let mut placed = vec![None; self.genotypes.len()];
        for (at, key) in keys(&sheet, part, &self.space)?.into_iter().enumerate() {
            let strange = |reason: String| TabularError::record(sheet.path(), at + 1, reason);
            match key {
                Key::Row(row) if row < placed.len() => placed[row] = Some(at),
                Key::Row(row) => return Err(strange(format!("the first file has no record {row}"))),
                Key::Genotype(genotype) if self.find(&genotype).is_some() => drop(named.insert(genotype, at)),
                Key::Genotype(genotype) => {
                    let text = self.space.format(&genotype);
                    return Err(strange(format!("the first file has no network `{text}`")));
                }
            }
        }
        for (place, genotype) in placed.iter_mut().zip(&self.genotypes) {
            let by_name = named.get(genotype).or_else(|| named.get(&self.space.canonical(genotype)));
            *place = place.or(by_name.copied());
        }
        self.add_columns(&sheet, part, &placed)
    }

    /// Adds the value columns of a sheet, whose record `rows[i]` is about network `i`.
    fn add_columns(&mut self, sheet: &Sheet, part: &Part, rows: &[Option<usize>]) -> Result<(), TabularError> {
        let places = sheet.columns(part.value_columns())?;
        for (name, place) in part.value_columns().zip(places) {
            let numbers = sheet.numbers(place)?;
            let column = rows.iter().map(|row| row.map_or(f64::NAN, |row| numbers[row])).collect();
            self.columns.insert(name.clone(), column);
        }
        self.labels.extend_from_slice(&part.labels);
        self.features.extend_from_slice(&part.features);
        self.latencies.extend_from_slice(&part.latencies);
        Ok(())
    }

    /// The space of the networks.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The networks, in the order of the table's first file, as it writes them: not all of them canonical.
    pub fn genotypes(&self) -> &[Genotype] {
        &self.genotypes
    }

    /// A column by its name, a number for each network; what is missing is not a number.
    pub fn column(&self, name: &str) -> Option<&[f64]> {
        self.columns.get(name).map(Vec::as_slice)
    }

    /// Names of the columns that predictors learn.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Names of the columns that predictors may look at.
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// Names of the columns that devices measured.
    pub fn latencies(&self) -> &[String] {
        &self.latencies
    }

    /// The row of a network: the one written the same way, or else the first of the same canonical form.
    pub fn find(&self, genotype: &Genotype) -> Option<usize> {
        let same_network = || self.canonical_rows.get(&self.space.canonical(genotype));
        self.rows.get(genotype).or_else(same_network).copied()
    }
}

impl Description {
    /// The space and all files, the first first.
    fn parts(self) -> Result<(Space, Vec<Part>), TabularError> {
        let Description { csv, format, key, encoding, labels, features, latencies, .. } = self;
        let first = Part { csv, format, key, encoding, labels, features, latencies };
        Ok((Space::named(&self.space)?, std::iter::once(first).chain(self.join).collect()))
    }
}

fn faults(space: &Space, parts: &[Part]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for part in parts {
        let file = part.csv.display();
        if part.encoding.columns().is_some_and(|columns| columns != part.key.names().len()) {
            faults.push(format!(
                "  `{file}`: {:?} does not suit {} key columns",
                part.encoding,
                part.key.names().len()
            ));
        }
        if part.encoding.space().is_some_and(|name| name != space.name()) {
            faults.push(format!("  `{file}`: {:?} does not write networks of `{}`", part.encoding, space.name()));
        }
        let twice = part.value_columns().filter(|name| !seen.insert(*name));
        faults.extend(twice.map(|name| format!("  `{file}`: two columns are named `{name}`")));
    }
    faults
}

fn keys(sheet: &Sheet, part: &Part, space: &Space) -> Result<Vec<Key>, TabularError> {
    let columns = sheet.columns(part.key.names().iter())?;
    let key = |(at, row): (usize, &Vec<String>)| {
        let fields: Vec<&str> = columns.iter().map(|column| row[*column].as_str()).collect();
        part.encoding.read(space, &fields).map_err(|reason| TabularError::record(sheet.path(), at + 1, reason))
    };
    sheet.rows().iter().enumerate().map(key).collect()
}

fn read_description(path: &Path) -> Result<String, TabularError> {
    let unreadable = |reason: &dyn std::fmt::Display| TabularError::unreadable(path, reason);
    let size = std::fs::metadata(path).map_err(|e| unreadable(&e))?.len();
    if size > LARGEST_DESCRIPTION {
        return Err(unreadable(&format!("{size} bytes are no description of a table")));
    }
    std::fs::read_to_string(path).map_err(|e| unreadable(&e))
}
