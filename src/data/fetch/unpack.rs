//! The files that are wanted out of a `.tar.gz`; nothing else in it is touched, whatever its paths say.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use tar::Archive;

use crate::data::DataError;

/// More than any of the wanted files has.
const MOST_BYTES: u64 = 1 << 30;

/// Unpacks `members` into a folder, each under its own name once it is whole.
pub(super) fn unpack(archive: &Path, folder: &Path, members: &[&str]) -> Result<(), DataError> {
    let damaged = |e: std::io::Error| DataError::damaged(archive, format!("cannot be unpacked: {e}"));
    let file = File::open(archive).map_err(|e| DataError::read(archive, &e))?;
    let mut tar = Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut missing: Vec<&str> = members.to_vec();
    for entry in tar.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let path = entry.path().map_err(damaged)?.into_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !entry.header().entry_type().is_file() || !members.contains(&name.as_ref()) {
            continue;
        }
        let size = entry.size();
        write(entry.take(MOST_BYTES), size, archive, &folder.join(name.as_ref()))?;
        missing.retain(|member| *member != name);
    }
    match missing.as_slice() {
        [] => Ok(()),
        missing => Err(DataError::damaged(archive, format!("lacks {}", missing.join(", ")))),
    }
}

fn write(mut entry: impl Read, size: u64, archive: &Path, path: &Path) -> Result<(), DataError> {
    let mut part = path.as_os_str().to_os_string();
    part.push(".part");
    let part = Path::new(&part);
    let unwritable = |e: std::io::Error| {
        // The half-written file is of no use: the archive is still there.
        let _ = fs::remove_file(part);
        DataError::write(path, &e)
    };
    let mut file = File::create(part).map_err(unwritable)?;
    let mut block = vec![0; 1 << 18];
    let mut done = 0;
    loop {
        let read = entry.read(&mut block);
        let read = read.map_err(|e| DataError::damaged(archive, format!("cannot be unpacked: {e}")))?;
        if read == 0 {
            break;
        }
        std::io::Write::write_all(&mut file, &block[..read]).map_err(unwritable)?;
        done += read as u64;
    }
    if done != size {
        return Err(DataError::damaged(archive, format!("has {done} of the {size} bytes of `{}`", path.display())));
    }
    file.sync_all().and_then(|()| fs::rename(part, path)).map_err(unwritable)
}
