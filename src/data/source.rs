//! The files of a data set by name, in a folder or in memory, and reading them without trusting their sizes.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::DataError;
use super::listing::{Entry, entries};

/// Bytes that one file may hold, packed or unpacked. ImageNet at 32×32 pixels is below.
pub(super) const MOST_BYTES: u64 = 4 << 30;
/// Deflate never packs more than this many bytes into one.
const MOST_PACKED: u64 = 1032;

/// Files that belong together.
pub(super) struct Source<'a> {
    /// The folder, or what the files in memory are called together.
    pub path: PathBuf,
    /// Its files, sorted by name.
    pub files: Vec<SourceFile<'a>>,
    folders: Vec<PathBuf>,
}

/// One of the files.
pub(super) struct SourceFile<'a> {
    pub name: String,
    pub path: PathBuf,
    content: Option<&'a [u8]>,
}

impl Source<'static> {
    /// What lies in a folder, or one file.
    pub fn at(path: &Path) -> Result<Self, DataError> {
        if super::npz::is_archive(&path.to_string_lossy()) && path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let file = SourceFile { name, path: path.to_path_buf(), content: None };
            return Ok(Source { path: path.to_path_buf(), files: vec![file], folders: Vec::new() });
        }
        let (folders, files): (Vec<Entry>, Vec<Entry>) = entries(path)?.into_iter().partition(|e| e.is_folder);
        let file = |e: Entry| SourceFile { name: e.name, path: e.path, content: None };
        Ok(Source {
            path: path.to_path_buf(),
            files: files.into_iter().map(file).collect(),
            folders: folders.into_iter().map(|e| e.path).collect(),
        })
    }
}

impl<'a> Source<'a> {
    /// Files in memory.
    pub fn memory(name: &str, files: &[(&str, &'a [u8])]) -> Self {
        let path = PathBuf::from(name);
        let file = |(name, content): &(&str, &'a [u8])| SourceFile {
            name: name.to_string(),
            path: path.join(name),
            content: Some(content),
        };
        let mut files: Vec<SourceFile> = files.iter().map(file).collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Source { path, files, folders: Vec::new() }
    }

    /// The folder inside, if there is exactly one.
    pub fn only_folder(&self) -> Option<&Path> {
        match self.folders.as_slice() {
            [folder] => Some(folder),
            _ => None,
        }
    }

    /// The file of this name, whatever its case.
    pub fn file(&self, name: &str) -> Option<&SourceFile<'a>> {
        self.files.iter().find(|file| file.name.eq_ignore_ascii_case(name))
    }
}

impl SourceFile<'_> {
    /// All its bytes.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>, DataError> {
        match self.content {
            Some(content) => Ok(Cow::Borrowed(content)),
            None => read(&self.path, MOST_BYTES).map(Cow::Owned),
        }
    }

    /// A fault of its content.
    pub fn wrong(&self, reason: impl Into<String>) -> DataError {
        DataError::damaged(&self.path, reason)
    }
}

/// The bytes of a file of at most `most`. A pipe or a device is no file: reading it might never end.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, DataError> {
    let failed = |e: std::io::Error| DataError::read(path, &e);
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        let (reason, hint) = ("it is not a regular file".to_string(), "move it away; links to files are followed");
        return Err(DataError::Unrecognised { path: path.to_path_buf(), reason, hint });
    }
    if about.len() > most {
        return Err(DataError::damaged(path, format!("has {} bytes, the limit is {most}", about.len())));
    }
    let mut bytes = Vec::with_capacity(about.len() as usize);
    File::open(path).map_err(failed)?.take(most).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Reads through gzip if the bytes are packed; browsers unpack files and leave the name as it was.
pub(super) fn unpacked(bytes: &[u8]) -> Box<dyn Read + '_> {
    match bytes.starts_with(&[0x1f, 0x8b]) {
        true => Box::new(MultiGzDecoder::new(bytes)),
        false => Box::new(bytes),
    }
}

/// Exactly `wanted` bytes, the rest of what `reader` has. Nothing is set aside for more than `packed` bytes can hold, so that
/// a file that only claims to be large costs nothing.
pub(super) fn read_exactly(mut reader: impl Read, wanted: u64, packed: usize) -> Result<Vec<u8>, String> {
    if wanted > MOST_BYTES {
        return Err(format!("claims {wanted} bytes, the limit is {MOST_BYTES}"));
    }
    if wanted > (packed as u64 + 1).saturating_mul(MOST_PACKED) {
        return Err(format!("claims {wanted} bytes, more than its {packed} can hold"));
    }
    let mut bytes = Vec::with_capacity(wanted as usize);
    reader.by_ref().take(wanted).read_to_end(&mut bytes).map_err(|e| format!("cannot be unpacked: {e}"))?;
    if (bytes.len() as u64) < wanted {
        return Err(format!("has {} of the {wanted} values that its header announces", bytes.len()));
    }
    // Reading on finds what lies behind, and lets gzip compare its checksum.
    match reader.read(&mut [0]) {
        Ok(0) => Ok(bytes),
        Ok(_) => Err(format!("has more than the {wanted} values that its header announces")),
        Err(e) => Err(format!("cannot be unpacked: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_beyond_what_the_file_can_hold_is_refused_before_memory_is_taken() {
        let claim = |wanted| read_exactly([1, 2, 3].as_slice(), wanted, 3).unwrap_err();
        assert!(claim(1 << 31).contains("more than its 3 can hold"));
        assert!(claim(u64::MAX).contains("the limit is"));
        assert!(claim(4).contains("has 3 of the 4 values"));
        assert!(claim(2).contains("has more than the 2 values"));
        assert_eq!(read_exactly([1, 2, 3].as_slice(), 3, 3).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_device_is_not_read() {
        let error = read(Path::new("/dev/zero"), 1 << 20).unwrap_err().to_string();
        assert!(error.contains("is not a regular file"), "{error}");
    }
}
