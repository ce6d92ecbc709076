//! What published trainings tell of networks of space `macro` before a run has trained any: a ridge regression on what a
//! genotype chooses. It is small enough to be read, and ships as `models/macro-predictor.json`.
//!
//! It sees every network as the published ones were built, at full width on images of 32 × 32, whatever its size in the
//! run: it ranks architectures, and what its number means in a run is learned from the run's own trials (see `warm`).

use serde::{Deserialize, Serialize};

use super::PredictorError;
use crate::regress::{Lambda, Ridge};
use crate::space::{Genotype, MacroConfig, MacroSpace, PartMemo};

/// Version of the file.
const SCHEMA_VERSION: u32 = 1;
/// Penalty of the columns of size relative to the others, as for the ridge regressions of a run.
const SIZE_PENALTY: f64 = 0.1;
/// Columns of size: edges, MACs, paths.
const SIZE_COLUMNS: usize = 3;

/// A regression fitted to published trainings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretrained {
    /// Version of this file.
    pub schema_version: u32,
    /// The space whose genotypes it knows.
    pub space: String,
    /// The table and the label that it was fitted to.
    pub fitted_to: String,
    /// Networks of the table.
    pub networks: usize,
    /// The command that makes it again.
    pub command: String,
    /// How well it ranks networks of the table that it is not fitted to.
    pub held_out: HeldOut,
    /// Value where every column is zero, in units of the label.
    pub intercept: f64,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// One coefficient for each column.
    pub coefficients: Vec<f64>,
}

/// Ranking of networks that a regression was not fitted to, over random splits of a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOut {
    /// Random splits.
    pub splits: usize,
    /// Networks that were fitted in each.
    pub fitted: usize,
    /// Networks that were ranked in each.
    pub ranked: usize,
    /// Mean Kendall tau.
    pub kendall_tau: f64,
    /// 95 % interval of the mean.
    pub interval: (f64, f64),
    /// Mean Kendall tau of the number of MACs on the same networks.
    pub kendall_tau_of_macs: f64,
}

impl Pretrained {
    /// The regression that ships with the program.
    ///
    /// # Errors
    /// If its file is another version's.
    pub fn shipped() -> Result<Self, PredictorError> {
        Pretrained::parse(include_str!("../../models/macro-predictor.json"))
    }

    /// Reads what `serde_json` writes of it.
    ///
    /// # Errors
    /// If the text is something else, or of another version.
    pub fn parse(json: &str) -> Result<Self, PredictorError> {
        let found: Pretrained =
            serde_json::from_str(json).map_err(|error| PredictorError::Pretrained(error.to_string()))?;
        let known = columns();
        match found.schema_version == SCHEMA_VERSION
            && found.columns == known
            && found.coefficients.len() == known.len()
        {
            true => Ok(found),
            false => Err(PredictorError::Pretrained(format!("schema version {}", found.schema_version))),
        }
    }

    /// Fits a regression to accuracies of genotypes; what is said of it stands as it is given.
    ///
    /// # Panics
    /// If there are no networks, one is not of five layers, or there are not as many accuracies.
    pub fn fit(networks: &[Genotype], accuracies: &[f64], about: About) -> Pretrained {
        let mut view = View::default();
        let rows: Vec<Vec<f64>> = networks.iter().map(|genotype| view.row(genotype)).collect();
        let factor = |column| if column < SIZE_COLUMNS { SIZE_PENALTY } else { 1.0 };
        let factors: Vec<f64> = (0..rows[0].len()).map(factor).collect();
        let ridge = Ridge::fit_columns(&rows, accuracies, &factors, Lambda::LeaveOneOut);
        Pretrained {
            schema_version: SCHEMA_VERSION,
            space: "macro".to_string(),
            fitted_to: about.fitted_to,
            networks: networks.len(),
            command: about.command,
            held_out: about.held_out,
            intercept: rounded(ridge.intercept),
            columns: columns(),
            coefficients: ridge.coefficients.into_iter().map(rounded).collect(),
        }
    }

    /// Layers of the networks that it knows.
    pub fn layers() -> usize {
        MacroConfig::default().layers.len()
    }
}

/// To the digits that a reader of the file can use: far finer than the accuracies are known.
fn rounded(value: f64) -> f64 {
    (value * 1e7).round() / 1e7
}

/// What is said of a regression beside its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// The table and the label.
    pub fitted_to: String,
    /// The command that makes it again.
    pub command: String,
    /// How well it ranks.
    pub held_out: HeldOut,
}

/// A regression at work: costs are computed once for each layer.
#[derive(Debug, Clone)]
pub struct Prior {
    model: Pretrained,
    view: View,
}

impl Prior {
    /// What a regression expects of networks.
    pub fn new(model: Pretrained) -> Self {
        Prior { model, view: View::default() }
    }

    /// The expectation, in units of the label that was fitted: only its order means anything elsewhere.
    ///
    /// # Panics
    /// If the network has another number of layers than [`Pretrained::layers`].
    pub fn expect(&mut self, genotype: &Genotype) -> f64 {
        let row = self.view.row(genotype);
        let terms = row.iter().zip(&self.model.coefficients).map(|(value, coefficient)| value * coefficient);
        self.model.intercept + terms.sum::<f64>()
    }
}

/// Genotypes as the regression sees them.
#[derive(Debug, Clone)]
struct View {
    space: MacroSpace,
    costs: PartMemo<crate::graph::Cost>,
}

impl Default for View {
    fn default() -> Self {
        let space = MacroSpace::new(MacroConfig::default()).expect("the published space is valid");
        View { space, costs: PartMemo::default() }
    }
}

impl View {
    /// Edges, logarithms of MACs and paths, the logarithm of each layer's operations, a bit for each operation.
    fn row(&mut self, genotype: &Genotype) -> Vec<f64> {
        assert_eq!(genotype.symbols().len(), Pretrained::layers(), "a network has the layers that were fitted");
        let cost = self.space.cost(genotype, &mut self.costs);
        let mut features = self.space.features(genotype, &cost);
        let bits = features.split_off(1);
        let operations: Vec<f64> = genotype.symbols().iter().map(|symbol| f64::from(symbol.count_ones())).collect();
        let logarithms: Vec<f64> = operations.iter().map(|count| count.ln()).collect();
        let size = [operations.iter().sum(), features[0], logarithms.iter().sum()];
        size.into_iter().chain(logarithms).chain(bits).collect()
    }
}

/// Names of the columns of a row.
fn columns() -> Vec<String> {
    const OPERATIONS: [&str; 6] = ["skip", "sep3", "sep5", "sep7", "dil3", "dil5"];
    let size = ["operations", "log10 of MACs", "ln of paths"].map(String::from);
    let layers = || 1..=Pretrained::layers();
    let counts = layers().map(|layer| format!("layer {layer}: ln of operations"));
    let bits = layers().flat_map(|layer| OPERATIONS.map(|name| format!("layer {layer}: {name}")));
    size.into_iter().chain(counts).chain(bits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;
    use crate::stats;

    #[test]
    fn the_shipped_regression_reads_and_prefers_larger_networks() {
        let mut prior = Prior::new(Pretrained::shipped().unwrap());
        let space = MacroSpace::new(MacroConfig::default()).unwrap();
        let mut rng = seed::stream(1, "networks", 0);
        let networks: Vec<Genotype> = (0..200).map(|_| space.sample(&mut rng)).collect();
        let expected: Vec<f64> = networks.iter().map(|network| prior.expect(network)).collect();
        let operations: Vec<f64> =
            networks.iter().map(|g| g.symbols().iter().map(|s| f64::from(s.count_ones())).sum()).collect();
        assert!(stats::kendall_tau(&expected, &operations) > 0.3);
        assert!(expected.iter().all(|value| (0.3..0.8).contains(value)), "accuracies on CIFAR-100");
    }

    #[test]
    fn a_regression_goes_to_text_and_back_and_another_version_is_refused() {
        let shipped = Pretrained::shipped().unwrap();
        let json = serde_json::to_string(&shipped).unwrap();
        assert_eq!(Pretrained::parse(&json).unwrap(), shipped);
        let later = json.replace("\"schema_version\":1", "\"schema_version\":9");
        assert!(Pretrained::parse(&later).unwrap_err().to_string().contains("schema version 9"));
        assert!(Pretrained::parse("{}").is_err());
    }
}
