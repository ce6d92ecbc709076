//! Searches on tables: which network is asked for when, how far the best one found is from the best there is, and how that
//! compares with random search.

use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::pool::{Pool, View};
use super::predictors::Moments;
use crate::generate::Proposer;
use crate::measure::Stopwatch;
use crate::run::{LatentConfig, LatentSearch, RunError};
use crate::search::{SearchError, Strategy, StrategyName};
use crate::stats;

/// What searches: a strategy, or one in a latent space that was learned before.
#[derive(Clone)]
pub enum Entrant {
    /// A strategy with its usual settings.
    Named(StrategyName),
    /// Search in a latent space of the table's space.
    Latent(Arc<Proposer>),
}

impl Entrant {
    /// Name of a search in a latent space.
    pub const LATENT: &'static str = "latent";

    /// Its name.
    pub fn name(&self) -> String {
        match self {
            Entrant::Named(name) => name.to_string(),
            Entrant::Latent(_) => Entrant::LATENT.to_string(),
        }
    }

    fn start(&self, queries: usize, seed: u64) -> Box<dyn Strategy> {
        match self {
            Entrant::Named(name) => name.start(queries, seed),
            Entrant::Latent(proposer) => {
                Box::new(LatentSearch::new(Arc::clone(proposer), LatentConfig::of(queries), seed))
            }
        }
    }

    /// Only ours looks at the table's own columns; the others are as published.
    fn view(&self) -> View {
        match self {
            Entrant::Named(StrategyName::Bayes) => View::Rich,
            Entrant::Named(_) | Entrant::Latent(_) => View::Plain,
        }
    }
}

/// The networks that a search asked for, in order, as places of the benchmark.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// The seed.
    pub seed: u64,
    /// Places.
    pub places: Vec<usize>,
    /// Seconds that the search took, the strategy's own work alone.
    pub seconds: f64,
}

impl Trajectory {
    /// The best label found after each query.
    pub fn best_so_far(&self, labels: &[f64]) -> Vec<f64> {
        let better = |best: &mut f64, place: &usize| {
            *best = best.max(labels[*place]);
            Some(*best)
        };
        self.places.iter().scan(f64::NEG_INFINITY, better).collect()
    }

    /// The best label after so many queries, or after all if there are fewer.
    fn best_at(&self, labels: &[f64], queries: usize) -> f64 {
        let asked = &self.places[..queries.min(self.places.len())];
        asked.iter().map(|place| labels[*place]).fold(f64::NEG_INFINITY, f64::max)
    }
}

/// Runs a strategy for each seed.
///
/// # Errors
/// If a search cannot go on.
pub fn search_pool(
    pool: &Pool,
    labels: &[f64],
    entrant: &Entrant,
    queries: usize,
    seeds: &[u64],
) -> Result<Vec<Trajectory>, RunError> {
    let run = |seed: &u64| run_one(pool, labels, entrant, queries, *seed, None);
    Ok(seeds.par_iter().map(run).collect::<Result<_, SearchError>>()?)
}

/// One search among the networks that `feasible` says, or all.
pub(super) fn run_one(
    pool: &Pool,
    labels: &[f64],
    entrant: &Entrant,
    queries: usize,
    seed: u64,
    feasible: Option<&[bool]>,
) -> Result<Trajectory, SearchError> {
    let clock = Stopwatch::start();
    let mut strategy = entrant.start(queries, seed);
    let mut places = Vec::with_capacity(queries);
    while places.len() < queries {
        let mut site = pool.site(entrant.view(), feasible);
        match strategy.ask(&mut site, &[]) {
            Ok(Some(proposal)) => {
                let place = pool.place(&proposal.genotype);
                strategy.tell(&proposal.genotype, Some(labels[place]));
                places.push(place);
            }
            Ok(None) => unreachable!("nothing is pending"),
            // A small table has been asked for whole.
            Err(SearchError::Exhausted { .. }) if !places.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(Trajectory { seed, places, seconds: clock.seconds() })
}

/// The least label of the best networks, which are this share of all; of the very best alone if the share is zero.
pub fn goal(labels: &[f64], share: f64) -> f64 {
    let mut sorted = labels.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let best = ((labels.len() as f64 * share).round() as usize).clamp(1, labels.len());
    sorted[best - 1]
}

/// A strategy over all seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchScores {
    /// The strategy.
    pub strategy: String,
    /// Seeds.
    pub seeds: usize,
    /// For each seed, queries until a network as good as the goal was found; nothing if none was.
    pub to_goal: Vec<Option<usize>>,
    /// Their median, if at least half of the searches found it.
    pub median_to_goal: Option<f64>,
    /// The most of them, if every search found it.
    pub all_by: Option<usize>,
    /// What the best label found lacks to the best of the table, after each query.
    pub regret: Vec<Moments>,
    /// Another label, such as test accuracy, of the network whose label is best after all queries.
    pub test: Option<Moments>,
    /// Against random search with as many queries, in pairs of one seed each.
    pub against_random: Vec<AgainstRandom>,
    /// Median seconds of a search, without trainings.
    pub seconds: f64,
}

/// How often a search is ahead of random search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgainstRandom {
    /// After so many queries.
    pub queries: usize,
    /// Share of the seeds in which its best label is higher.
    pub better: f64,
    /// Share in which it is the same.
    pub equal: f64,
    /// Mean difference of the best labels.
    pub mean_difference: f64,
    /// 95 % bootstrap interval of that mean.
    pub interval: (f64, f64),
}

impl SearchScores {
    /// Scores trajectories against those of random search with the same seeds, after each of the query counts `at`; a label
    /// of `goal` or more is what is searched for.
    pub fn of(
        strategy: String,
        found: &[Trajectory],
        random: &[Trajectory],
        (labels, goal): (&[f64], f64),
        test: Option<&[f64]>,
        at: &[usize],
    ) -> SearchScores {
        let best = labels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let reached =
            |of: &Trajectory| of.places.iter().position(|place| labels[*place] >= goal).map(|query| query + 1);
        let to_goal: Vec<Option<usize>> = found.iter().map(reached).collect();
        // A search that did not find it needs more queries than any that did.
        let queries: Vec<f64> = to_goal.iter().map(|q| q.map_or(f64::INFINITY, |q| q as f64)).collect();
        let curves: Vec<Vec<f64>> = found.iter().map(|of| of.best_so_far(labels)).collect();
        let longest = curves.iter().map(Vec::len).max().unwrap_or(0);
        let regret = |query: usize| {
            // A table that was asked for whole keeps its best.
            let after = |curve: &Vec<f64>| best - curve.get(query).or(curve.last()).copied().unwrap_or(f64::NAN);
            Moments::of(&curves.iter().map(after).collect::<Vec<f64>>())
        };
        let chosen = |of: &Trajectory| of.places.iter().copied().max_by(|a, b| labels[*a].total_cmp(&labels[*b]));
        let tested = |test: &[f64]| found.iter().filter_map(chosen).map(|place| test[place]).collect::<Vec<f64>>();
        SearchScores {
            strategy,
            seeds: found.len(),
            median_to_goal: Some(stats::median(&queries)).filter(|median| median.is_finite()),
            all_by: to_goal.iter().copied().collect::<Option<Vec<usize>>>().and_then(|all| all.into_iter().max()),
            to_goal,
            regret: (0..longest).map(regret).collect(),
            test: test.map(|test| Moments::of(&tested(test))),
            against_random: at.iter().map(|queries| against(found, random, labels, *queries)).collect(),
            seconds: stats::median(&found.iter().map(|of| of.seconds).collect::<Vec<f64>>()),
        }
    }
}

fn against(found: &[Trajectory], random: &[Trajectory], labels: &[f64], queries: usize) -> AgainstRandom {
    let difference = |(a, b): (&Trajectory, &Trajectory)| a.best_at(labels, queries) - b.best_at(labels, queries);
    let differences: Vec<f64> = found.iter().zip(random).map(difference).collect();
    let share = |is: fn(&f64) -> bool| differences.iter().filter(|d| is(d)).count() as f64 / differences.len() as f64;
    AgainstRandom {
        queries,
        better: share(|difference| *difference > 0.0),
        equal: share(|difference| *difference == 0.0),
        mean_difference: stats::mean(&differences),
        interval: stats::bootstrap_interval(&differences, stats::mean, 0.95, 10_000, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(seed: u64, places: &[usize]) -> Trajectory {
        Trajectory { seed, places: places.to_vec(), seconds: 0.0 }
    }

    #[test]
    fn queries_regret_and_pairs_are_those_counted_by_hand() {
        let labels = [0.1, 0.5, 0.9, 0.7];
        let found = [walk(1, &[0, 2, 1]), walk(2, &[3, 1, 2])];
        let random = [walk(1, &[1, 0, 3]), walk(2, &[3, 0, 1])];
        let test = [1.0, 2.0, 3.0, 4.0];
        let scores =
            SearchScores::of("local".into(), &found, &random, (&labels, goal(&labels, 0.0)), Some(&test), &[1, 2]);
        assert_eq!(scores.to_goal, [Some(2), Some(3)]);
        assert_eq!((scores.median_to_goal, scores.all_by), (Some(2.5), Some(3)));
        let regret: Vec<f64> = scores.regret.iter().map(|r| (r.mean * 10.0).round() / 10.0).collect();
        assert_eq!(regret, [0.5, 0.1, 0.0]);
        let pairs: Vec<(f64, f64)> = scores.against_random.iter().map(|pair| (pair.better, pair.equal)).collect();
        assert_eq!(pairs, [(0.0, 0.5), (0.5, 0.5)]);
        assert_eq!(scores.test.map(|test| test.mean), Some(3.0));
        let never = SearchScores::of("random".into(), &random, &random, (&labels, 0.9), None, &[]);
        assert_eq!((never.median_to_goal, never.all_by), (None, None));
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(|share| goal(&labels, share)), [0.9, 0.9, 0.7, 0.1]);
    }
}
