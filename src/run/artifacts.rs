//! The folder of a run: which file is where, and writing that never leaves half a file under a final name.

use std::fs;
use std::path::{Path, PathBuf};

use super::{RunConfig, RunError, SCHEMA_VERSION};
use crate::space::MacroSpace;
use crate::target::{LatencyModel, Target};

/// The folder of a run.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Whether a new run may have this folder: it can be written, and is empty or absent, or holds a run that `overwrite`
    /// gives up.
    pub fn check_free(path: &Path, overwrite: bool) -> Result<(), RunError> {
        let is_run = ["config.yaml", "journal.jsonl", "target.yaml"].iter().any(|file| path.join(file).exists());
        match (is_empty(path)?, is_run) {
            (true, _) => check_writable(path),
            (_, false) => Err(RunError::Occupied(path.to_path_buf())),
            (_, true) if overwrite => check_writable(path),
            (_, true) => Err(RunError::Exists(path.to_path_buf())),
        }
    }

    /// A new folder; with `overwrite`, the run that it holds is removed.
    pub fn create(path: &Path, overwrite: bool) -> Result<Self, RunError> {
        let failed = |e: std::io::Error| RunError::File { path: path.to_path_buf(), reason: e.to_string() };
        RunFolder::check_free(path, overwrite)?;
        if !is_empty(path)? {
            fs::remove_dir_all(path).map_err(failed)?;
        }
        fs::create_dir_all(path).map_err(failed)?;
        Ok(RunFolder { path: path.to_path_buf() })
    }

    /// The folder of a run that has begun.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let missing = ["config.yaml", "target.yaml"].into_iter().find(|file| !path.join(file).is_file());
        match missing {
            Some(file) => Err(RunError::NotARun { path: path.to_path_buf(), file }),
            None => Ok(RunFolder { path: path.to_path_buf() }),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the full training of a network keeps its state.
    pub fn checkpoint(&self, genotype: &str) -> PathBuf {
        self.path.join("checkpoints").join(format!("{genotype}.safetensors"))
    }

    /// The folder of a network that was picked beside the winner; it is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn pick(&self, genotype: &str) -> Result<PathBuf, RunError> {
        let path = self.path.join("picks").join(genotype);
        fs::create_dir_all(&path).map_err(|e| RunError::File { path: path.clone(), reason: e.to_string() })?;
        Ok(path)
    }

    /// Writes what decides the run; `config.yaml` comes last, so that a folder that has it has everything.
    pub fn write_decisions(
        &self,
        config: &RunConfig,
        target: &Target,
        latency: Option<&LatencyModel>,
    ) -> Result<(), RunError> {
        write_whole(&self.file("target.yaml"), target.to_yaml().as_bytes())?;
        if let Some(latency) = latency {
            let json = serde_json::to_string_pretty(latency).expect("a latency model is plain data");
            write_whole(&self.file("latency.json"), json.as_bytes())?;
        }
        let checkpoints = self.file("checkpoints");
        fs::create_dir_all(&checkpoints)
            .map_err(|e| RunError::File { path: checkpoints.clone(), reason: e.to_string() })?;
        let yaml = serde_saphyr::to_string(config).expect("a configuration is plain data");
        write_whole(&self.file("config.yaml"), yaml.as_bytes())
    }

    /// Reads what decides the run.
    pub fn read_decisions(&self) -> Result<(RunConfig, Target, Option<LatencyModel>), RunError> {
        let path = self.file("config.yaml");
        let content = |reason: String| RunError::Content { path: path.clone(), reason };
        let text = read(&path)?;
        let version = text.lines().find_map(|line| line.strip_prefix("schema_version:"));
        if version.map(str::trim) != Some(&SCHEMA_VERSION.to_string()) {
            let found = version.map_or("none", str::trim);
            return Err(content(format!("schema version {found}, this netwright reads {SCHEMA_VERSION}")));
        }
        let config: RunConfig = serde_saphyr::from_str(&text).map_err(|e| content(e.to_string()))?;
        MacroSpace::new(config.space.clone())?;
        let target_path = self.file("target.yaml");
        let target = Target::parse(&read(&target_path)?, &target_path.display().to_string())?;
        let latency_path = self.file("latency.json");
        let latency = match latency_path.exists() {
            true => Some(
                serde_json::from_str(&read(&latency_path)?)
                    .map_err(|e| RunError::Content { path: latency_path.clone(), reason: e.to_string() })?,
            ),
            false => None,
        };
        Ok((config, target, latency))
    }
}

/// Whether there is nothing at this path, or a folder without content.
fn is_empty(path: &Path) -> Result<bool, RunError> {
    match fs::read_dir(path) {
        Ok(mut inside) => Ok(inside.next().is_none()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(_) if path.exists() => Ok(false),
        Err(e) => Err(RunError::File { path: path.to_path_buf(), reason: e.to_string() }),
    }
}

/// Whether something can be written where the run is to be kept: better now than after minutes of measuring. The folder
/// itself is not made yet, so the nearest one that exists is tried.
fn check_writable(path: &Path) -> Result<(), RunError> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let Some(there) = whole.ancestors().find(|ancestor| ancestor.exists()) else { return Ok(()) };
    let probe = there.join(format!(".netwright-{}.partial", std::process::id()));
    let tried = fs::write(&probe, "").and_then(|()| fs::remove_file(&probe));
    tried.map_err(|e| RunError::File { path: path.to_path_buf(), reason: e.to_string() })
}

fn read(path: &Path) -> Result<String, RunError> {
    fs::read_to_string(path).map_err(|e| RunError::File { path: path.to_path_buf(), reason: e.to_string() })
}

/// Writes a file beside its final name and renames it: there is the whole file or none.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), RunError> {
    let partial = path.with_extension("partial");
    let written = fs::write(&partial, content).and_then(|()| fs::rename(&partial, path));
    written.map_err(|e| {
        // The half-written file is of no use; if it cannot be removed either, its name says what it is.
        let _ = fs::remove_file(&partial);
        RunError::File { path: path.to_path_buf(), reason: e.to_string() }
    })
}
