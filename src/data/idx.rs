//! IDX files, the format of MNIST and its relatives (<http://yann.lecun.com/exdb/mnist/>), packed with gzip or not.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use image::GrayImage;
use rayon::prelude::*;

use super::collection::{Collection, check_same_classes};
use super::decode::fit;
use super::listing::entries;
use super::split::limit;
use super::{DataError, Images, OpenOptions};
use crate::graph::Shape;

/// Values that one file may hold.
const MOST_VALUES: u64 = 4 << 30;
/// Third byte of the magic number: values are unsigned bytes.
const UNSIGNED_BYTES: u8 = 8;

/// The files of a data set: images and labels to train with, and to test with if there are any.
#[derive(Debug)]
pub(super) struct Files {
    train: [PathBuf; 2],
    test: Option<[PathBuf; 2]>,
}

/// The IDX files in a folder, or none if there is no file of such a name.
pub(super) fn files_in(folder: &Path) -> Result<Option<Files>, DataError> {
    let mut found: [Vec<PathBuf>; 4] = Default::default();
    for entry in entries(folder)?.into_iter().filter(|e| !e.is_folder) {
        if let Some(role) = role(&entry.name) {
            found[role].push(entry.path);
        }
    }
    if found.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let without_test = found[2].is_empty() && found[3].is_empty();
    let names =
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
    let needed = if without_test { 2 } else { 4 };
    let chosen = found.into_iter().zip(names).take(needed).map(|(paths, name)| only(folder, paths, name));
    let mut files = DataError::collect(chosen.collect())?.into_iter();
    let mut pair = || [files.next(), files.next()].map(|path| path.expect("two files or four"));
    Ok(Some(Files { train: pair(), test: (!without_test).then(pair) }))
}

/// What a file is, by its name: 0 and 1 for images and labels of the training part, 2 and 3 for those of the test part.
fn role(name: &str) -> Option<usize> {
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
fn only(folder: &Path, mut paths: Vec<PathBuf>, name: &str) -> Result<PathBuf, DataError> {
    let unpacked = |path: &Path| path.with_extension("");
    let copies = paths.len() == 2 && unpacked(&paths[1]) == paths[0];
    match paths.len() {
        0 => Err(DataError::Missing { path: folder.join(name) }),
        n if n > 1 && !copies => Err(DataError::Idx {
            path: folder.to_path_buf(),
            reason: format!("{n} files could be `{name}`\nhint: keep each data set in a folder of its own"),
        }),
        _ => Ok(paths.swap_remove(0)),
    }
}

/// Reads IDX files. Classes are named by their numbers.
pub(super) fn read(folder: &Path, files: &Files, options: &OpenOptions) -> Result<Collection, DataError> {
    let pairs = [Some(&files.train), files.test.as_ref()];
    let parts = pairs.into_iter().flatten().map(|[images, labels]| Raw::read(images, labels)).collect();
    let mut parts = DataError::collect(parts)?;
    let sizes: Vec<(usize, usize)> = parts.iter().map(|raw| raw.size).collect();
    let size = options.target_size(&sizes);
    let classes = parts[0].classes();
    let names = |classes: &[u8]| classes.iter().map(u8::to_string).collect::<Vec<_>>();
    if let Some(test) = parts.get(1) {
        check_same_classes(folder, "test", &names(&classes), &names(&test.classes()))?;
    }
    let test = (parts.len() == 2).then(|| parts.remove(1).images(size, &classes, options));
    let pool = parts.remove(0).images(size, &classes, options);
    Ok(Collection { path: folder.to_path_buf(), classes: names(&classes), pool, validation: None, test })
}

/// Images and labels as the files have them.
struct Raw {
    size: (usize, usize),
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Raw {
    fn read(images: &Path, labels: &Path) -> Result<Self, DataError> {
        let ((dims, pixels), (_, classes)) = match (read_idx(images, 3), read_idx(labels, 1)) {
            (Ok(images), Ok(labels)) => (images, labels),
            (images, labels) => {
                return Err(DataError::all([images.err(), labels.err()].into_iter().flatten().collect())
                    .expect_err("one of them failed"));
            }
        };
        if dims[0] != classes.len() {
            let reason = format!("{} labels, but `{}` has {} images", classes.len(), images.display(), dims[0]);
            return Err(DataError::Idx { path: labels.to_path_buf(), reason });
        }
        Ok(Raw { size: (dims[1], dims[2]), pixels, labels: classes })
    }

    /// Labels that occur, in rising order.
    fn classes(&self) -> Vec<u8> {
        (0..=u8::MAX).filter(|class| self.labels.contains(class)).collect()
    }

    /// The images at the wanted size. Every label is in `classes`.
    fn images(self, (height, width): (usize, usize), classes: &[u8], options: &OpenOptions) -> Images {
        let place = |label: &u8| classes.binary_search(label).expect("the classes of both parts are the same");
        let labels: Vec<usize> = self.labels.iter().map(place).collect();
        let all = Images::new(Shape::new(1, self.size.0, self.size.1), self.pixels, labels);
        let images = match options.max_per_class {
            Some(most) => all.select(&limit(all.labels(), most, options.seed)),
            None => all,
        };
        if (height, width) == self.size {
            return images;
        }
        let resized = images.all_pixels().par_chunks_exact(images.shape().elements()).flat_map_iter(|pixels| {
            let image = GrayImage::from_raw(self.size.1 as u32, self.size.0 as u32, pixels.to_vec());
            fit(image.expect("the shape gives the number of pixels"), width as u32, height as u32).into_raw()
        });
        Images::new(Shape::new(1, height, width), resized.collect(), images.labels().to_vec())
    }
}

/// Dimensions and values of a file of unsigned bytes.
fn read_idx(path: &Path, dimensions: u8) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let wrong = |reason: String| DataError::Idx { path: path.to_path_buf(), reason };
    let mut file = BufReader::new(File::open(path).map_err(|e| DataError::read(path, &e))?);
    let mut reader: Box<dyn Read> = match path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
        true => Box::new(MultiGzDecoder::new(file)),
        false => Box::new(&mut file),
    };
    let mut word = [0; 4];
    let mut next = |reader: &mut dyn Read| {
        reader.read_exact(&mut word).map_err(|e| wrong(format!("cannot read its header: {e}")))?;
        Ok::<_, DataError>(word)
    };
    let magic = next(&mut reader)?;
    let expected = [0, 0, UNSIGNED_BYTES, dimensions];
    if magic != expected {
        return Err(wrong(format!(
            "starts with {magic:02x?}, expected {expected:02x?} (unsigned bytes, {dimensions} dimensions)"
        )));
    }
    let dims = (0..dimensions).map(|_| next(&mut reader).map(u32::from_be_bytes)).collect::<Result<Vec<_>, _>>()?;
    let values = dims.iter().try_fold(1u64, |n, d| n.checked_mul(u64::from(*d)));
    let Some(values) = values.filter(|n| (1..=MOST_VALUES).contains(n)) else {
        return Err(wrong(format!("claims dimensions {dims:?}, expected 1 to {MOST_VALUES} values in all")));
    };
    let mut data = Vec::new();
    // One more than announced, to see whether there is more.
    reader.take(values + 1).read_to_end(&mut data).map_err(|e| wrong(format!("cannot read its values: {e}")))?;
    match (data.len() as u64).cmp(&values) {
        std::cmp::Ordering::Less => Err(wrong(format!("has {} of the {values} values of {dims:?}", data.len()))),
        std::cmp::Ordering::Greater => Err(wrong(format!("has more than the {values} values of {dims:?}"))),
        std::cmp::Ordering::Equal => Ok((dims.iter().map(|d| *d as usize).collect(), data)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;
    use std::io::Write;

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
        let wrong: [(&str, Vec<u8>); 6] = [
            ("has 119 of the 120 values", whole[..whole.len() - 1].to_vec()),
            ("has more than the 120 values", [whole.as_slice(), &[0]].concat()),
            ("starts with [00, 00, 0d, 03], expected [00, 00, 08, 03]", [&[0, 0, 13, 3], &whole[4..]].concat()),
            ("starts with [00, 00, 08, 01]", idx(&[20], &[0; 20])),
            ("cannot read its header", whole[..10].to_vec()),
            ("claims dimensions [4294967295, 4294967295, 3]", idx(&[u32::MAX, u32::MAX, 3], &[])),
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
