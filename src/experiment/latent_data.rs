//! The networks of a table, or of a space alone, as a latent space learns them: graphs with accuracy and complexity, and
//! which of them are held out.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::python_random::PythonRandom;
use crate::generate::Example;
use crate::graph::{Cost, NumberFormat};
use crate::seed;
use crate::space::{Codec, Genotype, Space, SpaceError};
use crate::tabular::Table;

/// What the complexity of a network is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Complexity {
    /// Multiply-accumulates of one image.
    Macs,
    /// Trained parameters.
    Params,
    /// Peak activation RAM in bytes, 32-bit numbers, by the memory plan.
    PeakRam,
    /// What a device measured, a column of the table.
    Measured(String),
}

impl fmt::Display for Complexity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Complexity::Macs => "macs",
            Complexity::Params => "params",
            Complexity::PeakRam => "peak-ram",
            Complexity::Measured(column) => column,
        })
    }
}

impl FromStr for Complexity {
    type Err = std::convert::Infallible;
    /// Any other name is that of a column.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "macs" => Complexity::Macs,
            "params" => Complexity::Params,
            "peak-ram" => Complexity::PeakRam,
            column => Complexity::Measured(column.to_string()),
        })
    }
}

impl Complexity {
    /// The exact complexity of a network, from its lowering; nothing if it has to be measured.
    pub fn exact(&self, space: &Space, genotype: &Genotype) -> Option<f64> {
        let cost = || Cost::of(&space.lower(genotype));
        match self {
            Complexity::Macs => Some(cost().macs as f64),
            Complexity::Params => Some(cost().params as f64),
            Complexity::PeakRam => Some(cost().peak_ram(NumberFormat::F32).0 as f64),
            Complexity::Measured(_) => None,
        }
    }
}

/// Which networks of a table are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// That of D-VAE and NGAE: without the first 1,000 rows, shuffled by Python's `random.Random(0)`, the last tenth held
    /// out.
    Published,
    /// A random tenth of the different networks.
    Random,
}

/// Rows that the published split leaves out.
const BURNT_IN: usize = 1000;
/// Parts of a split, one of which is held out.
const PARTS: usize = 10;

/// Why a table is of no use here.
#[derive(Debug, thiserror::Error)]
pub enum LatentDataError {
    /// The space has no codec.
    #[error(transparent)]
    Space(#[from] SpaceError),
    /// The table has no such label.
    #[error("the table has no label `{name}`\nhint: choose one of {}", known.join(", "))]
    Label {
        /// What was asked for.
        name: String,
        /// The labels that there are.
        known: Vec<String>,
    },
    /// The complexity is neither computed nor measured.
    #[error(
        "`{name}` is no complexity\nhint: choose macs, params or peak-ram{}",
        if known.is_empty() { String::new() } else { format!(", or a latency of the table: {}", known.join(", ")) }
    )]
    Complexity {
        /// What was asked for.
        name: String,
        /// The latencies that there are.
        known: Vec<String>,
    },
    /// Too few networks to hold some out.
    #[error("{found} networks are too few to learn from and to test on\nhint: give {needed} or more")]
    TooFew {
        /// Networks that can be used.
        found: usize,
        /// Networks needed.
        needed: usize,
    },
}

/// Networks to learn from and networks held out.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentData {
    /// The space of all.
    pub space: Space,
    /// To learn from.
    pub train: Vec<(Genotype, Example)>,
    /// Held out.
    pub test: Vec<(Genotype, Example)>,
    /// Rows of the table that are not used: without label or complexity, not connected, the same network once more.
    pub left_out: usize,
}

/// Fewest networks to make a split of.
const FEWEST: usize = 40;

impl LatentData {
    /// The networks of a table.
    ///
    /// # Errors
    /// If the space has no codec, there is no such label or complexity, or too few networks have both.
    pub fn of_table(
        table: &Table,
        label: &str,
        complexity: &Complexity,
        split: Split,
        seed: u64,
    ) -> Result<LatentData, LatentDataError> {
        Codec::of(table.space())?;
        let is_label = table.labels().iter().any(|known| known == label);
        let labels = table
            .column(label)
            .filter(|_| is_label)
            .ok_or_else(|| LatentDataError::Label { name: label.to_string(), known: table.labels().to_vec() })?;
        let measured = match complexity {
            Complexity::Measured(name) => {
                let is_latency = table.latencies().contains(name);
                let column = table.column(name).filter(|_| is_latency).ok_or_else(|| LatentDataError::Complexity {
                    name: name.clone(),
                    known: table.latencies().to_vec(),
                })?;
                Some(column)
            }
            Complexity::Macs | Complexity::Params | Complexity::PeakRam => None,
        };
        let first = if split == Split::Published { BURNT_IN } else { 0 };
        let rows = (first..table.genotypes().len()).map(|row| (table.genotypes()[row].clone(), row));
        let mut seen = HashSet::new();
        let known = |(genotype, row): &(Genotype, usize)| {
            labels[*row].is_finite() && measured.is_none_or(|column| column[*row] > 0.0 && column[*row].is_finite())
                // The published split does not ask whether two rows are the same network.
                && (split == Split::Published || seen.insert(table.space().canonical(genotype)))
        };
        let rows: Vec<(Genotype, usize)> = rows.filter(known).collect();
        let examples = |(genotype, row): &(Genotype, usize)| {
            example(table.space(), genotype, labels[*row], complexity, measured.map(|column| column[*row]))
        };
        let mut found: Vec<(Genotype, Example)> = rows.par_iter().filter_map(examples).collect();
        match split {
            Split::Published => PythonRandom::new(0).shuffle(&mut found),
            Split::Random => found.shuffle(&mut seed::stream(seed, "latent split", 0)),
        }
        let left_out = table.genotypes().len() - found.len();
        LatentData::divided(table.space(), found, left_out)
    }

    /// Random networks of a space, of which no accuracy is known.
    ///
    /// # Errors
    /// If the space has no codec, the complexity has to be measured, or there are too few networks.
    pub fn of_space(
        space: &Space,
        networks: usize,
        complexity: &Complexity,
        seed: u64,
    ) -> Result<LatentData, LatentDataError> {
        Codec::of(space)?;
        if let Complexity::Measured(name) = complexity {
            return Err(LatentDataError::Complexity { name: name.clone(), known: Vec::new() });
        }
        let mut rng = seed::stream(seed, "latent networks", 0);
        let mut seen = HashSet::new();
        // Small spaces end before that many different ones are found.
        let drawn = (0..4 * networks).map(|_| space.sample(&mut rng)).filter(|genotype| seen.insert(genotype.clone()));
        let drawn: Vec<Genotype> = drawn.take(networks).collect();
        let found = drawn.par_iter().filter_map(|genotype| example(space, genotype, f64::NAN, complexity, None));
        LatentData::divided(space, found.collect(), 0)
    }

    /// The networks to learn from alone, a tenth of them held out: to choose sizes and schedules without a look at the
    /// networks held out before.
    ///
    /// # Errors
    /// If there are too few.
    pub fn validation(self) -> Result<LatentData, LatentDataError> {
        let left_out = self.left_out + self.test.len();
        LatentData::divided(&self.space, self.train, left_out)
    }

    /// Whether the performance of all is known.
    pub fn has_performance(&self) -> bool {
        self.train.iter().chain(&self.test).all(|(_, example)| example.performance.is_finite())
    }

    fn divided(space: &Space, mut found: Vec<(Genotype, Example)>, left_out: usize) -> Result<Self, LatentDataError> {
        if found.len() < FEWEST {
            return Err(LatentDataError::TooFew { found: found.len(), needed: FEWEST });
        }
        let test = found.split_off(found.len() * (PARTS - 1) / PARTS);
        Ok(LatentData { space: space.clone(), train: found, test, left_out })
    }
}

/// A network as it is learnt; nothing if the decoder could not make it.
fn example(
    space: &Space,
    genotype: &Genotype,
    performance: f64,
    complexity: &Complexity,
    measured: Option<f64>,
) -> Option<(Genotype, Example)> {
    let dag = space.dag(genotype);
    let canonical = space.genotype_of(&dag).ok()?;
    let complexity = complexity.exact(space, &canonical).or(measured).filter(|complexity| *complexity > 0.0)?;
    Some((canonical, Example { dag, performance, complexity }))
}
