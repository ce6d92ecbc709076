//! From a network's description to the accuracy it will reach: graph networks, a plain network, ridge regression, trees, a
//! Gaussian process, their stack, and the number of MACs alone, each fitted to some dozen to some hundred trained
//! architectures. Those that guide a search score 20,000 candidates in a second.
//!
//! A prediction ranks and filters candidates; it is never reported as an accuracy. Everything follows from the seed.
//!
//! On the 300 trained architectures of the first seed, mean Kendall tau over 12 random splits on 100 others (for 250,
//! over 10 splits on 50 others); 95 % intervals are about ±.03, `study` measures it:
//!
//! | fitted to | macs | ridge on the bits alone | ridge | mlp | gnn | blend |
//! |--:|--:|--:|--:|--:|--:|--:|
//! | 24 | .40 | .43 | .53 | .52 | .49 | .52 |
//! | 50 | .40 | .58 | .61 | .60 | .59 | .61 |
//! | 250 | .40 | .69 | .69 | .67 | .70 | .69 |
//!
//! The ridge regression leads with few samples and the graph network with many, neither by more than its interval; the
//! blend is never far from the better one, and so it guides the search.
//!
//! Forest, boosting and process see what can be counted in the graph, and whatever columns a table has beside the genotype;
//! the stack weighs them by folds. On the same 300, fitted to 250, `netwright predictor eval` gives, mean tau on the 50
//! others with its 95 % interval: over seeds 1 to 20 ridge .679, stack .738 (.722 to .754); over seeds 101 to 120 ridge .690,
//! stack .751 (.739 to .762). The stack sees what windows each layer looks through; the parts of its kernel were chosen by
//! their evidence and their leave-one-out tau on these 300, and the tau of 20 splits was looked at, so these are not figures
//! of untouched rows. The process believes that
//! an eighth of the variance of the labels is noise, which would bound tau near .78: τ = 2/π · arcsin(√(7/8)) of normal
//! variables.
//!
//! NAS-Bench-201, validation accuracy of CIFAR-10 of one training (`cifar10_val_single_run.csv`), the stack with 13 zero-cost
//! proxies by their rank among all networks (transductive), mean Kendall tau on all others, `netwright predictor eval`:
//!
//! | fitted to | 9,445 different networks | 15,625 rows | random orders |
//! |--:|--:|--:|--:|
//! | 78 | .790 | .803 | 10 |
//! | 156 | .823 | .843 | 10 |
//! | 469 | .858 | .887 | 10 |
//! | 781 | .869 | .900 | 10 |
//! | 1563 | .880 | .913 | 3 (rows: 10) |
//!
//! Labels with normal noise of .3 points, that of one training, agree with themselves to .922 and .931. Columns and the share
//! that a forest tries were compared on labels of ImageNet16-120 and, at first, on four orders of these labels; all other
//! hyper-parameters were set once.

mod belief;
mod colouring;
mod convolution;
mod dense;
mod error;
mod evaluation;
mod gcn;
mod gnn;
mod gnn_tape;
mod graf;
mod mlp;
mod pretrained;
mod ranked;
mod scores;
mod size;
mod speed;
mod training;
mod warm;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod study;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use belief::{Belief, Described, Hope};
pub use error::PredictorError;
pub use evaluation::{Evaluation, cross_validate};
pub use gcn::{GCN_SCHEDULE, GcnClassifier, GcnRegressor, GcnSchedule};
use gnn::Gnn;
use mlp::Mlp;
pub use pretrained::{About, HeldOut, Pretrained, Prior};
use ranked::Ranked;
use size::SizeLine;
pub use speed::PredictorWork;
use training::Ensemble;
pub use training::{GNN_SCHEDULE, MLP_SCHEDULE, SEED_SCHEDULE, Schedule};
pub use warm::{Warm, cross_validate_warm, fit_warm};

use crate::regress::{Lambda, Ridge};
use crate::space::Dag;
use crate::stats;

/// Fewest samples that anything is fitted to.
const FEWEST_SAMPLES: usize = 4;

/// What a predictor sees of one architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its graph; all graphs of a space have the same number of nodes.
    pub dag: Dag,
    /// Its columns: the logarithm of the MACs first, then those of the space (a bit per choice).
    pub features: Vec<f64>,
}

/// A predicted accuracy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Expected accuracy; a linear model may leave 0..1.
    pub mean: f64,
    /// Standard deviation of the members of an ensemble, or the leave-one-out error of a linear model.
    pub spread: f64,
}

/// The predictors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The graph network of the first seed, trained by our schedule.
    Gnn,
    /// A plain network on the columns.
    Mlp,
    /// Ridge regression on the columns and the number of edges.
    Ridge,
    /// A line through the logarithm of the MACs: what any other has to beat.
    Macs,
    /// The mean of graph network and ridge regression: what guides a search.
    Blend,
    /// Extremely randomised trees on what can be counted in the graph.
    Forest,
    /// Boosted trees on the same.
    Boosting,
    /// A Gaussian process on the same.
    Process,
    /// Forest, boosting and process, weighted by their errors on held-out folds.
    Stack,
    /// Forest and process in the same way, which takes less time.
    Pair,
}

impl Kind {
    /// Every predictor.
    pub const ALL: [Kind; 10] = [
        Kind::Gnn,
        Kind::Mlp,
        Kind::Ridge,
        Kind::Macs,
        Kind::Blend,
        Kind::Forest,
        Kind::Boosting,
        Kind::Process,
        Kind::Stack,
        Kind::Pair,
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::Gnn => "gnn",
            Kind::Mlp => "mlp",
            Kind::Ridge => "ridge",
            Kind::Macs => "macs",
            Kind::Blend => "blend",
            Kind::Forest => "forest",
            Kind::Boosting => "boosting",
            Kind::Process => "process",
            Kind::Stack => "stack",
            Kind::Pair => "pair",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = PredictorError;
    fn from_str(text: &str) -> Result<Self, PredictorError> {
        let named = Kind::ALL.into_iter().find(|kind| kind.name() == text);
        named.ok_or_else(|| PredictorError::UnknownKind(text.to_string()))
    }
}

/// A predictor fitted to samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    kind: Kind,
    model: Model,
}

#[derive(Debug, Clone, PartialEq)]
enum Model {
    Gnn(SizeLine, Ensemble<Gnn>),
    Mlp(SizeLine, Standardiser, Ensemble<Mlp>),
    Ridge(Ridge),
    Macs(Ridge),
    Blend(Box<[Model; 2]>),
    Ranked(Ranked),
}

/// Fits a predictor to accuracies between 0 and 1, one per sample.
///
/// # Errors
/// If there are fewer than four samples, or samples and targets do not match, differ in size or are not finite.
pub fn fit(kind: Kind, samples: &[Sample], targets: &[f64], seed: u64) -> Result<Fitted, PredictorError> {
    check(samples, targets)?;
    let model = match kind {
        Kind::Gnn => Model::gnn(&GNN_SCHEDULE, samples, targets, seed)?,
        Kind::Mlp => Model::mlp(&MLP_SCHEDULE, samples, targets, seed)?,
        Kind::Ridge => Model::ridge(samples, targets),
        Kind::Macs => Model::Macs(Ridge::fit(&sizes(samples), targets, Lambda::Fixed(f64::EPSILON))),
        Kind::Blend => {
            Model::Blend(Box::new([Model::gnn(&GNN_SCHEDULE, samples, targets, seed)?, Model::ridge(samples, targets)]))
        }
        Kind::Forest | Kind::Boosting | Kind::Process | Kind::Stack | Kind::Pair => {
            Model::Ranked(Ranked::fit(kind, samples, targets, seed))
        }
    };
    Ok(Fitted { kind, model })
}

/// Fits the graph network by another schedule than ours, for example [`SEED_SCHEDULE`].
///
/// # Errors
/// As [`fit`].
pub fn fit_gnn(schedule: &Schedule, samples: &[Sample], targets: &[f64], seed: u64) -> Result<Fitted, PredictorError> {
    check(samples, targets)?;
    Ok(Fitted { kind: Kind::Gnn, model: Model::gnn(schedule, samples, targets, seed)? })
}

impl Fitted {
    /// Which predictor this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// One prediction per sample. Networks and ridge regressions compute them on one thread, the others on all.
    ///
    /// # Panics
    /// If the samples are of another space than those it was fitted to.
    pub fn predict(&self, samples: &[Sample]) -> Vec<Prediction> {
        if samples.is_empty() { Vec::new() } else { self.model.predict(samples) }
    }
}

impl Model {
    fn gnn(schedule: &Schedule, samples: &[Sample], targets: &[f64], seed: u64) -> Result<Model, PredictorError> {
        let (line, rest) = SizeLine::under(schedule, samples, targets);
        Ok(Model::Gnn(line, training::fit_gnn(schedule, &dags(samples), &rest, seed)?))
    }

    fn mlp(schedule: &Schedule, samples: &[Sample], targets: &[f64], seed: u64) -> Result<Model, PredictorError> {
        let standardiser = Standardiser::of(samples);
        let rows: Vec<Vec<f32>> = samples.iter().map(|sample| standardiser.row(sample)).collect();
        let (line, rest) = SizeLine::under(schedule, samples, targets);
        let ensemble = training::fit_mlp(schedule, &rows, &rest, seed)?;
        Ok(Model::Mlp(line, standardiser, ensemble))
    }

    fn ridge(samples: &[Sample], targets: &[f64]) -> Model {
        Model::Ridge(size::fit_ridge(samples, targets))
    }

    fn predict(&self, samples: &[Sample]) -> Vec<Prediction> {
        match self {
            Model::Gnn(line, ensemble) => {
                let view = ensemble.first().view;
                assert!(samples.iter().all(|s| s.dag.len() == view.nodes), "graphs have {} nodes", view.nodes);
                let colouring = view.colouring(&dags(samples));
                line.add(samples, agreed(ensemble.accuracies(|gnn| gnn.apply(&colouring))))
            }
            Model::Mlp(line, standardiser, ensemble) => {
                let rows: Vec<f32> = samples.iter().flat_map(|sample| standardiser.row(sample)).collect();
                line.add(samples, agreed(ensemble.accuracies(|mlp| mlp.apply(&rows))))
            }
            Model::Ridge(ridge) => linear(ridge, &size::with_edges(samples)),
            Model::Macs(line) => linear(line, &sizes(samples)),
            Model::Ranked(ranked) => ranked.predict(samples),
            Model::Blend(parts) => parts[0].predict(samples).iter().zip(parts[1].predict(samples)).map(blend).collect(),
        }
    }
}

/// Mean and spread of the members' predictions.
fn agreed(accuracies: Vec<Vec<f64>>) -> Vec<Prediction> {
    accuracies.iter().map(|of| Prediction { mean: stats::mean(of), spread: stats::std_dev(of) }).collect()
}

fn linear(ridge: &Ridge, rows: &[Vec<f64>]) -> Vec<Prediction> {
    ridge.predict(rows).into_iter().map(|mean| Prediction { mean, spread: ridge.leave_one_out_error }).collect()
}

/// The even mixture of two predictions: its variance is the mean variance plus the variance between the two.
fn blend((a, b): (&Prediction, Prediction)) -> Prediction {
    let within = (a.spread.powi(2) + b.spread.powi(2)) / 2.0;
    let between = ((a.mean - b.mean) / 2.0).powi(2);
    Prediction { mean: (a.mean + b.mean) / 2.0, spread: (within + between).sqrt() }
}

fn dags(samples: &[Sample]) -> Vec<&Dag> {
    samples.iter().map(|sample| &sample.dag).collect()
}

/// The first column alone.
fn sizes(samples: &[Sample]) -> Vec<Vec<f64>> {
    samples.iter().map(|sample| sample.features[..1].to_vec()).collect()
}

/// Means and standard deviations of the columns of the samples that were fitted.
#[derive(Debug, Clone, PartialEq)]
struct Standardiser {
    columns: Vec<(f64, f64)>,
}

impl Standardiser {
    fn of(samples: &[Sample]) -> Standardiser {
        let column = |c: usize| {
            let values: Vec<f64> = samples.iter().map(|sample| sample.features[c]).collect();
            let deviation = stats::std_dev(&values);
            (stats::mean(&values), if deviation > 0.0 { deviation } else { 1.0 })
        };
        Standardiser { columns: (0..samples[0].features.len()).map(column).collect() }
    }

    fn row(&self, sample: &Sample) -> Vec<f32> {
        assert_eq!(sample.features.len(), self.columns.len(), "samples have the columns that were fitted");
        sample.features.iter().zip(&self.columns).map(|(value, (mean, sd))| ((value - mean) / sd) as f32).collect()
    }
}

/// Whether samples and targets can be fitted at all.
fn check(samples: &[Sample], targets: &[f64]) -> Result<(), PredictorError> {
    if samples.len() != targets.len() {
        return Err(PredictorError::Targets { samples: samples.len(), targets: targets.len() });
    }
    if samples.len() < FEWEST_SAMPLES {
        return Err(PredictorError::TooFew { found: samples.len(), needed: FEWEST_SAMPLES });
    }
    let (first_nodes, first_columns) = (samples[0].dag.len(), samples[0].features.len());
    for (index, (sample, target)) in samples.iter().zip(targets).enumerate() {
        let (nodes, columns) = (sample.dag.len(), sample.features.len());
        if (nodes, columns) != (first_nodes, first_columns) || columns == 0 {
            return Err(PredictorError::Mixed { index, nodes, columns, first_nodes, first_columns });
        }
        if !target.is_finite() || sample.features.iter().any(|value| !value.is_finite()) {
            return Err(PredictorError::NotFinite(index));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::fixture::{made_up_accuracies, random_samples};
    use super::*;

    #[test]
    fn every_kind_ranks_what_it_was_not_fitted_to() {
        let (samples, unseen) = (random_samples(60, 1), random_samples(100, 2));
        let (targets, truth) = (made_up_accuracies(&samples), made_up_accuracies(&unseen));
        for kind in Kind::ALL {
            let fitted = fit(kind, &samples, &targets, 0).unwrap();
            let means: Vec<f64> = fitted.predict(&unseen).iter().map(|p| p.mean).collect();
            let tau = stats::kendall_tau(&means, &truth);
            assert!(tau > 0.3, "{kind}: {tau}");
            assert!(fitted.predict(&[]).is_empty());
        }
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let samples = random_samples(12, 3);
        let targets = made_up_accuracies(&samples);
        for kind in [Kind::Blend, Kind::Stack] {
            let fitted = |seed| fit(kind, &samples, &targets, seed).unwrap();
            assert_eq!(fitted(1), fitted(1));
            assert_ne!(fitted(1), fitted(2));
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let samples = random_samples(40, 3);
        let targets = made_up_accuracies(&samples);
        let fitted = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| [Kind::Gnn, Kind::Stack].map(|kind| fit(kind, &samples, &targets, 1).unwrap()))
        };
        assert_eq!(fitted(1), fitted(3));
    }

    #[test]
    fn kinds_go_to_text_and_back() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), kind);
        }
        let error = "oracle".parse::<Kind>().unwrap_err().to_string();
        assert_eq!(
            error,
            "`oracle` is not a kind of predictor\nhint: choose one of gnn, mlp, ridge, macs, blend, forest, boosting, process, stack, pair"
        );
    }

    #[test]
    fn faulty_samples_are_refused_with_their_place() {
        let mut samples = random_samples(6, 1);
        let targets = vec![0.5; 6];
        assert!(matches!(fit(Kind::Ridge, &samples, &targets[..5], 0), Err(PredictorError::Targets { .. })));
        assert!(matches!(fit(Kind::Ridge, &samples[..3], &targets[..3], 0), Err(PredictorError::TooFew { .. })));
        samples[4].features[2] = f64::NAN;
        assert!(matches!(fit(Kind::Ridge, &samples, &targets, 0), Err(PredictorError::NotFinite(4))));
        samples[4].features.pop();
        assert!(matches!(fit(Kind::Ridge, &samples, &targets, 0), Err(PredictorError::Mixed { index: 4, .. })));
    }

    #[test]
    fn constant_targets_are_predicted_as_they_are() {
        let samples = random_samples(10, 1);
        for kind in [Kind::Ridge, Kind::Macs, Kind::Forest, Kind::Boosting, Kind::Process, Kind::Stack] {
            let fitted = fit(kind, &samples, &[0.5; 10], 0).unwrap();
            assert!(fitted.predict(&samples).iter().all(|p| (p.mean - 0.5).abs() < 1e-9 && p.spread < 1e-9));
        }
    }
}
