//! How our zero-cost proxies agree with columns of a table: with those published under the same name, and with a label.

use rand::seq::SliceRandom;
use serde::Serialize;

use crate::data::Dataset;
use crate::graph::{Graph, Op};
use crate::measure::Stopwatch;
use crate::predictor::PredictorError;
use crate::proxy::{self, Batch, Proxy, ProxyError};
use crate::run::task_of;
use crate::seed;
use crate::space::{Space, SpaceError};
use crate::stats;
use crate::tabular::Table;

/// What is compared.
#[derive(Debug, Clone)]
pub struct ProxyStudy<'a> {
    /// Which proxies.
    pub proxies: &'a [Proxy],
    /// The label that a rank correlation is printed with.
    pub label: &'a str,
    /// Different networks, at random by the seed; fewer if the table has fewer.
    pub networks: usize,
    /// Images of the batch.
    pub batch: usize,
    /// Real images; normal noise if absent.
    pub images: Option<&'a Dataset>,
    /// Seed of networks, batch and weights.
    pub seed: u64,
}

/// One proxy on all networks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProxyScore {
    /// The proxy.
    pub proxy: Proxy,
    /// Spearman's rank correlation with the published column of this name, if the table has one.
    pub spearman_published: Option<f64>,
    /// Kendall's τ-b with the label.
    pub kendall_tau: f64,
    /// The same of the published column.
    pub kendall_tau_published: Option<f64>,
    /// Networks for which the proxy has no value; they count as worst.
    pub without_value: usize,
    /// Seconds for one network if this proxy alone is asked for, median.
    pub seconds_per_network: f64,
}

/// All proxies.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProxyScores {
    /// Networks that were compared.
    pub networks: usize,
    /// Images of the batch.
    pub batch: usize,
    /// Seconds for one network and all these proxies together, median.
    pub seconds_per_network: f64,
    /// For each proxy.
    pub scores: Vec<ProxyScore>,
}

/// Why proxies could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum ProxyStudyError {
    /// The table has no such label.
    #[error("the table has no label `{name}`\nhint: choose one of {}", known.join(", "))]
    Label {
        /// What was asked for.
        name: String,
        /// The labels that there are.
        known: Vec<String>,
    },
    /// Ranks of fewer networks say nothing.
    #[error("{0} networks with this label are too few to compare ranks\nhint: ask for 10 or more with `--networks`")]
    TooFew(usize),
    /// A proxy that could not be computed.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// A predictor that could not be fitted.
    #[error(transparent)]
    Predictor(#[from] PredictorError),
    /// The space does not suit the images.
    #[error(transparent)]
    Space(#[from] SpaceError),
}

/// Fewest networks whose ranks are compared.
const FEWEST: usize = 10;
/// Networks on which each proxy is timed alone.
const TIMED: usize = 8;

/// Measures every proxy on networks of a table. `step` is told after each network how many are done, of how many.
///
/// # Errors
/// If there is no such label, there are too few networks, or the images do not suit the space.
pub fn study_proxies(
    table: &Table,
    study: &ProxyStudy,
    step: &mut dyn FnMut(usize, usize),
) -> Result<ProxyScores, ProxyStudyError> {
    let unknown = || ProxyStudyError::Label { name: study.label.to_string(), known: table.labels().to_vec() };
    let is_label = table.labels().iter().any(|known| known == study.label);
    let label = table.column(study.label).filter(|_| is_label).ok_or_else(unknown)?;
    let space = space_for(table.space(), study.images)?;
    let rows = choose(table, study, label);
    let graphs: Vec<Graph> = rows.iter().map(|row| space.lower(&table.genotypes()[*row])).collect();
    let (rows, graphs): (Vec<usize>, Vec<Graph>) =
        rows.into_iter().zip(graphs).filter(|(_, graph)| computes(graph)).take(study.networks).unzip();
    if graphs.len() < FEWEST {
        return Err(ProxyStudyError::TooFew(graphs.len()));
    }
    let batch = match study.images {
        Some(dataset) => Batch::of(dataset, study.batch, study.seed),
        None => Batch::random(&graphs[0], study.batch, study.seed),
    };
    let (mut values, mut seconds) = (Vec::new(), Vec::new());
    for graph in &graphs {
        let clock = Stopwatch::start();
        values.push(proxy::measure(graph, &batch, study.proxies, study.seed)?);
        seconds.push(clock.seconds());
        step(values.len(), graphs.len());
    }
    let labels: Vec<f64> = rows.iter().map(|row| label[*row]).collect();
    let score = |(place, proxy): (usize, &Proxy)| {
        let own: Vec<Option<f64>> = values.iter().map(|of| of[place]).collect();
        let published = published(table, *proxy, &rows);
        let found: Vec<f64> = own.iter().map(|value| value.unwrap_or(WORST)).collect();
        Ok(ProxyScore {
            proxy: *proxy,
            spearman_published: published.as_ref().map(|column| stats::spearman(&found, column)),
            kendall_tau: stats::kendall_tau(&found, &labels),
            kendall_tau_published: published.as_ref().map(|column| stats::kendall_tau(column, &labels)),
            without_value: own.iter().filter(|value| value.is_none()).count(),
            seconds_per_network: seconds_alone(&graphs, &batch, *proxy, study.seed)?,
        })
    };
    let scores: Result<Vec<ProxyScore>, ProxyStudyError> = study.proxies.iter().enumerate().map(score).collect();
    Ok(ProxyScores {
        networks: graphs.len(),
        batch: batch.len(),
        seconds_per_network: stats::median(&seconds),
        scores: scores?,
    })
}

/// What stands for no value, as in the published columns.
const WORST: f64 = -1e8;

/// The table's space, but for the images and classes of the data set, if there is one.
fn space_for(space: &Space, images: Option<&Dataset>) -> Result<Space, SpaceError> {
    let Some(dataset) = images else { return Ok(space.clone()) };
    Space::for_task(space.name(), task_of(dataset))
}

/// Rows of different networks with a label, and with all published columns that are to be compared, in random order.
fn choose(table: &Table, study: &ProxyStudy, label: &[f64]) -> Vec<usize> {
    let columns: Vec<&[f64]> = study.proxies.iter().filter_map(|proxy| table.column(proxy.name())).collect();
    let mut seen = std::collections::HashSet::new();
    let mut rows: Vec<usize> = (0..table.genotypes().len())
        .filter(|row| label[*row].is_finite() && columns.iter().all(|column| column[*row].is_finite()))
        .filter(|row| seen.insert(table.space().canonical(&table.genotypes()[*row])))
        .collect();
    rows.shuffle(&mut seed::stream(study.seed, "proxy networks", 0));
    rows
}

/// A network that convolves nothing has no proxies.
fn computes(graph: &Graph) -> bool {
    graph.nodes().iter().any(|node| matches!(node.op, Op::Conv2d(_)))
}

fn published(table: &Table, proxy: Proxy, rows: &[usize]) -> Option<Vec<f64>> {
    table.column(proxy.name()).map(|column| rows.iter().map(|row| column[*row]).collect())
}

fn seconds_alone(graphs: &[Graph], batch: &Batch, proxy: Proxy, seed: u64) -> Result<f64, ProxyError> {
    let mut seconds = Vec::new();
    for graph in graphs.iter().take(TIMED) {
        let clock = Stopwatch::start();
        proxy::measure(graph, batch, &[proxy], seed)?;
        seconds.push(clock.seconds());
    }
    Ok(stats::median(&seconds))
}
