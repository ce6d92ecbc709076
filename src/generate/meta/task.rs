//! What a meta-model sees of a data set, and what it learns from.

use rand::Rng;
use rand::seq::{SliceRandom, index};

use crate::space::{Dag, Genotype};

/// A data set as a meta-model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskView {
    /// Its classes.
    pub classes: Classes,
    /// Numbers that tell its size: see [`TaskView::DESCRIPTORS`].
    pub descriptors: Vec<f32>,
}

/// The classes of a data set.
#[derive(Debug, Clone, PartialEq)]
pub enum Classes {
    /// For each class, features of some of its images.
    Images(Vec<Vec<Vec<f32>>>),
    /// Classes that are known by number only.
    Numbers(Vec<usize>),
}

impl Classes {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Classes::Images(classes) => classes.len(),
            Classes::Numbers(numbers) => numbers.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl TaskView {
    /// Logarithms of the numbers of classes, training images and pixels, and whether there is colour.
    pub const DESCRIPTORS: usize = 4;

    /// The view of a data set of images.
    pub fn of_images(features: Vec<Vec<Vec<f32>>>, images: usize, side: usize, is_coloured: bool) -> TaskView {
        // Scaled so that a few classes of a few hundred small images are near zero.
        let descriptors = vec![
            (features.len() as f32 / 5.0).ln(),
            (images.max(1) as f32 / 800.0).ln(),
            2.0 * (side as f32 / 24.0).ln(),
            if is_coloured { 0.5 } else { -0.5 },
        ];
        TaskView { classes: Classes::Images(features), descriptors }
    }

    /// A view of numbered classes.
    pub fn of_numbers(numbers: Vec<usize>) -> TaskView {
        TaskView { classes: Classes::Numbers(numbers), descriptors: Vec::new() }
    }
}

/// A network with what is known of it on a task.
#[derive(Debug, Clone, PartialEq)]
pub struct MetaLabel {
    /// The network.
    pub genotype: Genotype,
    /// Its accuracy, 0 to 1.
    pub accuracy: f64,
}

/// A data set with networks that were trained on it.
#[derive(Debug, Clone, PartialEq)]
pub struct MetaTask {
    /// The data set.
    pub view: TaskView,
    /// The networks.
    pub labels: Vec<MetaLabel>,
    /// Images that accuracies were measured on.
    pub tested_on: usize,
}

/// A network as models read it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub dag: Dag,
    /// Columns of the space, standardised.
    pub columns: Vec<f32>,
    /// Standardised logarithm of its multiply-accumulates in the space as published.
    pub size: f32,
}

/// Classes that one look takes at most: each attends to each.
const LOOKED_AT: usize = 64;

/// Which images one look takes: of at most [`LOOKED_AT`] classes, so many of each at most, in random order.
pub(super) fn look<'a>(classes: &'a [Vec<Vec<f32>>], most: usize, rng: &mut impl Rng) -> Vec<Vec<&'a [f32]>> {
    let mut chosen = index::sample(rng, classes.len(), LOOKED_AT.min(classes.len())).into_vec();
    chosen.sort_unstable();
    let mut few = |class: &'a Vec<Vec<f32>>| {
        let mut all: Vec<&[f32]> = class.iter().map(Vec::as_slice).collect();
        let (few, _) = all.partial_shuffle(rng, most);
        few.to_vec()
    };
    chosen.into_iter().map(|class| few(&classes[class])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    #[test]
    fn a_look_takes_some_images_of_not_too_many_classes() {
        let of = |classes: usize| -> Vec<Vec<Vec<f32>>> { (0..classes).map(|c| vec![vec![c as f32]; 5]).collect() };
        let looked = |classes: &[Vec<Vec<f32>>]| -> Vec<f32> {
            let looked = look(classes, 3, &mut seed::stream(1, "test", 0));
            assert!(looked.iter().all(|images| images.len() == 3));
            looked.iter().map(|images| images[0][0]).collect()
        };
        assert_eq!(looked(&of(4)), [0.0, 1.0, 2.0, 3.0]);
        let many = looked(&of(10_000));
        assert!(many.len() == LOOKED_AT && many.is_sorted_by(|a, b| a < b));
    }
}
