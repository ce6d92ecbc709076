//! What can be wrong with a data set on disk.

use std::path::{Path, PathBuf};

use crate::graph::Shape;

/// What is wrong with a data set; every message is complete in itself.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Nothing is there.
    #[error(
        "`{path}` does not exist\nhint: give a folder of class folders or of files in a known format; `netwright data fetch` gets some"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file is missing beside others.
    #[error("`{path}` does not exist\nhint: get it from where the other files came from, and put it beside them")]
    MissingFile {
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
    #[error("cannot read `{path}`: {reason}\nhint: look whether this user may read it and whether the disk is sound")]
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
    #[error("cannot decode `{path}`: {reason}\nhint: replace the file or move it away")]
    Image {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// A file that contradicts itself or its partner.
    #[error("`{path}` {reason}\nhint: the file is damaged, cut short or in another format; get it again")]
    Content {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Classes that no classifier can be trained on, or that differ between the parts.
    #[error("`{path}`: {reason}\nhint: {hint}")]
    Classes {
        /// The data set.
        path: PathBuf,
        /// What does not fit.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// More pixels than this machine should be filled with.
    #[error(
        "`{path}`: {images} images of {shape} take {} GiB, the limit is 4\nhint: a smaller `--side`, or fewer images",
        bytes >> 30
    )]
    TooMuch {
        /// The data set.
        path: PathBuf,
        /// Number of images.
        images: usize,
        /// Shape of each.
        shape: Shape,
        /// Bytes of all.
        bytes: u64,
    },
    /// A file that cannot be written.
    #[error("cannot write `{path}`: {reason}\nhint: {hint}", hint = write_hint(reason))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file that could not be fetched.
    #[error("cannot fetch `{url}`: {reason}\nhint: {hint}")]
    Fetch {
        /// Where it was asked for.
        url: String,
        /// What went wrong.
        reason: String,
        /// What to do.
        hint: String,
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

    /// A fault in the content of a file.
    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        DataError::Content { path: path.to_path_buf(), reason: reason.into() }
    }

    /// A file or folder that cannot be written.
    pub(super) fn write(path: &Path, error: &std::io::Error) -> Self {
        DataError::Write { path: path.to_path_buf(), reason: error.to_string() }
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

fn write_hint(reason: &str) -> &'static str {
    match ["No space left", "File too large", "quota"].iter().any(|text| reason.contains(text)) {
        true => "free some space, then run the same command again",
        false => "name a folder that exists and where this user may write",
    }
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
