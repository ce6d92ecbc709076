//! How well predictors rank the networks of a table: fitted to a few of them at random, tested on all others, again and
//! again.

use std::collections::HashMap;

use super::neural_predictor::Study;
use rand::Rng;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::graph::{Cost, Graph, Op};
use crate::measure::Stopwatch;
use crate::predictor::{Fitted, GCN_SCHEDULE, GcnRegressor, Kind, PredictorError, Sample, fit};
use crate::seed;
use crate::space::{Genotype, PartMemo, Space};
use crate::stats;
use crate::tabular::Table;

/// Why predictors could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The table has no such label.
    #[error("the table has no label `{name}`\nhint: choose one of {}", known.join(", "))]
    Label {
        /// What was asked for.
        name: String,
        /// The labels that there are.
        known: Vec<String>,
    },
    /// There is nothing left to test on.
    #[error("{train} networks to fit leave nothing of {found} to test\nhint: ask for fewer with `--train`")]
    TooMany {
        /// Networks to fit.
        train: usize,
        /// Networks with a label.
        found: usize,
    },
    /// The name of no predictor.
    #[error("`{name}` is not a predictor that can be evaluated\nhint: choose one of {}", NAMES.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// A predictor that could not be fitted.
    #[error(transparent)]
    Predictor(#[from] PredictorError),
}

/// What is drawn, and what counts as another network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Population {
    /// Every row of the table, as the literature does: rows of equal networks have equal labels.
    Rows,
    /// Every different network once.
    Networks,
}

/// The names of what can be evaluated.
pub const NAMES: [&str; 12] =
    ["macs", "params", "ridge", "mlp", "gcn", "gnn", "blend", "forest", "boosting", "process", "stack", "pair"];

/// The networks of a table as predictors see them.
pub struct Benchmark {
    /// The networks, as their own rows write them.
    genotypes: Vec<Genotype>,
    /// Logarithm of the MACs and the genotype, as a search describes a network; for the older predictors.
    plain: Vec<Sample>,
    /// Logarithms of MACs and parameters, the genotype, and normal scores of the table's own columns.
    rich: Vec<Sample>,
    labels: Vec<f64>,
    /// For each row of the table with a label, which network it is.
    rows: Vec<usize>,
    /// For each network, the row of the table that speaks for it.
    firsts: Vec<usize>,
    /// The table's columns that are among the rich ones.
    proxies: Vec<String>,
}

impl Benchmark {
    /// Describes every network that has the label. The table's feature columns enter by their rank among all networks of
    /// the table, which needs no label but all networks (transductive).
    ///
    /// # Errors
    /// If the table has no such label.
    pub fn of(table: &Table, label: &str) -> Result<Benchmark, EvaluationError> {
        let unknown = || EvaluationError::Label { name: label.to_string(), known: table.labels().to_vec() };
        let is_label = table.labels().iter().any(|known| known == label);
        let column = table.column(label).filter(|_| is_label).ok_or_else(unknown)?;
        let (mut places, mut firsts, mut rows) = (HashMap::new(), Vec::new(), Vec::new());
        for (row, genotype) in table.genotypes().iter().enumerate().filter(|(row, _)| column[*row].is_finite()) {
            let place = *places.entry(table.space().canonical(genotype)).or_insert_with(|| {
                firsts.push(row);
                firsts.len() - 1
            });
            rows.push(place);
        }
        // A network's own row speaks for it, not that of another text.
        for (row, genotype) in table.genotypes().iter().enumerate() {
            if let Some(place) = places.get(genotype).filter(|_| column[row].is_finite()) {
                firsts[*place] = row;
            }
        }
        let genotypes: Vec<&Genotype> = firsts.iter().map(|row| &table.genotypes()[*row]).collect();
        let labels = firsts.iter().map(|row| column[*row]).collect();
        let proxies: Vec<(String, Vec<f64>)> = proxies(table, &firsts);
        let (plain, rich) = describe(table.space(), &genotypes, &proxies);
        let genotypes = genotypes.into_iter().cloned().collect();
        let proxies = proxies.into_iter().map(|(name, _)| name).collect();
        Ok(Benchmark { genotypes, plain, rich, labels, rows, firsts, proxies })
    }

    /// The networks for the study of the second seed. Labels in percent become shares.
    ///
    /// # Errors
    /// If the table has no such test label.
    pub fn study(&self, table: &Table, test_label: Option<&str>) -> Result<Study, EvaluationError> {
        let share = |labels: &[f64]| -> Vec<f64> {
            let unit = if labels.iter().any(|label| *label > 1.0) { 100.0 } else { 1.0 };
            labels.iter().map(|label| label / unit).collect()
        };
        let test = match test_label {
            Some(name) => Benchmark::of(table, name)?.labels,
            None => self.labels.clone(),
        };
        if test.len() != self.labels.len() {
            let name = test_label.unwrap_or_default().to_string();
            return Err(EvaluationError::Label { name, known: table.labels().to_vec() });
        }
        Ok(Study { samples: self.plain.clone(), validation: share(&self.labels), test: share(&test) })
    }

    /// The different networks, as their own rows of the table write them.
    pub fn genotypes(&self) -> &[Genotype] {
        &self.genotypes
    }

    /// The label of each network.
    pub fn labels(&self) -> &[f64] {
        &self.labels
    }

    /// What the older predictors see of each network.
    pub fn plain_samples(&self) -> &[Sample] {
        &self.plain
    }

    /// The same with the table's columns.
    pub fn rich_samples(&self) -> &[Sample] {
        &self.rich
    }

    /// Number of different networks.
    pub fn networks(&self) -> usize {
        self.labels.len()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The table's columns that predictors of the rich kind see.
    pub fn proxies(&self) -> &[String] {
        &self.proxies
    }

    /// The row of the table that speaks for a network.
    pub(super) fn table_row(&self, network: usize) -> usize {
        self.firsts[network]
    }

    /// What a predictor sees of every network.
    pub(super) fn samples(&self, kind: Kind) -> &[Sample] {
        match kind {
            Kind::Gnn | Kind::Mlp | Kind::Ridge | Kind::Macs | Kind::Blend => &self.plain,
            Kind::Forest | Kind::Boosting | Kind::Process | Kind::Stack | Kind::Pair => &self.rich,
        }
    }

    /// What a predictor sees of a network that the table has not; nothing if it looks at columns of the table.
    pub(super) fn sample_of(&self, space: &Space, genotype: &Genotype, kind: Kind) -> Option<Sample> {
        let (mut plain, mut rich) = describe(space, &[genotype], &[]);
        match std::ptr::eq(self.samples(kind), self.plain.as_slice()) {
            true => plain.pop(),
            false if self.proxies.is_empty() => rich.pop(),
            false => None,
        }
    }

    /// Kendall tau between the labels and the labels with normal noise of this standard deviation added: what a predictor
    /// of the true accuracies would reach if that were the noise of a label. Mean of ten draws.
    pub fn ceiling(&self, population: Population, noise: f64) -> f64 {
        const DRAWS: u64 = 10;
        let truth: Vec<f64> = self.members(population).iter().map(|network| self.labels[*network]).collect();
        let draw = |index| {
            let mut rng = seed::stream(0, "label noise", index);
            let noisy: Vec<f64> = truth.iter().map(|label| label + noise * normal(&mut rng)).collect();
            stats::kendall_tau(&truth, &noisy)
        };
        stats::mean(&(0..DRAWS).map(draw).collect::<Vec<f64>>())
    }

    fn members(&self, population: Population) -> Vec<usize> {
        match population {
            Population::Rows => self.rows.clone(),
            Population::Networks => (0..self.networks()).collect(),
        }
    }

    /// Fits a predictor to the first networks of a random order and tests it on the others, once for each seed.
    ///
    /// # Errors
    /// If there is no such predictor, nothing is left to test, or a fit fails.
    pub fn evaluate(
        &self,
        name: &str,
        population: Population,
        train: usize,
        seeds: &[u64],
    ) -> Result<Scores, EvaluationError> {
        let members = self.members(population);
        if train >= members.len() {
            return Err(EvaluationError::TooMany { train, found: members.len() });
        }
        let runs: Result<Vec<Run>, EvaluationError> =
            seeds.par_iter().map(|seed| self.run(name, &members, train, *seed)).collect();
        Ok(Scores::of(name, train, &runs?))
    }

    fn run(&self, name: &str, members: &[usize], train: usize, seed: u64) -> Result<Run, EvaluationError> {
        let mut order = members.to_vec();
        order.shuffle(&mut seed::stream(seed, "split", 0));
        let (fitted, tested) = order.split_at(train);
        let view = self.view(name)?;
        let pick = |chosen: &[usize]| chosen.iter().map(|network| view.samples[*network].clone()).collect::<Vec<_>>();
        let view_fit = |samples: &[Sample], known: &[f64]| match view.kind {
            Some(kind) => fit(kind, samples, known, seed).map(Fit::Kind),
            None => GcnRegressor::fit(&GCN_SCHEDULE, samples, known, seed).map(Fit::Gcn),
        };
        let known: Vec<f64> = fitted.iter().map(|network| self.labels[*network]).collect();
        let clock = Stopwatch::start();
        let predictor = view_fit(&pick(fitted), &known)?;
        let fit_s = clock.seconds();
        let unseen = pick(tested);
        let clock = Stopwatch::start();
        let found = predictor.means(&unseen);
        let predictions_per_s = unseen.len() as f64 / clock.seconds();
        let truth: Vec<f64> = tested.iter().map(|network| self.labels[*network]).collect();
        Ok(Run { agreement: Agreement::of(&found, &truth), fit_s, predictions_per_s })
    }

    fn view(&self, name: &str) -> Result<View<'_>, EvaluationError> {
        let unknown = || EvaluationError::Unknown { name: name.to_string() };
        if name == "params" {
            let only = |sample: &Sample| Sample { features: vec![sample.features[1]], ..sample.clone() };
            return Ok(View { kind: Some(Kind::Macs), samples: self.rich.iter().map(only).collect::<Vec<_>>().into() });
        }
        if name == "gcn" {
            return Ok(View { kind: None, samples: (&self.plain).into() });
        }
        let kind: Kind = NAMES.contains(&name).then(|| name.parse().ok()).flatten().ok_or_else(unknown)?;
        Ok(View { kind: Some(kind), samples: self.samples(kind).into() })
    }
}

/// A fitted predictor.
enum Fit {
    Kind(Fitted),
    Gcn(GcnRegressor),
}

impl Fit {
    fn means(&self, samples: &[Sample]) -> Vec<f64> {
        match self {
            Fit::Kind(fitted) => fitted.predict(samples).iter().map(|prediction| prediction.mean).collect(),
            Fit::Gcn(gcn) => gcn.predict(samples),
        }
    }
}

/// A predictor and the samples it looks at.
struct View<'a> {
    /// None for the network of the second seed, which is too slow for a search.
    kind: Option<Kind>,
    samples: std::borrow::Cow<'a, [Sample]>,
}

/// One fit and its test.
struct Run {
    agreement: Agreement,
    fit_s: f64,
    predictions_per_s: f64,
}

/// How predictions agree with labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Agreement {
    /// Kendall's τ-b.
    pub kendall_tau: f64,
    /// Spearman's rank correlation.
    pub spearman: f64,
    /// Mean squared error in squared units of the label.
    pub mse: f64,
    /// Share of the best hundredth as predicted that is among the best hundredth.
    pub precision_at_1_percent: f64,
    /// The best true rank, from 1, among the ten predicted best (N@10 of Ning and others, A Generic Graph-based Neural
    /// Architecture Encoding Scheme, 2020).
    pub n_at_10: f64,
}

impl Agreement {
    /// Of one prediction per label.
    pub fn of(found: &[f64], truth: &[f64]) -> Agreement {
        let top = (truth.len() / 100).max(1);
        let (by_prediction, by_truth) = (best_first(found), best_first(truth));
        let worst_of_top = truth[by_truth[top - 1]];
        let hits = by_prediction[..top].iter().filter(|i| truth[**i] >= worst_of_top).count();
        let rank = |i: &usize| 1 + truth.iter().filter(|other| **other > truth[*i]).count();
        let n_at_10 = by_prediction.iter().take(10).map(rank).min().unwrap_or(0);
        Agreement {
            kendall_tau: stats::kendall_tau(found, truth),
            spearman: stats::spearman(found, truth),
            mse: stats::mean_squared_error(truth, found),
            precision_at_1_percent: hits as f64 / top as f64,
            n_at_10: n_at_10 as f64,
        }
    }
}

fn best_first(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    order
}

/// Mean and standard deviation over the seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Moments {
    /// Mean.
    pub mean: f64,
    /// Standard deviation of a single run.
    pub sd: f64,
}

/// A predictor fitted to so many networks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// Its name.
    pub predictor: String,
    /// Networks it was fitted to.
    pub train: usize,
    /// Random orders.
    pub seeds: usize,
    /// Kendall's τ-b.
    pub kendall_tau: Moments,
    /// 95 % bootstrap interval of its mean.
    pub kendall_tau_interval: (f64, f64),
    /// Spearman's rank correlation.
    pub spearman: Moments,
    /// Mean squared error in squared units of the label.
    pub mse: Moments,
    /// Share of the best hundredth as predicted that is among the best hundredth.
    pub precision_at_1_percent: Moments,
    /// The best true rank among the ten predicted best.
    pub n_at_10: Moments,
    /// Median seconds of a fit.
    pub fit_s: f64,
    /// Median predictions a second, what is counted in the graphs included.
    pub predictions_per_s: f64,
}

impl Moments {
    /// Of values, one for each seed.
    pub fn of(values: &[f64]) -> Moments {
        Moments { mean: stats::mean(values), sd: stats::std_dev(values) }
    }
}

impl Scores {
    fn of(name: &str, train: usize, runs: &[Run]) -> Scores {
        let all = |of: fn(&Run) -> f64| runs.iter().map(of).collect::<Vec<f64>>();
        let moments = |of| Moments::of(&all(of));
        let taus = all(|run| run.agreement.kendall_tau);
        Scores {
            predictor: name.to_string(),
            train,
            seeds: runs.len(),
            kendall_tau: moments(|run| run.agreement.kendall_tau),
            kendall_tau_interval: stats::bootstrap_interval(&taus, stats::mean, 0.95, 10_000, 0),
            spearman: moments(|run| run.agreement.spearman),
            mse: moments(|run| run.agreement.mse),
            precision_at_1_percent: moments(|run| run.agreement.precision_at_1_percent),
            n_at_10: moments(|run| run.agreement.n_at_10),
            fit_s: stats::median(&all(|run| run.fit_s)),
            predictions_per_s: stats::median(&all(|run| run.predictions_per_s)),
        }
    }
}

/// A standard normal draw; uniform ones begin at zero, whose quantile is infinite.
fn normal(rng: &mut impl Rng) -> f64 {
    stats::normal_quantile(rng.random::<f64>().max(f64::EPSILON))
}

/// The table's feature columns as normal scores over these rows; columns with gaps are left out.
fn proxies(table: &Table, rows: &[usize]) -> Vec<(String, Vec<f64>)> {
    let whole = |name: &String| {
        let column = table.column(name)?;
        let values: Vec<f64> = rows.iter().map(|row| column[*row]).collect();
        values.iter().all(|value| value.is_finite()).then(|| (name.clone(), normal_scores(&values)))
    };
    table.features().iter().filter_map(whole).collect()
}

fn normal_scores(values: &[f64]) -> Vec<f64> {
    let count = values.len() as f64;
    stats::ranks(values).into_iter().map(|rank| stats::normal_quantile((rank - 0.5) / count)).collect()
}

/// Plain and rich samples.
fn describe(space: &Space, genotypes: &[&Genotype], proxies: &[(String, Vec<f64>)]) -> (Vec<Sample>, Vec<Sample>) {
    let sample = |(index, genotype): (usize, &&Genotype)| {
        let cost = size(&space.lower(genotype));
        let plain = Sample { dag: space.dag(genotype), features: space.features(genotype, &cost) };
        let mut features = plain.features.clone();
        features.insert(1, (cost.params.max(1) as f64).log10());
        features.extend(layers(space, genotype));
        features.extend(proxies.iter().map(|(_, scores)| scores[index]));
        let rich = Sample { dag: plain.dag.clone(), features };
        (plain, rich)
    };
    genotypes.par_iter().enumerate().map(sample).collect::<Vec<_>>().into_iter().unzip()
}

/// MACs and parameters alone: the plan of the memory takes a thousand times longer.
fn size(graph: &Graph) -> Cost {
    let mut cost = Cost::default();
    for (id, node) in graph.nodes().iter().enumerate() {
        let inputs = graph.input_shapes(id);
        if !matches!(node.op, Op::Linear(_)) {
            cost.macs += node.op.macs(&inputs, node.shape);
        }
        let trained = node.op.params(&inputs).into_iter().filter(|(role, _)| role.is_trained());
        cost.params += trained.map(|(_, shape)| shape.iter().product::<usize>() as u64).sum::<u64>();
    }
    cost
}

/// Of a space whose networks are a chain of layers: what each layer is like, then sums and minima over the layers.
fn layers(space: &Space, genotype: &Genotype) -> Vec<f64> {
    let Space::Macro(space) = space else { return Vec::new() };
    let parts = space.parts(genotype, &mut PartMemo::default(), window_columns);
    // Stem and head are the same in all networks.
    let layers = &parts[1..parts.len() - 1];
    let fold = |start: f64, add: fn(f64, f64) -> f64| {
        (0..layers[0].len()).map(move |column| layers.iter().map(|layer| layer[column]).fold(start, add))
    };
    layers.iter().flatten().copied().chain(fold(0.0, |a, b| a + b)).chain(fold(f64::INFINITY, f64::min)).collect()
}

/// What windows of more than one pixel a layer looks through: their number and its root, the most one after another, how
/// many pixels the widest such row reaches, and the pixels that all windows reach together; then which share of the values
/// that the layer adds up went through none of them, through one, through more.
fn window_columns(graph: &Graph) -> [f64; 8] {
    let (mut windows, mut reaches) = (0.0, 0.0);
    // Most windows on the way to a node, and the widest reach.
    let mut ways: Vec<(f64, f64)> = Vec::with_capacity(graph.nodes().len());
    for node in graph.nodes() {
        let reach = match &node.op {
            Op::Conv2d(conv) => (conv.kernel - 1) as f64 / 2.0 * conv.dilation as f64,
            Op::MaxPool(pool) | Op::AvgPool(pool) => (pool.kernel - 1) as f64 / 2.0,
            Op::Input(_) | Op::Normalize(_) | Op::BatchNorm | Op::Relu | Op::Relu6 | Op::Add | Op::Concat => 0.0,
            Op::Crop(_) | Op::GlobalMean | Op::Linear(_) => 0.0,
        };
        let own = f64::from(u8::from(reach > 0.0));
        let before = node.inputs.iter().map(|input| ways[*input]);
        let (most, widest) = before.fold((0f64, 0f64), |(most, widest), (m, w)| (most.max(m), widest.max(w)));
        ways.push((most + own, widest + reach));
        windows += own;
        reaches += reach;
    }
    let last = graph.nodes().len() - 1;
    let (most, widest) = ways[last];
    let summed: Vec<f64> = match &graph.nodes()[last] {
        node if node.op == Op::Add => node.inputs.iter().map(|input| ways[*input].0).collect(),
        _ => vec![most],
    };
    let share = |of: fn(f64) -> bool| summed.iter().filter(|way| of(**way)).count() as f64 / summed.len() as f64;
    let shares = [share(|way| way < 1.0), share(|way| way == 1.0), share(|way| way > 1.0)];
    [windows, f64::sqrt(windows), most, widest, reaches, shares[0], shares[1], shares[2]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_counts_hits_and_ranks_by_hand() {
        let truth: Vec<f64> = (0..200).map(f64::from).collect();
        let perfect = Agreement::of(&truth, &truth);
        assert_eq!((perfect.kendall_tau, perfect.precision_at_1_percent, perfect.n_at_10), (1.0, 1.0, 1.0));
        let mut found = truth.clone();
        // The best is predicted worst, the fourth best predicted best.
        found[199] = -1.0;
        found[196] = 500.0;
        let flawed = Agreement::of(&found, &truth);
        assert_eq!((flawed.precision_at_1_percent, flawed.n_at_10), (0.5, 2.0));
        let reversed: Vec<f64> = truth.iter().map(|value| -value).collect();
        assert_eq!(Agreement::of(&reversed, &truth).n_at_10, 191.0);
    }
}
