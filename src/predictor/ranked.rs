//! Models of normal scores on what can be counted in a graph: a forest, boosted trees, a Gaussian process, and the stack of
//! the three, weighted by how well each predicts what it was not fitted to.

use std::collections::HashMap;

use rayon::prelude::*;

use super::graf::Graf;
use super::scores::Scores;
use super::{Kind, Prediction, Sample, dags};
use crate::regress::{Boosting, BoostingConfig, Forest, ForestConfig, Part, Process, Shape, Weights, folds};
use crate::seed;
use crate::stats;

/// Boosted models that differ in their draws of rows and columns.
const BOOSTED: usize = 2;
/// Folds by which the models of a stack are weighed.
const FOLDS: usize = 5;
/// Weights of a stack are multiples of one over this.
const WEIGHT_STEPS: usize = 10;

/// A fitted model and its scales.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ranked {
    rows: Rows,
    scale: Scores,
    members: Vec<(f64, Member)>,
}

/// One model of normal scores.
#[derive(Debug, Clone, PartialEq)]
enum Member {
    Forest(Forest),
    Boosting(Vec<Boosting>),
    Process(Box<Process>),
}

impl Ranked {
    /// Fits the members of a kind.
    pub(super) fn fit(kind: Kind, samples: &[Sample], accuracies: &[f64], seed: u64) -> Ranked {
        let rows = Rows::of(samples);
        let (scale, scores) = Scores::normal(accuracies);
        let table = rows.all(samples);
        let parts = rows.parts(samples, &table);
        let member = |kind| Member::fit(kind, &table, &scores, &parts, None, seed);
        let members = match kind {
            Kind::Stack | Kind::Pair => {
                let stacked = stacked(kind);
                let members: Vec<Member> = stacked.iter().map(|kind| member(*kind)).collect();
                let weights = weigh(stacked, &members, &table, &scores, &parts, seed);
                weights.into_iter().zip(members).filter(|(weight, _)| *weight > 0.0).collect()
            }
            alone => vec![(1.0, member(alone))],
        };
        Ranked { rows, scale, members }
    }

    /// One prediction per sample. Blocks of samples are shared out over the threads; none looks at another, so threads
    /// change no bit.
    pub(super) fn predict(&self, samples: &[Sample]) -> Vec<Prediction> {
        const BLOCK: usize = 256;
        samples.par_chunks(BLOCK).flat_map_iter(|block| self.predict_block(block)).collect()
    }

    fn predict_block(&self, samples: &[Sample]) -> Vec<Prediction> {
        let table = self.rows.all(samples);
        let found: Vec<Vec<(f64, f64)>> = self.members.iter().map(|(_, member)| member.predict(&table)).collect();
        let mix = |sample: usize| {
            let each = || self.members.iter().zip(&found).map(|((weight, _), found)| (*weight, found[sample]));
            let mean: f64 = each().map(|(weight, (mean, _))| weight * mean).sum();
            // The variance of a mixture: within its members and between them.
            let variance: f64 =
                each().map(|(weight, (own, spread))| weight * (spread * spread + (own - mean).powi(2))).sum();
            let spread = self.scale.spread(mean, variance.sqrt());
            Prediction { mean: self.scale.accuracy(mean), spread }
        };
        (0..samples.len()).map(mix).collect()
    }
}

/// The members of a stack.
fn stacked(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Pair => &[Kind::Forest, Kind::Process],
        _ => &[Kind::Forest, Kind::Boosting, Kind::Process],
    }
}

impl Member {
    fn fit(
        kind: Kind,
        rows: &[Vec<f64>],
        scores: &[f64],
        parts: &[Part],
        weights: Option<&Weights>,
        seed: u64,
    ) -> Member {
        match kind {
            Kind::Forest => Member::Forest(Forest::fit(rows, scores, &ForestConfig::default(), seed)),
            Kind::Boosting => {
                let boost =
                    |index| Boosting::fit(rows, scores, &BoostingConfig::default(), seed::derive(seed, "boost", index));
                Member::Boosting((0..BOOSTED as u64).map(boost).collect())
            }
            Kind::Process => Member::Process(Box::new(match weights {
                Some(weights) => Process::fit_with(rows, scores, parts, weights),
                None => Process::fit(rows, scores, parts),
            })),
            other => unreachable!("`{other}` is not a model of normal scores"),
        }
    }

    /// Mean and spread of each row's score.
    fn predict(&self, rows: &[Vec<f64>]) -> Vec<(f64, f64)> {
        match self {
            Member::Forest(forest) => forest.predict(rows),
            Member::Boosting(models) => {
                let found: Vec<Vec<f64>> = models.iter().map(|model| model.predict(rows)).collect();
                let both = |row: usize| found.iter().map(|model| model[row]).collect::<Vec<f64>>();
                (0..rows.len()).map(both).map(|both| (stats::mean(&both), stats::std_dev(&both))).collect()
            }
            Member::Process(process) => {
                let spread = process.leave_one_out_error();
                process.predict(rows).into_iter().map(|mean| (mean, spread)).collect()
            }
        }
    }
}

/// The weights, not negative and of sum one, whose mixture has the least squared error on held-out folds. The process keeps
/// the weights of its kernel: a handful of numbers of the whole fit.
fn weigh(
    stacked: &[Kind],
    members: &[Member],
    rows: &[Vec<f64>],
    scores: &[f64],
    parts: &[Part],
    seed: u64,
) -> Vec<f64> {
    let learned = members.iter().find_map(|member| match member {
        Member::Process(process) => Some(process.weights()),
        Member::Forest(_) | Member::Boosting(_) => None,
    });
    let mut held_out = vec![vec![0.0; rows.len()]; stacked.len()];
    for (fitted, held) in folds(rows.len(), FOLDS.min(rows.len()), seed) {
        let pick = |chosen: &[usize]| chosen.iter().map(|row| rows[*row].clone()).collect::<Vec<_>>();
        let (known, unseen) = (pick(&fitted), pick(&held));
        let known_scores: Vec<f64> = fitted.iter().map(|row| scores[*row]).collect();
        for (kind, predictions) in stacked.iter().zip(&mut held_out) {
            let found = Member::fit(*kind, &known, &known_scores, parts, learned, seed).predict(&unseen);
            held.iter().zip(found).for_each(|(row, (mean, _))| predictions[*row] = mean);
        }
    }
    let error = |weights: &Vec<f64>| {
        let mixed = |row: usize| held_out.iter().zip(weights).map(|(of, weight)| weight * of[row]).sum();
        stats::mean_squared_error(scores, &(0..rows.len()).map(mixed).collect::<Vec<f64>>())
    };
    simplex(stacked.len()).into_iter().min_by(|a, b| error(a).total_cmp(&error(b))).expect("there are weights")
}

/// Every division of one into so many multiples of a step.
fn simplex(parts: usize) -> Vec<Vec<f64>> {
    let mut divisions: Vec<(Vec<f64>, usize)> = vec![(Vec::new(), WEIGHT_STEPS)];
    let share = |steps: usize| steps as f64 / WEIGHT_STEPS as f64;
    for part in 1..=parts {
        let shares = |left: usize| if part == parts { left..=left } else { 0..=left };
        let extend = |(weights, left): (Vec<f64>, usize)| {
            shares(left).map(move |steps| ([&weights[..], &[share(steps)]].concat(), left - steps))
        };
        divisions = divisions.into_iter().flat_map(extend).collect();
    }
    divisions.into_iter().map(|(weights, _)| weights).collect()
}

/// How samples become rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rows {
    graf: Graf,
    /// Columns of the samples that are kept. Where the graphs tell their operations by kind, columns of zero and one say
    /// the same less well: without them a forest of 78 networks of NAS-Bench-201 gains .005 of Kendall tau (labels of
    /// ImageNet16-120, where this was decided).
    kept: Vec<usize>,
}

impl Rows {
    pub(super) fn of(samples: &[Sample]) -> Rows {
        let graf = Graf::of(&dags(samples));
        let is_bit = |column: usize| samples.iter().all(|sample| [0.0, 1.0].contains(&sample.features[column]));
        let kept = (0..samples[0].features.len()).filter(|column| graf.is_fixed() || !is_bit(*column)).collect();
        Rows { graf, kept }
    }

    /// How many columns of the samples are kept.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// The kept columns, then those of the graph.
    pub(super) fn all(&self, samples: &[Sample]) -> Vec<Vec<f64>> {
        let row = |sample: &Sample| {
            let mut row: Vec<f64> = self.kept.iter().map(|column| sample.features[*column]).collect();
            row.extend(self.graf.row(&sample.dag));
            row
        };
        samples.iter().map(row).collect()
    }

    /// What the process adds up: linear and smooth functions of all columns. Where the graphs have fixed layers, a smooth
    /// function of each layer, once of all its columns and once of what its samples count, products of the latter between
    /// neighbouring layers, and linear functions of each sort of column apart: of those few that tell of the whole network
    /// each says more than one of many that tell of a layer.
    fn parts(&self, samples: &[Sample], table: &[Vec<f64>]) -> Vec<Part> {
        let varies = |column: &usize| table.iter().any(|row| row[*column] != table[0][*column]);
        let varying: Vec<usize> = (0..table[0].len()).filter(varies).collect();
        let columns = if varying.is_empty() { vec![0] } else { varying };
        let layers = self.layers(samples, table, &columns);
        let in_layers: Vec<usize> = layers.concat();
        let whole: Vec<usize> = columns.iter().copied().filter(|column| !in_layers.contains(column)).collect();
        let is_bit = |column: &usize| table.iter().all(|row| [0.0, 1.0].contains(&row[*column]));
        let (bits, counts): (Vec<usize>, Vec<usize>) = in_layers.into_iter().partition(is_bit);
        let (counted, drawn): (Vec<usize>, Vec<usize>) = counts.into_iter().partition(|c| *c < self.kept.len());
        let only_counted = |layer: &Vec<usize>| layer.iter().copied().filter(|c| counted.contains(c)).collect();
        let counted_layers: Vec<Vec<usize>> = layers.iter().map(only_counted).collect();

        let neighbours = counted_layers.clone();
        let near = if layers.is_empty() { Some((vec![columns.clone()], 1.0)) } else { None };
        let smooth = [Some((vec![columns], 2.0)), near, Some((layers, 2.0)), Some((counted_layers, 1.0))];
        let smooth = smooth.into_iter().flatten().map(|(blocks, length)| (blocks, Shape::Matern { length }));
        let linear = [whole, bits, counted, drawn].into_iter().map(|columns| (vec![columns], Shape::Linear));
        let together = std::iter::once((neighbours, Shape::Neighbours));
        let parts = smooth.chain(linear).chain(together).map(|(blocks, shape)| Part {
            blocks: blocks.into_iter().filter(|columns| !columns.is_empty()).collect(),
            shape,
        });
        let fewest = |part: &Part| if part.shape == Shape::Neighbours { 2 } else { 1 };
        parts.filter(|part| part.blocks.len() >= fewest(part)).collect()
    }

    /// For each fixed layer, the columns that its choice of operations decides: those whose value is the same wherever the
    /// choice is the same.
    fn layers(&self, samples: &[Sample], table: &[Vec<f64>], columns: &[usize]) -> Vec<Vec<usize>> {
        let of_layer = |nodes: std::ops::Range<usize>| {
            let mut groups: HashMap<Vec<usize>, Vec<usize>> = HashMap::new();
            for (row, sample) in samples.iter().enumerate() {
                let chosen = sample.dag.edges.iter().map(|(_, to)| *to).filter(|to| nodes.contains(to)).collect();
                groups.entry(chosen).or_default().push(row);
            }
            let decides = |column: &usize| {
                groups.values().all(|rows| rows.iter().all(|row| table[*row][*column] == table[rows[0]][*column]))
            };
            columns.iter().copied().filter(decides).collect::<Vec<usize>>()
        };
        self.graf.layers().into_iter().map(of_layer).filter(|layer| !layer.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{made_up_accuracies, random_samples};
    use super::*;

    #[test]
    fn columns_that_a_layer_decides_are_found_and_those_of_the_network_are_not() {
        let samples = random_samples(200, 1);
        let rows = Rows::of(&samples);
        let table = rows.all(&samples);
        let columns: Vec<usize> = (0..table[0].len()).collect();
        let layers = rows.layers(&samples, &table, &columns);
        assert_eq!(layers.len(), 5);
        for (layer, found) in layers.iter().enumerate() {
            // The size is column 0, the bits of layer l are columns 1 + 6 l to 6 + 6 l.
            let bits: Vec<usize> = found.iter().copied().filter(|column| (1..31).contains(column)).collect();
            assert_eq!(bits, (1 + 6 * layer..7 + 6 * layer).collect::<Vec<_>>());
            // Reads, their logarithm, and six shares.
            assert_eq!(found.iter().filter(|column| **column >= 31).count(), 8, "{found:?}");
        }
    }

    #[test]
    fn a_stack_is_not_worse_than_its_worst_member_and_near_its_best() {
        let (samples, unseen) = (random_samples(80, 2), random_samples(200, 3));
        let (targets, truth) = (made_up_accuracies(&samples), made_up_accuracies(&unseen));
        let tau = |kind| {
            let found: Vec<f64> =
                Ranked::fit(kind, &samples, &targets, 0).predict(&unseen).iter().map(|p| p.mean).collect();
            stats::kendall_tau(&found, &truth)
        };
        let each = [Kind::Forest, Kind::Boosting, Kind::Process].map(tau);
        let best = each.into_iter().fold(0.0, f64::max);
        assert!(tau(Kind::Stack) > best - 0.02, "{each:?} {}", tau(Kind::Stack));
    }

    #[test]
    fn divisions_of_one_are_all_there() {
        let all = simplex(3);
        assert_eq!((all.len(), simplex(2).len()), (66, 11));
        assert!(all.iter().all(|weights| (weights.iter().sum::<f64>() - 1.0).abs() < 1e-12));
    }
}
