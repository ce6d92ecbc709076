//! Extremely randomised trees (Geurts, Ernst and Wehenkel, 2006): each tree is grown to the last row on all rows, and of
//! some columns each cut at a random place the best cut is taken. No bootstrap: what differs between trees is chance alone,
//! so that their disagreement tells how far a row is from those known.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::tree::{BLOCK, Columns, Tree};

/// How a forest is grown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForestConfig {
    /// Number of trees.
    pub trees: usize,
    /// Share of the columns that are tried for each cut; constant ones do not count.
    pub tried: f64,
    /// Nodes with fewer rows are not cut.
    pub fewest_rows: usize,
}

impl Default for ForestConfig {
    /// 200 trees that try a third of the columns.
    fn default() -> Self {
        ForestConfig { trees: 200, tried: 0.3, fewest_rows: 2 }
    }
}

/// Trees whose mean is the prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    trees: Vec<Tree>,
}

impl Forest {
    /// Fits one target per row. Each tree has a random stream of its own, so that the bits of the result do not depend on
    /// threads.
    ///
    /// # Panics
    /// If there is no row or no tree, rows differ in length, or there are not as many targets as rows.
    pub fn fit(rows: &[Vec<f64>], targets: &[f64], config: &ForestConfig, seed: u64) -> Forest {
        assert!(!rows.is_empty() && rows.len() == targets.len(), "one target per row, and at least one row");
        assert!(config.trees > 0, "a forest has trees");
        let columns = Columns::of(rows);
        let tree = |index: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index as u64);
            Growth { columns: &columns, targets, config, rng }.tree()
        };
        Forest { trees: (0..config.trees).into_par_iter().map(tree).collect() }
    }

    /// Mean and standard deviation of the trees, for each row.
    pub fn predict(&self, rows: &[Vec<f64>]) -> Vec<(f64, f64)> {
        let count = self.trees.len() as f64;
        let mut sums = vec![(0.0, 0.0); rows.len()];
        for (sums, rows) in sums.chunks_mut(BLOCK).zip(rows.chunks(BLOCK)) {
            for tree in &self.trees {
                tree.for_each_value(rows, |row, value| {
                    sums[row].0 += value;
                    sums[row].1 += value * value;
                });
            }
        }
        let moments = |(sum, squares): (f64, f64)| {
            let mean = sum / count;
            (mean, (squares / count - mean * mean).max(0.0).sqrt())
        };
        sums.into_iter().map(moments).collect()
    }
}

/// One tree as it grows.
struct Growth<'a> {
    columns: &'a Columns,
    targets: &'a [f64],
    config: &'a ForestConfig,
    rng: ChaCha8Rng,
}

/// A cut of a node's rows and by how much it lowers the sum of squares.
struct Cut {
    column: usize,
    threshold: f64,
    gain: f64,
}

impl Growth<'_> {
    fn tree(mut self) -> Tree {
        let mut tree = Tree::leaf(0.0);
        let mut order: Vec<usize> = (0..self.columns.count()).collect();
        let mut open = vec![(0, (0..self.targets.len()).collect::<Vec<usize>>())];
        while let Some((node, members)) = open.pop() {
            match self.cut(&members, &mut order) {
                Some(cut) => {
                    let values = self.columns.column(cut.column);
                    let (left, right) = tree.split(node, cut.column, cut.threshold);
                    let (below, above) = members.into_iter().partition(|row| values[*row] <= cut.threshold);
                    open.extend([(left, below), (right, above)]);
                }
                None => tree.set(node, self.mean(&members)),
            }
        }
        tree
    }

    fn mean(&self, members: &[usize]) -> f64 {
        members.iter().map(|row| self.targets[*row]).sum::<f64>() / members.len() as f64
    }

    /// The best of the random cuts, one for each column that is tried; none where all rows or all targets are equal.
    fn cut(&mut self, members: &[usize], order: &mut [usize]) -> Option<Cut> {
        let first = self.targets[members[0]];
        if members.len() < self.config.fewest_rows || members.iter().all(|row| self.targets[*row] == first) {
            return None;
        }
        let wanted = ((order.len() as f64 * self.config.tried).ceil() as usize).max(1);
        let (mut best, mut tried): (Option<Cut>, usize) = (None, 0);
        for place in 0..order.len() {
            let other = self.rng.random_range(place..order.len());
            order.swap(place, other);
            let Some(cut) = self.random_cut(members, order[place]) else { continue };
            if best.as_ref().is_none_or(|best| cut.gain > best.gain) {
                best = Some(cut);
            }
            tried += 1;
            if tried == wanted {
                break;
            }
        }
        best
    }

    /// Cuts a column at a random place between its extremes; nothing if it is constant.
    fn random_cut(&mut self, members: &[usize], column: usize) -> Option<Cut> {
        let values = self.columns.column(column);
        let extremes = |(low, high): (f64, f64), row: &usize| (low.min(values[*row]), high.max(values[*row]));
        let (low, high) = members.iter().fold((f64::INFINITY, f64::NEG_INFINITY), extremes);
        if low >= high {
            return None;
        }
        // Rounding may reach the upper end, which would leave the right side empty.
        let drawn = low + self.rng.random::<f64>() * (high - low);
        let threshold = if drawn < high { drawn } else { low };
        let (mut count, mut sum, mut total) = (0.0, 0.0, 0.0);
        for row in members {
            let (target, left) = (self.targets[*row], f64::from(u8::from(values[*row] <= threshold)));
            count += left;
            sum += left * target;
            total += target;
        }
        let rest = members.len() as f64 - count;
        let gain = sum * sum / count + (total - sum).powi(2) / rest - total * total / members.len() as f64;
        Some(Cut { column, threshold, gain })
    }
}

/// Rows of a fold, for whoever tests by holding out: places of the rows that are fitted and of those held out, for each
/// fold of a shuffled deal.
///
/// # Panics
/// If there are fewer than two folds.
pub fn folds(rows: usize, folds: usize, seed: u64) -> Vec<(Vec<usize>, Vec<usize>)> {
    assert!(folds >= 2, "one fold is held out of several");
    let mut order: Vec<usize> = (0..rows).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let deal = |fold: usize| {
        let (held, fitted): (Vec<_>, Vec<_>) = order.iter().enumerate().partition(|(place, _)| place % folds == fold);
        let rows = |dealt: Vec<(usize, &usize)>| dealt.into_iter().map(|(_, row)| *row).collect();
        (rows(fitted), rows(held))
    };
    (0..folds).map(deal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats;

    /// Friedman's first function (Multivariate Adaptive Regression Splines, 1991), on which every tree method is shown:
    /// five columns that matter and five that do not.
    fn friedman(count: usize, seed: u64) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rows: Vec<Vec<f64>> = (0..count).map(|_| (0..10).map(|_| rng.random()).collect()).collect();
        let target = |x: &Vec<f64>| {
            let wave = (std::f64::consts::PI * x[0] * x[1]).sin();
            10.0 * wave + 20.0 * (x[2] - 0.5).powi(2) + 10.0 * x[3] + 5.0 * x[4]
        };
        let targets = rows.iter().map(target).collect();
        (rows, targets)
    }

    #[test]
    fn a_forest_learns_friedman_s_function() {
        let ((rows, targets), (unseen, truth)) = (friedman(400, 1), friedman(400, 2));
        let forest = Forest::fit(&rows, &targets, &ForestConfig::default(), 0);
        let means: Vec<f64> = forest.predict(&unseen).iter().map(|(mean, _)| *mean).collect();
        let explained = stats::r_squared(&truth, &means);
        // scikit-learn's ExtraTreesRegressor reaches .84 to .87 on such draws.
        assert!(explained > 0.8, "{explained}");
    }

    #[test]
    fn full_trees_give_known_rows_back_and_disagree_on_others() {
        let (rows, targets) = friedman(60, 3);
        let forest = Forest::fit(&rows, &targets, &ForestConfig { trees: 20, ..Default::default() }, 0);
        for ((mean, spread), target) in forest.predict(&rows).iter().zip(&targets) {
            assert!((mean - target).abs() < 1e-9 && *spread < 1e-5, "{mean} {target} {spread}");
        }
        assert!(forest.predict(&friedman(50, 4).0).iter().all(|(_, spread)| *spread > 0.0));
    }

    #[test]
    fn a_seed_repeats_on_any_number_of_threads_and_another_differs() {
        let (rows, targets) = friedman(40, 5);
        let config = ForestConfig { trees: 8, ..Default::default() };
        let fit = |seed, threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Forest::fit(&rows, &targets, &config, seed))
        };
        assert_eq!(fit(1, 1), fit(1, 3));
        assert_ne!(fit(1, 1), fit(2, 1));
    }

    #[test]
    fn constant_columns_and_targets_make_one_leaf() {
        let forest = Forest::fit(&[vec![1.0], vec![1.0]], &[2.0, 4.0], &ForestConfig::default(), 0);
        assert_eq!(forest.predict(&[vec![7.0]]), [(3.0, 0.0)]);
        let forest = Forest::fit(&[vec![1.0], vec![2.0]], &[5.0, 5.0], &ForestConfig::default(), 0);
        assert_eq!(forest.predict(&[vec![9.0]])[0].0, 5.0);
    }

    #[test]
    fn every_row_is_held_out_once() {
        let dealt = folds(10, 3, 0);
        let mut held: Vec<usize> = dealt.iter().flat_map(|(_, held)| held.clone()).collect();
        held.sort_unstable();
        assert_eq!(held, (0..10).collect::<Vec<_>>());
        assert!(dealt.iter().all(|(fitted, held)| fitted.len() + held.len() == 10));
    }
}
