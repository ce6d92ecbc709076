//! Every kind of bad input ends in one clear message with a hint and exit code 2: no panic, nothing half-written under a
//! final name. The snapshots are what a person reads.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::write::{GzEncoder, ZlibEncoder};
use flate2::{Compression, Crc};
use image::{Rgb, RgbImage};
use insta::assert_snapshot;
use netwright::run::SCHEMA_VERSION;
use tempfile::{TempDir, tempdir};

use crate::cli::small_model;
use crate::program::{netwright, stderr, transcript};
use crate::small_run::{EXACT_LIMITS, config, decide};

/// A file that cannot be used is put into a folder of good ones: what `data inspect` then says.
fn inspect(folder: &TempDir, file: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(file);
    let before = fs::read(&path).ok();
    fs::write(&path, content).expect("it is writable");
    let set = file.split('/').next().expect("a path has a first part");
    let told = transcript(&["data", "inspect", set], folder.path());
    match before {
        Some(content) => fs::write(&path, content).expect("it is writable"),
        None => fs::remove_file(&path).expect("it is removable"),
    }
    format!("# {file}\n{told}")
}

/// A folder `photos` with two classes of six different images each.
fn photos() -> TempDir {
    let folder = tempdir().expect("a temporary folder");
    for (class, red) in [("cat", 10), ("dog", 200)] {
        let images = folder.path().join("photos").join(class);
        fs::create_dir_all(&images).expect("it is writable");
        for i in 0..6u8 {
            let image = RgbImage::from_fn(8, 8, |x, y| Rgb([red, 40 * i, (x * y) as u8]));
            image.save(images.join(format!("{i}.png"))).expect("it is writable");
        }
    }
    folder
}

#[test]
fn a_warm_start_that_does_not_suit_is_refused_before_anything_is_timed() {
    let folder = photos();
    let start = |more: &[&str]| {
        let told = transcript(&[&["compile", "--data", "photos", "--out", "run"], more].concat(), folder.path());
        assert!(told.contains("[exit code 2]") && !told.contains("calibrating"), "{told}");
        told
    };
    let few = start(&["--warm-start", "meta"]);
    assert!(few.contains("training images tell too little of a data set"), "{few}");
    let unheeded = start(&["--warm-start", "predictor", "--strategy", "random"]);
    assert!(unheeded.contains("is for strategy `guided`"), "{unheeded}");
    assert!(!folder.path().join("run").exists());
}

/// A grey PNG file of one colour, whatever its size; `rows` of them are really there.
fn png(width: u32, height: u32, rows: u32) -> Vec<u8> {
    let chunk = |name: &[u8; 4], data: &[u8]| {
        let mut crc = Crc::new();
        crc.update(name);
        crc.update(data);
        [&(data.len() as u32).to_be_bytes(), name.as_slice(), data, &crc.sum().to_be_bytes()].concat()
    };
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    let row = vec![0; width as usize + 1];
    (0..rows).for_each(|_| packed.write_all(&row).expect("memory is writable"));
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let data = packed.finish().expect("memory is writable");
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &data), chunk(b"IEND", &[])].concat()
}

#[test]
fn images_that_are_damaged_mislabelled_or_hostile_are_named() {
    let folder = photos();
    let whole = fs::read(folder.path().join("photos/cat/0.png")).expect("it is there");
    let noise = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y) as u8, (x * 7) as u8, (y * 5) as u8]));
    let jpeg_path = folder.path().join("noise.jpg");
    noise.save(&jpeg_path).expect("it is writable");
    let jpeg = fs::read(&jpeg_path).expect("it is there");
    let told = [
        inspect(&folder, "photos/cat/empty.png", ""),
        inspect(&folder, "photos/cat/cut.png", &whole[..whole.len() * 2 / 3]),
        inspect(&folder, "photos/cat/cut.jpg", &jpeg[..jpeg.len() / 2]),
        inspect(&folder, "photos/cat/text.png", "<html>not found</html>"),
        inspect(&folder, "photos/cat/other.jpg", "GIF89a\x01\0\x01\0"),
        inspect(&folder, "photos/dog/notes.txt", "about dogs"),
        inspect(&folder, "photos/loose.png", &whole),
        // A header that claims much, and a bomb: a file of a megabyte that really unpacks to 256 MB.
        inspect(&folder, "photos/dog/wide.png", png(30_000, 30_000, 1)),
        inspect(&folder, "photos/dog/bomb.png", png(16_000, 16_000, 16_000)),
        inspect(&folder, "photos/dog/long.png", png(3, 30_000, 30_000)),
    ];
    assert_snapshot!("images", told.concat());
    assert!(inspect(&folder, "photos/cat/whole.png", png(8, 8, 8)).contains("[exit code 0]"), "the rest was good");
}

#[cfg(unix)]
#[test]
fn what_is_there_but_is_no_file_is_named() {
    let folder = photos();
    let odd = folder.path().join("photos/cat/odd.png");
    std::os::unix::fs::symlink("nowhere.png", &odd).expect("links can be made");
    let dangling = transcript(&["data", "inspect", "photos"], folder.path());
    fs::remove_file(&odd).expect("it is removable");
    let made = Command::new("mkfifo").arg(&odd).status().expect("the system has pipes");
    assert!(made.success());
    let pipe = transcript(&["data", "inspect", "photos"], folder.path());
    assert_snapshot!("no_files", dangling + &pipe + &transcript(&["bench", "photos/cat/odd.png"], folder.path()));
}

#[test]
fn folders_with_too_little_in_them_are_named() {
    let folder = photos();
    let at = |path: &str| folder.path().join(path);
    let told = |path: &str| transcript(&["data", "inspect", path], folder.path());
    fs::create_dir_all(at("one-class/cat")).expect("it is writable");
    fs::create_dir_all(at("one-image/cat")).expect("it is writable");
    fs::create_dir_all(at("one-image/dog")).expect("it is writable");
    fs::create_dir_all(at("nested/photos")).expect("it is writable");
    for (from, to) in [
        ("cat/0.png", "one-class/cat/0.png"),
        ("cat/1.png", "one-class/cat/1.png"),
        ("cat/0.png", "one-image/cat/0.png"),
        ("dog/0.png", "one-image/dog/0.png"),
    ] {
        fs::copy(at("photos").join(from), at(to)).expect("it is writable");
    }
    fs::create_dir(at("photos/owl")).expect("it is writable");
    let sets = ["absent", "one-class", "one-image", "photos", "nested", "photos/cat", "photos/cat/0.png"];
    assert_snapshot!("too_little", sets.map(told).concat());
    let compile = transcript(&["compile", "--data", "one-class", "--out", "run"], folder.path());
    assert!(compile.contains("only one class, `cat`") && compile.contains("[exit code 2]"), "{compile}");
    assert!(!at("run").exists());
}

fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|d| d.to_be_bytes()).collect();
    [&[0, 0, 8, (dims.len() / 4) as u8], dims.as_slice(), values].concat()
}

#[test]
fn idx_files_of_the_wrong_length_or_kind_are_named() {
    let folder = tempdir().expect("a temporary folder");
    let set = folder.path().join("digits");
    fs::create_dir(&set).expect("it is writable");
    let pixels: Vec<u8> = (0..8 * 16).collect();
    let (images, labels) = (idx(&[8, 4, 4], &pixels), idx(&[8], &[0, 1, 0, 1, 0, 1, 0, 1]));
    fs::write(set.join("train-images-idx3-ubyte"), &images).expect("it is writable");
    fs::write(set.join("train-labels-idx1-ubyte"), &labels).expect("it is writable");
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&images).expect("memory is writable");
    let packed = packed.finish().expect("memory is writable");
    let told = [
        inspect(&folder, "digits/train-images-idx3-ubyte", &images[..images.len() - 5]),
        inspect(&folder, "digits/train-images-idx3-ubyte", [images.as_slice(), &[0]].concat()),
        inspect(&folder, "digits/train-images-idx3-ubyte", &packed[..packed.len() - 9]),
        inspect(&folder, "digits/train-images-idx3-ubyte", idx(&[1 << 31, 1 << 10, 1 << 10], &pixels)),
        inspect(&folder, "digits/train-images-idx3-ubyte", idx(&[60_000, 28, 28], &pixels)),
        inspect(&folder, "digits/train-images-idx3-ubyte", &labels),
        inspect(&folder, "digits/train-images-idx3-ubyte", ""),
        inspect(&folder, "digits/train-labels-idx1-ubyte", idx(&[7], &[0, 1, 0, 1, 0, 1, 0])),
        inspect(&folder, "digits/t10k-images-idx3-ubyte", &images),
        inspect(&folder, "digits/train.bin", &labels),
    ];
    assert_snapshot!("idx", told.concat());
    assert!(transcript(&["data", "inspect", "digits"], folder.path()).contains("[exit code 0]"), "the rest was good");
}

#[test]
fn cifar_files_of_the_wrong_length_or_with_labels_out_of_range_are_named() {
    let folder = tempdir().expect("a temporary folder");
    let records = |labels: &[u8]| -> Vec<u8> {
        labels.iter().enumerate().flat_map(|(i, l)| [vec![*l], vec![i as u8; 3072]].concat()).collect()
    };
    let whole = records(&[0, 1, 0, 1, 0, 1]);
    fs::create_dir(folder.path().join("cifar")).expect("it is writable");
    fs::write(folder.path().join("cifar/data_batch_1.bin"), &whole).expect("it is writable");
    let told = [
        inspect(&folder, "cifar/data_batch_1.bin", &whole[..whole.len() - 100]),
        inspect(&folder, "cifar/data_batch_2.bin", ""),
        inspect(&folder, "cifar/data_batch_2.bin", records(&[0, 10])),
        inspect(&folder, "cifar/batches.meta.txt", "cat\ndog\n"),
        inspect(&folder, "cifar/test_batch.bin", records(&[0, 2])),
        inspect(&folder, "cifar/train.bin", records(&[0, 1])),
    ];
    assert_snapshot!("cifar", told.concat());
    let asked = transcript(&["data", "inspect", "cifar", "--format", "cifar100"], folder.path());
    let unknown = transcript(&["data", "inspect", "cifar", "--format", "parquet"], folder.path());
    assert_snapshot!("cifar_format", asked + &unknown);
}

#[test]
fn numpy_archives_that_hold_something_else_are_named() {
    let folder = tempdir().expect("a temporary folder");
    let npy = |kind: &str, dims: &str, values: &[u8]| {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {dims}, }}\n");
        [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
    };
    let archive = |arrays: &[(&str, Vec<u8>)]| {
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, array) in arrays {
            let options = zip::write::SimpleFileOptions::default();
            archive.start_file(*name, options).expect("memory is writable");
            archive.write_all(array).expect("memory is writable");
        }
        archive.finish().expect("memory is writable").into_inner()
    };
    let pixels: Vec<u8> = (0..96).collect();
    let images = ("x_train.npy", npy("|u1", "(6, 4, 4)", &pixels));
    let labels = |kind: &str, values: &[u8]| ("y_train.npy", npy(kind, "(6,)", values));
    let told = [
        inspect(&folder, "text.npz", "no archive"),
        inspect(&folder, "names.npz", archive(&[("arr_0.npy", pixels.clone()), ("arr_1.npy", Vec::new())])),
        inspect(&folder, "labels.npz", archive(&[images.clone(), labels("|i1", &[0, 1, 0, 1, 255, 1])])),
        inspect(&folder, "objects.npz", archive(&[images.clone(), labels("|O", &[0; 6])])),
        inspect(&folder, "short.npz", archive(&[images.clone(), labels("|u1", &[0, 1, 0])])),
        inspect(
            &folder,
            "bomb.npz",
            archive(&[("x_train.npy", npy("|u1", "(60000, 3000, 3000)", &[])), labels("|u1", &[0; 6])]),
        ),
        inspect(
            &folder,
            "normal.npz",
            archive(&[
                (
                    "x_train.npy",
                    npy("<f4", "(6, 1, 1)", &[-1f32, 0.5, 0.1, 0.2, 0.3, 1.0].map(f32::to_le_bytes).concat()),
                ),
                labels("|u1", &[0, 1, 0, 1, 0, 1]),
            ]),
        ),
    ];
    assert_snapshot!("numpy", told.concat());
}

#[test]
fn models_that_are_damaged_are_named_by_both_commands() {
    let folder = tempdir().expect("a temporary folder");
    let model = small_model();
    let replaced = |from: &[u8], to: &[u8]| {
        let at = model.windows(from.len()).position(|bytes| bytes == from).expect("it is in the model");
        [&model[..at], to, &model[at + from.len()..]].concat()
    };
    let files: [(&str, Vec<u8>); 4] = [
        ("page.onnx", b"<!DOCTYPE html><html>not found</html>".to_vec()),
        ("half.onnx", model[..model.len() / 2].to_vec()),
        ("operator.onnx", replaced(b"GlobalAveragePool", b"GlobalMysteryPool")),
        ("zeros.onnx", vec![0; 1000]),
    ];
    let told = files.map(|(name, content)| {
        fs::write(folder.path().join(name), content).expect("it is writable");
        transcript(&["inspect", name], folder.path()) + &transcript(&["bench", name], folder.path())
    });
    assert_snapshot!("models", told.concat());
}

#[test]
fn a_run_of_another_version_is_not_resumed() {
    let folder = tempdir().expect("a temporary folder");
    let run = decide(folder.path().join("run"), &config(), EXACT_LIMITS);
    let resume = || transcript(&["resume", "run"], folder.path());
    let with = |file: &str, from: &str, to: &str| {
        let path = run.join(file);
        let before = fs::read_to_string(&path).unwrap_or_default();
        let after = if before.is_empty() { to.to_string() } else { before.replacen(from, to, 1) };
        assert_ne!(before, after, "{file} has `{from}`");
        fs::write(&path, after).expect("it is writable");
        let told = resume();
        fs::write(&path, before).expect("it is writable");
        told
    };
    let told = [
        with("config.yaml", &format!("schema_version: {SCHEMA_VERSION}"), "schema_version: 1"),
        with("config.yaml", "trials:", "tryals:"),
        with("journal.jsonl", "", "{\"event\":\"started\",\"schema_version\":1}\n"),
        with("journal.jsonl", "", "not a journal\n"),
        with("target.yaml", "limits:", "limit:"),
    ];
    assert_snapshot!("versions", told.concat());
}

/// What a call says when it is not allowed to write into `folder/closed`, which nobody may. Root may write everywhere, so
/// that it makes the call as nobody.
#[cfg(unix)]
fn without_permission(args: &[&str], folder: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    let closed = folder.join("closed");
    fs::create_dir_all(&closed).expect("it is writable");
    allow(folder, 0o755);
    allow(&closed, 0o555);
    let root = fs::write(closed.join("probe"), "").is_ok();
    let program: PathBuf = netwright(&[]).get_program().into();
    let mut command = match root {
        true => {
            let _ = fs::remove_file(closed.join("probe"));
            let copy = folder.join("netwright");
            fs::copy(program, &copy).expect("it is writable");
            let mut command = Command::new(copy);
            command.uid(NOBODY).gid(NOBODY);
            command
        }
        false => Command::new(program),
    };
    command.args(args).env("NETWRIGHT_CACHE", folder.join("closed/cache")).env("COLUMNS", "100");
    let output = command.current_dir(folder).output().expect("the program starts");
    assert!(closed.read_dir().expect("it is readable").next().is_none(), "nothing was written");
    allow(&closed, 0o755);
    shown(args, &output, folder)
}

fn shown(args: &[&str], output: &std::process::Output, folder: &Path) -> String {
    let told = stderr(output);
    assert!(!told.contains("panicked"), "{told}");
    let code = output.status.code().unwrap_or_else(|| panic!("a signal ended it: {told}"));
    let text = format!(
        "$ netwright {}\n{}{told}[exit code {code}]\n",
        args.join(" "),
        String::from_utf8_lossy(&output.stdout)
    );
    text.replace(&folder.display().to_string(), "DIR")
}

#[cfg(unix)]
#[test]
fn a_place_that_cannot_be_written_is_named_before_the_work_begins() {
    let folder = photos();
    let calls: [&[&str]; 4] = [
        &["compile", "--data", "photos", "--out", "closed/run"],
        &["data", "inspect", "photos", "--sheet", "closed/sheet.png"],
        &["data", "fetch", "mnist", "--to", "closed/mnist", "--from", "http://127.0.0.1:9"],
        &["data", "fetch", "mnist", "--to", "closed", "--from", "http://127.0.0.1:9/"],
    ];
    let told = calls[..3].iter().map(|args| without_permission(args, folder.path())).collect::<Vec<_>>();
    assert_snapshot!("no_permission", told.concat());
    let file = transcript(&["compile", "--out", "photos/cat/0.png/run"], folder.path());
    let sheet = transcript(&["data", "inspect", "photos", "--sheet", "absent/sheet.png"], folder.path());
    assert_snapshot!("no_place", file + &sheet);
}

/// A call that may write files of so many blocks of 512 bytes at most, as on a full disk.
#[cfg(unix)]
fn with_little_space(blocks: u32, args: &[&str], folder: &Path) -> String {
    let program = netwright(&[]);
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -f {blocks}; trap '' XFSZ; exec \"$@\""), "sh"]);
    limited.arg(program.get_program()).args(args).env("NETWRIGHT_CACHE", folder.join("cache"));
    shown(args, &limited.current_dir(folder).output().expect("the program starts"), folder)
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_under_a_final_name() {
    let folder = photos();
    let server = serve(vec![7; 100_000]);
    let from = ["data", "fetch", "mnist", "--from", &server];
    let sheet = ["data", "inspect", "photos", "--sheet", "sheet.png"];
    let told = with_little_space(0, &sheet, folder.path()) + &with_little_space(8, &from, folder.path());
    assert_snapshot!("full_disk", told.replace(&server, "http://SERVER"));
    assert!(!folder.path().join("sheet.png").exists() && !folder.path().join("sheet.png.part").exists());
    let names: Vec<_> = fs::read_dir(folder.path().join("mnist"))
        .expect("it is there")
        .map(|e| e.expect("it is there").file_name())
        .collect();
    assert_eq!(names, ["train-images-idx3-ubyte.gz.part"]);
}

#[test]
fn what_is_fetched_wrong_is_not_kept() {
    let folder = tempdir().expect("a temporary folder");
    let server = serve(b"this is not MNIST".to_vec());
    let calls: [&[&str]; 4] = [
        &["data", "fetch", "mnist", "--from", &server],
        &["data", "fetch", "cifar10", "--to", "c10", "--from", "ftp://mirror"],
        &["data", "fetch", "imagenet"],
        &["data", "fetch", "cifar100", "--from", "http://127.0.0.1:9/sets"],
    ];
    let told = calls.map(|args| transcript(args, folder.path())).concat();
    assert_snapshot!("fetched_wrong", told.replace(&server, "http://SERVER"));
    assert!(fs::read_dir(folder.path().join("mnist")).expect("it is there").next().is_none());
}

/// Answers every request on the loopback with the same content; the address.
fn serve(content: Vec<u8>) -> String {
    use std::io::{BufRead, BufReader};
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback is there");
    let address = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let mut connection = connection;
            let request = BufReader::new(connection.try_clone().expect("it is open"));
            request.lines().map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            let header = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", content.len());
            // A client that leaves early is no concern of the server's.
            let _ = connection.write_all(header.as_bytes()).and_then(|()| connection.write_all(&content));
        }
    });
    address
}
