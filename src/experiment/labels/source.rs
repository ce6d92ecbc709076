//! From a task to its images. A source is read once for all tasks of it that follow each other.

use std::path::{Path, PathBuf};

use super::{DataTask, LabelError, family_of, is_built_in};
use crate::data::{BuiltIn, DataError, Dataset, Images, OpenOptions, Transform};
use crate::seed;

/// Side in pixels of families of pictures, if nothing else is said.
const FAMILY_SIDE: usize = 32;

/// Sources of tasks; the last one stays in memory.
#[derive(Debug, Default)]
pub struct Sources {
    last: Option<(String, Option<usize>, Dataset)>,
}

impl Sources {
    /// Whether all sources of tasks are there, before the first is read: the last one may be hours away.
    ///
    /// # Errors
    /// With the first one that is not.
    pub fn check(tasks: &[DataTask]) -> Result<(), LabelError> {
        let missing = |task: &&DataTask| !is_built_in(&task.source) && !Path::new(&task.source).exists();
        match tasks.iter().find(missing) {
            Some(task) => Err(DataError::Missing { path: PathBuf::from(&task.source) }.into()),
            None => Ok(()),
        }
    }

    /// The data set of a task.
    ///
    /// # Errors
    /// If its source cannot be read, or has not the classes or images.
    pub fn dataset(&mut self, task: &DataTask) -> Result<Dataset, LabelError> {
        let source = self.open(&task.source, task.side)?;
        let wrong = |reason: String| LabelError::Task { task: task.name.clone(), reason };
        let some = match task.classes.is_empty() {
            true => source.clone(),
            false => source.of_classes(&task.classes).map_err(wrong)?,
        };
        let part = |images: &Images, most: usize, part: u64| {
            let mut rng = seed::stream(task.seed, "task images", part);
            let chosen = images.take_stratified(most, &mut rng);
            let change = |images: Images, transform: &Transform| {
                transform.apply(&images, seed::derive(task.seed, "task transform", part))
            };
            task.transforms.iter().fold(chosen, change)
        };
        let train = part(&some.train, task.images.unwrap_or(usize::MAX), 0);
        let validation = part(&some.validation, task.held_out, 1);
        let test = part(&some.test, task.held_out, 2);
        match train.len() {
            0 | 1 => Err(wrong(format!("`{}` has {} training images of these classes", task.source, train.len()))),
            _ => Ok(Dataset::new(&task.name, some.classes, train, validation, test)),
        }
    }

    /// A whole source.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(&mut self, source: &str, side: Option<usize>) -> Result<&Dataset, LabelError> {
        let is_open = |last: &(String, Option<usize>, Dataset)| last.0 == source && last.1 == side;
        if !self.last.as_ref().is_some_and(is_open) {
            // The old one is let go before the new one needs its memory.
            self.last = None;
            let family = family_of(source).map_err(|reason| LabelError::Source { reason })?;
            let dataset = match family {
                Some(family) => Dataset::procedural(family, &BuiltIn::default(), side.unwrap_or(FAMILY_SIDE)),
                None if is_built_in(source) => Dataset::built_in(&BuiltIn::default()),
                None => Dataset::open(Path::new(source), &OpenOptions { side, ..OpenOptions::default() })?,
            };
            self.last = Some((source.to_string(), side, dataset));
        }
        let (_, _, dataset) = self.last.as_ref().expect("it was opened");
        Ok(dataset)
    }
}

#[cfg(test)]
mod tests {
    use super::super::BUILT_IN_SOURCE;
    use super::*;

    #[test]
    fn a_family_of_pictures_is_a_source_of_any_side() {
        let mut sources = Sources::default();
        let shape = sources.open("built-in:glyphs", Some(20)).unwrap().shape();
        assert_eq!((shape.channels, shape.height, shape.width), (3, 20, 20));
        let told = sources.open("built-in:birds", None).unwrap_err().to_string();
        assert!(told.starts_with("there are no built-in images `birds`: `built-in`, `built-in:textures`"), "{told}");
    }

    #[test]
    fn a_task_takes_its_share_of_its_classes() {
        let mut sources = Sources::default();
        let whole = sources.open(BUILT_IN_SOURCE, None).unwrap().clone();
        let task = DataTask {
            classes: vec![whole.classes[5].clone(), whole.classes[2].clone()],
            transforms: vec![Transform::Invert],
            images: Some(60),
            held_out: 20,
            ..DataTask::whole("pair", BUILT_IN_SOURCE)
        };
        let set = sources.dataset(&task).unwrap();
        assert_eq!((set.train.len(), set.validation.len(), set.test.len()), (60, 20, 20));
        assert_eq!(set.classes, task.classes);
        assert_eq!(set.train.labels().iter().filter(|label| **label == 0).count(), 30);
        let plain = sources.dataset(&DataTask { transforms: Vec::new(), ..task.clone() }).unwrap();
        assert_eq!(Transform::Invert.apply(&plain.test, 0), set.test);
        let of_class_5 = |pixels: &[u8]| {
            (0..whole.train.len()).any(|i| whole.train.label(i) == 5 && whole.train.pixels(i) == pixels)
        };
        assert!((0..60).all(|i| (plain.train.label(i) == 0) == of_class_5(plain.train.pixels(i))));
        assert_eq!(sources.dataset(&task).unwrap().digest, set.digest);
        assert_ne!(sources.dataset(&DataTask { seed: 1, ..task.clone() }).unwrap().digest, set.digest);
        let error = sources.dataset(&DataTask { classes: vec!["x".into(), "y".into()], ..task }).unwrap_err();
        assert!(
            error.to_string().starts_with("task `pair`: there is no class `x`\nhint: the classes are `"),
            "{error}"
        );
    }
}
