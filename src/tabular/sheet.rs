//! A file of records, each with the same named fields, as text: CSV, and two published files that are not CSV.

use std::path::{Path, PathBuf};

use super::TabularError;

/// How a file of records is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Format {
    /// Comma-separated values under a line of names.
    #[default]
    Csv,
    /// Lines of `[[0], [4, 0], …], 0.7302`: columns `structure` and `accuracy`.
    Structures,
    /// A JSON object of objects: columns `key` and every number of the records, `name.0`, `name.1`, … for a list.
    JsonRecords,
}

/// Records with named fields.
#[derive(Debug)]
pub(super) struct Sheet {
    path: PathBuf,
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    /// Reads a file of records.
    ///
    /// # Errors
    /// If it cannot be read or a record has other fields than the first.
    pub fn open(path: &Path, format: Format) -> Result<Self, TabularError> {
        match format {
            Format::Csv => Sheet::csv(path),
            Format::Structures => Sheet::structures(path),
            Format::JsonRecords => Sheet::json_records(path),
        }
    }

    fn csv(path: &Path) -> Result<Self, TabularError> {
        let mut reader = csv::Reader::from_path(path).map_err(|e| TabularError::unreadable(path, e))?;
        let headers = reader.headers().map_err(|e| TabularError::format(path, "CSV", e))?;
        let names = headers.iter().map(|name| name.trim().to_string()).collect();
        let row = |(at, record): (usize, csv::Result<csv::StringRecord>)| match record {
            Ok(record) => Ok(record.iter().map(|field| field.trim().to_string()).collect()),
            Err(error) => Err(TabularError::record(path, at + 1, error)),
        };
        let rows: Result<_, _> = reader.records().enumerate().map(row).collect();
        Ok(Sheet { path: path.to_path_buf(), names, rows: rows? })
    }

    fn structures(path: &Path) -> Result<Self, TabularError> {
        let text = std::fs::read_to_string(path).map_err(|e| TabularError::unreadable(path, e))?;
        let row = |(at, line): (usize, &str)| match line.rsplit_once("],") {
            Some((structure, accuracy)) => Ok(vec![format!("{structure}]"), accuracy.trim().to_string()]),
            None => Err(TabularError::record(path, at + 1, "is not a structure, a comma and an accuracy")),
        };
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let rows: Result<_, _> = lines.enumerate().map(row).collect();
        Ok(Sheet { path: path.to_path_buf(), names: ["structure", "accuracy"].map(String::from).to_vec(), rows: rows? })
    }

    fn json_records(path: &Path) -> Result<Self, TabularError> {
        use serde_json::{Map, Value};
        let text = std::fs::read_to_string(path).map_err(|e| TabularError::unreadable(path, e))?;
        let records: Map<String, Value> =
            serde_json::from_str(&text).map_err(|e| TabularError::format(path, "a JSON object of records", e))?;
        let mut names: Vec<String> = Vec::new();
        let mut rows = Vec::with_capacity(records.len());
        for (at, (key, record)) in records.iter().enumerate() {
            let fields = record.as_object().map(|fields| fields.iter().flat_map(|(name, value)| flat(name, value)));
            let fields: Vec<(String, String)> =
                fields.ok_or_else(|| TabularError::record(path, at + 1, "is not an object"))?.collect();
            let own: Vec<String> =
                std::iter::once("key".to_string()).chain(fields.iter().map(|(name, _)| name.clone())).collect();
            if at == 0 {
                names = own;
            } else if names != own {
                return Err(TabularError::record(path, at + 1, "has other fields than the first record"));
            }
            rows.push(std::iter::once(key.clone()).chain(fields.into_iter().map(|(_, value)| value)).collect());
        }
        Ok(Sheet { path: path.to_path_buf(), names, rows })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The records, each with a field for each column.
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Places of columns.
    ///
    /// # Errors
    /// If some are missing: all that are, and what is there.
    pub fn columns<'a>(&self, names: impl Iterator<Item = &'a String> + Clone) -> Result<Vec<usize>, TabularError> {
        let place = |name: &String| self.names.iter().position(|own| own == name);
        let missing: Vec<String> = names.clone().filter(|name| place(name).is_none()).cloned().collect();
        match missing.is_empty() {
            true => Ok(names.filter_map(place).collect()),
            false => Err(TabularError::Columns { path: self.path.clone(), missing, found: self.names.clone() }),
        }
    }

    /// A column as numbers; an empty field is not a number.
    ///
    /// # Errors
    /// If a field is neither empty nor a number.
    pub fn numbers(&self, column: usize) -> Result<Vec<f64>, TabularError> {
        let number = |(at, row): (usize, &Vec<String>)| match row[column].as_str() {
            "" => Ok(f64::NAN),
            text => text.parse().map_err(|_| {
                let reason = format!("`{text}` in column `{}` is not a number", self.names[column]);
                TabularError::record(&self.path, at + 1, reason)
            }),
        };
        self.rows.iter().enumerate().map(number).collect()
    }
}

/// The numbers of a field of a JSON record, each under a name of its own.
fn flat(name: &str, value: &serde_json::Value) -> Vec<(String, String)> {
    use serde_json::Value;
    match value {
        Value::Number(number) => vec![(name.to_string(), number.to_string())],
        Value::Array(values) => {
            values.iter().enumerate().flat_map(|(at, value)| flat(&format!("{name}.{at}"), value)).collect()
        }
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Object(_) => Vec::new(),
    }
}
