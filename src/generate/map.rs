//! A latent space as people can look at it: its two widest directions, and the networks on the way between two.

use super::vae::{GraphVae, Point};
use crate::space::Dag;

/// Points on the two principal axes (Pearson, 1901), and the share of the variance along each.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// A place for each point.
    pub places: Vec<(f64, f64)>,
    /// Share of the variance along each axis.
    pub explained: (f64, f64),
}

/// Multiplications by the covariance; directions of nearly the same variance need not be told apart.
const ROUNDS: usize = 200;

impl Map {
    /// Of some points.
    pub fn of(points: &[Point]) -> Map {
        let dimensions = points.first().map_or(0, Vec::len);
        let count = points.len().max(1) as f64;
        let mean = |d: usize| points.iter().map(|point| f64::from(point[d])).sum::<f64>() / count;
        let means: Vec<f64> = (0..dimensions).map(mean).collect();
        let centred: Vec<Vec<f64>> =
            points.iter().map(|p| p.iter().zip(&means).map(|(x, m)| f64::from(*x) - m).collect()).collect();
        let mut covariance = vec![0.0; dimensions * dimensions];
        for point in &centred {
            for (row, a) in covariance.chunks_mut(dimensions).zip(point) {
                row.iter_mut().zip(point).for_each(|(cell, b)| *cell += a * b / count);
            }
        }
        let total: f64 = (0..dimensions).map(|d| covariance[d * dimensions + d]).sum();
        let (first, first_variance) = widest(&covariance, dimensions);
        for (row, a) in covariance.chunks_mut(dimensions.max(1)).zip(&first) {
            row.iter_mut().zip(&first).for_each(|(cell, b)| *cell -= first_variance * a * b);
        }
        let (second, second_variance) = widest(&covariance, dimensions);
        let along = |point: &Vec<f64>, axis: &[f64]| point.iter().zip(axis).map(|(x, a)| x * a).sum::<f64>();
        let share = |variance: f64| if total > 0.0 { variance / total } else { 0.0 };
        Map {
            places: centred.iter().map(|point| (along(point, &first), along(point, &second))).collect(),
            explained: (share(first_variance), share(second_variance)),
        }
    }
}

/// Direction of the largest variance and that variance, by repeated multiplication.
fn widest(covariance: &[f64], dimensions: usize) -> (Vec<f64>, f64) {
    // A start with a share of every direction.
    let mut axis: Vec<f64> = (0..dimensions).map(|d| 1.0 + (d as f64 * 0.7).sin() / 2.0).collect();
    let mut variance = 0.0;
    for _ in 0..ROUNDS {
        let length = axis.iter().map(|a| a * a).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        axis.iter_mut().for_each(|a| *a /= length);
        let next: Vec<f64> =
            covariance.chunks(dimensions.max(1)).map(|row| row.iter().zip(&axis).map(|(c, a)| c * a).sum()).collect();
        variance = next.iter().zip(&axis).map(|(n, a)| n * a).sum();
        if variance <= 0.0 {
            break;
        }
        axis = next;
    }
    let length = axis.iter().map(|a| a * a).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    (axis.into_iter().map(|a| a / length).collect(), variance.max(0.0))
}

/// A network on the way from one to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The most probable graph of the point.
    pub dag: Dag,
    /// Share of the way.
    pub at: f64,
    /// Predicted performance of the point.
    pub performance: f64,
    /// Predicted complexity of the point.
    pub complexity: f64,
}

impl GraphVae {
    /// What lies on the straight line between the points of two graphs, both ends included, in so many equal steps.
    pub fn between(&self, from: &Dag, to: &Dag, steps: usize) -> Vec<Step> {
        let ends = self.encode(&[from.clone(), to.clone()]);
        let shares: Vec<f64> = (0..=steps).map(|step| step as f64 / steps.max(1) as f64).collect();
        let point = |share: &f64| -> Point {
            ends[0].0.iter().zip(&ends[1].0).map(|(a, b)| a + (b - a) * *share as f32).collect()
        };
        let points: Vec<Point> = shares.iter().map(point).collect();
        let decoded = self.decode(&points).into_iter().zip(self.predict(&points)).zip(shares);
        decoded.map(|((dag, (performance, complexity)), at)| Step { dag, at, performance, complexity }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_directions_are_found_in_order() {
        // Along (1, 1, 0) ten times as wide as along (0, 0, 1), nothing across.
        let points: Vec<Point> = (0..100)
            .map(|i| {
                let (a, b) = ((i % 10) as f32 - 4.5, (i / 10) as f32 - 4.5);
                vec![10.0 * a, 10.0 * a, 2.0 * b]
            })
            .collect();
        let map = Map::of(&points);
        assert!((map.explained.0 - 200.0 / 204.0).abs() < 1e-3 && (map.explained.1 - 4.0 / 204.0).abs() < 1e-3);
        for (place, point) in map.places.iter().zip(&points) {
            assert!((place.0.abs() - 2f64.sqrt() * f64::from(point[0].abs())).abs() < 0.05, "{place:?} {point:?}");
            assert!((place.1.abs() - f64::from(point[2].abs())).abs() < 0.05, "{place:?} {point:?}");
        }
    }

    #[test]
    fn points_that_are_all_the_same_lie_in_one_place() {
        let map = Map::of(&[vec![1.0, 2.0], vec![1.0, 2.0]]);
        assert_eq!((map.places, map.explained), (vec![(0.0, 0.0); 2], (0.0, 0.0)));
    }
}
