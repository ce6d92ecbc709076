use std::path::Path;

use md5::{Digest, Md5};

use super::server::{Manner, Server};
use super::*;

/// A data set of one file, `file.gz`, with this content.
fn published(content: &[u8], members: &'static [&'static str]) -> Published {
    let md5: String = Md5::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let files = vec![Remote { name: "file.gz", md5: md5.leak() }];
    Published { name: "set", about: "", base: "https://nowhere.invalid", files: files.leak(), members }
}

fn content() -> Vec<u8> {
    (0..600_000u32).map(|i| ((i * i) >> 7) as u8).collect()
}

fn get(set: &Published, server: &Server, folder: &Path) -> Result<(), String> {
    fetch(set, folder, Some(&server.url), &mut |_| ()).map_err(|e| e.to_string())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn a_file_arrives_whole_and_is_not_fetched_twice() {
    let (set, folder) = (published(&content(), &[]), tempfile::tempdir().unwrap());
    let server = Server::start(vec![("file.gz", content())], Manner::Well);
    let to = folder.path().join("a/new/folder");
    let mut told = Vec::new();
    fetch(&set, &to, Some(&server.url), &mut |f| told.push(format!("{f:?}"))).unwrap();
    assert_eq!(std::fs::read(to.join("file.gz")).unwrap(), content());
    assert_eq!(told[0], "Bytes(\"file.gz\", 0, Some(600000))");
    assert_eq!(told[told.len() - 2..], ["Bytes(\"file.gz\", 600000, Some(600000))", "Checked(\"file.gz\")"]);
    get(&set, &server, &to).unwrap();
    assert_eq!(*server.asked.lock().unwrap(), ["file.gz from 0"]);
    std::fs::write(to.join("file.gz"), "damaged since").unwrap();
    get(&set, &server, &to).unwrap();
    assert_eq!(std::fs::read(to.join("file.gz")).unwrap(), content());
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let (set, folder) = (published(&content(), &[]), tempfile::tempdir().unwrap());
    let server = Server::start(vec![("file.gz", content())], Manner::BreaksOff(250_000));
    for done in [250_000, 500_000] {
        let error = get(&set, &server, folder.path()).unwrap_err();
        assert!(error.contains(&format!("it broke off after {done} of 600000 bytes")), "{error}");
        assert!(error.contains("hint: run the same command again; it goes on from `"), "{error}");
        assert_eq!(names(folder.path()), ["file.gz.part"]);
    }
    get(&set, &server, folder.path()).unwrap();
    assert_eq!(names(folder.path()), ["file.gz"]);
    assert_eq!(std::fs::read(folder.path().join("file.gz")).unwrap(), content());
    let asked = ["file.gz from 0", "file.gz from 250000", "file.gz from 500000"];
    assert_eq!(*server.asked.lock().unwrap(), asked);
}

#[test]
fn a_server_that_cannot_go_on_in_the_middle_begins_anew() {
    let (set, folder) = (published(&content(), &[]), tempfile::tempdir().unwrap());
    let server = Server::start(vec![("file.gz", content())], Manner::BreaksOff(1000));
    get(&set, &server, folder.path()).unwrap_err();
    server.be(Manner::IgnoresRanges);
    get(&set, &server, folder.path()).unwrap();
    assert_eq!(std::fs::read(folder.path().join("file.gz")).unwrap(), content());
}

#[test]
fn a_part_that_does_not_fit_is_thrown_away_and_fetched_anew() {
    let (set, folder) = (published(&content(), &[]), tempfile::tempdir().unwrap());
    let server = Server::start(vec![("file.gz", content())], Manner::Well);
    for wrong in [vec![7; 1000], vec![7; 700_000], content()[..600_000].to_vec()] {
        std::fs::write(folder.path().join("file.gz.part"), wrong).unwrap();
        get(&set, &server, folder.path()).unwrap();
        assert_eq!(std::fs::read(folder.path().join("file.gz")).unwrap(), content());
        std::fs::remove_file(folder.path().join("file.gz")).unwrap();
    }
}

#[test]
fn what_has_another_checksum_or_does_not_come_leaves_nothing() {
    let (set, folder) = (published(&content(), &[]), tempfile::tempdir().unwrap());
    let server = Server::start(vec![("file.gz", content())], Manner::Corrupts);
    for (manner, expected) in [
        (Manner::Corrupts, "what came has MD5 "),
        (Manner::Status(404), "the server answers with status 404"),
        (Manner::Status(500), "status 500"),
    ] {
        server.be(manner);
        let error = get(&set, &server, folder.path()).unwrap_err();
        assert!(error.contains(expected) && error.contains("\nhint: ") && error.contains("--from URL"), "{error}");
        assert_eq!(names(folder.path()), [""; 0]);
    }
    let refused = fetch(&set, folder.path(), Some("http://127.0.0.1:1"), &mut |_| ()).unwrap_err().to_string();
    assert!(refused.contains("put it into `"), "{refused}");
    let scheme = fetch(&set, folder.path(), Some("ftp://somewhere"), &mut |_| ()).unwrap_err().to_string();
    assert!(scheme.contains("`from` is `ftp://somewhere`, expected an address"), "{scheme}");
}

fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(gz);
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn an_archive_is_unpacked_and_gone() {
    let archive = packed(&[("set/a.bin", b"one"), ("set/other.txt", b"not wanted"), ("set/b.bin", b"two")]);
    let (set, folder) = (published(&archive, &["a.bin", "b.bin"]), tempfile::tempdir().unwrap());
    let server = Server::start(vec![("file.gz", archive)], Manner::Well);
    get(&set, &server, folder.path()).unwrap();
    assert_eq!(names(folder.path()), ["a.bin", "b.bin"]);
    assert_eq!(std::fs::read(folder.path().join("b.bin")).unwrap(), b"two");
    get(&set, &server, folder.path()).unwrap();
    assert_eq!(server.asked.lock().unwrap().len(), 1, "what is there is not fetched again");
}

#[test]
fn an_archive_without_its_files_is_named() {
    let archive = packed(&[("set/a.bin", b"one")]);
    let (set, folder) = (published(&archive, &["a.bin", "b.bin"]), tempfile::tempdir().unwrap());
    let server = Server::start(vec![("file.gz", archive)], Manner::Well);
    let error = get(&set, &server, folder.path()).unwrap_err();
    assert!(error.contains("file.gz` lacks b.bin"), "{error}");
}

#[test]
fn the_pinned_checksums_are_those_of_the_published_files() {
    let shared = std::env::var_os("NETWRIGHT_SHARED").map(std::path::PathBuf::from);
    let shared = shared.unwrap_or(Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data")).join("mnist");
    let names = ["train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"];
    if !names.iter().all(|name| shared.join(name).is_file()) {
        eprintln!("skipped: no MNIST in `{}`; set NETWRIGHT_SHARED", shared.display());
        return;
    }
    // The first file, the training images, may have been packed anew: its checksum is that of another compression.
    for file in MNIST.files.iter().filter(|file| names.contains(&file.name)) {
        assert!(is_whole(&shared.join(file.name), file.md5).unwrap(), "{}", file.name);
    }
    for set in Published::ALL {
        assert!(set.base.starts_with("https://") && set.files.iter().all(|file| file.md5.len() == 32));
        assert_eq!(set.name.parse::<Published>().unwrap().name, set.name);
    }
}
