//! What a meta-model sees of a data set, and what it learns from.

use rand::Rng;
use rand::seq::SliceRandom;

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

/// Which images one look takes: at most so many of each class, in random order.
pub(super) fn look<'a>(classes: &'a [Vec<Vec<f32>>], most: usize, rng: &mut impl Rng) -> Vec<Vec<&'a [f32]>> {
    let few = |class: &'a Vec<Vec<f32>>| {
        let mut all: Vec<&[f32]> = class.iter().map(Vec::as_slice).collect();
        let (few, _) = all.partial_shuffle(rng, most);
        few.to_vec()
    };
    classes.iter().map(few).collect()
}
