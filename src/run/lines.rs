//! A file of JSON lines that only grows: each is on the disk before the next thing happens.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::RunError;

/// An open file of lines.
#[derive(Debug)]
pub struct Lines<T> {
    pub(super) path: PathBuf,
    pub(super) file: File,
    /// Bytes of whole lines.
    pub(super) length: u64,
    pub(super) entries: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Lines<T> {
    /// Opens a file, or starts one, and reads what it holds. A torn last line, which a killed process leaves, is cut off.
    ///
    /// # Errors
    /// If the file cannot be read, or a line is no entry; the message names it.
    pub fn open(path: &Path) -> Result<(Self, Vec<T>), RunError> {
        let failed = |e: std::io::Error| RunError::File { path: path.to_path_buf(), reason: e.to_string() };
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let (entries, whole) = whole_lines(path, &bytes)?;
        file.set_len(whole as u64).map_err(failed)?;
        Ok((Lines { path: path.to_path_buf(), file, length: whole as u64, entries: PhantomData }, entries))
    }

    /// What a file holds that a process may be writing to meanwhile.
    ///
    /// # Errors
    /// If the file cannot be read, or a whole line is no entry.
    pub fn read(path: &Path) -> Result<Vec<T>, RunError> {
        let failed = |e: std::io::Error| RunError::File { path: path.to_path_buf(), reason: e.to_string() };
        Ok(whole_lines(path, &std::fs::read(path).map_err(failed)?)?.0)
    }

    /// Forgets all lines.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn clear(&mut self) -> Result<(), RunError> {
        self.length = 0;
        let failed = |e: std::io::Error| RunError::File { path: self.path.clone(), reason: e.to_string() };
        self.file.set_len(0).map_err(failed)
    }

    /// Adds a line and sees it on the disk. If the disk is full, the file is as it was before.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn append(&mut self, entry: &T) -> Result<(), RunError> {
        let mut line = serde_json::to_vec(entry).expect("an entry is plain data");
        line.push(b'\n');
        let written = self
            .file
            .seek(SeekFrom::Start(self.length))
            .and_then(|_| self.file.write_all(&line))
            .and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.length += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                // What could be written of the line is cut off again; if that fails, opening will do it.
                let _ = self.file.set_len(self.length);
                Err(RunError::File { path: self.path.clone(), reason: error.to_string() })
            }
        }
    }
}

/// The entries of all whole lines, and the bytes of these lines.
fn whole_lines<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<(Vec<T>, usize), RunError> {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    let entry =
        |(at, line): (usize, &[u8])| serde_json::from_slice(line).map_err(|e| wrong_line(path, at + 1, e.to_string()));
    Ok((lines.map(entry).collect::<Result<_, _>>()?, whole))
}

/// A line that says something else than expected.
pub fn wrong_line(path: &Path, line: usize, reason: String) -> RunError {
    RunError::Content { path: path.to_path_buf(), reason: format!("line {line}: {reason}") }
}
