//! Calibrations of this host, kept in the user's cache directory: one file for each processor, runtime and set of
//! operators.

use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::{Calibration, CalibrationConfig, Host, MeasureError, RUNTIME, calibrate};
use crate::graph::Graph;
use crate::target::LatencyModel;

/// Where the calibration for these networks is kept, if the system has a cache directory. `NETWRIGHT_CACHE` names another.
pub fn calibration_file(graphs: &[Graph]) -> Option<PathBuf> {
    let here = directories::ProjectDirs::from("", "", "netwright").map(|dirs| dirs.cache_dir().to_path_buf());
    let root = std::env::var_os("NETWRIGHT_CACHE").map(PathBuf::from).or(here)?;
    let mut digest = Sha256::new();
    digest.update(format!("{RUNTIME} {} {}", Host::here().cpu, LatencyModel::SCHEMA_VERSION));
    graphs.iter().for_each(|graph| digest.update(format!("{graph:?}")));
    let name: String = digest.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect();
    Some(root.join(format!("calibration-{name}.json")))
}

/// The latency model for networks like these: from the cache, or measured now and kept there.
///
/// # Errors
/// If it must be measured and a network does not run. A cache that cannot be written is no error: the next run measures
/// again.
pub fn calibrated(
    graphs: &[Graph],
    config: &CalibrationConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<LatencyModel, MeasureError> {
    let file = calibration_file(graphs);
    let kept = file.as_ref().and_then(|file| fs::read(file).ok());
    if let Some(model) = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(model);
    }
    let Calibration { model, .. } = calibrate(graphs, config, progress)?;
    keep(&model, graphs);
    Ok(model)
}

/// Keeps a calibration for later runs.
pub fn keep(model: &LatencyModel, graphs: &[Graph]) {
    let Some(file) = calibration_file(graphs) else { return };
    let json = serde_json::to_vec_pretty(model).expect("a latency model is plain data");
    let partial = file.with_extension("partial");
    let written = file.parent().map_or(Ok(()), fs::create_dir_all);
    let _ = written.and_then(|()| fs::write(&partial, json)).and_then(|()| fs::rename(&partial, &file));
}
