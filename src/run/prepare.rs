//! What a run stands on: its data, at the size of its networks' input, and its space, made from the configuration.

use super::{BUILT_IN_IMAGES, DataConfig, RunConfig, RunError};
use crate::data::{BuiltIn, Dataset, OpenOptions};
use crate::graph::Shape;
use crate::space::{MacroConfig, MacroSpace, Task};

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
        match dataset.digest == config.data.digest && can_shrink(dataset.shape(), config.space.input) {
            true => Ok(Prepared {
                dataset: dataset.shrunk(config.space.input),
                space: MacroSpace::new(config.space.clone())?,
            }),
            false => Err(RunError::DataChanged),
        }
    }
}

/// Whether images of one shape can become those of another.
fn can_shrink(from: Shape, to: Shape) -> bool {
    let fewer = to.height <= from.height && to.width <= from.width;
    fewer && (to.channels == from.channels || to.channels == 1)
}

/// The images and classes of a data set, as spaces are made for them.
pub fn task_of(dataset: &Dataset) -> Task {
    Task {
        input: dataset.shape(),
        classes: dataset.classes.len(),
        mean: dataset.mean.clone(),
        std: dataset.std.clone(),
    }
}

/// The space at full width for the images and classes of a data set.
pub fn space_of(dataset: &Dataset) -> MacroConfig {
    MacroConfig {
        input: dataset.shape(),
        classes: dataset.classes.len(),
        mean: dataset.mean.clone(),
        std: dataset.std.clone(),
        ..MacroConfig::default()
    }
}

impl DataConfig {
    /// The built-in images of a seed.
    pub fn built_in(seed: u64) -> Self {
        let built_in = BUILT_IN_IMAGES;
        DataConfig { path: None, seed, side: None, format: None, built_in, digest: String::new() }
    }

    /// Reads or draws the images.
    pub fn open(&self) -> Result<Dataset, RunError> {
        let Some(path) = &self.path else {
            let [train, validation, test] = self.built_in;
            return Ok(Dataset::built_in(&BuiltIn { seed: self.seed, train, validation, test }));
        };
        let (seed, side, format) = (self.seed, self.side, self.format);
        let options = OpenOptions { seed, side, format, ..OpenOptions::default() };
        Ok(Dataset::open(path, &options)?)
    }
}
