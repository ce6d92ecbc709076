//! The binary versions of CIFAR-10 and CIFAR-100 (<https://www.cs.toronto.edu/~kriz/cifar.html>): records of one label or
//! two and 3×32×32 bytes of red, green and blue.

use super::collection::Collection;
use super::raw::{Raw, RawParts};
use super::source::{Source, SourceFile};
use super::{DataError, Format, OpenOptions};
use crate::graph::Shape;

/// One of the two data sets.
pub(super) struct Cifar {
    format: Format,
    /// Bytes before the pixels of a record; the last of them is the class (CIFAR-100 has the coarse one before).
    labels: usize,
    classes: usize,
    /// File with the names of the classes, one on each line.
    names: &'static str,
    /// A file of the training part, to name it if there is none.
    example: &'static str,
}

pub(super) const CIFAR_10: Cifar =
    Cifar { format: Format::Cifar10, labels: 1, classes: 10, names: "batches.meta.txt", example: "data_batch_1.bin" };
pub(super) const CIFAR_100: Cifar =
    Cifar { format: Format::Cifar100, labels: 2, classes: 100, names: "fine_label_names.txt", example: "train.bin" };

/// A part that a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Test,
}

const SHAPE: Shape = Shape { channels: 3, height: 32, width: 32 };

impl Cifar {
    /// The part that a file of this name belongs to.
    pub fn part(&self, name: &str) -> Option<Part> {
        let name = name.to_lowercase();
        match (self.labels, name.strip_suffix(".bin")?) {
            (1, "test_batch") | (2, "test") => Some(Part::Test),
            (1, name) if name.starts_with("data_batch_") => Some(Part::Train),
            (2, "train") => Some(Part::Train),
            _ => None,
        }
    }

    /// Reads all batches that are there.
    pub fn read(&self, source: &Source, options: &OpenOptions) -> Result<Collection, DataError> {
        let names = self.names(source)?;
        let pool = self.read_part(source, Part::Train)?;
        let test = self.read_part(source, Part::Test)?;
        let Some(pool) = pool else {
            return Err(DataError::MissingFile { path: source.path.join(self.example) });
        };
        RawParts { pool, validation: None, test }.collect(source, self.format, |class| names[class].clone(), options)
    }

    /// The files of a part, one after the other; nothing if there are none.
    fn read_part(&self, source: &Source, part: Part) -> Result<Option<Raw>, DataError> {
        let files: Vec<&SourceFile> = source.files.iter().filter(|f| self.part(&f.name) == Some(part)).collect();
        let mut raw = Raw { shape: SHAPE, pixels: Vec::new(), labels: Vec::new() };
        DataError::collect(files.iter().map(|file| self.read_file(file, &mut raw)).collect())?;
        Ok((!files.is_empty()).then_some(raw))
    }

    fn read_file(&self, file: &SourceFile, raw: &mut Raw) -> Result<(), DataError> {
        let bytes = file.bytes()?;
        let record = self.labels + SHAPE.elements();
        let records = bytes.chunks_exact(record);
        let rest = records.remainder().len();
        if bytes.is_empty() || rest > 0 {
            let reason =
                format!("has {} bytes, which are not a whole number of records of {record} bytes", bytes.len());
            return Err(file.wrong(reason));
        }
        raw.pixels.reserve(records.len() * SHAPE.elements());
        for (at, record) in records.enumerate() {
            let (labels, pixels) = record.split_at(self.labels);
            let label = usize::from(labels[self.labels - 1]);
            if label >= self.classes {
                return Err(file.wrong(format!("has label {label} in record {at}, expected 0 to {}", self.classes - 1)));
            }
            raw.labels.push(label);
            raw.pixels.extend_from_slice(pixels);
        }
        Ok(())
    }

    /// Names of all classes: from the file that comes with the data, or else their numbers.
    fn names(&self, source: &Source) -> Result<Vec<String>, DataError> {
        let Some(file) = source.file(self.names) else {
            return Ok((0..self.classes).map(|class| class.to_string()).collect());
        };
        let bytes = file.bytes()?;
        let text = String::from_utf8_lossy(&bytes);
        let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(String::from).collect();
        match names.len() == self.classes {
            true => Ok(names),
            false => Err(file.wrong(format!("has {} names of classes, expected {}", names.len(), self.classes))),
        }
    }
}

/// An error if the files are those of the version for Python, which are pickles.
pub(super) fn refuse_pickles(source: &Source) -> Result<(), DataError> {
    let has = |name: &str| source.files.iter().any(|file| file.name == name);
    let set = match (has("data_batch_1"), has("train") && has("test") && has("meta")) {
        (true, _) => "cifar10",
        (_, true) => "cifar100",
        _ => return Ok(()),
    };
    Err(DataError::Unrecognised {
        path: source.path.clone(),
        reason: format!("these are the pickles of {set} for Python, which can run any program"),
        hint: "get the binary version: `netwright data fetch cifar10` or `cifar100`",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Images};

    /// Records whose pixels count up from `first`, with these labels.
    fn records(first: usize, labels: &[&[u8]]) -> Vec<u8> {
        let record = |(i, labels): (usize, &&[u8])| [labels, [(first + i) as u8; 3072].as_slice()].concat();
        labels.iter().enumerate().flat_map(record).collect()
    }

    fn open(files: &[(&str, &[u8])]) -> Result<Dataset, String> {
        Dataset::from_memory("set", files, &OpenOptions::default()).map_err(|e| e.to_string())
    }

    const NAMES: &[u8] = b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";

    #[test]
    fn batches_are_joined_and_classes_have_their_names() {
        let batches = [records(0, &[&[3], &[5], &[3]]), records(3, &[&[5], &[3], &[5]])];
        let test = records(100, &[&[3], &[5]]);
        let files: [(&str, &[u8]); 4] = [
            ("data_batch_1.bin", &batches[0]),
            ("data_batch_2.bin", &batches[1]),
            ("test_batch.bin", &test),
            ("batches.meta.txt", NAMES),
        ];
        let set = open(&files).unwrap();
        assert_eq!(set.classes, ["cat", "dog"]);
        assert_eq!([&set.train, &set.validation, &set.test].map(Images::len), [4, 2, 2]);
        assert_eq!((set.shape(), set.test.pixels(1)[0], set.test.label(1)), (SHAPE, 101, 1));
        assert_eq!(open(&files[..3]).unwrap().classes, ["3", "5"], "without their names, classes are numbers");
    }

    #[test]
    fn the_fine_label_of_the_hundred_classes_counts() {
        let train = records(0, &[&[4, 99], &[4, 0], &[1, 99], &[1, 0], &[0, 99], &[0, 0]]);
        let set = open(&[("train.bin", &train)]).unwrap();
        assert_eq!(set.classes, ["0", "99"]);
        assert_eq!([&set.train, &set.validation, &set.test].map(Images::len), [2, 2, 2]);
    }

    #[test]
    fn colours_lie_in_planes() {
        let mut record = vec![1];
        [10, 20, 30].iter().for_each(|colour| record.extend([*colour; 1024]));
        let other = records(0, &[&[0], &[0], &[0], &[1], &[1]]);
        let set = open(&[("data_batch_1.bin", &[record, other].concat())]).unwrap();
        let all = [&set.train, &set.validation, &set.test];
        let colours = all.iter().flat_map(|part| (0..part.len()).map(|i| part.pixels(i))).find(|p| p[0] == 10).unwrap();
        assert_eq!([colours[1023], colours[1024], colours[2047], colours[2048]], [10, 20, 20, 30]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let whole = records(0, &[&[0], &[1], &[0], &[1], &[0], &[1]]);
        let error = |files: &[(&str, &[u8])]| open(files).unwrap_err();
        let short = error(&[("data_batch_1.bin", &whole[..whole.len() - 1])]);
        assert!(short.contains("data_batch_1.bin` has 18437 bytes, which are not a whole number of records of 3073"));
        assert!(error(&[("data_batch_1.bin", &[])]).contains("has 0 bytes"));
        let out_of_range = error(&[("data_batch_1.bin", &records(0, &[&[0], &[10]]))]);
        assert!(out_of_range.contains("has label 10 in record 1, expected 0 to 9"), "{out_of_range}");
        let names = error(&[("data_batch_1.bin", &whole), ("batches.meta.txt", b"one\ntwo")]);
        assert!(names.contains("batches.meta.txt` has 2 names of classes, expected 10"), "{names}");
        assert!(error(&[("test_batch.bin", &whole)]).contains("data_batch_1.bin` does not exist"));
    }
}
