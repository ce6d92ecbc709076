//! A data set as training uses it: three parts, their classes, their digest and the statistics of the training part.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::collection::{Collection, Parts, Sizes};
use super::parts::{self, BuiltIn};
use super::patterns::{self, Family};
use super::source::Source;
use super::{DataError, Format, Images, cifar, folders, format, idx, npz};
use crate::graph::Shape;

/// Smallest standard deviation of a channel, so that a constant channel can be divided by it.
const LEAST_STD: f32 = 1e-3;

/// A data set for classification. Its parts share no image.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What it is called in reports: the folder's name, or `parts` for the built-in one.
    pub name: String,
    /// Names of the classes; a label is a place in this list.
    pub classes: Vec<String>,
    /// What weights are fitted to.
    pub train: Images,
    /// What a search compares networks by.
    pub validation: Images,
    /// What is reported in the end.
    pub test: Images,
    /// SHA-256 over classes, shapes, pixels and labels of all parts, in hexadecimal.
    pub digest: String,
    /// Mean of each channel of the training part, in 0..1.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel of the training part, in 0..1, at least 0.001.
    pub std: Vec<f32>,
    /// Images left out because another part has the same pixels, or because they came twice.
    pub repeated: usize,
    /// Images whose pixels came before with another class.
    pub contradictory: usize,
}

/// How a data set on disk is read.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenOptions {
    /// Seed of the split and of the choice under `max_per_class`.
    pub seed: u64,
    /// Side of the square images that the network sees. Without it, images that all have one size of at most
    /// [`OpenOptions::LARGEST_OWN_SIDE`] keep it, and others become [`OpenOptions::DEFAULT_SIDE`] wide and high.
    pub side: Option<usize>,
    /// Share of the images outside a given test part that becomes the validation part: above 0, at most 0.5.
    pub validation_fraction: f64,
    /// Images of each class that are used at most, of a given test part as well.
    pub max_per_class: Option<usize>,
    /// The format, if it is not to be recognised.
    pub format: Option<Format>,
}

impl OpenOptions {
    /// Side of images of different sizes if none is asked for.
    pub const DEFAULT_SIDE: usize = 32;
    /// Longest side that images of one size keep if none is asked for: above it, networks for small devices are out of
    /// reach.
    pub const LARGEST_OWN_SIDE: usize = 96;
    /// Largest side that may be asked for.
    pub const LARGEST_SIDE: usize = 1024;

    fn check(&self) -> Result<(), DataError> {
        let mut faults = Vec::new();
        let mut fault = |option, found: String, expected| faults.push(DataError::Option { option, found, expected });
        if !(self.validation_fraction > 0.0 && self.validation_fraction <= 0.5) {
            fault("validation_fraction", self.validation_fraction.to_string(), "a share above 0 and at most 0.5");
        }
        if let Some(side) = self.side.filter(|side| !(1..=Self::LARGEST_SIDE).contains(side)) {
            fault("side", side.to_string(), "1 to 1024 pixels");
        }
        if let Some(most) = self.max_per_class.filter(|most| *most < 3) {
            fault("max_per_class", most.to_string(), "at least 3, one for each part");
        }
        DataError::all(faults)
    }

    /// Height and width that images get whose own sizes are `sizes`.
    pub(super) fn target_size(&self, sizes: &Sizes) -> (usize, usize) {
        if let Some(side) = self.side {
            return (side, side);
        }
        let mut own = sizes.keys();
        match (own.next(), own.next()) {
            (Some(only), None) if only.0.max(only.1) <= Self::LARGEST_OWN_SIDE => *only,
            _ => (Self::DEFAULT_SIDE, Self::DEFAULT_SIDE),
        }
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions { seed: 0, side: None, validation_fraction: 0.1, max_per_class: None, format: None }
    }
}

impl Dataset {
    /// A data set of these parts.
    ///
    /// # Panics
    /// If the parts differ in shape, a label is no class, or there is nothing to train on.
    pub fn new(name: &str, classes: Vec<String>, train: Images, validation: Images, test: Images) -> Self {
        for part in [&train, &validation, &test] {
            assert_eq!(part.shape(), train.shape(), "the parts of a data set have one shape");
            assert!(part.labels().iter().all(|label| *label < classes.len()), "every label is a class");
        }
        assert!(!train.is_empty(), "there is something to train on");
        let digest = digest(&classes, [&train, &validation, &test]);
        let (mean, std) = statistics(&train);
        let name = name.to_string();
        Dataset { name, classes, train, validation, test, digest, mean, std, repeated: 0, contradictory: 0 }
    }

    /// Shape of an image.
    pub fn shape(&self) -> Shape {
        self.train.shape()
    }

    /// The places of some classes among the own ones.
    ///
    /// # Errors
    /// With the reason: a name that is no class.
    pub fn places_of(&self, classes: &[String]) -> Result<Vec<usize>, String> {
        let known = || self.classes.iter().map(|class| format!("`{class}`")).collect::<Vec<_>>().join(", ");
        let unknown = |name: &String| format!("there is no class `{name}`\nhint: the classes are {}", known());
        let own = |name: &String| self.classes.iter().position(|own| own == name).ok_or_else(|| unknown(name));
        classes.iter().map(own).collect()
    }

    /// The images of some classes, whose labels become their places in `classes`.
    ///
    /// # Errors
    /// With the reason: a name that is no class, or classes without training images.
    pub fn of_classes(&self, classes: &[String]) -> Result<Self, String> {
        let chosen = self.places_of(classes)?;
        let part = |images: &Images| {
            let label = |image: &usize| chosen.iter().position(|class| *class == images.label(*image));
            let places: Vec<usize> = (0..images.len()).filter(|image| label(image).is_some()).collect();
            let labels = places.iter().filter_map(label).collect();
            Images::new(images.shape(), images.select(&places).all_pixels().to_vec(), labels)
        };
        let [train, validation, test] = [&self.train, &self.validation, &self.test].map(part);
        match train.is_empty() {
            true => Err("these classes have no training images".to_string()),
            false => Ok(Dataset::new(&self.name, classes.to_vec(), train, validation, test)),
        }
    }

    /// The built-in set: machine parts on a conveyor belt, drawn from a seed.
    pub fn built_in(options: &BuiltIn) -> Self {
        let [train, validation, test] = parts::draw(options);
        Dataset::new("parts", parts::class_names(), train, validation, test)
    }

    /// Another procedural set, of a side in pixels.
    pub fn procedural(family: Family, options: &BuiltIn, side: usize) -> Self {
        let [train, validation, test] = patterns::draw(family, options, side);
        Dataset::new(family.name(), family.class_names(), train, validation, test)
    }

    /// Reads a folder. These are recognised by what lies in it, or in the only folder inside of it:
    ///
    /// - `DIR/<class>/*.png|jpg|jpeg` (or `DIR/<class>/images/*`): a test part of a tenth is split off, and a validation part;
    /// - `DIR/train/<class>/…` with `DIR/test/<class>/…` or `DIR/val/<class>/…` (or `valid`, `validation`), which becomes
    ///   the test part, or with both;
    /// - `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` of the
    ///   MNIST family, packed with gzip or not;
    /// - `data_batch_*.bin` and `test_batch.bin` of CIFAR-10, `train.bin` and `test.bin` of CIFAR-100 (its fine labels),
    ///   with the names of the classes in `batches.meta.txt` and `fine_label_names.txt`;
    /// - a `.npz` file (which may be given itself) with `x_train`, `y_train`, `x_test`, `y_test`, or `train_images`,
    ///   `train_labels`, `val_images`, …, or `images` and `labels` alone.
    ///
    /// Splits are stratified and drawn from the seed. Images of another size than wanted are cropped in the middle to its
    /// proportions and resampled; if all are grey, there is one channel.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, DataError> {
        let collection = read(path, options)?;
        Dataset::of(&name_of(path), collection, options)
    }

    /// The same from files in memory, given by their names; not for class folders.
    ///
    /// ```
    /// # use netwright::data::{Dataset, OpenOptions};
    /// let images: Vec<u8> = [0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2].into_iter().chain(0..12).collect();
    /// let labels = [0, 0, 8, 1, 0, 0, 0, 6, 1, 0, 1, 0, 1, 0];
    /// let files = [("train-images-idx3-ubyte", images.as_slice()), ("train-labels-idx1-ubyte", labels.as_slice())];
    /// let set = Dataset::from_memory("tiny", &files, &OpenOptions::default())?;
    /// assert_eq!((set.classes.len(), set.shape().to_string()), (2, "1×1×2".to_string()));
    /// # Ok::<(), netwright::data::DataError>(())
    /// ```
    pub fn from_memory(name: &str, files: &[(&str, &[u8])], options: &OpenOptions) -> Result<Self, DataError> {
        options.check()?;
        let source = Source::memory(name, files);
        let format = match options.format {
            Some(format) => Some(format),
            None => format::recognise(&source, None)?,
        };
        match format {
            Some(format) if format != Format::Folders => {
                Dataset::of(name, read_files(&source, format, options)?, options)
            }
            _ => Err(DataError::Unrecognised {
                path: source.path,
                reason: "there is no IDX, CIFAR or `.npz` file".into(),
                hint: "class folders are read from a disk, by `Dataset::open`",
            }),
        }
    }

    /// The data set of what was read.
    pub(super) fn of(name: &str, collection: Collection, options: &OpenOptions) -> Result<Self, DataError> {
        let classes = collection.classes.clone();
        let Parts { train, validation, test, repeated, contradictory } = collection.divide(options)?;
        Ok(Dataset { repeated, contradictory, ..Dataset::new(name, classes, train, validation, test) })
    }
}

/// Reads what lies at a path.
pub(super) fn read(path: &Path, options: &OpenOptions) -> Result<Collection, DataError> {
    options.check()?;
    let (source, format) = format::find(path, options.format)?;
    read_files(&source, format, options)
}

fn read_files(source: &Source, format: Format, options: &OpenOptions) -> Result<Collection, DataError> {
    match format {
        Format::Folders => folders::read(&source.path, options),
        Format::Idx => idx::read(source, options),
        Format::Cifar10 => cifar::CIFAR_10.read(source, options),
        Format::Cifar100 => cifar::CIFAR_100.read(source, options),
        Format::Npz => npz::read(source, options),
    }
}

/// What a data set is called in reports: the last part of its path.
pub(super) fn name_of(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or(path.to_path_buf());
    whole.file_name().map_or("data".into(), |name| name.to_string_lossy().into_owned())
}

fn digest(classes: &[String], parts: [&Images; 3]) -> String {
    let mut hash = Sha256::new();
    let number = |hash: &mut Sha256, n: usize| hash.update((n as u64).to_le_bytes());
    number(&mut hash, classes.len());
    for class in classes {
        number(&mut hash, class.len());
        hash.update(class);
    }
    for part in parts {
        let shape = part.shape();
        [part.len(), shape.channels, shape.height, shape.width].iter().for_each(|n| number(&mut hash, *n));
        hash.update(part.all_pixels());
        part.labels().iter().for_each(|label| number(&mut hash, *label));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Mean and standard deviation of each channel, in 0..1. The sums are whole numbers, so that no order of adding matters.
fn statistics(images: &Images) -> (Vec<f32>, Vec<f32>) {
    let shape = images.shape();
    let mut sums = vec![(0u64, 0u64); shape.channels];
    for (i, plane) in images.all_pixels().chunks_exact(shape.plane()).enumerate() {
        let (sum, squares) = &mut sums[i % shape.channels];
        *sum += plane.iter().map(|p| u64::from(*p)).sum::<u64>();
        *squares += plane.iter().map(|p| u64::from(*p).pow(2)).sum::<u64>();
    }
    let n = (images.len() * shape.plane()) as f64;
    let of = |(sum, squares): &(u64, u64)| {
        let mean = *sum as f64 / n;
        let variance = (*squares as f64 / n - mean * mean).max(0.0);
        ((mean / 255.0) as f32, ((variance.sqrt() / 255.0) as f32).max(LEAST_STD))
    };
    sums.iter().map(of).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny(pixels: [u8; 8], classes: [&str; 2]) -> Dataset {
        let part = |pixels: &[u8]| Images::new(Shape::new(2, 1, 2), pixels.to_vec(), vec![0; pixels.len() / 4]);
        let classes = classes.map(String::from).to_vec();
        Dataset::new("tiny", classes, part(&pixels), part(&pixels[..4]), part(&pixels[4..]))
    }

    #[test]
    fn the_digest_changes_with_a_pixel_and_with_a_name() {
        let digest = |last: u8, class: &str| tiny([1, 2, 3, 4, 5, 6, 7, last], ["a", class]).digest;
        assert_eq!(digest(8, "b"), digest(8, "b"));
        assert_ne!(digest(8, "b"), digest(9, "b"));
        assert_ne!(digest(8, "b"), digest(8, "c"));
        assert_eq!(digest(8, "b").len(), 64);
    }

    #[test]
    fn images_of_some_classes_keep_their_pixels_and_get_their_new_labels() {
        let labels = |n: usize| (0..n).map(|i| i % 4).collect::<Vec<usize>>();
        let part = |n: usize| Images::new(Shape::new(1, 1, 1), (0..n as u8).collect(), labels(n));
        let names: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
        let set = Dataset::new("set", names, part(12), part(8), part(4));
        let some = set.of_classes(&["d".to_string(), "b".to_string()]).unwrap();
        assert_eq!(
            (some.train.all_pixels(), some.train.labels()),
            ([1, 3, 5, 7, 9, 11].as_slice(), [1, 0, 1, 0, 1, 0].as_slice())
        );
        assert_eq!((some.validation.len(), some.test.len(), some.classes.len()), (4, 2, 2));
        let error = set.of_classes(&["e".to_string()]).unwrap_err();
        assert_eq!(error, "there is no class `e`\nhint: the classes are `a`, `b`, `c`, `d`");
    }

    #[test]
    fn mean_and_deviation_are_those_of_each_channel() {
        let set = tiny([0, 255, 51, 51, 0, 255, 51, 51], ["a", "b"]);
        assert_eq!(set.mean, [0.5, 0.2]);
        assert_eq!(set.std, [0.5, LEAST_STD]);
    }

    #[test]
    fn images_of_one_moderate_size_keep_it() {
        let options = OpenOptions::default();
        let size = |sizes: &[(usize, usize)], options: &OpenOptions| {
            options.target_size(&sizes.iter().map(|size| (*size, 2)).collect())
        };
        assert_eq!(size(&[(28, 20)], &options), (28, 20));
        assert_eq!(size(&[(28, 20), (20, 28)], &options), (32, 32));
        assert_eq!(size(&[(640, 480)], &options), (32, 32));
        assert_eq!(size(&[(28, 28)], &OpenOptions { side: Some(48), ..options }), (48, 48));
    }

    #[test]
    fn all_options_out_of_range_are_reported_at_once() {
        let options =
            OpenOptions { side: Some(0), validation_fraction: 0.9, max_per_class: Some(1), ..Default::default() };
        let error = Dataset::open(Path::new("anywhere"), &options).unwrap_err().to_string();
        assert!(
            ["`side` is 0", "`validation_fraction` is 0.9", "`max_per_class` is 1"].iter().all(|m| error.contains(m))
        );
    }
}
