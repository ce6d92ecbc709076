//! Where real data may lie; a test that wants it is skipped with a word where it does not.

use std::path::PathBuf;

/// A file or folder of the real data, beside the project or where `NETWRIGHT_SHARED` says.
pub fn shared(path: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let root = std::env::var_os("NETWRIGHT_SHARED").map_or(beside, PathBuf::from);
    let path = root.join(path);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}
