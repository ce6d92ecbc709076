//! One file over HTTP: into a `.part` file, on from where an earlier attempt broke off, renamed when its checksum is right.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};
use ureq::{Agent, Body, http::Response};

use crate::data::DataError;

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than any of the published files has; a server that sends more is not theirs.
const MOST_BYTES: u64 = 1 << 30;
/// Bytes between two reports, and at once in memory.
const BLOCK: usize = 1 << 18;

/// What is told of a download: bytes that are there, and of how many if the server says.
type Watch<'a> = &'a mut dyn FnMut(u64, Option<u64>);

/// Whether the file is there with this checksum.
pub(super) fn is_whole(path: &Path, md5: &str) -> Result<bool, DataError> {
    Ok(path.is_file() && digest(path)? == md5)
}

/// Fetches a file. If what came in two attempts has a wrong checksum, the fault is not in the joint, and the second attempt
/// begins anew.
pub(super) fn download(url: &str, path: &Path, md5: &str, watch: Watch) -> Result<(), DataError> {
    let part = partial(path);
    loop {
        let resumed = stream(url, &part, watch)?;
        let found = digest(&part)?;
        if found == md5 {
            return fs::rename(&part, path).map_err(|e| DataError::write(path, &e));
        }
        fs::remove_file(&part).map_err(|e| DataError::write(&part, &e))?;
        if !resumed {
            let reason = format!("what came has MD5 {found}, expected {md5}");
            let hint = "nothing of it was kept; try again later, or name a mirror with `--from URL`";
            return Err(DataError::Fetch { url: url.to_string(), reason, hint: hint.to_string() });
        }
    }
}

/// Where the file lies until it is whole.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    path.with_file_name(name)
}

/// Appends to the partial file what it lacks; whether there was something before.
fn stream(url: &str, part: &Path, watch: Watch) -> Result<bool, DataError> {
    let have = fs::metadata(part).map_or(0, |about| about.len());
    let response = ask(url, part, have)?;
    let failed = |reason: String, hint: &str| DataError::Fetch { url: url.to_string(), reason, hint: hint.to_string() };
    let from = match response.status().as_u16() {
        200 => 0,
        206 if starts_at(&response, have) => have,
        // Nothing comes after what is there: it is whole, or it is wrong, which its checksum will say.
        416 if have > 0 => return Ok(true),
        206 => {
            // The next attempt begins anew.
            fs::remove_file(part).map_err(|e| DataError::write(part, &e))?;
            return Err(failed("the server sends another part than asked for".into(), "run the same command again"));
        }
        other => {
            let hint = "the file may have moved: get a newer netwright, or name a mirror with `--from URL`";
            return Err(failed(format!("the server answers with status {other}"), hint));
        }
    };
    let total = header(&response, "content-length").and_then(|n| n.parse::<u64>().ok()).map(|n| n.saturating_add(from));
    if total.is_some_and(|total| total > MOST_BYTES) {
        return Err(failed(
            format!("the server announces {} bytes", total.unwrap_or(0)),
            "name a mirror with `--from URL`",
        ));
    }
    let unwritable = |e: std::io::Error| DataError::write(part, &e);
    let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(unwritable)?;
    // A server that cannot go on in the middle sends everything.
    file.set_len(from).map_err(unwritable)?;
    let mut body = response.into_body().into_reader().take(MOST_BYTES);
    let (mut done, mut block) = (from, vec![0; BLOCK]);
    loop {
        watch(done, total);
        let end = |reason: String| broke_off(url, part, done, total, &reason);
        let read = body.read(&mut block).map_err(|e| end(e.to_string()))?;
        if read == 0 {
            file.sync_all().map_err(unwritable)?;
            return match total {
                Some(total) if done < total => Err(end("it ended early".into())),
                _ => Ok(from > 0),
            };
        }
        file.write_all(&block[..read]).map_err(unwritable)?;
        done += read as u64;
    }
}

fn ask(url: &str, part: &Path, have: u64) -> Result<Response<Body>, DataError> {
    let config = Agent::config_builder().http_status_as_error(false);
    let config = config.timeout_connect(Some(PATIENCE)).timeout_per_read(Some(PATIENCE)).build();
    let mut request = Agent::new_with_config(config).get(url);
    if have > 0 {
        request = request.header("range", format!("bytes={have}-"));
    }
    request.call().map_err(|e| DataError::Fetch {
        url: url.to_string(),
        reason: e.to_string(),
        hint: format!(
            "look at the connection; without one, get the file elsewhere and put it into `{}`; `--from URL` names a mirror",
            part.parent().unwrap_or(Path::new(".")).display()
        ),
    })
}

/// Whether the part that comes begins at `have`.
fn starts_at(response: &Response<Body>, have: u64) -> bool {
    let range = header(response, "content-range").unwrap_or_default();
    range.trim().strip_prefix("bytes ").and_then(|r| r.split('-').next()).is_some_and(|at| at.parse() == Ok(have))
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

fn broke_off(url: &str, part: &Path, done: u64, total: Option<u64>, reason: &str) -> DataError {
    let of = total.map_or(String::new(), |total| format!(" of {total}"));
    DataError::Fetch {
        url: url.to_string(),
        reason: format!("it broke off after {done}{of} bytes: {reason}"),
        hint: format!("run the same command again; it goes on from `{}`", part.display()),
    }
}

/// MD5 of a file, in hexadecimal.
fn digest(path: &Path) -> Result<String, DataError> {
    let failed = |e: std::io::Error| DataError::read(path, &e);
    let (mut file, mut hash, mut block) = (File::open(path).map_err(failed)?, Md5::new(), vec![0; BLOCK]);
    loop {
        match file.read(&mut block).map_err(failed)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hash.update(&block[..read]),
        }
    }
}
