//! NumPy archives (`.npz`): arrays of images and of labels under names that are usual.

use std::io::Cursor;

use zip::ZipArchive;

use super::collection::Collection;
use super::npy::{Array, Values};
use super::raw::{Raw, RawParts};
use super::source::{Source, SourceFile};
use super::{DataError, Format, OpenOptions};
use crate::graph::Shape;

/// Names of the images and labels of the training, validation and test part: those of Keras, of MedMNIST, and of an archive
/// that is not divided.
const TRAIN: [[&str; 2]; 5] =
    [["x_train", "y_train"], ["train_images", "train_labels"], ["images", "labels"], ["x", "y"], ["data", "labels"]];
const VALIDATION: [[&str; 2]; 3] = [["x_val", "y_val"], ["val_images", "val_labels"], ["x_valid", "y_valid"]];
const TEST: [[&str; 2]; 2] = [["x_test", "y_test"], ["test_images", "test_labels"]];
/// Arrays in one archive: as many as parts need, and some that are not looked at.
const MOST_ARRAYS: usize = 1000;
/// Largest label: more classes than any data set of images has.
const LARGEST_LABEL: i64 = 99_999;

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// Whether a file is an archive, by its name.
pub(super) fn is_archive(name: &str) -> bool {
    name.to_lowercase().ends_with(".npz")
}

/// Reads the only archive. Classes are named by their numbers.
pub(super) fn read(source: &Source, options: &OpenOptions) -> Result<Collection, DataError> {
    let files: Vec<&SourceFile> = source.files.iter().filter(|f| is_archive(&f.name)).collect();
    let file = match files.as_slice() {
        [file] => file,
        files => {
            return Err(DataError::Unrecognised {
                path: source.path.clone(),
                reason: format!("there are {} `.npz` files, expected one", files.len()),
                hint: "give the file itself: `--data DIR/FILE.npz`",
            });
        }
    };
    let bytes = file.bytes()?;
    let mut archive = ZipArchive::new(Cursor::new(&*bytes)).map_err(|e| file.wrong(format!("is no archive: {e}")))?;
    if archive.len() > MOST_ARRAYS {
        return Err(file.wrong(format!("holds {} files, the limit is {MOST_ARRAYS}", archive.len())));
    }
    let mut part = |names: &[[&str; 2]]| read_part(&mut archive, (file, bytes.len()), names);
    let (pool, validation, test) = (part(&TRAIN)?, part(&VALIDATION)?, part(&TEST)?);
    // As with folders, a validation part without a test part is what to test with.
    let (validation, test) = if test.is_some() { (validation, test) } else { (None, validation) };
    let [pool, validation, test] = Raw::grey_if_all_are([pool, validation, test]);
    let Some(pool) = pool else {
        let found: Vec<String> = names_in(&archive).into_iter().take(12).map(|n| n.replace(".npy", "")).collect();
        let reason = format!("there are no images to train with, only {}", found.join(", "));
        let hint = "the names looked for are x_train and y_train, train_images and train_labels, or images and labels";
        return Err(DataError::Unrecognised { path: file.path.clone(), reason, hint });
    };
    RawParts { pool, validation, test }.collect(source, Format::Npz, |class| class.to_string(), options)
}

/// The images and labels of a part, from a file of `whole` bytes; nothing if no array has such a name.
fn read_part(
    archive: &mut Archive,
    (file, whole): (&SourceFile, usize),
    names: &[[&str; 2]],
) -> Result<Option<Raw>, DataError> {
    let stored = |archive: &Archive, name: &str| {
        names_in(archive).into_iter().find(|n| n.eq_ignore_ascii_case(&format!("{name}.npy")))
    };
    let Some([images, labels]) = names.iter().find(|pair| stored(archive, pair[0]).is_some()) else {
        return Ok(None);
    };
    let mut array = |name: &str| {
        let entry = stored(archive, name).ok_or_else(|| file.wrong(format!("holds `{images}`, but no `{name}`")))?;
        read_array(archive, &entry, whole).map_err(|reason| file.wrong(format!("holds `{name}`, which {reason}")))
    };
    let (pixels, classes) = (array(images)?, array(labels)?);
    let (shape, pixels) =
        to_pixels(pixels).map_err(|reason| file.wrong(format!("holds `{images}`, which {reason}")))?;
    let classes = to_labels(classes).map_err(|reason| file.wrong(format!("holds `{labels}`, which {reason}")))?;
    match pixels.len() / shape.elements() == classes.len() {
        true => Ok(Some(Raw { shape, pixels, labels: classes })),
        false => {
            let found = pixels.len() / shape.elements();
            Err(file.wrong(format!("holds {found} images in `{images}`, but {} labels in `{labels}`", classes.len())))
        }
    }
}

/// Names of the files in an archive; those that are no text are not looked for.
fn names_in(archive: &Archive) -> Vec<String> {
    archive.file_names().filter_map(|name| name.ok().map(|name| name.into_owned())).collect()
}

/// Reads an array out of an archive of `whole` bytes.
fn read_array(archive: &mut Archive, entry: &str, whole: usize) -> Result<Array, String> {
    let entry = archive.by_name(entry).map_err(|e| format!("cannot be unpacked: {e}"))?;
    // What the archive says of the entry's size may be wrong, what it has itself is not.
    let packed = usize::try_from(entry.compressed_size()).unwrap_or(whole).min(whole);
    Array::read(entry, packed)
}

/// Shape of an image and pixels, (image, channel, row, column).
fn to_pixels(array: Array) -> Result<(Shape, Vec<u8>), String> {
    let pixels = match array.values {
        Values::Bytes(bytes) => bytes,
        Values::Ints(values) => {
            let pixel = |v: &i64| u8::try_from(*v).map_err(|_| format!("has the value {v}, expected 0 to 255"));
            values.iter().map(pixel).collect::<Result<_, _>>()?
        }
        Values::Floats(values) => from_floats(&values)?,
    };
    match array.dims[..] {
        [_, height, width] => Ok((Shape::new(1, height, width), pixels)),
        // Channels last, as TensorFlow has them, if both could be meant.
        [_, height, width, channels @ (1 | 3)] => {
            let shape = Shape::new(channels, height, width);
            Ok((shape, channels_first(&pixels, shape)))
        }
        [_, channels @ (1 | 3), height, width] => Ok((Shape::new(channels, height, width), pixels)),
        _ => Err(format!(
            "has dimensions {:?}, expected (images, rows, columns), with 1 or 3 channels behind or before the rows",
            array.dims
        )),
    }
}

/// Values of 0 to 1 or of 0 to 255 as bytes.
fn from_floats(values: &[f32]) -> Result<Vec<u8>, String> {
    let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    if !values.iter().all(|v| v.is_finite()) || low < 0.0 || high > 255.0 {
        return Err(format!("has values from {low} to {high}, expected 0 to 1 or 0 to 255, not normalised"));
    }
    let scale = if high <= 1.0 { 255.0 } else { 1.0 };
    Ok(values.iter().map(|v| (v * scale).round() as u8).collect())
}

fn channels_first(pixels: &[u8], shape: Shape) -> Vec<u8> {
    if shape.channels == 1 {
        return pixels.to_vec();
    }
    let plane = |image: &[u8], c: usize| image.iter().skip(c).step_by(shape.channels).copied().collect::<Vec<_>>();
    let image = |image: &[u8]| (0..shape.channels).flat_map(|c| plane(image, c)).collect::<Vec<_>>();
    pixels.chunks_exact(shape.elements()).flat_map(image).collect()
}

/// Labels from (images) or (images, 1) whole numbers.
fn to_labels(array: Array) -> Result<Vec<usize>, String> {
    match array.dims[..] {
        [_] | [_, 1] => {}
        [_, classes] => {
            return Err(format!(
                "has {classes} columns, expected one label for each image; for one-hot labels take their `argmax`"
            ));
        }
        _ => return Err(format!("has dimensions {:?}, expected one label for each image", array.dims)),
    }
    let label = |(at, value): (usize, i64)| match value {
        0..=LARGEST_LABEL => Ok(value as usize),
        _ => Err(format!("has label {value} for image {at}, expected 0 to {LARGEST_LABEL}")),
    };
    match array.values {
        Values::Bytes(values) => Ok(values.into_iter().map(usize::from).collect()),
        Values::Ints(values) => values.into_iter().enumerate().map(label).collect(),
        Values::Floats(values) if values.iter().all(|v| v.fract() == 0.0) => {
            values.into_iter().map(|v| v as i64).enumerate().map(label).collect()
        }
        Values::Floats(_) => Err("has fractions, expected whole numbers".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::super::npy::tests::npy;
    use super::*;
    use crate::data::{Dataset, Images};

    fn archive(arrays: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            let options = SimpleFileOptions::default().compression_method(method);
            archive.start_file(format!("{name}.npy"), options).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn open(arrays: &[(&str, Vec<u8>)]) -> Result<Dataset, String> {
        let bytes = archive(arrays, CompressionMethod::Deflated);
        Dataset::from_memory("set", &[("set.npz", &bytes)], &OpenOptions::default()).map_err(|e| e.to_string())
    }

    /// `n` different images of these dimensions, with two classes.
    fn part(names: [&'static str; 2], n: usize, dims: &[usize], first: u8) -> [(&'static str, Vec<u8>); 2] {
        let size: usize = dims.iter().product();
        let pixels: Vec<u8> = (0..n).flat_map(|i| (0..size).map(move |at| first + (i * size + at) as u8)).collect();
        let labels: Vec<u8> = (0..n).map(|i| 3 + (i % 2) as u8).collect();
        let dims = [&[n], dims].concat();
        [(names[0], npy("|u1", false, &dims, &pixels)), (names[1], npy("|u1", false, &[n, 1], &labels))]
    }

    #[test]
    fn the_names_of_keras_and_of_medmnist_are_known() {
        let keras =
            [part(["x_train", "y_train"], 10, &[2, 3], 0), part(["x_test", "y_test"], 4, &[2, 3], 100)].concat();
        let set = open(&keras).unwrap();
        assert_eq!([&set.train, &set.validation, &set.test].map(Images::len), [8, 2, 4]);
        assert_eq!((set.shape(), set.classes.join(" ")), (Shape::new(1, 2, 3), "3 4".to_string()));
        assert_eq!(set.test.pixels(1), [106, 107, 108, 109, 110, 111]);
        let medical = [
            part(["train_images", "train_labels"], 6, &[2, 3], 0),
            part(["val_images", "val_labels"], 2, &[2, 3], 100),
            part(["test_images", "test_labels"], 4, &[2, 3], 150),
        ];
        let set = open(&medical.concat()).unwrap();
        assert_eq!([&set.train, &set.validation, &set.test].map(Images::len), [6, 2, 4]);
        assert_eq!(open(&medical[..2].concat()).unwrap().test.pixels(0)[0], 100, "validation alone is the test part");
        assert_eq!(open(&part(["images", "labels"], 20, &[2, 3], 0)).unwrap().train.len(), 16);
        let stored = archive(&keras, CompressionMethod::Stored);
        let set = Dataset::from_memory("set", &[("Set.NPZ", &stored)], &OpenOptions::default()).unwrap();
        assert_eq!(set.digest, open(&keras).unwrap().digest, "packed or not");
    }

    #[test]
    fn channels_may_come_first_or_last() {
        let last = open(&part(["x", "y"], 6, &[2, 2, 3], 0)).unwrap();
        let first = open(&part(["x", "y"], 6, &[3, 2, 2], 0)).unwrap();
        assert_eq!([last.shape(), first.shape()], [Shape::new(3, 2, 2); 2]);
        let smallest = |set: &Dataset| {
            let parts = [&set.train, &set.validation, &set.test];
            parts.iter().flat_map(|p| (0..p.len()).map(|i| p.pixels(i).to_vec())).min().unwrap()
        };
        assert_eq!(smallest(&last), [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
        assert_eq!(smallest(&first), (0..12).collect::<Vec<u8>>());
    }

    #[test]
    fn fractions_of_one_and_whole_numbers_become_bytes() {
        let labels = ("y", npy("<i8", false, &[6], &[0i64, 1, 0, 1, 0, 1].map(i64::to_le_bytes).concat()));
        let set = |kind, values: Vec<u8>| open(&[("x", npy(kind, false, &[6, 1, 1], &values)), labels.clone()]);
        let fractions = [0.0f32, 0.2, 0.4, 0.6, 0.8, 1.0].map(f32::to_le_bytes).concat();
        let whole = [0f64, 51.0, 102.0, 153.0, 204.0, 255.0].map(f64::to_le_bytes).concat();
        let ints = [0i32, 51, 102, 153, 204, 255].map(i32::to_le_bytes).concat();
        let digests = [set("<f4", fractions), set("<f8", whole), set("<i4", ints)].map(|set| set.unwrap().digest);
        assert!(digests[0] == digests[1] && digests[1] == digests[2]);
        let normalised = [-1f32, 0.0, 1.0, -1.0, 0.5, 1.0].map(f32::to_le_bytes).concat();
        assert!(set("<f4", normalised).unwrap_err().contains("has values from -1 to 1, expected 0 to 1 or 0 to 255"));
        assert!(set("<f4", vec![255; 24]).unwrap_err().contains("not normalised"), "not a number");
        assert!(set("<i2", vec![255; 12]).unwrap_err().contains("has the value -1, expected 0 to 255"));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let images = |dims: &[usize]| ("x", npy("|u1", false, dims, &vec![7; dims.iter().product()]));
        let labels = |kind, dims: &[usize], values: &[u8]| ("y", npy(kind, false, dims, values));
        for (expected, arrays) in [
            ("holds 2 images in `x`, but 3 labels in `y`", [images(&[2, 4, 4]), labels("|u1", &[3], &[0, 1, 2])]),
            ("holds `x`, which has dimensions [2, 16]", [images(&[2, 16]), labels("|u1", &[2], &[0, 1])]),
            ("with 1 or 3 channels", [images(&[2, 4, 4, 4]), labels("|u1", &[2], &[0, 1])]),
            ("has 2 columns, expected one label", [images(&[2, 4, 4]), labels("|u1", &[2, 2], &[0, 1, 1, 0])]),
            ("has label -1 for image 0", [images(&[2, 4, 4]), labels("|i1", &[2], &[255, 0])]),
            ("holds `x`, but no `y`", [images(&[2, 4, 4]), ("z", Vec::new())]),
            ("only a, b", [("a", Vec::new()), ("b", Vec::new())]),
        ] {
            let error = open(&arrays).unwrap_err();
            assert!(error.contains(expected) && error.contains("hint: "), "{error}");
        }
        let cut = archive(&part(["x", "y"], 20, &[8, 8], 0), CompressionMethod::Deflated);
        for end in [0, 30, cut.len() / 2, cut.len() - 1] {
            assert!(Dataset::from_memory("set", &[("a.npz", &cut[..end])], &OpenOptions::default()).is_err());
        }
    }
}
