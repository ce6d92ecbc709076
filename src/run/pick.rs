//! Another network of a finished run, trained in full, exported and measured like its winner, without a new search. What
//! it gives lies in a folder of its own inside the run's; the winner's files stay.

use std::str::FromStr;

use super::compile::Begun;
use super::{Entry, FrontRow, Journal, Progress, RunError, RunFolder, Summary, TrialRecord, Watch};
use crate::nn::Device;

/// Which network is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// A row of the Pareto front, from 1.
    Row(usize),
    /// A network that the run has trained.
    Network(String),
}

/// Digits of a row number at most: a genotype of a single layer has more.
const ROW_DIGITS: usize = 5;

impl FromStr for Pick {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let row = text.parse().ok().filter(|_| text.len() <= ROW_DIGITS);
        Ok(row.map_or_else(|| Pick::Network(text.to_string()), Pick::Row))
    }
}

impl Pick {
    /// The trial that is meant.
    fn among<'t>(
        &self,
        trials: &'t [TrialRecord],
        front: &[FrontRow],
        parse: impl Fn(&str) -> Result<String, RunError>,
    ) -> Result<&'t TrialRecord, RunError> {
        let genotype = match self {
            Pick::Row(number) => match front.iter().find(|row| row.row == *number) {
                Some(row) => row.genotype.clone(),
                None => return Err(RunError::NoSuchRow { row: *number, rows: front.len() }),
            },
            Pick::Network(text) => parse(text)?,
        };
        match trials.iter().find(|trial| trial.genotype == genotype && trial.validation_accuracy.is_some()) {
            Some(trial) => Ok(trial),
            None => Err(RunError::NotATrial(genotype)),
        }
    }
}

/// Trains a network of a finished run in full, by the run's recipe and seed, exports, measures and tests it, and writes
/// `model.onnx` and `card.json` into [`RunFolder::pick`]. What the journal and the checkpoints hold is not done again.
///
/// # Errors
/// If the run is not finished, the pick names no network of it or its winner, or its training diverges.
pub fn pick(folder: &RunFolder, wanted: &Pick, device: &Device, watch: Watch) -> Result<Summary, RunError> {
    check_finished(folder)?;
    let mut begun = Begun::open(folder, None, device, watch)?;
    let trials = begun.search(watch)?;
    let mut found = begun.finalists(trials, watch)?;
    let space = begun.prepared.space.clone();
    let trial = wanted.among(&found.trials, &found.front, |text| Ok(space.format(&space.parse(text)?)))?.clone();
    if trial.genotype == found.winner() {
        return Err(RunError::IsWinner { genotype: trial.genotype, model: folder.file("model.onnx") });
    }
    watch(Progress::Stage("training, exporting and measuring the picked network"));
    let place = begun.add_finalist(&mut found, &trial, watch)?;
    begun.deploy(found, place, &folder.pick(&trial.genotype)?, watch)
}

/// A run ends with the test of its winner.
fn check_finished(folder: &RunFolder) -> Result<(), RunError> {
    let journal = folder.file("journal.jsonl");
    let entries = if journal.exists() { Journal::read(&journal)? } else { Vec::new() };
    match entries.iter().any(|entry| matches!(entry, Entry::Tested { .. })) {
        true => Ok(()),
        false => Err(RunError::NotFinished(folder.path().to_path_buf())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_short_numbers_and_all_else_is_a_network() {
        let parsed = |text: &str| text.parse::<Pick>().expect("any text is a pick");
        assert_eq!(parsed("12"), Pick::Row(12));
        assert_eq!(parsed("100000"), Pick::Network("100000".to_string()));
        assert_eq!(parsed("smallest"), Pick::Network("smallest".to_string()));
    }
}
