//! Lists of different tasks, drawn from a seed: for learning across data sets, of which there are never enough.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{BUILT_IN_SOURCE, DataTask};
use crate::data::Transform;
use crate::seed;

/// What tasks may be like.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRanges {
    /// Sources and their classes.
    pub sources: Vec<(String, Vec<String>)>,
    /// Fewest and most classes; a source with fewer gives all.
    pub classes: (usize, usize),
    /// Training images, one of these.
    pub images: Vec<usize>,
    /// Sides in pixels, one of these; the source's own if empty. Built-in images keep theirs.
    pub sides: Vec<usize>,
    /// Most images for validation, and for test.
    pub held_out: usize,
}

/// Probability of each kind of change.
const CHANGED: f64 = 0.25;

/// `n` tasks. Task `i` depends on seed and `i` alone, so a longer list begins with a shorter one.
pub fn draw_tasks(ranges: &TaskRanges, n: usize, seed: u64) -> Vec<DataTask> {
    (0..n).map(|i| draw(ranges, i, &mut seed::stream(seed, "task", i as u64))).collect()
}

fn draw(ranges: &TaskRanges, index: usize, rng: &mut ChaCha8Rng) -> DataTask {
    let (source, all) = ranges.sources.choose(rng).expect("there is a source");
    let (fewest, most) = (ranges.classes.0.min(all.len()), ranges.classes.1.min(all.len()));
    let mut classes = all.clone();
    classes.shuffle(rng);
    classes.truncate(rng.random_range(fewest..=most));
    classes.sort();
    let side = ranges.sides.choose(rng).copied().filter(|_| source != BUILT_IN_SOURCE);
    DataTask {
        name: format!("t{index:04}"),
        source: source.clone(),
        classes,
        transforms: transforms(rng),
        images: ranges.images.choose(rng).copied(),
        held_out: ranges.held_out,
        side,
        seed: rng.random(),
    }
}

fn transforms(rng: &mut ChaCha8Rng) -> Vec<Transform> {
    let tenth = |value: f64| (value * 10.0).round() / 10.0;
    let all = [
        Transform::Grey,
        Transform::Invert,
        Transform::Rotate([90, 180, 270][rng.random_range(0..3)]),
        Transform::Blur(tenth(rng.random_range(0.5..2.0))),
        Transform::ColourJitter(tenth(rng.random_range(0.2..1.0))),
    ];
    all.into_iter().filter(|_| rng.random_bool(CHANGED)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::TaskList;
    use super::*;

    #[test]
    fn drawn_tasks_are_valid_different_and_begin_alike() {
        let classes = (0..6).map(|c| format!("class-{c}")).collect::<Vec<_>>();
        let ranges = TaskRanges {
            sources: vec![(BUILT_IN_SOURCE.to_string(), classes.clone()), ("photos".to_string(), classes)],
            classes: (2, 10),
            images: vec![100, 200],
            sides: vec![16, 24],
            held_out: 50,
        };
        let tasks = draw_tasks(&ranges, 300, 1);
        assert_eq!(tasks[..20], draw_tasks(&ranges, 20, 1));
        assert_ne!(tasks[0].seed, draw_tasks(&ranges, 1, 2)[0].seed);
        let list = TaskList { tasks };
        assert_eq!(list.faults(), Vec::<String>::new());
        assert_eq!(serde_saphyr::from_str::<TaskList>(&list.to_yaml()).unwrap(), list);
        let sizes: std::collections::BTreeSet<usize> = list.tasks.iter().map(|task| task.classes.len()).collect();
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
        assert!(list.tasks.iter().any(|task| task.transforms.len() > 1));
    }
}
