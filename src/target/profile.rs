//! Profiles: the YAML that people write, and the [`Target`] that it becomes.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::graph::NumberFormat;
use crate::units::{Bytes, Macs, Millis};

/// Profiles that are part of the program.
const BUILT_IN: [(&str, &str); 1] = [("host", include_str!("../../targets/host.yaml"))];
/// A profile is a page of text, not more.
const LARGEST_FILE: u64 = 64 * 1024;

/// A device that networks are made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name, the stem of its file.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// How numbers are stored on it.
    pub numbers: NumberFormat,
    /// What a network must not exceed.
    pub limits: Limits,
}

/// Hard limits; what is absent does not limit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// Peak activation RAM.
    pub peak_ram: Option<Bytes>,
    /// Weights flash.
    pub weights_flash: Option<Bytes>,
    /// Multiply-accumulates of convolutions.
    pub macs: Option<Macs>,
    /// Latency of one image.
    pub latency: Option<LatencyLimit>,
}

/// A latency that a percentile of the runs must not exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyLimit {
    /// The longest time.
    pub most: Millis,
    /// The percentile: 50, 90 or 99.
    pub percentile: u8,
}

/// What is wrong with a profile.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No built-in profile and no file has this name.
    #[error("no target `{name}`\nhint: built in: {}; or give the path of a profile, `--target my-board.yaml`", built_in_names().join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// A file that cannot be read.
    #[error("cannot read profile `{}`: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file that is no valid profile.
    #[error("profile `{origin}` is not valid:\n{faults}\nhint: `targets/host.yaml` is an example")]
    Invalid {
        /// The file or the built-in name.
        origin: String,
        /// All that is wrong with it.
        faults: String,
    },
}

/// A profile as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    numbers: NumberFormat,
    limits: LimitsFile,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peak_ram: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights_flash: Option<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    macs: Option<Macs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency_percentile: Option<u8>,
}

/// Names of the profiles that are part of the program.
pub fn built_in_names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

impl Target {
    /// A built-in target by its name, or one from a profile's path.
    pub fn open(name_or_path: &str) -> Result<Self, TargetError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Target::parse(text, name);
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            return Err(TargetError::Unknown { name: name_or_path.to_string() });
        }
        let unreadable = |reason: String| TargetError::Unreadable { path: path.to_path_buf(), reason };
        let size = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?.len();
        if size > LARGEST_FILE {
            return Err(unreadable(format!("{size} bytes are more than a profile has")));
        }
        Target::parse(&std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?, name_or_path)
    }

    /// Reads a profile; `origin` is what messages call it.
    pub fn parse(yaml: &str, origin: &str) -> Result<Self, TargetError> {
        let invalid = |faults: String| TargetError::Invalid { origin: origin.to_string(), faults };
        let file: ProfileFile = serde_saphyr::from_str(yaml).map_err(|e| invalid(e.to_string()))?;
        let mut faults = Vec::new();
        let percentile = file.limits.latency_percentile.unwrap_or(90);
        if ![50, 90, 99].contains(&percentile) {
            faults.push(format!("`latency_percentile` is {percentile}, not 50, 90 or 99"));
        }
        let zero = [
            ("peak_ram", file.limits.peak_ram.map(|v| v.0 as f64)),
            ("weights_flash", file.limits.weights_flash.map(|v| v.0 as f64)),
            ("macs", file.limits.macs.map(|v| v.0 as f64)),
            ("latency", file.limits.latency.map(|v| v.0)),
        ];
        faults.extend(zero.iter().filter(|(_, v)| *v == Some(0.0)).map(|(name, _)| format!("`{name}` is zero")));
        if !faults.is_empty() {
            return Err(invalid(faults.join("\n")));
        }
        let LimitsFile { peak_ram, weights_flash, macs, latency, .. } = file.limits;
        let latency = latency.map(|most| LatencyLimit { most, percentile });
        let limits = Limits { peak_ram, weights_flash, macs, latency };
        Ok(Target { name: file.name, description: file.description, numbers: file.numbers, limits })
    }

    /// The profile as YAML.
    pub fn to_yaml(&self) -> String {
        let limits = LimitsFile {
            peak_ram: self.limits.peak_ram,
            weights_flash: self.limits.weights_flash,
            macs: self.limits.macs,
            latency: self.limits.latency.map(|l| l.most),
            latency_percentile: self.limits.latency.map(|l| l.percentile),
        };
        let (name, description) = (self.name.clone(), self.description.clone());
        let file = ProfileFile { name, description, numbers: self.numbers, limits };
        serde_saphyr::to_string(&file).expect("a profile is plain data")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_profile_is_valid_and_named_after_its_file() {
        let shipped = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/targets")).unwrap();
        let mut names: Vec<String> =
            shipped.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        assert_eq!(names, built_in_names());
        for name in names {
            assert_eq!(Target::open(&name).unwrap().name, name);
        }
    }

    #[test]
    fn a_target_is_the_same_after_writing_and_reading() {
        let target = Target::open("host").unwrap();
        assert_eq!(Target::parse(&target.to_yaml(), "again").unwrap(), target);
    }

    #[test]
    fn an_unknown_key_is_shown_with_its_line() {
        let error = Target::parse("name: x\nlimits:\n  ram: 3 KiB\n", "x.yaml").unwrap_err().to_string();
        assert!(error.contains("x.yaml") && error.contains("ram") && error.contains('3'), "{error}");
    }
}
