//! Gradient boosting of small regression trees (Friedman, Greedy Function Approximation, 2001), each grown on a random part
//! of rows (Stochastic Gradient Boosting, 2002) and columns.

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::tree::{BLOCK, Columns, Tree};

/// How trees are boosted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoostingConfig {
    /// Number of trees.
    pub trees: usize,
    /// Share of a tree's answer that is added.
    pub rate: f64,
    /// Questions from root to leaf.
    pub depth: usize,
    /// Share of the rows that a tree sees.
    pub rows: f64,
    /// Share of the columns that a tree sees.
    pub columns: f64,
    /// Fewest rows of a leaf.
    pub fewest_rows: usize,
}

impl Default for BoostingConfig {
    /// 300 trees of eight leaves.
    fn default() -> Self {
        BoostingConfig { trees: 300, rate: 0.04, depth: 3, rows: 0.7, columns: 0.3, fewest_rows: 3 }
    }
}

/// Trees whose sum is the prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Boosting {
    mean: f64,
    rate: f64,
    trees: Vec<Tree>,
}

impl Boosting {
    /// Fits one target per row.
    ///
    /// # Panics
    /// If there is no row, rows differ in length, or there are not as many targets as rows.
    pub fn fit(rows: &[Vec<f64>], targets: &[f64], config: &BoostingConfig, seed: u64) -> Boosting {
        assert!(!rows.is_empty() && rows.len() == targets.len(), "one target per row, and at least one row");
        let columns = Columns::of(rows);
        let sorted: Vec<Vec<u32>> = (0..columns.count()).map(|column| order(columns.column(column))).collect();
        let mean = targets.iter().sum::<f64>() / targets.len() as f64;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut left: Vec<f64> = targets.iter().map(|target| target - mean).collect();
        let mut trees = Vec::with_capacity(config.trees);
        for _ in 0..config.trees {
            let seen = index::sample(&mut rng, rows.len(), part(rows.len(), config.rows)).into_vec();
            let tried = index::sample(&mut rng, columns.count(), part(columns.count(), config.columns)).into_vec();
            let tree = Growth { columns: &columns, sorted: &sorted, targets: &left, config }.tree(&seen, &tried);
            left.iter_mut().zip(rows).for_each(|(left, row)| *left -= config.rate * tree.value(row));
            trees.push(tree);
        }
        Boosting { mean, rate: config.rate, trees }
    }

    /// One value per row.
    pub fn predict(&self, rows: &[Vec<f64>]) -> Vec<f64> {
        let mut sums = vec![0.0; rows.len()];
        for (sums, rows) in sums.chunks_mut(BLOCK).zip(rows.chunks(BLOCK)) {
            for tree in &self.trees {
                // Few questions from root to leaf: rows one by one are faster than side by side.
                sums.iter_mut().zip(rows).for_each(|(sum, row)| *sum += tree.value(row));
            }
        }
        sums.into_iter().map(|sum| self.mean + self.rate * sum).collect()
    }
}

/// So many of a number, at least one.
fn part(count: usize, share: f64) -> usize {
    ((count as f64 * share).round() as usize).clamp(1, count)
}

/// Places of values from the smallest on.
fn order(values: &[f64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_by(|a, b| values[*a as usize].total_cmp(&values[*b as usize]));
    order
}

/// A tree grown level by level: one pass over a sorted column finds the best cut of every node of a level.
struct Growth<'a> {
    columns: &'a Columns,
    sorted: &'a [Vec<u32>],
    targets: &'a [f64],
    config: &'a BoostingConfig,
}

/// Row that the tree does not see, or whose leaf is done.
const NOWHERE: u32 = u32::MAX;

/// A node of the level that grows: its place in the tree, its rows and their sum, and its best cut so far.
#[derive(Clone, Copy)]
struct Open {
    node: usize,
    count: f64,
    sum: f64,
    /// Column, threshold and gain.
    best: Option<(usize, f64, f64)>,
    /// Rows passed, their sum, and the last value, of the column that is being read.
    passed: (f64, f64, f64),
}

impl Growth<'_> {
    fn tree(&self, seen: &[usize], tried: &[usize]) -> Tree {
        let mut tree = Tree::leaf(0.0);
        // Which open node each row is in.
        let mut place = vec![NOWHERE; self.targets.len()];
        seen.iter().for_each(|row| place[*row] = 0);
        let mut level = self.gather(&place, &[0]);
        for _ in 0..self.config.depth {
            tried.iter().for_each(|column| self.read(*column, &place, &mut level));
            let next = self.divide(&mut tree, &level, &mut place);
            level = self.gather(&place, &next);
        }
        level.iter().for_each(|open| tree.set(open.node, open.sum / open.count));
        tree
    }

    /// Counts and sums of the nodes, from where each row is.
    fn gather(&self, place: &[u32], nodes: &[usize]) -> Vec<Open> {
        let open = |node: &usize| Open { node: *node, count: 0.0, sum: 0.0, best: None, passed: (0.0, 0.0, 0.0) };
        let mut level: Vec<Open> = nodes.iter().map(open).collect();
        for (place, target) in place.iter().zip(self.targets).filter(|(place, _)| **place != NOWHERE) {
            level[*place as usize].count += 1.0;
            level[*place as usize].sum += target;
        }
        level
    }

    /// Reads a column from its smallest value on and keeps each node's cut if it is better.
    fn read(&self, column: usize, place: &[u32], level: &mut [Open]) {
        let values = self.columns.column(column);
        let fewest = self.config.fewest_rows as f64;
        level.iter_mut().for_each(|open| open.passed = (0.0, 0.0, f64::NEG_INFINITY));
        for row in self.sorted[column].iter().map(|row| *row as usize).filter(|row| place[*row] != NOWHERE) {
            let open = &mut level[place[row] as usize];
            let (passed, sum, last) = open.passed;
            let rest = open.count - passed;
            if values[row] > last && passed >= fewest && rest >= fewest {
                let total = open.sum * open.sum / open.count;
                let gain = sum * sum / passed + (open.sum - sum).powi(2) / rest - total;
                if gain > 1e-12 && open.best.is_none_or(|(_, _, best)| gain > best) {
                    // The lower value where the middle rounds to the upper one.
                    let middle = last + (values[row] - last) / 2.0;
                    open.best = Some((column, if middle < values[row] { middle } else { last }, gain));
                }
            }
            open.passed = (passed + 1.0, sum + self.targets[row], values[row]);
        }
    }

    /// Cuts the nodes that can be cut, sets the others, moves the rows; the nodes of the next level.
    fn divide(&self, tree: &mut Tree, level: &[Open], place: &mut [u32]) -> Vec<usize> {
        let mut next = Vec::new();
        let mut moves = Vec::with_capacity(level.len());
        for open in level {
            moves.push(open.best.map(|(column, threshold, _)| {
                let (left, right) = tree.split(open.node, column, threshold);
                next.extend([left, right]);
                (column, threshold, next.len() as u32 - 2)
            }));
            if open.best.is_none() {
                tree.set(open.node, open.sum / open.count);
            }
        }
        for (row, place) in place.iter_mut().enumerate().filter(|(_, place)| **place != NOWHERE) {
            *place = moves[*place as usize].map_or(NOWHERE, |(column, threshold, left)| {
                left + u32::from(self.columns.column(column)[row] > threshold)
            });
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::stats;

    fn wave(count: usize, seed: u64) -> (Vec<Vec<f64>>, Vec<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rows: Vec<Vec<f64>> = (0..count).map(|_| (0..6).map(|_| rng.random()).collect()).collect();
        let targets = rows.iter().map(|x| (6.0 * x[0]).sin() + x[1] * x[2]).collect();
        (rows, targets)
    }

    #[test]
    fn boosting_learns_a_wave() {
        let ((rows, targets), (unseen, truth)) = (wave(300, 1), wave(300, 2));
        let config = BoostingConfig { columns: 0.5, ..Default::default() };
        let explained = |trees| {
            let boosting = Boosting::fit(&rows, &targets, &BoostingConfig { trees, ..config }, 0);
            stats::r_squared(&truth, &boosting.predict(&unseen))
        };
        assert!(explained(300) > 0.93 && explained(300) > explained(30), "{} {}", explained(30), explained(300));
    }

    /// One tree of one question on all rows is least squares over all cuts, done here by trying each.
    #[test]
    fn the_first_question_is_the_best_of_all() {
        let (rows, targets) = wave(40, 3);
        let config = BoostingConfig { trees: 1, rate: 1.0, depth: 1, rows: 1.0, columns: 1.0, fewest_rows: 1 };
        let error = |found: &[f64]| stats::mean_squared_error(&targets, found);
        let found = error(&Boosting::fit(&rows, &targets, &config, 0).predict(&rows));
        let by_hand =
            (0..6).flat_map(|column| rows.iter().map(move |row| (column, row[column]))).map(|(column, at)| {
                let side = |row: &Vec<f64>| row[column] <= at;
                let mean = |left: bool| {
                    let chosen: Vec<f64> =
                        rows.iter().zip(&targets).filter(|(r, _)| side(r) == left).map(|(_, t)| *t).collect();
                    stats::mean(&chosen)
                };
                let means = (mean(true), mean(false));
                error(&rows.iter().map(|row| if side(row) { means.0 } else { means.1 }).collect::<Vec<f64>>())
            });
        let best = by_hand.fold(f64::INFINITY, f64::min);
        assert!((found - best).abs() < 1e-12, "{found} {best}");
    }

    #[test]
    fn a_seed_repeats_and_constant_targets_stay() {
        let (rows, targets) = wave(30, 4);
        let fit = |seed| Boosting::fit(&rows, &targets, &BoostingConfig { trees: 5, ..Default::default() }, seed);
        assert_eq!(fit(1), fit(1));
        assert_ne!(fit(1), fit(2));
        let constant = Boosting::fit(&rows, &[0.25; 30], &BoostingConfig::default(), 0);
        assert!(constant.predict(&rows).iter().all(|value| (value - 0.25).abs() < 1e-12));
    }
}
