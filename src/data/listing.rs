//! What lies in a folder, without what file managers leave behind.

use std::path::{Path, PathBuf};

use super::DataError;

/// A file or folder inside a folder.
pub(super) struct Entry {
    pub name: String,
    pub path: PathBuf,
    pub is_folder: bool,
}

/// Files that some systems put into every folder without marking them as hidden.
const LEFT_BEHIND: [&str; 4] = ["thumbs.db", "desktop.ini", "__macosx", "icon\r"];
const PACKED: [&str; 7] = [".tar", ".tar.gz", ".tgz", ".zip", ".tar.xz", ".tar.bz2", ".7z"];

/// What lies in a folder, sorted by name; hidden files are left out.
pub(super) fn entries(folder: &Path) -> Result<Vec<Entry>, DataError> {
    let failed = |e: std::io::Error| DataError::read(folder, &e);
    if !std::fs::metadata(folder).map_err(failed)?.is_dir() {
        return Err(not_a_folder(folder));
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        if name.starts_with('.') || LEFT_BEHIND.contains(&name.to_lowercase().as_str()) {
            continue;
        }
        // Links are followed: a folder of links to images is a usual way to make a subset.
        let about =
            std::fs::metadata(&path).map_err(|e| DataError::Read { path: path.clone(), reason: e.to_string() })?;
        let is_folder = about.is_dir();
        found.push(Entry { name, path, is_folder });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Whether a file is an archive, by its name.
pub(super) fn is_packed(name: &str) -> bool {
    PACKED.iter().any(|end| name.to_lowercase().ends_with(end))
}

fn not_a_folder(path: &Path) -> DataError {
    let path = path.to_path_buf();
    match is_packed(&path.to_string_lossy()) {
        true => DataError::Archive { path },
        false => {
            DataError::Unrecognised { path, reason: "it is no folder".into(), hint: "give the folder that it lies in" }
        }
    }
}
