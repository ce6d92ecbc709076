//! What is fuzzed: one function for each reader of files that come from anywhere. The short check in `fuzz.rs` and the
//! targets of cargo-fuzz in `fuzz/` call the same functions, so that they cannot drift apart.

use netwright::data::{Dataset, OpenOptions};
use netwright::graph::Cost;
use netwright::onnx;
use netwright::target::Target;

/// Images that an IDX file of labels goes with.
const IMAGES: &[u8] = &[0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
/// Labels that an IDX file of images goes with.
const LABELS: &[u8] = &[0, 0, 8, 1, 0, 0, 0, 6, 1, 0, 1, 0, 1, 0];

/// A target's profile.
pub fn profile(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Target::parse(text, "fuzzed.yaml");
    }
}

/// An IDX file: the first byte says whether it is one of images or of labels.
pub fn idx(data: &[u8]) {
    let Some((kind, file)) = data.split_first() else { return };
    let (images, labels) = if kind % 2 == 0 { (file, LABELS) } else { (IMAGES, file) };
    open(&[("train-images-idx3-ubyte.gz", images), ("train-labels-idx1-ubyte", labels)]);
}

/// A CIFAR file: the first byte says whether it is of the one with 10 or 100 classes, or their names.
pub fn cifar(data: &[u8]) {
    let Some((kind, file)) = data.split_first() else { return };
    match kind % 3 {
        0 => open(&[("data_batch_1.bin", file)]),
        1 => open(&[("train.bin", file)]),
        _ => open(&[("data_batch_1.bin", &[0; 2 * 3073]), ("batches.meta.txt", file)]),
    }
}

/// A NumPy archive.
pub fn npz(data: &[u8]) {
    open(&[("set.npz", data)]);
}

/// An ONNX file, and what its network costs.
pub fn model(data: &[u8]) {
    if let Ok(model) = onnx::decode(data) {
        Cost::of(&model.graph);
    }
}

fn open(files: &[(&str, &[u8])]) {
    if let Ok(set) = Dataset::from_memory("fuzzed", files, &OpenOptions::default()) {
        assert!(!set.train.is_empty() && set.classes.len() > 1);
    }
}
