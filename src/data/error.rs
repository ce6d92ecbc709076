//! What can be wrong with a data set on disk.

use std::path::{Path, PathBuf};

/// What is wrong with a data set; every message is complete in itself.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Nothing is there.
    #[error("`{path}` does not exist\nhint: give a folder of class folders or of IDX files")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A packed archive.
    #[error("`{path}` is a packed archive\nhint: unpack it first: `{command}`", command = unpack(path))]
    Archive {
        /// The archive.
        path: PathBuf,
    },
    /// A folder without anything known.
    #[error("`{path}` holds no data set: {reason}\nhint: {hint}")]
    Unrecognised {
        /// The folder or file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
        /// How it should look.
        hint: &'static str,
    },
    /// An option out of its range.
    #[error("`{option}` is {found}, expected {expected}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// What was given.
        found: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// The file system refused.
    #[error("cannot read `{path}`: {reason}")]
    Read {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file in a class folder that is no image.
    #[error("`{path}` is not a PNG or JPEG image\nhint: convert it or move it away; hidden files are ignored")]
    NotAnImage {
        /// The file.
        path: PathBuf,
    },
    /// An image that cannot be decoded.
    #[error("cannot decode `{path}`: {reason}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// An IDX file that contradicts itself or its partner.
    #[error("`{path}`: {reason}")]
    Idx {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Parts of the data set that do not name the same classes.
    #[error("`{path}`: {reason}")]
    Classes {
        /// The data set.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Several of these at once.
    #[error("{}", list(.0))]
    Several(Vec<DataError>),
}

impl DataError {
    /// The faults of one input as one error; `Ok` if there is none.
    pub(super) fn all(mut faults: Vec<DataError>) -> Result<(), DataError> {
        match faults.len() {
            0 => Ok(()),
            1 => Err(faults.remove(0)),
            _ => Err(DataError::Several(faults)),
        }
    }

    /// All the results, or all their faults.
    pub(super) fn collect<T>(results: Vec<Result<T, DataError>>) -> Result<Vec<T>, DataError> {
        let mut faults = Vec::new();
        let values = results.into_iter().filter_map(|r| r.map_err(|fault| faults.push(fault)).ok()).collect();
        DataError::all(faults).map(|()| values)
    }

    /// A failure of the file system.
    pub(super) fn read(path: &Path, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => DataError::Missing { path: path.to_path_buf() },
            _ => DataError::Read { path: path.to_path_buf(), reason: error.to_string() },
        }
    }
}

/// Faults printed before the rest is only counted.
const MOST_LISTED: usize = 10;

fn list(faults: &[DataError]) -> String {
    let mut text = format!("{} faults:", faults.len());
    for fault in &faults[..faults.len().min(MOST_LISTED)] {
        text += &format!("\n- {}", fault.to_string().replace('\n', "\n  "));
    }
    if faults.len() > MOST_LISTED {
        text += &format!("\n- and {} more", faults.len() - MOST_LISTED);
    }
    text
}

fn unpack(path: &Path) -> String {
    match path.extension().and_then(|e| e.to_str()) {
        Some("zip") => format!("unzip {}", path.display()),
        _ => format!("tar -xf {}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_faults_are_listed_up_to_a_limit() {
        let fault = |i: usize| Err::<(), _>(DataError::NotAnImage { path: format!("{i}.txt").into() });
        let text = DataError::collect((0..12).map(fault).collect()).unwrap_err().to_string();
        assert!(text.starts_with("12 faults:\n- `0.txt` is not a PNG or JPEG image\n  hint: "), "{text}");
        assert!(text.ends_with("- and 2 more"), "{text}");
        assert!(!DataError::collect(vec![fault(0)]).unwrap_err().to_string().contains("faults"));
    }
}
