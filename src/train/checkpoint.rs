//! The state of a training between two epochs, in a file that a killed process can go on from.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{EpochRecord, TrainError};

/// Everything that the next epoch depends on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Checkpoint {
    /// What was trained, so that another training does not go on from here by mistake.
    pub identity: String,
    pub trained: Vec<f32>,
    pub buffers: Vec<f32>,
    pub optimiser: Vec<f32>,
    /// Mean of the weights so far; empty if none is kept.
    pub average: Vec<f32>,
    /// Trained weights and statistics of the best epoch so far; empty if none is kept.
    pub best: [Vec<f32>; 2],
    pub curve: Vec<EpochRecord>,
}

const ARRAYS: [&str; 6] = ["trained", "buffers", "optimiser", "average", "best_trained", "best_buffers"];

impl Checkpoint {
    /// Writes beside the file and renames, so that there is always one whole checkpoint.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let wrong = |reason: String| TrainError::Checkpoint { path: path.to_path_buf(), reason };
        let [best_trained, best_buffers] = &self.best;
        let bytes: Vec<Vec<u8>> =
            [&self.trained, &self.buffers, &self.optimiser, &self.average, best_trained, best_buffers]
                .map(|values| values.iter().flat_map(|v| v.to_le_bytes()).collect())
                .to_vec();
        let views: Result<Vec<(&str, TensorView)>, _> = ARRAYS
            .into_iter()
            .zip(&bytes)
            .map(|(name, bytes)| TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).map(|view| (name, view)))
            .collect();
        let views = views.map_err(|e| wrong(e.to_string()))?;
        let curve = serde_json::to_string(&self.curve).expect("a curve is plain data");
        let notes = HashMap::from([("curve".to_string(), curve), ("identity".to_string(), self.identity.clone())]);
        let file = safetensors::serialize(views, Some(notes)).map_err(|e| wrong(e.to_string()))?;
        let beside = path.with_extension("partial");
        fs::write(&beside, file).and_then(|()| fs::rename(&beside, path)).map_err(|e| wrong(e.to_string()))
    }

    /// The checkpoint, if there is one of this training.
    pub fn load(path: &Path, identity: &str) -> Result<Option<Checkpoint>, TrainError> {
        let wrong = |reason: String| TrainError::Checkpoint { path: path.to_path_buf(), reason };
        if !path.exists() {
            return Ok(None);
        }
        let file = fs::read(path).map_err(|e| wrong(e.to_string()))?;
        let (_, header) = SafeTensors::read_metadata(&file).map_err(|e| wrong(e.to_string()))?;
        let tensors = SafeTensors::deserialize(&file).map_err(|e| wrong(e.to_string()))?;
        let note = |name: &str| header.metadata().as_ref().and_then(|notes| notes.get(name));
        if note("identity").map(String::as_str) != Some(identity) {
            return Ok(None);
        }
        let values = |name: &str| -> Result<Vec<f32>, TrainError> {
            let view = tensors.tensor(name).map_err(|e| wrong(e.to_string()))?;
            let number = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("chunks have four bytes"));
            Ok(view.data().chunks_exact(4).map(number).collect())
        };
        let curve = note("curve").and_then(|text| serde_json::from_str(text).ok());
        Ok(Some(Checkpoint {
            identity: identity.to_string(),
            trained: values("trained")?,
            buffers: values("buffers")?,
            optimiser: values("optimiser")?,
            average: values("average")?,
            best: [values("best_trained")?, values("best_buffers")?],
            curve: curve.ok_or_else(|| wrong("it has no curve".to_string()))?,
        }))
    }
}
