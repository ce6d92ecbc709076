//! How good a latent space is, as D-VAE and NGAE report it: what comes back of graphs that were encoded, and what is drawn
//! from points that were not.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::training::normal;
use super::vae::{GraphVae, Point};
use crate::seed;
use crate::space::{Dag, Genotype, Space};

/// Points drawn around each encoded graph, and graphs drawn from each of them.
const ENCODINGS: usize = 10;
const DECODINGS: usize = 10;
/// Points drawn from the latent space.
const PRIOR_POINTS: usize = 1000;
/// Encoded graphs decoded in one go.
const AT_ONCE: usize = 256;

/// What is drawn from points of the latent space, whose every dimension has the mean and deviation of the encoded training
/// graphs: 1,000 points, ten graphs of each. Shares of 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Graphs that are networks of the space.
    pub validity: f64,
    /// Different networks among the valid graphs.
    pub uniqueness: f64,
    /// Valid graphs that are no training network.
    pub novelty: f64,
    /// Different networks among the most probable graphs of the points, one of each.
    pub uniqueness_of_most_probable: f64,
}

impl GraphVae {
    /// Share of draws that equal the graph that was encoded: ten points around each, ten draws from each point.
    pub fn reconstruction_accuracy(&self, dags: &[Dag], seed: u64) -> f64 {
        let mut equal = 0;
        for (at, chunk) in dags.chunks(AT_ONCE).enumerate() {
            let mut rng = seed::stream(seed, "latent reconstruction", at as u64);
            let noise = self.config().noise as f32;
            let mut around = |(mean, deviation): &(Point, Point)| -> Point {
                mean.iter().zip(deviation).map(|(m, d)| m + noise * d * normal(&mut rng)).collect()
            };
            let encoded = self.encode(chunk);
            let each = encoded.iter().flat_map(|of| std::iter::repeat_n(of, ENCODINGS));
            let points: Vec<Point> =
                each.flat_map(|of| std::iter::repeat_n(around(of), DECODINGS).collect::<Vec<Point>>()).collect();
            let drawn = self.draw(&points, seed::derive(seed, "latent reconstruction draws", at as u64));
            let truth = chunk.iter().flat_map(|dag| std::iter::repeat_n(dag, ENCODINGS * DECODINGS));
            equal += drawn.iter().zip(truth).filter(|(drawn, truth)| drawn == truth).count();
        }
        equal as f64 / (dags.len() * ENCODINGS * DECODINGS).max(1) as f64
    }

    /// Validity, uniqueness and novelty of what is drawn from the latent space.
    pub fn sampling(&self, space: &Space, training: &[Dag], seed: u64) -> Sampling {
        let encoded = self.encode(training);
        let known: HashSet<Genotype> = training.iter().filter_map(|dag| space.genotype_of(dag).ok()).collect();
        let points = self.around_all(&encoded, PRIOR_POINTS, seed);
        let each: Vec<Point> = points.iter().flat_map(|p| std::iter::repeat_n(p.clone(), DECODINGS)).collect();
        let drawn = self.draw(&each, seed::derive(seed, "latent prior draws", 0));
        let count = drawn.len() as f64;
        let valid: Vec<Genotype> = drawn.iter().filter_map(|dag| space.genotype_of(dag).ok()).collect();
        let share = |part: usize| part as f64 / valid.len().max(1) as f64;
        let different: HashSet<&Genotype> = valid.iter().collect();
        let likeliest: HashSet<Dag> = self.decode(&points).into_iter().collect();
        Sampling {
            validity: valid.len() as f64 / count,
            uniqueness: share(different.len()),
            novelty: share(valid.iter().filter(|genotype| !known.contains(genotype)).count()),
            uniqueness_of_most_probable: likeliest.len() as f64 / PRIOR_POINTS as f64,
        }
    }

    /// Random points with the mean and deviation of encoded graphs in every dimension.
    pub fn around_all(&self, encoded: &[(Point, Point)], count: usize, seed: u64) -> Vec<Point> {
        let moments: Vec<(f64, f64)> = (0..self.config().latent)
            .map(|d| {
                let column: Vec<f64> = encoded.iter().map(|(mean, _)| f64::from(mean[d])).collect();
                (crate::stats::mean(&column), crate::stats::std_dev(&column))
            })
            .collect();
        let mut rng = seed::stream(seed, "latent prior", 0);
        let mut draw =
            || moments.iter().map(|(mean, deviation)| *mean as f32 + *deviation as f32 * normal(&mut rng)).collect();
        (0..count).map(|_| draw()).collect()
    }
}
