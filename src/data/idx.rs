//! IDX files, the format of MNIST and its relatives (<http://yann.lecun.com/exdb/mnist/>), packed with gzip or not.

use std::io::Read;

use super::collection::Collection;
use super::raw::{Raw, RawParts};
use super::source::{Source, SourceFile, read_exactly, unpacked};
use super::{DataError, Format, OpenOptions};
use crate::graph::Shape;

/// Third byte of the magic number: values are unsigned bytes.
const UNSIGNED_BYTES: u8 = 8;
/// What the files are called, by their roles.
const NAMES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Reads IDX files: images and labels to train with, and to test with if there are any. Classes are named by their numbers.
pub(super) fn read(source: &Source, options: &OpenOptions) -> Result<Collection, DataError> {
    let mut found: [Vec<&SourceFile>; 4] = Default::default();
    for file in &source.files {
        if let Some(role) = role(&file.name) {
            found[role].push(file);
        }
    }
    let without_test = found[2].is_empty() && found[3].is_empty();
    let needed = if without_test { 2 } else { 4 };
    let chosen = found.into_iter().zip(NAMES).take(needed).map(|(files, name)| only(source, &files, name));
    let files = DataError::collect(chosen.collect())?;
    let parts = files.as_chunks::<2>().0.iter().map(|[images, labels]| read_part(images, labels)).collect();
    let mut parts = DataError::collect(parts)?.into_iter();
    let pool = parts.next().expect("there are two files or four");
    let parts = RawParts { pool, validation: None, test: parts.next() };
    parts.collect(source, Format::Idx, |class| class.to_string(), options)
}

/// What a file is, by its name: 0 and 1 for images and labels of the training part, 2 and 3 for those of the test part.
pub(super) fn role(name: &str) -> Option<usize> {
    let name = name.to_lowercase().replace('.', "-");
    let name = name.strip_suffix("-gz").unwrap_or(&name);
    let (name, labels) = match name.strip_suffix("-images-idx3-ubyte") {
        Some(part) => (part, 0),
        None => (name.strip_suffix("-labels-idx1-ubyte")?, 1),
    };
    match name.rsplit('-').next()? {
        "train" => Some(labels),
        "t10k" | "test" => Some(2 + labels),
        _ => None,
    }
}

/// The one file for a role: of a packed and an unpacked copy, the unpacked one.
fn only<'s, 'a>(source: &Source, files: &[&'s SourceFile<'a>], name: &str) -> Result<&'s SourceFile<'a>, DataError> {
    let copies = files.len() == 2 && files[1].path.with_extension("") == files[0].path;
    match files {
        [] => Err(DataError::MissingFile { path: source.path.join(name) }),
        [first, ..] if files.len() == 1 || copies => Ok(first),
        _ => Err(DataError::Unrecognised {
            path: source.path.clone(),
            reason: format!("{} files could be `{name}`", files.len()),
            hint: "keep each data set in a folder of its own",
        }),
    }
}

fn read_part(images: &SourceFile, labels: &SourceFile) -> Result<Raw, DataError> {
    let ((dims, pixels), (_, classes)) = match (read_idx(images, 3), read_idx(labels, 1)) {
        (Ok(images), Ok(labels)) => (images, labels),
        (images, labels) => {
            return Err(DataError::all([images.err(), labels.err()].into_iter().flatten().collect())
                .expect_err("one of them failed"));
        }
    };
    if dims[0] != classes.len() {
        let reason = format!("has {} labels, but `{}` has {} images", classes.len(), images.path.display(), dims[0]);
        return Err(labels.wrong(reason));
    }
    Ok(Raw { shape: Shape::new(1, dims[1], dims[2]), pixels, labels: classes.into_iter().map(usize::from).collect() })
}

/// Dimensions and values of a file of unsigned bytes.
fn read_idx(file: &SourceFile, dimensions: u8) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let bytes = file.bytes()?;
    let mut reader = unpacked(&bytes);
    let mut word = [0; 4];
    let mut next = |reader: &mut dyn Read| {
        reader.read_exact(&mut word).map_err(|e| file.wrong(format!("ends within its header: {e}")))?;
        Ok::<_, DataError>(word)
    };
    let magic = next(&mut reader)?;
    let expected = [0, 0, UNSIGNED_BYTES, dimensions];
    if magic != expected {
        return Err(file.wrong(format!(
            "starts with {magic:02x?}, expected {expected:02x?} (unsigned bytes, {dimensions} dimensions)"
        )));
    }
    let dims = (0..dimensions).map(|_| next(&mut reader).map(u32::from_be_bytes)).collect::<Result<Vec<_>, _>>()?;
    let values = dims.iter().try_fold(1u64, |n, d| n.checked_mul(u64::from(*d)));
    let Some(values) = values.filter(|n| *n > 0) else {
        return Err(file.wrong(format!("claims dimensions {dims:?}")));
    };
    let data = read_exactly(reader, values, bytes.len()).map_err(|reason| file.wrong(reason))?;
    Ok((dims.iter().map(|d| *d as usize).collect(), data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Images};
    use std::io::Write;
    use std::path::{Path, PathBuf};

    fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|d| file.extend(d.to_be_bytes()));
        file.extend(values);
        file
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    /// Twenty images of 2×3 with the labels 4 and 7, all different, from `first` on.
    fn write(folder: &Path, part: &str, first: u8) {
        let pixels: Vec<u8> = (0..20).flat_map(|i| [first + i, 0, 1, 2, 3, 4]).collect();
        let labels: Vec<u8> = (0..20).map(|i| if i % 2 == 0 { 7 } else { 4 }).collect();
        std::fs::write(folder.join(format!("{part}-images-idx3-ubyte")), idx(&[20, 2, 3], &pixels)).unwrap();
        std::fs::write(folder.join(format!("{part}-labels-idx1-ubyte.gz")), gz(&idx(&[20], &labels))).unwrap();
    }

    fn open(folder: &Path) -> Result<Dataset, DataError> {
        Dataset::open(folder, &OpenOptions::default())
    }

    #[test]
    fn packed_and_unpacked_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "train", 0);
        let set = open(folder.path()).unwrap();
        assert_eq!([&set.train, &set.validation, &set.test].map(Images::len), [16, 2, 2]);
        write(folder.path(), "t10k", 100);
        let set = open(folder.path()).unwrap();
        assert_eq!([&set.train, &set.validation, &set.test].map(Images::len), [18, 2, 20]);
        assert_eq!((set.shape(), set.classes), (Shape::new(1, 2, 3), vec!["4".into(), "7".into()]));
        assert_eq!((set.test.pixels(1), set.test.label(1)), ([101, 0, 1, 2, 3, 4].as_slice(), 0));
        let options = OpenOptions { side: Some(5), ..OpenOptions::default() };
        assert_eq!(Dataset::open(folder.path(), &options).unwrap().shape(), Shape::new(1, 5, 5));
    }

    #[test]
    fn a_file_that_contradicts_itself_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let whole = idx(&[20, 2, 3], &[0; 120]);
        let wrong: [(&str, Vec<u8>); 8] = [
            ("has 119 of the 120 values", whole[..whole.len() - 1].to_vec()),
            ("has more than the 120 values", [whole.as_slice(), &[0]].concat()),
            ("starts with [00, 00, 0d, 03], expected [00, 00, 08, 03]", [&[0, 0, 13, 3], &whole[4..]].concat()),
            ("starts with [00, 00, 08, 01]", idx(&[20], &[0; 20])),
            ("ends within its header", whole[..10].to_vec()),
            ("claims dimensions [4294967295, 4294967295, 3]", idx(&[u32::MAX, u32::MAX, 3], &[])),
            ("the limit is", idx(&[u32::MAX, u32::MAX, 1], &[])),
            ("claims dimensions [0, 2, 3]", idx(&[0, 2, 3], &[])),
        ];
        for (message, bytes) in wrong {
            write(folder.path(), "train", 0);
            std::fs::write(folder.path().join("train-images-idx3-ubyte"), &bytes).unwrap();
            let error = open(folder.path()).unwrap_err().to_string();
            assert!(error.contains("train-images-idx3-ubyte") && error.contains(message), "{error}");
        }
        write(folder.path(), "train", 0);
        let labels = gz(&idx(&[20], &[0; 20]));
        std::fs::write(folder.path().join("train-labels-idx1-ubyte.gz"), &labels[..labels.len() - 9]).unwrap();
        assert!(open(folder.path()).unwrap_err().to_string().contains("train-labels-idx1-ubyte.gz"));
        std::fs::write(folder.path().join("train-labels-idx1-ubyte.gz"), gz(&idx(&[19], &[0; 19]))).unwrap();
        assert!(open(folder.path()).unwrap_err().to_string().contains("19 labels, but"));
    }

    #[test]
    fn missing_and_doubled_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "train", 0);
        let labels = folder.path().join("train-labels-idx1-ubyte");
        std::fs::write(&labels, idx(&[20], &[1, 2].repeat(10))).unwrap();
        assert_eq!(open(folder.path()).unwrap().classes, ["1", "2"], "the unpacked copy is read");
        std::fs::rename(&labels, folder.path().join("emnist-train-labels-idx1-ubyte")).unwrap();
        assert!(open(folder.path()).unwrap_err().to_string().contains("2 files could be `train-labels-idx1-ubyte`"));
        std::fs::remove_file(folder.path().join("emnist-train-labels-idx1-ubyte")).unwrap();
        std::fs::remove_file(folder.path().join("train-labels-idx1-ubyte.gz")).unwrap();
        assert!(open(folder.path()).unwrap_err().to_string().contains("train-labels-idx1-ubyte` does not exist"));
    }

    #[test]
    fn mnist_reads_as_published() {
        let shared = std::env::var_os("NETWRIGHT_SHARED").map(PathBuf::from);
        let shared = shared.unwrap_or(Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
        if !shared.join("mnist").is_dir() {
            eprintln!("skipped: no `mnist` in `{}`; set NETWRIGHT_SHARED", shared.display());
            return;
        }
        let set = open(&shared.join("mnist")).unwrap();
        assert_eq!([&set.train, &set.validation, &set.test].map(Images::len), [54_000, 6_000, 10_000]);
        assert_eq!(set.test.labels()[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
        // The constants that every tutorial on MNIST normalises with, of all 60,000 training images.
        assert!((set.mean[0] - 0.1307).abs() < 5e-4 && (set.std[0] - 0.3081).abs() < 5e-4);
    }
}
