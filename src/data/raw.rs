//! Images of one size as a file holds them, on their way into a [`Collection`].

use super::collection::{Collection, Sizes, check_same_classes};
use super::folders::without_equal_channels;
use super::source::{MOST_BYTES, Source};
use super::split::limit;
use super::{DataError, Format, Images, OpenOptions};
use crate::graph::Shape;

/// Images with the labels that the file gives them.
pub(super) struct Raw {
    pub shape: Shape,
    /// (image, channel, row, column).
    pub pixels: Vec<u8>,
    pub labels: Vec<usize>,
}

/// What the files hold.
pub(super) struct RawParts {
    pub pool: Raw,
    pub validation: Option<Raw>,
    pub test: Option<Raw>,
}

impl RawParts {
    /// Brings all images to one size; the labels that occur become the classes, in rising order, named by `name`.
    pub fn collect(
        self,
        source: &Source,
        format: Format,
        name: impl Fn(usize) -> String,
        options: &OpenOptions,
    ) -> Result<Collection, DataError> {
        let classes = self.pool.classes();
        let names = |classes: &[usize]| classes.iter().map(|c| name(*c)).collect::<Vec<_>>();
        let given = [("validation", &self.validation), ("test", &self.test)];
        let given: Vec<(&str, &Raw)> = given.into_iter().filter_map(|(n, raw)| raw.as_ref().map(|r| (n, r))).collect();
        let check = |(part, raw): &(&str, &Raw)| {
            check_same_classes(&source.path, part, &names(&classes), &names(&raw.classes()))?;
            raw.check_channels(source, part, self.pool.shape.channels)
        };
        DataError::collect(given.iter().map(check).collect())?;
        let sizes = [Some(&self.pool), self.validation.as_ref(), self.test.as_ref()].into_iter().flatten();
        let mut counts = Sizes::new();
        sizes.for_each(|raw| *counts.entry((raw.shape.height, raw.shape.width)).or_insert(0) += raw.labels.len());
        let size = options.target_size(&counts);
        let images = |raw: Raw| raw.images(source, size, &classes, options);
        Ok(Collection {
            path: source.path.clone(),
            format,
            classes: names(&classes),
            sizes: counts,
            pool: images(self.pool)?,
            validation: self.validation.map(images).transpose()?,
            test: self.test.map(images).transpose()?,
        })
    }
}

impl Raw {
    /// Images with three channels that are all the same become grey; `parts` are treated alike.
    pub fn grey_if_all_are(parts: [Option<Raw>; 3]) -> [Option<Raw>; 3] {
        let convert = |raw: Raw| match raw.shape.channels {
            3 => {
                let (shape, pixels) = without_equal_channels(raw.shape, raw.pixels);
                Raw { shape, pixels, ..raw }
            }
            _ => raw,
        };
        let is_grey = |raw: &Raw| raw.shape.channels == 3 && super::folders::are_grey(raw.shape, &raw.pixels);
        match parts.iter().flatten().all(is_grey) {
            true => parts.map(|part| part.map(convert)),
            false => parts,
        }
    }

    /// Labels that occur, in rising order.
    fn classes(&self) -> Vec<usize> {
        let mut classes = self.labels.clone();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    fn check_channels(&self, source: &Source, part: &str, expected: usize) -> Result<(), DataError> {
        let found = self.shape.channels;
        match found == expected {
            true => Ok(()),
            false => Err(DataError::damaged(
                &source.path,
                format!("has images of {found} channels in its {part} part, of {expected} in its training part"),
            )),
        }
    }

    /// The images at the wanted size. Every label is in `classes`.
    fn images(
        self,
        source: &Source,
        (height, width): (usize, usize),
        classes: &[usize],
        options: &OpenOptions,
    ) -> Result<Images, DataError> {
        let place = |label: &usize| classes.binary_search(label).expect("the classes of all parts are the same");
        let labels: Vec<usize> = self.labels.iter().map(place).collect();
        let all = Images::new(self.shape, self.pixels, labels);
        let images = match options.max_per_class {
            Some(most) => all.select(&limit(all.labels(), most, options.seed)),
            None => all,
        };
        if (height, width) == (self.shape.height, self.shape.width) {
            return Ok(images);
        }
        let shape = Shape::new(self.shape.channels, height, width);
        check_memory(&source.path, images.len(), shape)?;
        Ok(images.resized(height, width))
    }
}

/// Refuses what would fill the memory of the machine only because a large side was asked for.
pub(super) fn check_memory(path: &std::path::Path, images: usize, shape: Shape) -> Result<(), DataError> {
    let bytes = images as u64 * shape.elements() as u64;
    match bytes <= MOST_BYTES {
        true => Ok(()),
        false => Err(DataError::TooMuch { path: path.to_path_buf(), images, shape, bytes }),
    }
}
