//! Every format of data sets is recognised and read from the command line, and `data inspect` shows what is in it.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use image::{Rgb, RgbImage};
use insta::assert_snapshot;
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{netwright, stderr, transcript};
use crate::shared::shared;

fn inspect(folder: &Path, path: &str, options: &[&str]) -> Value {
    let args = [&["data", "inspect", path, "--json"], options].concat();
    let output = netwright(&args).current_dir(folder).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("the output is JSON")
}

/// The same 40 images of 6×4 pixels and two classes in every format: image `i` is grey of `6 * i`, but for one pixel.
fn write_sets(folder: &Path) {
    let image = |i: u8| -> Vec<u8> { (0..24).map(|at| if at == 7 { 255 - i } else { 6 * i }).collect() };
    let pixels: Vec<u8> = (0..40).flat_map(image).collect();
    let labels: Vec<u8> = (0..40).map(|i| i % 2).collect();
    for i in 0..40u8 {
        let class = folder.join("folders").join((i % 2).to_string());
        fs::create_dir_all(&class).expect("it is writable");
        let pixels = image::GrayImage::from_raw(6, 4, image(i)).expect("it has 24 pixels");
        pixels.save(class.join(format!("{i}.png"))).expect("it is writable");
    }
    let idx = |dims: &[u8], values: &[u8]| {
        let dims: Vec<u8> = dims.iter().flat_map(|d| [0, 0, 0, *d]).collect();
        [&[0, 0, 8, dims.len() as u8 / 4], dims.as_slice(), values].concat()
    };
    fs::create_dir(folder.join("idx")).expect("it is writable");
    fs::write(folder.join("idx/train-images.idx3-ubyte"), idx(&[40, 4, 6], &pixels)).expect("it is writable");
    fs::write(folder.join("idx/train-labels.idx1-ubyte"), idx(&[40], &labels)).expect("it is writable");
    let npy = |dims: &str, values: &[u8]| {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {dims}, }}\n");
        [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
    };
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in [("images.npy", npy("(40, 4, 6)", &pixels)), ("labels.npy", npy("(40,)", &labels))] {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).expect("memory is writable");
        archive.write_all(&array).expect("memory is writable");
    }
    let archive = archive.finish().expect("memory is writable").into_inner();
    fs::write(folder.join("set.npz"), archive).expect("it is writable");
}

#[test]
fn the_same_images_are_found_in_every_format() {
    let folder = tempdir().expect("a temporary folder");
    write_sets(folder.path());
    let sets = [("folders", "folders"), ("idx", "idx"), ("npz", "set.npz")];
    let found = sets.map(|(_, path)| inspect(folder.path(), path, &[]));
    for ((format, _), found) in sets.iter().zip(&found) {
        assert_eq!(found["format"], *format);
        assert_eq!(found["shape"], serde_json::json!({ "channels": 1, "height": 4, "width": 6 }));
        let images = ["training_images", "validation_images", "test_images"].map(|part| found[part].as_u64());
        assert_eq!(images, [Some(32), Some(4), Some(4)], "{format}");
        assert_eq!(found["classes"][1], serde_json::json!({ "name": "1", "training": 16, "validation": 2, "test": 2 }));
    }
    assert_eq!(found[1]["digest"], found[2]["digest"], "images in the same order are split the same way");
    let other = inspect(folder.path(), "idx", &["--seed", "2"]);
    assert_ne!(found[1]["digest"], other["digest"]);
}

#[test]
fn people_see_classes_counts_sizes_and_what_is_odd() {
    let folder = tempdir().expect("a temporary folder");
    for (class, images) in [("cat", 30u8), ("dog", 8)] {
        let images_of = folder.path().join("photos").join(class);
        fs::create_dir_all(&images_of).expect("it is writable");
        for i in 0..images {
            let side = if i % 3 == 0 { 200 } else { 120 };
            let image = RgbImage::from_fn(side, 90, |x, y| Rgb([i * 8, (x + y) as u8, class.as_bytes()[0]]));
            image.save(images_of.join(format!("{i:02}.png"))).expect("it is writable");
        }
    }
    let dog = folder.path().join("photos/dog");
    fs::copy(dog.join("01.png"), dog.join("again.png")).expect("it is writable");
    let told = transcript(&["data", "inspect", "photos", "--sheet", "sheet.png", "--columns", "5"], folder.path());
    // Resampling may round otherwise on another machine.
    let told: String =
        told.lines().filter(|line| !line.starts_with("digest")).map(|line| format!("{line}\n")).collect();
    assert_snapshot!("photos", told);
    let sheet = image::open(folder.path().join("sheet.png")).expect("it is a picture");
    assert_eq!((sheet.width(), sheet.height()), (5 * 34, 2 * 34));
    assert_snapshot!("data_help", transcript(&["data", "fetch", "--help"], folder.path()));
}

#[test]
fn mnist_and_real_photographs_are_what_they_are_known_to_be() {
    let Some(data) = shared("mnist") else { return };
    let data = data.parent().expect("it lies in a folder");
    let found = inspect(data, "mnist", &[]);
    assert_eq!((&found["format"], &found["given_parts"]), (&"idx".into(), &serde_json::json!(["training", "test"])));
    assert_eq!(found["test_images"], 10_000);
    let test: u64 = found["classes"].as_array().expect("a list").iter().filter_map(|c| c["test"].as_u64()).sum();
    assert_eq!((test, &found["classes"][1]["test"]), (10_000, &1135.into()), "as LeCun's page counts them");
    assert_eq!(found["sizes"], serde_json::json!([{ "height": 28, "width": 28, "images": 70_000 }]));
}
