//! What a run stands on: its data and its space, made from the configuration.

use super::{DataConfig, RunConfig, RunError};
use crate::data::{BuiltIn, Dataset, OpenOptions};
use crate::space::MacroSpace;

/// Data and space of a run.
pub struct Prepared {
    /// The images.
    pub dataset: Dataset,
    /// The space, as deployed.
    pub space: MacroSpace,
}

impl Prepared {
    /// Reads the data and makes the space of a run that has begun.
    ///
    /// # Errors
    /// If the data cannot be read or have changed.
    pub fn of(config: &RunConfig) -> Result<Self, RunError> {
        let dataset = config.data.open()?;
        match dataset.digest == config.data.digest {
            true => Ok(Prepared { dataset, space: MacroSpace::new(config.space.clone())? }),
            false => Err(RunError::DataChanged),
        }
    }
}

impl DataConfig {
    /// Reads or draws the images.
    pub fn open(&self) -> Result<Dataset, RunError> {
        let Some(path) = &self.path else {
            let [train, validation, test] = self.built_in;
            return Ok(Dataset::built_in(&BuiltIn { seed: self.seed, train, validation, test }));
        };
        let options = OpenOptions { seed: self.seed, side: self.side, ..OpenOptions::default() };
        Ok(Dataset::open(path, &options)?)
    }
}
