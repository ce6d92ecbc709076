//! Networks found by climbing in a fitted latent space, each checked exactly.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::latent_data::Complexity;
use crate::generate::{Ascent, Barrier, Climber, Frame, GraphVae, Point};
use crate::seed;
use crate::space::{Dag, Genotype, Space};

/// From where and how a search climbs.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentSearchConfig {
    /// Limit of complexity, if there is one.
    pub limit: Option<f64>,
    /// What is kept free below it, as a share.
    pub margin: f64,
    /// Best known networks to climb from.
    pub best_starts: usize,
    /// Random points to climb from.
    pub random_starts: usize,
    /// How points move; every one of these climbs from every start.
    pub climbers: Vec<Climber>,
    /// Steps, length of steps and pull of each climb.
    pub ascent: Ascent,
    /// Decides the random points.
    pub seed: u64,
}

impl Default for LatentSearchConfig {
    fn default() -> Self {
        LatentSearchConfig {
            limit: None,
            margin: 0.03,
            best_starts: 50,
            random_starts: 50,
            climbers: Climber::ALL.to_vec(),
            ascent: Ascent::default(),
            seed: 1,
        }
    }
}

/// A network that a climb ended at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FoundNetwork {
    /// The network as its space writes it.
    pub genotype: String,
    /// Performance predicted at the point that it is encoded to.
    pub predicted_performance: f64,
    /// Complexity predicted there.
    pub predicted_complexity: f64,
    /// Complexity computed from its lowering; none if only a device can tell.
    pub complexity: Option<f64>,
    /// Performance that the table has of it.
    pub known_performance: Option<f64>,
}

/// What one way to climb came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClimbScores {
    /// How points moved.
    pub climber: Climber,
    /// Climbs.
    pub climbs: usize,
    /// Share of ends that the prediction of complexity at the decoded network's own point lets through.
    pub let_through: f64,
    /// Different networks among these.
    pub networks: usize,
    /// Share of those let through whose network keeps the limit by the exact check; none without a limit
    /// or an exact complexity.
    pub inside_at_first_try: Option<f64>,
    /// Best performance predicted of a network inside the limit.
    pub best_predicted: Option<f64>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LatentFound {
    /// Way by way.
    pub climbs: Vec<ClimbScores>,
    /// The same share over all climbs.
    pub inside_at_first_try: Option<f64>,
    /// Networks inside the limit, best prediction first.
    pub networks: Vec<FoundNetwork>,
    /// Networks let through that are over the limit, which are left out.
    pub over_limit: usize,
}

/// Climbs from the best of the known networks and from random points, decodes, checks and ranks. `known` has each network
/// with its performance, not a number where there is none.
pub fn search_latent(
    vae: &GraphVae,
    space: &Space,
    known: &[(Genotype, f64)],
    complexity: &Complexity,
    config: &LatentSearchConfig,
) -> LatentFound {
    let dags: Vec<Dag> = known.iter().map(|(genotype, _)| space.dag(genotype)).collect();
    let encoded = vae.encode(&dags);
    let points: Vec<Point> = encoded.iter().map(|(mean, _)| mean.clone()).collect();
    let frame = Frame::of(&points);
    let starts = starts(vae, known, &encoded, config);
    let barrier = config.limit.map(|limit| Barrier { limit, margin: config.margin });
    let mut exact: HashMap<Genotype, Option<f64>> = HashMap::new();
    let (mut climbs, mut all, mut inside, mut offered) = (Vec::new(), BTreeSet::new(), 0, 0);
    for climber in &config.climbers {
        let ends = vae.climb(&Ascent { climber: *climber, ..config.ascent }, &frame, &starts, barrier);
        let decoded: Vec<Genotype> = vae.decode(&ends).iter().filter_map(|dag| space.genotype_of(dag).ok()).collect();
        // Between networks a point may promise what none of them keeps: the prediction at a network's own point decides.
        let own = rate(vae, space, &decoded.iter().collect::<Vec<&Genotype>>());
        let passes =
            |(_, (_, complexity)): &(Genotype, (f64, f64))| config.limit.is_none_or(|limit| *complexity <= limit);
        let decoded: Vec<Genotype> =
            decoded.into_iter().zip(own).filter(passes).map(|(genotype, _)| genotype).collect();
        for genotype in &decoded {
            exact.entry(genotype.clone()).or_insert_with(|| complexity.exact(space, genotype));
        }
        let keeps = |genotype: &&Genotype| keeps(exact[*genotype], config.limit);
        let kept = decoded.iter().filter(keeps).count();
        let networks: BTreeSet<Genotype> = decoded.iter().cloned().collect();
        let good: Vec<&Genotype> = networks.iter().filter(keeps).collect();
        let best = rate(vae, space, &good).into_iter().map(|(performance, _)| performance).reduce(f64::max);
        climbs.push(ClimbScores {
            climber: *climber,
            climbs: ends.len(),
            let_through: decoded.len() as f64 / ends.len().max(1) as f64,
            networks: networks.len(),
            inside_at_first_try: share(kept, decoded.len(), config, complexity),
            best_predicted: best,
        });
        (inside, offered) = (inside + kept, offered + decoded.len());
        all.extend(networks);
    }
    let performances: HashMap<&Genotype, f64> =
        known.iter().map(|(genotype, performance)| (genotype, *performance)).collect();
    let good: Vec<&Genotype> = all.iter().filter(|genotype| keeps(exact[*genotype], config.limit)).collect();
    let mut networks: Vec<FoundNetwork> = good
        .iter()
        .zip(rate(vae, space, &good))
        .map(|(genotype, (predicted_performance, predicted_complexity))| FoundNetwork {
            genotype: space.format(genotype),
            predicted_performance,
            predicted_complexity,
            complexity: exact[*genotype],
            known_performance: performances.get(*genotype).copied().filter(|performance| performance.is_finite()),
        })
        .collect();
    networks.sort_by(|a, b| {
        b.predicted_performance.total_cmp(&a.predicted_performance).then_with(|| a.genotype.cmp(&b.genotype))
    });
    let over_limit = all.len() - networks.len();
    LatentFound { climbs, inside_at_first_try: share(inside, offered, config, complexity), networks, over_limit }
}

/// Whether a network keeps the limit; what cannot be computed is left to whoever measures.
fn keeps(complexity: Option<f64>, limit: Option<f64>) -> bool {
    match (complexity, limit) {
        (Some(complexity), Some(limit)) => complexity <= limit,
        (None, _) | (_, None) => true,
    }
}

fn share(kept: usize, of: usize, config: &LatentSearchConfig, complexity: &Complexity) -> Option<f64> {
    let can_be_told = config.limit.is_some() && !matches!(complexity, Complexity::Measured(_));
    can_be_told.then(|| kept as f64 / of.max(1) as f64)
}

fn starts(
    vae: &GraphVae,
    known: &[(Genotype, f64)],
    encoded: &[(Point, Point)],
    config: &LatentSearchConfig,
) -> Vec<Point> {
    let mut order: Vec<usize> = (0..known.len()).filter(|at| known[*at].1.is_finite()).collect();
    order.sort_by(|a, b| known[*b].1.total_cmp(&known[*a].1).then(a.cmp(b)));
    let best = order.into_iter().take(config.best_starts).map(|at| encoded[at].0.clone());
    let seed = seed::derive(config.seed, "latent search", 0);
    best.chain(vae.around_all(encoded, config.random_starts, seed)).collect()
}

/// Predicted performance and complexity of networks, at the points that they are encoded to.
fn rate(vae: &GraphVae, space: &Space, networks: &[&Genotype]) -> Vec<(f64, f64)> {
    let dags: Vec<Dag> = networks.iter().map(|genotype| space.dag(genotype)).collect();
    let points: Vec<Point> = vae.encode(&dags).into_iter().map(|(mean, _)| mean).collect();
    vae.predict(&points)
}
