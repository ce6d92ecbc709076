//! Which networks are labelled, and their space at the size and for the images of a task.

use std::collections::HashSet;
use std::path::Path;

use super::LabelError;
use crate::data::Dataset;
use crate::run::task_of;
use crate::seed;
use crate::space::{Genotype, Space, SpaceError, Task};

/// Different networks of a space, as its text writes their canonical forms.
#[derive(Debug, Clone, PartialEq)]
pub struct Networks {
    /// The networks.
    pub texts: Vec<String>,
}

/// Draws for each network before a small space is taken to be exhausted.
const TRIES: usize = 1000;

impl Networks {
    /// Reads a list, a genotype on each line; empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// If the file cannot be read, or with the first line that is no genotype.
    pub fn read(path: &Path, space: &str) -> Result<Self, LabelError> {
        let space = Space::named(space)?;
        let text = std::fs::read_to_string(path)
            .map_err(|e| LabelError::Unreadable { path: path.to_path_buf(), reason: e.to_string() })?;
        let mut found = Distinct::of(&space);
        for (at, line) in text.lines().enumerate().map(|(at, line)| (at, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |source| LabelError::Network { path: path.to_path_buf(), line: at + 1, source };
            found.add(&space.parse(line).map_err(wrong)?);
        }
        match found.texts.is_empty() {
            true => Err(LabelError::Unreadable { path: path.to_path_buf(), reason: "it names no network".to_string() }),
            false => Ok(Networks { texts: found.texts }),
        }
    }

    /// `n` different networks at random, or fewer from a space that has no more. More networks begin with the fewer ones.
    ///
    /// # Errors
    /// If there is no such space.
    pub fn draw(space: &str, n: usize, seed: u64) -> Result<Self, LabelError> {
        let space = Space::named(space)?;
        let mut rng = seed::stream(seed, "networks to label", 0);
        let mut found = Distinct::of(&space);
        for _ in 0..n.saturating_mul(TRIES) {
            if found.texts.len() == n {
                break;
            }
            found.add(&space.sample(&mut rng));
        }
        Ok(Networks { texts: found.texts })
    }
}

struct Distinct<'a> {
    space: &'a Space,
    seen: HashSet<Genotype>,
    texts: Vec<String>,
}

impl<'a> Distinct<'a> {
    fn of(space: &'a Space) -> Self {
        Distinct { space, seen: HashSet::new(), texts: Vec::new() }
    }

    fn add(&mut self, genotype: &Genotype) {
        let canonical = self.space.canonical(genotype);
        if self.seen.insert(canonical.clone()) {
            self.texts.push(self.space.format(&canonical));
        }
    }
}

/// A space for the images and classes of a data set, its channels multiplied by `width` where the space has a width.
///
/// # Errors
/// If there is no such space, it has no width, or its networks do not suit the images.
pub fn space_for(name: &str, width: f64, dataset: &Dataset) -> Result<Space, SpaceError> {
    Space::scaled(name, width, task_of(dataset))
}

/// Whether the networks of a space can be made so much wider or narrower.
///
/// # Errors
/// If there is no such space, or it has no width.
pub fn check_width(name: &str, width: f64) -> Result<(), SpaceError> {
    Space::scaled(name, width, Task::default()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Cost;

    #[test]
    fn drawn_networks_are_different_and_begin_alike() {
        let networks = Networks::draw("nats-tss", 40, 3).unwrap();
        let distinct: HashSet<&String> = networks.texts.iter().collect();
        assert_eq!(distinct.len(), 40);
        assert_eq!(networks.texts[..10], Networks::draw("nats-tss", 10, 3).unwrap().texts);
    }

    #[test]
    fn a_list_is_read_once_for_equal_networks_and_a_wrong_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("networks.txt");
        let one = "111000-011101-111111-111111-011101";
        std::fs::write(&path, format!("# best\n\n{one}\n{one}\n 000001-010000-100000-000110-000001 \n")).unwrap();
        assert_eq!(Networks::read(&path, "macro").unwrap().texts.len(), 2);
        std::fs::write(&path, format!("{one}\n111\n")).unwrap();
        let error = Networks::read(&path, "macro").unwrap_err().to_string();
        assert!(error.contains("networks.txt`, line 2: `111` is not a genotype"), "{error}");
    }

    #[test]
    fn a_width_makes_networks_cheaper_where_there_is_one() {
        for name in Space::NAMES {
            let [whole, half] = [1.0, 0.5].map(|width| Space::scaled(name, width, Task::default()));
            let Ok(half) = half else {
                assert!(["nas-bench-macro", "nats-sss"].contains(&name));
                continue;
            };
            let text = &Networks::draw(name, 1, 1).unwrap().texts[0];
            let params = |space: &Space| Cost::of(&space.lower(&space.parse(text).unwrap())).params;
            assert!(params(&half) < params(&whole.unwrap()), "{name}");
        }
    }
}
