//! Proposals that do not all stand or fall together.

use crate::space::Genotype;

/// So many proposals differ from each other in at least this share of their choices (the layers of `macro`, the edges of
/// `nats-tss`), where there are such.
const UNLIKE: usize = 10;
const APART: f64 = 0.5;

/// `count` of some proposals that come best first, in their order. Ten of them, or all if fewer are wanted, are picked one by
/// one, each the best that is unlike those before it: what is wrong with a network is mostly wrong with its neighbours, too.
/// The others are the best that are left.
pub fn varied<T>(best_first: &[T], count: usize, genotype: impl Fn(&T) -> &Genotype) -> Vec<&T> {
    let mut picked: Vec<usize> = Vec::new();
    for (at, one) in best_first.iter().enumerate() {
        let is_unlike = |other: &usize| differences(genotype(one), genotype(&best_first[*other])) >= APART;
        if picked.len() < count.min(UNLIKE) && picked.iter().all(is_unlike) {
            picked.push(at);
        }
    }
    let left: Vec<usize> = (0..best_first.len()).filter(|at| !picked.contains(at)).take(count - picked.len()).collect();
    picked.extend(left);
    picked.sort_unstable();
    picked.into_iter().map(|at| &best_first[at]).collect()
}

/// Share of the choices in which two networks of a space differ.
fn differences(a: &Genotype, b: &Genotype) -> f64 {
    let differing = a.symbols().iter().zip(b.symbols()).filter(|(a, b)| a != b).count();
    differing as f64 / a.symbols().len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_proposals_are_unlike_each_other_and_the_rest_are_the_best() {
        let [best, neighbour, other, last] =
            [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1], [1, 0, 0, 0]].map(|symbols| Genotype::from(symbols.to_vec()));
        let all = [best.clone(), neighbour.clone(), other.clone(), last.clone()];
        let varied = |count: usize| varied(&all, count, |genotype| genotype);
        assert_eq!(varied(1), [&best]);
        assert_eq!(varied(2), [&best, &other]);
        assert_eq!(varied(3), [&best, &neighbour, &other], "no third is unlike both");
        assert_eq!(varied(9), [&best, &neighbour, &other, &last]);
        assert!(varied(0).is_empty());
    }
}
