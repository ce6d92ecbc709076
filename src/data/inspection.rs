//! What a data set holds and what is odd about it, before time is spent on training.

use std::path::Path;

use super::collection::{Collection, Sizes};
use super::dataset::{name_of, read};
use super::images::places_by_class;
use super::{DataError, Dataset, Format, Images, OpenOptions};

/// Training images of a class below which its accuracy is mostly luck.
const FEW_IMAGES: usize = 50;
/// How many times larger one class may be than another before accuracy alone misleads.
const BALANCED: usize = 3;
/// Test images below which an accuracy is uncertain by more than 2.5 points (one standard error, at worst).
const FEW_TESTS: usize = 400;
/// How many times larger images may be than what the network sees before details are likely to be lost.
const SHRUNK: usize = 3;

/// A data set and what there is to say of it.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The format that was recognised or asked for.
    pub format: Format,
    /// Parts that were divided by the publisher: `training`, `validation`, `test`; the others are drawn from the seed.
    pub given: Vec<&'static str>,
    /// How many images there are of each height and width, before they were made equal.
    pub sizes: Vec<((usize, usize), usize)>,
    /// Images of each class, in the order of the labels.
    pub classes: Vec<ClassCounts>,
    /// What is odd, as advice.
    pub warnings: Vec<String>,
    /// The data set as training would see it.
    pub dataset: Dataset,
}

/// Images of one class.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ClassCounts {
    /// Its name.
    pub name: String,
    /// Images to train with.
    pub training: usize,
    /// Images that networks are compared by.
    pub validation: usize,
    /// Images for the last word.
    pub test: usize,
}

impl Inspection {
    /// Reads a data set as [`Dataset::open`] does and looks at it.
    ///
    /// # Errors
    /// If it cannot be read or nothing can be trained on it.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, DataError> {
        let collection = read(path, options)?;
        let (format, sizes) = (collection.format, collection.sizes.clone());
        let given = given(&collection);
        let dataset = Dataset::of(&name_of(path), collection, options)?;
        let classes = counts(&dataset);
        let warnings = warnings(&dataset, &classes, &sizes);
        Ok(Inspection { format, given, sizes: sizes.into_iter().collect(), classes, warnings, dataset })
    }
}

fn given(collection: &Collection) -> Vec<&'static str> {
    let parts =
        [("training", collection.test.is_some()), ("validation", collection.validation.is_some()), ("test", true)];
    match collection.test {
        Some(_) => parts.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect(),
        None => Vec::new(),
    }
}

fn counts(dataset: &Dataset) -> Vec<ClassCounts> {
    let sizes = |images: &Images| {
        let mut sizes: Vec<usize> = places_by_class(images.labels()).iter().map(Vec::len).collect();
        sizes.resize(dataset.classes.len(), 0);
        sizes
    };
    let (training, validation, test) = (sizes(&dataset.train), sizes(&dataset.validation), sizes(&dataset.test));
    let class = |(at, name): (usize, &String)| ClassCounts {
        name: name.clone(),
        training: training[at],
        validation: validation[at],
        test: test[at],
    };
    dataset.classes.iter().enumerate().map(class).collect()
}

fn warnings(dataset: &Dataset, classes: &[ClassCounts], sizes: &Sizes) -> Vec<String> {
    let all = [
        unbalanced(classes),
        tiny_classes(classes),
        few_tests(dataset.test.len()),
        repeated(dataset),
        shrunk(dataset, sizes),
        featureless(dataset),
    ];
    all.into_iter().flatten().collect()
}

fn unbalanced(classes: &[ClassCounts]) -> Option<String> {
    let largest = classes.iter().max_by_key(|c| c.training)?;
    let smallest = classes.iter().min_by_key(|c| c.training)?;
    (largest.training > BALANCED * smallest.training).then(|| {
        format!(
            "the classes are unbalanced: `{}` has {} training images, `{}` {}",
            largest.name, largest.training, smallest.name, smallest.training
        )
    })
}

fn tiny_classes(classes: &[ClassCounts]) -> Option<String> {
    let tiny: Vec<&ClassCounts> = classes.iter().filter(|c| c.training < FEW_IMAGES).collect();
    let smallest = tiny.iter().min_by_key(|c| c.training)?;
    Some(format!(
        "{} of {} classes have fewer than {FEW_IMAGES} training images; `{}` has {}",
        tiny.len(),
        classes.len(),
        smallest.name,
        smallest.training
    ))
}

fn few_tests(tests: usize) -> Option<String> {
    // The standard error of a share is largest at one half.
    let points = 100.0 * 0.5 / (tests as f64).sqrt();
    (tests < FEW_TESTS).then(|| {
        format!("{tests} test images: an accuracy measured on them is uncertain by up to {points:.1} points (one standard error)")
    })
}

fn repeated(dataset: &Dataset) -> Option<String> {
    let (repeated, contradictory) = (dataset.repeated, dataset.contradictory);
    let with_two = match contradictory {
        0 => String::new(),
        n => format!("; images with two classes, one of which is wrong: {n}"),
    };
    (repeated + contradictory > 0).then(|| {
        format!("images left out because the same pixels are in another part or came before: {repeated}{with_two}")
    })
}

fn shrunk(dataset: &Dataset, sizes: &Sizes) -> Option<String> {
    let shape = dataset.shape();
    let all: usize = sizes.values().sum();
    let large = |((height, width), _): &(&(usize, usize), &usize)| *(height.min(width)) >= SHRUNK * shape.height;
    let shrunk: usize = sizes.iter().filter(large).map(|(_, images)| images).sum();
    (2 * shrunk > all).then(|| {
        format!(
            "most images are shrunk to {}×{}, a third of their own size or less; `--side` keeps more of them, for larger networks",
            shape.height, shape.width
        )
    })
}

fn featureless(dataset: &Dataset) -> Option<String> {
    let shape = dataset.shape();
    let is_flat = |pixels: &[u8]| pixels.chunks_exact(shape.plane()).all(|plane| plane.iter().all(|p| *p == plane[0]));
    let parts = [&dataset.train, &dataset.validation, &dataset.test];
    let flat: usize = parts.iter().map(|part| (0..part.len()).filter(|i| is_flat(part.pixels(*i))).count()).sum();
    (flat > 0 && shape.plane() > 1).then(|| format!("images of one colour all over: {flat}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Shape;

    /// A set with these numbers of training images by class; every image is different.
    fn set(training: &[usize], tests: usize) -> Dataset {
        let shape = Shape::new(1, 1, 2);
        let part = |labels: Vec<usize>| {
            Images::new(
                shape,
                labels.iter().enumerate().flat_map(|(i, l)| [i as u8, i as u8 ^ (1 + *l as u8)]).collect(),
                labels,
            )
        };
        let labels = training.iter().enumerate().flat_map(|(class, n)| vec![class; *n]).collect();
        let others = |n: usize| part((0..n).map(|i| i % training.len()).collect());
        let names = ["cat", "dog", "owl"].map(String::from)[..training.len()].to_vec();
        Dataset::new("set", names, part(labels), others(9), others(tests))
    }

    fn warned(set: &Dataset, sizes: &[((usize, usize), usize)]) -> Vec<String> {
        warnings(set, &counts(set), &sizes.iter().copied().collect())
    }

    #[test]
    fn nothing_is_said_of_a_set_that_is_well() {
        assert_eq!(warned(&set(&[60, 150, 60], 400), &[((1, 2), 1000)]), [""; 0]);
    }

    #[test]
    fn what_is_odd_is_said_with_its_numbers() {
        let mut odd = set(&[60, 200, 20], 100);
        odd.test = Images::new(odd.shape(), vec![7; 200], odd.test.labels().to_vec());
        odd.repeated = 5;
        odd.contradictory = 2;
        let told = warned(&odd, &[((3, 6), 600), ((1, 2), 400)]);
        for (told, expected) in told.iter().zip([
            "unbalanced: `dog` has 200 training images, `owl` 20",
            "1 of 3 classes have fewer than 50 training images; `owl` has 20",
            "100 test images: an accuracy measured on them is uncertain by up to 5.0 points",
            "in another part or came before: 5; images with two classes, one of which is wrong: 2",
            "most images are shrunk to 1×2",
            "images of one colour all over: 100",
        ]) {
            assert!(told.contains(expected), "{told}");
        }
        assert_eq!(told.len(), 6, "{told:?}");
    }

    #[test]
    fn classes_are_counted_in_every_part() {
        let counts = counts(&set(&[2, 1, 4], 4));
        let numbers: Vec<_> = counts.iter().map(|c| (c.name.as_str(), c.training, c.validation, c.test)).collect();
        assert_eq!(numbers, [("cat", 2, 3, 2), ("dog", 1, 3, 1), ("owl", 4, 3, 1)]);
    }
}
