//! A latent space fitted to the networks of a table and tested on those held out, beside simple predictors.

use serde::{Deserialize, Serialize};

use super::latent_baselines::baselines;
use super::latent_data::{Complexity, LatentData};
use super::latent_search::{LatentSearchConfig, search_latent};
use crate::generate::{Example, GenerateError, GraphVae, Losses, Point, Sampling, VaeConfig};
use crate::measure::Stopwatch;
use crate::space::{Dag, Genotype};
use crate::stats;

/// What a fit is reported as.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatentReport {
    /// Networks learnt from.
    pub train: usize,
    /// Networks held out.
    pub test: usize,
    /// Weights of the model.
    pub weights: usize,
    /// Seconds of the fit; not in the card, which is the same for the same seed.
    #[serde(skip)]
    pub fit_s: f64,
    /// Share of held-out networks that come back when they are encoded and decoded: ten points around each, ten draws.
    pub reconstruction_accuracy: f64,
    /// Draws from the latent space.
    pub sampling: Sampling,
    /// Performance of held-out networks, predictor by predictor; empty if no accuracy is known.
    pub performance: Vec<PerformanceScores>,
    /// Median relative error of the predicted complexity of held-out networks.
    pub complexity_median_relative_error: f64,
    /// A search under the median complexity of the networks learnt from: share of the networks that the prediction lets
    /// through which keep it. None if complexity is measured or no accuracy is known.
    pub inside_limit_at_first_try: Option<f64>,
}

/// How well one predictor knows the performance of networks held out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerformanceScores {
    /// The predictor.
    pub predictor: String,
    /// Root of the mean squared error, in units of the label.
    pub rmse: f64,
    /// The same divided by the standard deviation of the label.
    pub normalised_rmse: f64,
    /// Correlation; none for a constant.
    pub pearson: Option<f64>,
}

/// What a fit tells while it goes on.
#[derive(Debug, Clone, Copy)]
pub enum LatentStep<'a> {
    /// A pass, from 1, and its mean losses.
    Pass(usize, Losses),
    /// The model is there; the test follows, which can take longer.
    Fitted(&'a GraphVae),
}

/// Fits a model and tests it.
///
/// # Errors
/// If the fit fails.
pub fn fit_latent(
    data: &LatentData,
    complexity: &Complexity,
    config: VaeConfig,
    seed: u64,
    watch: &mut dyn FnMut(LatentStep),
) -> Result<(GraphVae, LatentReport), GenerateError> {
    let examples: Vec<Example> = data.train.iter().map(|(_, example)| example.clone()).collect();
    let clock = Stopwatch::start();
    let mut vae = GraphVae::new(&data.space, config, seed)?;
    vae.fit(&examples, seed, &mut |pass, losses| watch(LatentStep::Pass(pass, losses)))?;
    let fit_s = clock.seconds();
    watch(LatentStep::Fitted(&vae));
    let tested: Vec<Dag> = data.test.iter().map(|(_, example)| example.dag.clone()).collect();
    let learnt: Vec<Dag> = examples.iter().map(|example| example.dag.clone()).collect();
    let points: Vec<Point> = vae.encode(&tested).into_iter().map(|(mean, _)| mean).collect();
    let predicted = vae.predict(&points);
    let errors: Vec<f64> = predicted
        .iter()
        .zip(&data.test)
        .map(|((_, found), (_, example))| (found / example.complexity - 1.0).abs())
        .collect();
    let found: Vec<f64> = predicted.iter().map(|(performance, _)| *performance).collect();
    let report = LatentReport {
        train: data.train.len(),
        test: data.test.len(),
        weights: vae.weight_count(),
        fit_s,
        reconstruction_accuracy: vae.reconstruction_accuracy(&tested, seed),
        sampling: vae.sampling(&data.space, &learnt, seed),
        performance: compare(data, found, seed),
        complexity_median_relative_error: stats::median(&errors),
        inside_limit_at_first_try: inside_limit(&vae, data, complexity, seed),
    };
    Ok((vae, report))
}

/// The model's own predictions and those of simple predictors; nothing where no performance is known.
fn compare(data: &LatentData, found: Vec<f64>, seed: u64) -> Vec<PerformanceScores> {
    if !data.has_performance() {
        return Vec::new();
    }
    let truth: Vec<f64> = data.test.iter().map(|(_, example)| example.performance).collect();
    let simple = baselines(data, data.space.vocabulary(), seed);
    let all = std::iter::once(("latent", found)).chain(simple);
    all.map(|(name, found)| scores(name, &found, &truth)).collect()
}

fn inside_limit(vae: &GraphVae, data: &LatentData, complexity: &Complexity, seed: u64) -> Option<f64> {
    if !data.has_performance() {
        return None;
    }
    let limit = stats::median(&data.train.iter().map(|(_, example)| example.complexity).collect::<Vec<f64>>());
    let known: Vec<(Genotype, f64)> =
        data.train.iter().map(|(genotype, example)| (genotype.clone(), example.performance)).collect();
    let config = LatentSearchConfig { limit: Some(limit), seed, ..LatentSearchConfig::default() };
    search_latent(vae, &data.space, &known, complexity, &config).inside_at_first_try
}

fn scores(name: &str, found: &[f64], truth: &[f64]) -> PerformanceScores {
    let rmse = stats::mean_squared_error(truth, found).sqrt();
    let is_constant = found.iter().all(|value| *value == found[0]);
    PerformanceScores {
        predictor: name.to_string(),
        rmse,
        normalised_rmse: rmse / stats::std_dev(truth),
        pearson: (!is_constant).then(|| stats::pearson(found, truth)),
    }
}
