//! The formats of data sets, and which of them lies in a folder.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::source::Source;
use super::{DataError, cifar, idx, npz};

/// A format of data sets on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Folders of PNG and JPEG files, one for each class.
    Folders,
    /// IDX files, the format of MNIST and its relatives.
    Idx,
    /// The binary version of CIFAR-10.
    Cifar10,
    /// The binary version of CIFAR-100; its fine labels are the classes.
    Cifar100,
    /// A NumPy archive with arrays of images and labels.
    Npz,
}

/// Folders inside of each other that are searched for files of a known format.
const DEEPEST: usize = 3;

impl Format {
    /// All formats.
    pub const ALL: [Format; 5] = [Format::Folders, Format::Idx, Format::Cifar10, Format::Cifar100, Format::Npz];

    /// The word for it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Folders => "folders",
            Format::Idx => "idx",
            Format::Cifar10 => "cifar10",
            Format::Cifar100 => "cifar100",
            Format::Npz => "npz",
        }
    }

    /// What it is, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Format::Folders => "class folders",
            Format::Idx => "IDX files",
            Format::Cifar10 => "CIFAR-10 files",
            Format::Cifar100 => "CIFAR-100 files",
            Format::Npz => "a NumPy archive",
        }
    }

    /// Whether a file of this name belongs to it. Class folders have no such files.
    fn has(self, name: &str) -> bool {
        match self {
            Format::Folders => false,
            Format::Idx => idx::role(name).is_some(),
            Format::Cifar10 => cifar::CIFAR_10.part(name).is_some(),
            Format::Cifar100 => cifar::CIFAR_100.part(name).is_some(),
            Format::Npz => npz::is_archive(name),
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Format::ALL.map(Format::name).join(", ");
        Format::ALL.into_iter().find(|f| f.name() == text).ok_or(format!("the formats are {names}"))
    }
}

/// The files to read and their format: the one asked for, or else the one whose files lie at `path`, or in the only folder
/// inside of it, as archives unpack. What has no files of a known format is taken for class folders.
pub(super) fn find(path: &Path, asked: Option<Format>) -> Result<(Source<'static>, Format), DataError> {
    let outer = Source::at(path)?;
    if asked == Some(Format::Folders) {
        return Ok((outer, Format::Folders));
    }
    let mut inner = None;
    for _ in 0..DEEPEST {
        let source = inner.as_ref().unwrap_or(&outer);
        if let Some(format) = recognise(source, asked)? {
            return Ok((inner.unwrap_or(outer), format));
        }
        match source.only_folder() {
            Some(folder) => inner = Some(Source::at(folder)?),
            None => break,
        }
    }
    match asked {
        // The reader of the format says what is missing.
        Some(format) => Ok((outer, format)),
        None => Ok((outer, Format::Folders)),
    }
}

/// The format whose files are there; an error if there are files of several, or such that cannot be read.
pub(super) fn recognise(source: &Source, asked: Option<Format>) -> Result<Option<Format>, DataError> {
    let there = |format: &Format| source.files.iter().any(|file| format.has(&file.name));
    let found: Vec<Format> = Format::ALL.into_iter().filter(|f| asked.is_none_or(|asked| asked == *f)).collect();
    let found: Vec<Format> = found.into_iter().filter(there).collect();
    match found.as_slice() {
        [] => cifar::refuse_pickles(source).map(|()| None),
        [format] => Ok(Some(*format)),
        several => {
            let names: Vec<&str> = several.iter().map(|f| f.describe()).collect();
            Err(DataError::Unrecognised {
                path: source.path.clone(),
                reason: format!("there are {}", names.join(" and ")),
                hint: "`--format` says which to read; better keep each data set in a folder of its own",
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str], asked: Option<Format>) -> Result<Option<Format>, String> {
        let files: Vec<(&str, &[u8])> = files.iter().map(|name| (*name, [].as_slice())).collect();
        recognise(&Source::memory("set", &files), asked).map_err(|e| e.to_string())
    }

    #[test]
    fn formats_are_known_by_the_names_of_their_files() {
        assert_eq!(found(&["train-images-idx3-ubyte.gz"], None), Ok(Some(Format::Idx)));
        assert_eq!(found(&["data_batch_3.bin", "readme.html"], None), Ok(Some(Format::Cifar10)));
        assert_eq!(found(&["train.bin", "test.bin"], None), Ok(Some(Format::Cifar100)));
        assert_eq!(found(&["mnist.npz"], None), Ok(Some(Format::Npz)));
        assert_eq!(found(&["readme.md", "labels.csv"], None), Ok(None));
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
        }
    }

    #[test]
    fn files_of_two_formats_need_a_word() {
        let both = ["train.bin", "mnist.npz"];
        let error = found(&both, None).unwrap_err();
        assert!(error.contains("CIFAR-100 files and a NumPy archive") && error.contains("--format"), "{error}");
        assert_eq!(found(&both, Some(Format::Npz)), Ok(Some(Format::Npz)));
    }

    #[test]
    fn pickles_of_cifar_are_refused_with_the_way_to_the_readable_version() {
        for pickles in [&["data_batch_1", "batches.meta"][..], &["train", "test", "meta"]] {
            let error = found(pickles, None).unwrap_err();
            assert!(error.contains("Python") && error.contains("netwright data fetch cifar10"), "{error}");
        }
    }

    #[test]
    fn an_archive_unpacked_into_a_folder_of_its_own_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("MNIST/raw");
        std::fs::create_dir_all(&inner).unwrap();
        assert_eq!(find(folder.path(), None).unwrap().1, Format::Folders);
        std::fs::write(inner.join("train-images-idx3-ubyte"), "").unwrap();
        let (source, format) = find(folder.path(), None).unwrap();
        assert_eq!((source.path, format), (inner, Format::Idx));
        assert_eq!(find(folder.path(), Some(Format::Folders)).unwrap().1, Format::Folders);
    }
}
