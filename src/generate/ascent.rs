//! Climbing in the latent space: from some points along the slope of an objective, in coordinates whose every dimension has
//! the spread of the encoded networks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::GenerateError;
use super::vae::{GraphVae, Point, Slopes};
use crate::stats;

/// How a point moves along a slope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Climber {
    /// Along the slope, as NGAE does.
    Sgd,
    /// With Nesterov's momentum (Sutskever and others, 2013).
    Momentum,
    /// By running means of the slope and of its square (Kingma and Ba, 2015).
    Adam,
}

impl Climber {
    /// All of them.
    pub const ALL: [Climber; 3] = [Climber::Sgd, Climber::Momentum, Climber::Adam];
}

impl fmt::Display for Climber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Climber::Sgd => "sgd",
            Climber::Momentum => "momentum",
            Climber::Adam => "adam",
        })
    }
}

impl FromStr for Climber {
    type Err = GenerateError;
    fn from_str(text: &str) -> Result<Self, GenerateError> {
        let named = Climber::ALL.into_iter().find(|climber| climber.to_string() == text);
        named.ok_or_else(|| GenerateError::UnknownClimber(text.to_string()))
    }
}

/// How far and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ascent {
    /// How points move.
    pub climber: Climber,
    /// Moves of each point.
    pub steps: usize,
    /// Length of a move, in deviations of a dimension; for `sgd` and `momentum` it multiplies the slope.
    pub rate: f64,
    /// Pull towards the middle of the encoded networks: half of it times the squared distance in deviations is taken from
    /// the objective. Far outside nothing was learnt.
    pub pull: f64,
}

impl Default for Ascent {
    fn default() -> Self {
        Ascent { climber: Climber::Adam, steps: 60, rate: 0.05, pull: 0.02 }
    }
}

/// Middle and spread of encoded networks in each dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    middle: Vec<f64>,
    /// Never zero.
    spread: Vec<f64>,
}

impl Frame {
    /// Of some points.
    pub fn of(points: &[Point]) -> Frame {
        let dimensions = points.first().map_or(0, Vec::len);
        let column = |d: usize| points.iter().map(|point| f64::from(point[d])).collect::<Vec<f64>>();
        let spread = |d: usize| match stats::std_dev(&column(d)) {
            spread if spread > 0.0 => spread,
            _ => 1.0,
        };
        Frame {
            middle: (0..dimensions).map(|d| stats::mean(&column(d))).collect(),
            spread: (0..dimensions).map(spread).collect(),
        }
    }

    /// A point in deviations from the middle.
    pub fn inward(&self, point: &[f32]) -> Vec<f64> {
        point.iter().zip(self.middle.iter().zip(&self.spread)).map(|(x, (m, s))| (f64::from(*x) - m) / s).collect()
    }

    /// The point that lies so many deviations from the middle.
    pub fn outward(&self, place: &[f64]) -> Point {
        place.iter().zip(self.middle.iter().zip(&self.spread)).map(|(x, (m, s))| (x * s + m) as f32).collect()
    }

    /// A slope along deviations as one along a point's dimensions.
    pub(super) fn slope_of_point(&self, slope: &[f64]) -> Vec<f64> {
        slope.iter().zip(&self.spread).map(|(slope, spread)| slope / spread).collect()
    }

    /// A slope along a point's dimensions as one along deviations.
    fn slope(&self, slope: &[f32]) -> Vec<f64> {
        slope.iter().zip(&self.spread).map(|(slope, spread)| f64::from(*slope) * spread).collect()
    }
}

/// Share of the running slope that a move keeps, and of its running square.
const KEPT: f64 = 0.9;
const KEPT_SQUARE: f64 = 0.999;

impl Ascent {
    /// Where points climb to. The objective gives the slope at each point.
    pub fn climb(&self, frame: &Frame, starts: &[Point], objective: &dyn Fn(&[Point]) -> Vec<Vec<f32>>) -> Vec<Point> {
        let mut places: Vec<Vec<f64>> = starts.iter().map(|start| frame.inward(start)).collect();
        let mut means: Vec<Vec<f64>> = places.iter().map(|place| vec![0.0; place.len()]).collect();
        let mut squares = means.clone();
        for step in 1..=self.steps {
            let points: Vec<Point> = places.iter().map(|place| frame.outward(place)).collect();
            for (at, slope) in objective(&points).into_iter().enumerate() {
                let (place, mean, square) = (&mut places[at], &mut means[at], &mut squares[at]);
                for (d, slope) in frame.slope(&slope).into_iter().enumerate() {
                    let slope = slope - self.pull * place[d];
                    place[d] += match self.climber {
                        Climber::Sgd => self.rate * slope,
                        Climber::Momentum => {
                            mean[d] = KEPT * mean[d] + slope;
                            self.rate * (1.0 - KEPT) * (slope + KEPT * mean[d])
                        }
                        Climber::Adam => {
                            mean[d] = KEPT * mean[d] + (1.0 - KEPT) * slope;
                            square[d] = KEPT_SQUARE * square[d] + (1.0 - KEPT_SQUARE) * slope * slope;
                            let mean = mean[d] / (1.0 - KEPT.powi(step as i32));
                            let root = (square[d] / (1.0 - KEPT_SQUARE.powi(step as i32))).sqrt();
                            self.rate * mean / (root + 1e-8)
                        }
                    };
                }
            }
        }
        places.iter().map(|place| frame.outward(place)).collect()
    }
}

/// A limit on complexity as a barrier: it costs little well inside, more and more towards the limit, and outside as much as
/// leads back. The logarithm, continued by its parabola (Hauser and Saccon, "A Barrier Function Method for the Optimization
/// of Trajectory Functionals with Constraints", 2006), so that a search may start outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Barrier {
    /// The limit, in units of complexity.
    pub limit: f64,
    /// What is kept free below the limit, as a share of it: the prediction errs.
    pub margin: f64,
}

/// Weight of the barrier against a standardised performance.
const BARRIER_WEIGHT: f64 = 0.02;
/// Distance from the limit, in logarithms, where the parabola begins.
const NEAR: f64 = 0.01;

impl Barrier {
    /// What the barrier adds to a slope, for each unit that the logarithm of complexity rises.
    fn push(&self, complexity: f64) -> f64 {
        let left = (self.limit * (1.0 - self.margin) / complexity).ln();
        match left > NEAR {
            true => -BARRIER_WEIGHT / left,
            // Beyond, the parabola's slope; no more than moves a point a few steps' worth.
            false => -(BARRIER_WEIGHT / NEAR) * (2.0 - left / NEAR).min(20.0),
        }
    }
}

impl GraphVae {
    /// Where points climb to along the model's own prediction of performance, under a limit if there is one.
    pub fn climb(&self, ascent: &Ascent, frame: &Frame, starts: &[Point], barrier: Option<Barrier>) -> Vec<Point> {
        let slope = |of: Slopes| {
            let push = barrier.map_or(0.0, |barrier| barrier.push(of.complexity)) as f32;
            of.of_performance.iter().zip(&of.of_complexity).map(|(p, c)| p + push * c).collect::<Vec<f32>>()
        };
        ascent.climb(frame, starts, &|points| self.slopes(points).into_iter().map(slope).collect())
    }

    /// The same along another objective than the model's own, for example one that was fitted to few labels.
    pub fn climb_along(
        &self,
        ascent: &Ascent,
        frame: &Frame,
        starts: &[Point],
        barrier: Option<Barrier>,
        objective: &(dyn Fn(&Point) -> Vec<f32> + Sync),
    ) -> Vec<Point> {
        let slopes = |points: &[Point]| -> Vec<Vec<f32>> {
            let mut slopes: Vec<Vec<f32>> = points.iter().map(objective).collect();
            if let Some(barrier) = barrier {
                for (sum, of) in slopes.iter_mut().zip(self.slopes(points)) {
                    let push = barrier.push(of.complexity) as f32;
                    sum.iter_mut().zip(&of.of_complexity).for_each(|(sum, c)| *sum += push * c);
                }
            }
            slopes
        };
        ascent.climb(frame, starts, &slopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_climber_finds_the_top_of_a_hill() {
        let frame = Frame { middle: vec![1.0, -2.0], spread: vec![0.5, 3.0] };
        // The top is at (2, -5).
        let slope = |point: &Point| vec![2.0 * (2.0 - point[0]), 0.1 * (-5.0 - point[1])];
        let hill = |points: &[Point]| points.iter().map(slope).collect::<Vec<Vec<f32>>>();
        for climber in Climber::ALL {
            let ascent = Ascent { climber, steps: 2000, rate: 0.05, pull: 0.0 };
            let ends = ascent.climb(&frame, &[vec![0.0, 0.0], vec![4.0, 9.0]], &hill);
            for end in ends {
                assert!((end[0] - 2.0).abs() < 0.02 && (end[1] + 5.0).abs() < 0.1, "{climber}: {end:?}");
            }
        }
    }

    #[test]
    fn a_pull_stops_short_of_the_top() {
        let frame = Frame { middle: vec![0.0], spread: vec![1.0] };
        let ascent = Ascent { climber: Climber::Sgd, steps: 500, rate: 0.1, pull: 1.0 };
        let ends = ascent.climb(&frame, &[vec![0.0]], &|points| points.iter().map(|p| vec![2.0 - p[0]]).collect());
        assert!((ends[0][0] - 1.0).abs() < 1e-3, "half way between the middle and the top: {ends:?}");
    }

    #[test]
    fn the_barrier_pushes_harder_towards_the_limit_and_beyond() {
        let barrier = Barrier { limit: 100.0, margin: 0.0 };
        let pushes: Vec<f64> = [10.0, 50.0, 90.0, 98.9, 99.1, 101.0, 120.0].map(|c| -barrier.push(c)).to_vec();
        assert!(pushes.windows(2).all(|pair| pair[0] < pair[1]), "{pushes:?}");
        assert!(pushes[0] < 0.01 && pushes[6] > 10.0 * BARRIER_WEIGHT, "{pushes:?}");
    }

    #[test]
    fn climbers_go_to_text_and_back() {
        for climber in Climber::ALL {
            assert_eq!(climber.to_string().parse::<Climber>().unwrap(), climber);
        }
        assert!("newton".parse::<Climber>().unwrap_err().to_string().contains("adam"));
    }
}
