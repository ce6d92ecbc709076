//! Where targets come from: the profiles that are part of the program, and files.

use std::io::Read;
use std::path::Path;

use super::{LatencyModel, LatencySource, Target, TargetError};

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../targets/", $name, ".yaml")))),*]
    };
}

/// Profiles that are part of the program, by name.
const BUILT_IN: [(&str, &str); 13] = built_in![
    "esp32-s3",
    "host",
    "jetson-nano",
    "macs-15m",
    "nrf52840",
    "pixel-4-cpu",
    "raspberry-pi-4",
    "raspberry-pi-5",
    "raspberry-pi-zero-2w",
    "rp2040",
    "stm32f446re",
    "stm32f746",
    "stm32h743",
];
/// A profile is a page of text, not more.
const LARGEST_PROFILE: u64 = 64 * 1024;
/// Operator times of some hundred networks are far smaller.
const LARGEST_TIMES: u64 = 16 * 1024 * 1024;

/// Names of the profiles that are part of the program.
pub fn built_in_names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

/// The text of a built-in profile, with its comments.
pub fn built_in_text(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(built_in, _)| *built_in == name).map(|(_, text)| *text)
}

impl Target {
    /// A built-in target by its name, or one from a profile's path.
    ///
    /// # Errors
    /// If there is no such target, or its profile cannot be read or is not valid.
    pub fn open(name_or_path: &str) -> Result<Self, TargetError> {
        if let Some(text) = built_in_text(name_or_path) {
            return Target::parse(text, name_or_path);
        }
        let path = Path::new(name_or_path);
        if !path.exists() {
            return Err(TargetError::Unknown { name: name_or_path.to_string() });
        }
        let unreadable = |reason| TargetError::Unreadable { path: path.to_path_buf(), reason };
        let mut target = Target::parse(&read(path, LARGEST_PROFILE).map_err(unreadable)?, name_or_path)?;
        if let LatencySource::Table(table) = &mut target.latency_model {
            let folder = path.parent().unwrap_or(Path::new(""));
            table.path = table.path.as_ref().map(|file| folder.join(file));
        }
        Ok(target)
    }

    /// The operator times that the profile names, if it does.
    ///
    /// # Errors
    /// If the file cannot be read or holds no operator times.
    pub fn operator_times(&self) -> Result<Option<LatencyModel>, TargetError> {
        let LatencySource::Table(table) = &self.latency_model else { return Ok(None) };
        let Some(path) = &table.path else { return Ok(None) };
        times(path).map(Some).map_err(|reason| TargetError::Times { path: path.clone(), reason })
    }
}

/// Reads what `netwright calibrate --json` printed, or the model in it alone.
fn times(path: &Path) -> Result<LatencyModel, String> {
    #[derive(serde::Deserialize)]
    struct Printed {
        model: LatencyModel,
    }
    let text = read(path, LARGEST_TIMES)?;
    let model = match serde_json::from_str::<Printed>(&text) {
        Ok(printed) => printed.model,
        Err(_) => serde_json::from_str(&text).map_err(|e| e.to_string())?,
    };
    match model.schema_version == LatencyModel::SCHEMA_VERSION {
        true => Ok(model),
        false => Err(format!(
            "its version is {}, this netwright reads {}",
            model.schema_version,
            LatencyModel::SCHEMA_VERSION
        )),
    }
}

/// The text of a file that is not larger than `most`, whatever it is.
fn read(path: &Path, most: u64) -> Result<String, String> {
    let told = |e: std::io::Error| e.to_string();
    if !std::fs::metadata(path).map_err(told)?.is_file() {
        return Err("it is no file".to_string());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(told)?.take(most + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > most {
        return Err(format!("it is larger than {}", crate::units::Bytes(most)));
    }
    String::from_utf8(bytes).map_err(|e| format!("it is not UTF-8 text from byte {} on", e.utf8_error().valid_up_to()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::template;

    #[test]
    fn every_shipped_profile_is_valid_named_after_its_file_and_says_where_its_figures_come_from() {
        let shipped = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/targets")).unwrap();
        let mut names: Vec<String> =
            shipped.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        assert_eq!(names, built_in_names());
        for name in names {
            let target = Target::open(&name).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(target.name, name);
            let written = target.to_yaml();
            for line in written.lines().filter(|line| line.contains(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']))
            {
                let key = line.trim().split(':').next().unwrap();
                let is_figure = !["name", "description", "core", "version", "threads", "samples", "error", "numbers"]
                    .contains(&key)
                    && key != "latency_percentile";
                let derived = ["peak_ram", "weights_flash"].contains(&key) && !line.contains("source");
                assert!(!is_figure || derived || line.contains("source: "), "{name}: {line} has no source");
            }
        }
    }

    #[test]
    fn a_target_is_the_same_after_writing_and_reading() {
        for name in built_in_names() {
            let target = Target::open(name).unwrap();
            assert_eq!(Target::parse(&target.to_yaml(), "again").unwrap(), target);
        }
    }

    #[test]
    fn a_new_profile_is_valid() {
        let target = Target::parse(&template("my-board"), "my-board.yaml").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((target.name.as_str(), target.limits.peak_ram), ("my-board", target.memory.usable_ram()));
    }

    #[test]
    fn operator_times_are_found_beside_the_profile() {
        let folder = tempfile::tempdir().unwrap();
        let profile = folder.path().join("board.yaml");
        std::fs::write(&profile, "name: board\nlatency_model: {kind: table, file: times.json}\n").unwrap();
        let target = Target::open(&profile.display().to_string()).unwrap();
        let error = target.operator_times().unwrap_err().to_string();
        assert!(error.contains("times.json") && error.contains("\nhint: "), "{error}");
        let times = r#"{"schema_version": 1, "runtime": "tract", "host": "board", "threads": 1, "offset_ms": 0.1,
            "scale": 1.0, "operators_ms": {}, "networks_measured": 3, "median_relative_error": 0.1, "spearman": 0.9}"#;
        for text in [times.to_string(), format!(r#"{{"model": {times}, "held_out": []}}"#)] {
            std::fs::write(folder.path().join("times.json"), text).unwrap();
            assert_eq!(target.operator_times().unwrap().unwrap().host, "board");
        }
    }

    #[test]
    #[cfg(unix)]
    fn what_is_no_page_of_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let refused = |content: &[u8], reason: &str| {
            std::fs::write(&file, content).unwrap();
            let error = Target::open(&file.display().to_string()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        };
        refused(&[b'#'; 65 * 1024], "larger than 64 KiB");
        refused(b"name: \xff", "not UTF-8 text from byte 6");
        refused(b"", "the profile is empty");
        for path in [folder.path().display().to_string(), "/dev/zero".into()] {
            assert!(Target::open(&path).unwrap_err().to_string().contains("it is no file"), "{path}");
        }
    }
}
