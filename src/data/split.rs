//! Stratified splits: every class is divided in the same proportions, by draws from a seed.

use rand::seq::SliceRandom;

use super::images::places_by_class;
use super::stream::{Purpose, stream};

/// Divides images into one part for each of `fractions` and a last part with the rest; places are in rising order.
/// Each part gets at least one image of each class that has an image for every part.
pub(super) fn split(labels: &[usize], fractions: &[f64], seed: u64) -> Vec<Vec<usize>> {
    let mut parts = vec![Vec::new(); fractions.len() + 1];
    for (class, mut places) in places_by_class(labels).into_iter().enumerate() {
        places.shuffle(&mut stream(seed, Purpose::Split, (class as u64, 0)));
        let mut rest = places.as_slice();
        for (part, fraction) in fractions.iter().enumerate() {
            let share = (places.len() as f64 * fraction).round().max(1.0) as usize;
            let (taken, left) = rest.split_at(share.min(rest.len()));
            parts[part].extend_from_slice(taken);
            rest = left;
        }
        parts[fractions.len()].extend_from_slice(rest);
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    parts
}

/// At most `most` of the things of each class, drawn from a seed; places are in rising order.
pub(super) fn limit(labels: &[usize], most: usize, seed: u64) -> Vec<usize> {
    let mut kept = Vec::new();
    for (class, mut places) in places_by_class(labels).into_iter().enumerate() {
        if places.len() > most {
            places.shuffle(&mut stream(seed, Purpose::Limit, (class as u64, 0)));
        }
        kept.extend(places.into_iter().take(most));
    }
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_complete_and_stratified() {
        let labels: Vec<usize> = (0..300).map(|i| if i < 200 { 0 } else { 1 + i % 2 }).collect();
        let parts = split(&labels, &[0.1, 0.2], 5);
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..300).collect::<Vec<_>>());
        for (part, sizes) in parts.iter().zip([[20, 5, 5], [40, 10, 10], [140, 35, 35]]) {
            let labels: Vec<usize> = part.iter().map(|i| labels[*i]).collect();
            assert_eq!(places_by_class(&labels).iter().map(Vec::len).collect::<Vec<_>>(), sizes);
        }
        assert_eq!(parts, split(&labels, &[0.1, 0.2], 5));
        assert_ne!(parts, split(&labels, &[0.1, 0.2], 6));
    }

    #[test]
    fn three_images_of_a_class_are_enough_for_three_parts() {
        assert!(split(&[0, 0, 0, 1, 1, 1], &[0.1, 0.1], 1).iter().all(|part| part.len() == 2));
    }

    #[test]
    fn a_limit_keeps_small_classes_whole() {
        let kept = limit(&[0, 1, 0, 0, 0, 1], 3, 1);
        assert_eq!(kept.len(), 5);
        assert!(kept.contains(&1) && kept.contains(&5));
    }
}
