//! The journal: one line of JSON for everything observed, written and flushed before the run goes on.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::lines::{Lines, wrong_line};
use super::{RunError, SCHEMA_VERSION, Tested};
use crate::measure::BenchReport;
use crate::search::Origin;

/// A cheap training and what was known before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Place in the search, from 0.
    pub index: usize,
    /// The network.
    pub genotype: String,
    /// How it was proposed.
    pub origin: Origin,
    /// Accuracy that the predictor expected.
    pub predicted_accuracy: Option<f64>,
    /// Latency that the latency model expects of the deployed network.
    pub predicted_latency_ms: Option<f64>,
    /// Multiply-accumulates of the deployed network.
    pub macs: u64,
    /// Its parameters.
    pub params: u64,
    /// Its peak activation RAM.
    pub peak_ram_bytes: u64,
    /// Its weights flash.
    pub weights_flash_bytes: u64,
    /// Accuracy on the validation images after cheap training; absent if it failed.
    pub validation_accuracy: Option<f64>,
    /// Why it failed.
    pub failure: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Entry {
    /// The first line.
    Started {
        /// Version of the journal.
        schema_version: u32,
    },
    /// A cheap training.
    Trial(TrialRecord),
    /// A full training.
    Full {
        /// The network.
        genotype: String,
        /// Accuracy on the validation images.
        validation_accuracy: Option<f64>,
        /// Why it failed.
        failure: Option<String>,
        /// How long it took.
        seconds: f64,
    },
    /// The winner's second training.
    Retrained {
        /// The network.
        genotype: String,
        /// The network that taught it, if one did.
        teacher: Option<String>,
        /// Accuracy on the validation images.
        validation_accuracy: Option<f64>,
        /// Why it failed.
        failure: Option<String>,
        /// How long it took.
        seconds: f64,
    },
    /// A measurement of an exported network.
    Measured {
        /// The network.
        genotype: String,
        /// What was measured.
        bench: BenchReport,
    },
    /// The winner's only look at the test images.
    Tested {
        /// The network.
        genotype: String,
        /// What was found.
        tested: Tested,
    },
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    lines: Lines<Entry>,
}

impl Journal {
    /// Opens a journal, or starts one, and reads what it holds. A torn last line, which a killed process leaves, is cut off.
    pub fn open(path: &Path) -> Result<(Self, Vec<Entry>), RunError> {
        let (lines, entries) = Lines::open(path)?;
        let mut journal = Journal { lines };
        match entries.first() {
            None => journal.append(&Entry::Started { schema_version: SCHEMA_VERSION })?,
            Some(Entry::Started { schema_version: SCHEMA_VERSION }) => {}
            Some(Entry::Started { schema_version }) => {
                let reason = format!("schema version {schema_version}, this netwright reads {SCHEMA_VERSION}");
                return Err(wrong_line(path, 1, reason));
            }
            Some(_) => {
                let reason = "the first line does not say which version the journal has".to_string();
                return Err(wrong_line(path, 1, reason));
            }
        }
        Ok((journal, entries))
    }

    /// What a journal holds, which a run may be writing to meanwhile.
    ///
    /// # Errors
    /// If it cannot be read, or a whole line is no entry.
    pub fn read(path: &Path) -> Result<Vec<Entry>, RunError> {
        Lines::read(path)
    }

    /// Adds a line and sees it on the disk. If the disk is full, the journal is as it was before.
    pub fn append(&mut self, entry: &Entry) -> Result<(), RunError> {
        self.lines.append(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(genotype: &str) -> Entry {
        Entry::Full { genotype: genotype.to_string(), validation_accuracy: Some(0.5), failure: None, seconds: 1.0 }
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_rest_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let (mut journal, entries) = Journal::open(&path).unwrap();
        assert!(entries.is_empty());
        journal.append(&full("a")).unwrap();
        journal.append(&full("b")).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for torn in 1..40 {
            std::fs::write(&path, &bytes[..bytes.len() - torn]).unwrap();
            let (mut journal, entries) = Journal::open(&path).unwrap();
            assert_eq!(entries[1..], [full("a")], "torn by {torn}");
            journal.append(&full("b")).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn a_broken_line_in_the_middle_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        Journal::open(&path).unwrap().0.append(&full("a")).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"full\"", "full")).unwrap();
        assert!(Journal::open(&path).unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_an_error_with_a_hint() {
        let device = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let path = "journal.jsonl".into();
        let lines = Lines { path, file: device, length: 0, entries: std::marker::PhantomData };
        let mut journal = Journal { lines };
        let error = journal.append(&full("a")).unwrap_err().to_string();
        assert!(error.contains("No space left") && error.contains("hint: free some space"), "{error}");
        assert_eq!(journal.lines.length, 0);
    }
}
