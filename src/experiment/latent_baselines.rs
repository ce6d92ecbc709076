//! What simple predictors make of the same networks: they look at columns that can be read off a graph.

use super::latent_data::LatentData;
use crate::regress::{Boosting, BoostingConfig, Forest, ForestConfig, Lambda, Ridge};
use crate::space::Dag;
use crate::stats;

/// Predictions of performance for the networks held out, by name of the predictor.
pub(super) fn baselines(data: &LatentData, kinds: usize, seed: u64) -> Vec<(&'static str, Vec<f64>)> {
    let of = |part: &[(crate::space::Genotype, crate::generate::Example)]| -> Vec<Vec<f64>> {
        part.iter().map(|(_, example)| columns(&example.dag, kinds)).collect()
    };
    let (train, test) = (of(&data.train), of(&data.test));
    let targets: Vec<f64> = data.train.iter().map(|(_, example)| example.performance).collect();
    let forest = Forest::fit(&train, &targets, &ForestConfig::default(), seed);
    vec![
        ("mean", vec![stats::mean(&targets); test.len()]),
        ("ridge", Ridge::fit(&train, &targets, Lambda::LeaveOneOut).predict(&test)),
        ("forest", forest.predict(&test).into_iter().map(|(mean, _)| mean).collect()),
        ("boosting", Boosting::fit(&train, &targets, &BOOSTING, seed).predict(&test)),
    ]
}

/// More and deeper trees than for some hundred networks; set once.
const BOOSTING: BoostingConfig =
    BoostingConfig { trees: 1500, rate: 0.05, depth: 6, rows: 0.7, columns: 0.3, fewest_rows: 5 };

/// A bit for each kind of each node, a bit for each pair of nodes, how many nodes each node reads, how many edges lead from
/// each kind to each other, and the longest path.
fn columns(dag: &Dag, kinds: usize) -> Vec<f64> {
    let nodes = dag.len();
    let one_hot =
        dag.kinds.iter().flat_map(|kind| (0..kinds).map(move |k| f64::from(u8::from(k == usize::from(*kind)))));
    let mut columns: Vec<f64> = one_hot.collect();
    let (mut pairs, mut between) = (vec![0.0; nodes * nodes], vec![0.0; kinds * kinds]);
    let (mut reads, mut depth) = (vec![0.0; nodes], vec![0.0f64; nodes]);
    // Edges are sorted by where they start: what a node's depth follows from is known before it is read.
    for (from, to) in &dag.edges {
        pairs[from * nodes + to] = 1.0;
        between[usize::from(dag.kinds[*from]) * kinds + usize::from(dag.kinds[*to])] += 1.0;
        reads[*to] += 1.0;
        depth[*to] = depth[*to].max(depth[*from] + 1.0);
    }
    columns.extend(pairs.into_iter().chain(between).chain(reads));
    columns.push(depth.iter().copied().fold(0.0, f64::max));
    columns
}
