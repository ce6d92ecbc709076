//! What a reader found: images that are still to be divided, and parts that the publisher divided already.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::images::places_by_class;
use super::split::split;
use super::{DataError, Format, Images, OpenOptions};

/// Share of the images that becomes the test part if none is given.
const TEST_FRACTION: f64 = 0.1;

/// How many images there are of each height and width.
pub(super) type Sizes = BTreeMap<(usize, usize), usize>;

/// What a reader found.
pub(super) struct Collection {
    pub path: PathBuf,
    pub format: Format,
    pub classes: Vec<String>,
    /// Sizes of the images before they were made equal.
    pub sizes: Sizes,
    /// Images that training may use.
    pub pool: Images,
    /// A validation part, if one was given beside a test part.
    pub validation: Option<Images>,
    /// A test part, if one was given.
    pub test: Option<Images>,
}

/// Training, validation and test part.
#[derive(Debug)]
pub(super) struct Parts {
    pub train: Images,
    pub validation: Images,
    pub test: Images,
    /// Images left out because the same pixels are in another part or came before.
    pub repeated: usize,
    /// Images whose pixels came before with another class.
    pub contradictory: usize,
}

/// Digests of the pixels of images with their class, and how often a class contradicted an earlier one.
#[derive(Default)]
struct Seen {
    classes: HashMap<[u8; 32], usize>,
    contradictory: usize,
}

impl Collection {
    /// Divides what was found. A given test part is kept whole; from all else the images whose pixels were seen before are
    /// left out, so that no two parts share an image even if a folder holds it twice.
    pub fn divide(self, options: &OpenOptions) -> Result<Parts, DataError> {
        let mut seen = Seen::default();
        if let Some(test) = &self.test {
            seen.unseen(test);
        }
        let validation = self.validation.as_ref().map(|v| v.select(&seen.unseen(v)));
        let pool = self.pool.select(&seen.unseen(&self.pool));
        let given = |part: &Option<Images>| part.as_ref().map_or(0, Images::len);
        let repeated =
            self.pool.len() - pool.len() + given(&self.validation) - validation.as_ref().map_or(0, Images::len);
        self.check(&pool, validation.as_ref())?;
        let cut = |fractions: &[f64]| {
            split(pool.labels(), fractions, options.seed).iter().map(|part| pool.select(part)).collect::<Vec<_>>()
        };
        let ours = options.validation_fraction;
        let mut cuts = match (&validation, &self.test) {
            (None, None) => cut(&[ours, TEST_FRACTION]),
            (None, Some(_)) => cut(&[ours]),
            (Some(_), _) => vec![pool.clone()],
        };
        let train = cuts.pop().expect("a split has a last part");
        let test = self.test.or_else(|| cuts.pop()).expect("a validation part is given with a test part only");
        let validation = validation.or_else(|| cuts.pop()).expect("a split without it has a part for it");
        Ok(Parts { train, validation, test, repeated, contradictory: seen.contradictory })
    }

    /// Every class must have an image in every part.
    fn check(&self, pool: &Images, validation: Option<&Images>) -> Result<(), DataError> {
        if self.classes.len() < 2 {
            let reason = format!("only one class, {}; a classifier needs two", quoted(&self.classes));
            let hint = "put the images of each class into a folder of its own: `DIR/<class>/*.png`";
            return Err(DataError::Classes { path: self.path.clone(), reason, hint });
        }
        let parts_to_cut = 1 + usize::from(validation.is_none()) + usize::from(self.test.is_none());
        let mut faults = self.short_of("training", &self.pool, pool, parts_to_cut);
        if let (Some(given), Some(kept)) = (&self.validation, validation) {
            faults.extend(self.short_of("validation", given, kept, 1));
        }
        if let Some(test) = &self.test {
            faults.extend(self.short_of("test", test, test, 1));
        }
        DataError::all(faults)
    }

    fn short_of(&self, part: &str, given: &Images, kept: &Images, least: usize) -> Vec<DataError> {
        let count = |images: &Images, class: usize| images.labels().iter().filter(|l| **l == class).count();
        let kept_sizes = places_by_class(kept.labels());
        let short = (0..self.classes.len()).filter(|c| kept_sizes.get(*c).map_or(0, Vec::len) < least);
        short
            .map(|class| {
                let (found, different) = (count(given, class), count(kept, class));
                let different = match found == different {
                    true => String::new(),
                    false => format!(" ({different} different and not in another part)"),
                };
                let name = &self.classes[class];
                let reason =
                    format!("class `{name}` has {found} {part} images{different}, at least {least} are needed");
                DataError::Classes { path: self.path.clone(), reason, hint: "add images, or leave the class out" }
            })
            .collect()
    }
}

impl Seen {
    /// Places of the images whose pixels did not come before.
    fn unseen(&mut self, images: &Images) -> Vec<usize> {
        (0..images.len()).filter(|i| self.is_new(images.pixels(*i), images.label(*i))).collect()
    }

    fn is_new(&mut self, pixels: &[u8], class: usize) -> bool {
        match self.classes.entry(Sha256::digest(pixels).into()) {
            Entry::Vacant(place) => {
                place.insert(class);
                true
            }
            Entry::Occupied(earlier) => {
                self.contradictory += usize::from(*earlier.get() != class);
                false
            }
        }
    }
}

/// Names in backticks, with commas between.
pub(super) fn quoted(names: &[String]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

/// A fault if a part's classes are not those of the training part.
pub(super) fn check_same_classes(
    path: &Path,
    part: &str,
    training: &[String],
    found: &[String],
) -> Result<(), DataError> {
    let without = |a: &[String], b: &[String]| a.iter().filter(|n| !b.contains(n)).cloned().collect::<Vec<_>>();
    let (lacks, extra) = (without(training, found), without(found, training));
    let mut faults = Vec::new();
    if !lacks.is_empty() {
        faults.push(format!("the {part} part lacks {}", quoted(&lacks)));
    }
    if !extra.is_empty() {
        faults.push(format!("the training part lacks {}", quoted(&extra)));
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(DataError::Classes {
            path: path.to_path_buf(),
            reason: faults.join("; "),
            hint: "every part needs images of every class",
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::graph::Shape;

    /// Images of one pixel each: its value, then its class.
    fn images(pixels: &[(u8, usize)]) -> Images {
        let (values, labels) = pixels.iter().copied().unzip();
        Images::new(Shape::new(1, 1, 1), values, labels)
    }

    fn collection(pool: Images, validation: Option<Images>, test: Option<Images>) -> Collection {
        let classes = vec!["a".into(), "b".into()];
        let sizes = Sizes::from([((1, 1), pool.len())]);
        Collection { path: "set".into(), format: Format::Idx, classes, sizes, pool, validation, test }
    }

    #[test]
    fn parts_share_no_image_even_if_it_is_there_twice() {
        let twice: Vec<(u8, usize)> = (0..200).map(|i| ((i / 2) as u8, i / 100)).collect();
        let test = images(&[(0, 0), (0, 0), (60, 1), (200, 1)]);
        for test in [None, Some(test)] {
            let given = test.is_some();
            let parts = collection(images(&twice), None, test).divide(&OpenOptions::default()).unwrap();
            let pixels = |part: &Images| part.all_pixels().iter().copied().collect::<HashSet<u8>>();
            let (train, validation, test) = (pixels(&parts.train), pixels(&parts.validation), pixels(&parts.test));
            assert!(train.is_disjoint(&validation) && train.is_disjoint(&test) && validation.is_disjoint(&test));
            assert_eq!(parts.repeated, if given { 102 } else { 100 });
            assert_eq!(parts.test.len(), if given { 4 } else { 10 });
        }
    }

    #[test]
    fn images_with_two_classes_are_counted() {
        let pool = images(&[(1, 0), (2, 0), (3, 0), (1, 1), (4, 1), (5, 1), (6, 1), (6, 1)]);
        let parts = collection(pool, None, None).divide(&OpenOptions::default()).unwrap();
        assert_eq!((parts.repeated, parts.contradictory), (2, 1));
    }

    #[test]
    fn a_given_validation_part_is_used_as_it_is() {
        let pool = images(&[(1, 0), (2, 1)]);
        let parts = collection(pool, Some(images(&[(3, 0), (4, 1)])), Some(images(&[(5, 0), (6, 1)])))
            .divide(&OpenOptions::default())
            .unwrap();
        assert_eq!(parts.train.all_pixels(), [1, 2]);
        assert_eq!(parts.validation.all_pixels(), [3, 4]);
        assert_eq!(parts.test.all_pixels(), [5, 6]);
    }

    #[test]
    fn every_class_that_is_too_small_is_named() {
        let pool = images(&[(1, 0), (1, 0), (2, 0), (3, 1)]);
        let error = collection(pool, None, None).divide(&OpenOptions::default()).unwrap_err().to_string();
        assert!(error.contains("class `a` has 3 training images (2 different and not in another part), at least 3"));
        assert!(error.contains("class `b` has 1 training images, at least 3 are needed"), "{error}");
    }
}
