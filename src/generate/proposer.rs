//! Networks proposed from a latent space: encode what is known, fit how good it is, climb from the best and from random
//! points, decode where the climbs end.

use std::collections::HashSet;

use super::GenerateError;
use super::ascent::{Ascent, Barrier, Frame};
use super::config::VaeConfig;
use super::training::{Example, Losses};
use super::vae::{GraphVae, Point};
use crate::regress::{Part, Process, Shape};
use crate::seed;
use crate::space::{Dag, Genotype, Space};
use crate::stats;

/// A proposer of networks. The latent space was learnt from networks of which only the complexity is known; how good they
/// are is fitted anew to what was told: a Gaussian process on the points of those told, because they are few.
#[derive(Debug, Clone)]
pub struct Proposer {
    space: Space,
    vae: GraphVae,
    frame: Frame,
    ascent: Ascent,
}

/// A network proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The network.
    pub genotype: Genotype,
    /// What its own point promises after it was encoded again: a normal score among the networks told.
    pub performance: f64,
    /// Predicted complexity of its own point.
    pub complexity: f64,
}

/// What a search asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// Networks at most.
    pub count: usize,
    /// Limit of complexity, if there is one.
    pub barrier: Option<Barrier>,
    /// Known networks to climb from, the best first.
    pub best_starts: usize,
    /// Random points to climb from.
    pub random_starts: usize,
}

/// Parts of a climb, after each of which is decoded.
const STAGES: usize = 5;
/// How far around the best points climbs also start, in deviations of a dimension.
const AROUND: [f64; 6] = [0.2, 0.35, 0.5, 0.65, 0.8, 1.0];
/// Lengths of the kernels, in root mean squares of the differences of standardised dimensions.
const LENGTHS: [f64; 3] = [0.5, 1.0, 2.0];

impl Proposer {
    /// Learns the latent space of a space from random networks, of which `complexity` tells one number.
    ///
    /// # Errors
    /// If the space has no codec or the fit fails.
    pub fn learn(
        space: &Space,
        networks: usize,
        config: VaeConfig,
        complexity: &(dyn Fn(&Genotype) -> f64 + Sync),
        seed: u64,
        watch: &mut dyn FnMut(usize, Losses),
    ) -> Result<Proposer, GenerateError> {
        use rayon::prelude::*;
        let mut rng = seed::stream(seed, "latent networks", 0);
        let mut seen = HashSet::new();
        // A small space has fewer: it ends when draws have long been repeating themselves.
        let drawn = (0..8 * networks).map(|_| space.sample(&mut rng)).filter(|genotype| seen.insert(genotype.clone()));
        let drawn: Vec<Genotype> = drawn.take(networks).collect();
        let example = |genotype: &Genotype| Example {
            dag: space.dag(genotype),
            performance: f64::NAN,
            complexity: complexity(genotype),
        };
        let examples: Vec<Example> = drawn.par_iter().map(example).collect();
        let mut vae = GraphVae::new(space, config, seed)?;
        vae.fit(&examples, seed, watch)?;
        let dags: Vec<Dag> = examples.into_iter().map(|example| example.dag).collect();
        Ok(Proposer::of(space.clone(), vae, &dags))
    }

    /// A proposer in a latent space that is known; `dags` tell where networks lie in it.
    pub fn of(space: Space, vae: GraphVae, dags: &[Dag]) -> Proposer {
        let points: Vec<Point> = vae.encode(dags).into_iter().map(|(mean, _)| mean).collect();
        Proposer { space, vae, frame: Frame::of(&points), ascent: Ascent::default() }
    }

    /// New networks for what was told, the most promising first. `is_new` says whether a network may be proposed at all.
    /// What is proposed depends on the seed and on what was told alone.
    pub fn propose(
        &self,
        told: &[(Genotype, f64)],
        wanted: &Wanted,
        is_new: &mut dyn FnMut(&Genotype) -> bool,
        seed: u64,
    ) -> Vec<Decoded> {
        if told.len() < 2 {
            return Vec::new();
        }
        let dags: Vec<Dag> = told.iter().map(|(genotype, _)| self.space.dag(genotype)).collect();
        let points: Vec<Point> = self.vae.encode(&dags).into_iter().map(|(mean, _)| mean).collect();
        let rows: Vec<Vec<f64>> = points.iter().map(|point| self.frame.inward(point)).collect();
        let targets = normal_scores(&told.iter().map(|(_, performance)| *performance).collect::<Vec<f64>>());
        let process = Process::fit(&rows, &targets, &parts(rows[0].len()));
        let objective = |point: &Point| -> Vec<f32> {
            let (_, slope) = process.slope(&self.frame.inward(point));
            self.frame.slope_of_point(&slope).into_iter().map(|s| s as f32).collect()
        };
        let mut places = self.starts(&points, &targets, wanted, seed);
        let ascent = Ascent { steps: self.ascent.steps / STAGES, ..self.ascent };
        let mut found: HashSet<Genotype> = HashSet::new();
        // Climbs end at few networks, most of them told before: those on the way count too.
        for stage in 0..=STAGES {
            let decoded = self.vae.decode(&places);
            found.extend(decoded.iter().filter_map(|dag| self.space.genotype_of(dag).ok()));
            if stage < STAGES {
                places = self.vae.climb_along(&ascent, &self.frame, &places, wanted.barrier, &objective);
            }
        }
        let mut new: Vec<Genotype> = found.into_iter().filter(|genotype| is_new(genotype)).collect();
        new.sort_unstable();
        let mut ranked = self.rate(new, &|point| process.slope(&self.frame.inward(point)).0);
        ranked.sort_by(|a, b| b.performance.total_cmp(&a.performance).then_with(|| a.genotype.cmp(&b.genotype)));
        ranked.truncate(wanted.count);
        ranked
    }

    /// The best points known, points around them, and random ones.
    fn starts(&self, points: &[Point], targets: &[f64], wanted: &Wanted, seed: u64) -> Vec<Point> {
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|a, b| targets[*b].total_cmp(&targets[*a]).then(a.cmp(b)));
        let mut rng = seed::stream(seed, "latent starts", 0);
        let mut near = |place: &[f64], spread: f64| -> Point {
            let moved: Vec<f64> =
                place.iter().map(|x| x + spread * f64::from(super::training::normal(&mut rng))).collect();
            self.frame.outward(&moved)
        };
        let mut starts = Vec::new();
        for at in order.into_iter().take(wanted.best_starts) {
            let place = self.frame.inward(&points[at]);
            starts.push(points[at].clone());
            starts.extend(AROUND.map(|spread| near(&place, spread)));
        }
        let middle = vec![0.0; self.vae.config().latent];
        starts.extend((0..wanted.random_starts).map(|_| near(&middle, 1.0)));
        starts
    }

    /// What networks promise at the points that they are encoded to.
    fn rate(&self, networks: Vec<Genotype>, performance: &dyn Fn(&Point) -> f64) -> Vec<Decoded> {
        let dags: Vec<Dag> = networks.iter().map(|genotype| self.space.dag(genotype)).collect();
        let points: Vec<Point> = self.vae.encode(&dags).into_iter().map(|(mean, _)| mean).collect();
        let complexities = self.vae.predict(&points);
        let rated = networks.into_iter().zip(&points).zip(complexities);
        rated
            .map(|((genotype, point), (_, complexity))| Decoded {
                genotype,
                performance: performance(point),
                complexity,
            })
            .collect()
    }
}

/// Ranks as quantiles of the normal distribution: a few hopeless networks do not bend everything.
fn normal_scores(performances: &[f64]) -> Vec<f64> {
    let count = performances.len() as f64;
    stats::ranks(performances).into_iter().map(|rank| stats::normal_quantile((rank - 0.5) / count)).collect()
}

/// A linear function and smooth ones of all dimensions together.
fn parts(dimensions: usize) -> Vec<Part> {
    let all = || vec![(0..dimensions).collect::<Vec<usize>>()];
    let smooth = LENGTHS.map(|length| Part { blocks: all(), shape: Shape::Matern { length } });
    std::iter::once(Part { blocks: all(), shape: Shape::Linear }).chain(smooth).collect()
}
