//! How much networks differ on a data set, against how much reseeded trainings of one network differ.

use serde::Serialize;

use crate::run::{Oracle, RunError, SpaceSite, TrainingOracle};
use crate::search::{Random, Strategy};
use crate::space::MacroSpace;
use crate::stats;
use crate::target::Target;

/// Accuracies of different networks and of one network trained again and again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spread {
    /// Validation accuracy of each network.
    pub networks: Vec<f64>,
    /// Validation accuracy of reseeded trainings of the median network.
    pub reseeded: Vec<f64>,
    /// Standard deviation between networks.
    pub between: f64,
    /// Standard deviation between reseeded trainings.
    pub within: f64,
    /// How many times larger the former is.
    pub ratio: f64,
}

/// Trains `networks` random feasible networks, then the median one `reseeds` times with other seeds.
///
/// # Errors
/// If a training cannot run at all; one that diverges is left out.
pub fn spread(
    space: &MacroSpace,
    target: &Target,
    oracle: &mut TrainingOracle,
    networks: usize,
    reseeds: usize,
    seed: u64,
    step: &mut dyn FnMut(usize, f64),
) -> Result<Spread, RunError> {
    let mut site = SpaceSite::new(space, target, None);
    let mut strategy = Random::new(seed);
    let mut trained = Vec::new();
    for index in 0..networks {
        let genotype = strategy.ask(&mut site, &[])?.expect("nothing is pending").genotype;
        if let Ok(accuracy) = oracle.evaluate(&genotype, index)? {
            step(index, accuracy);
            trained.push((accuracy, genotype.clone()));
        }
        strategy.tell(&genotype, None);
    }
    let accuracies: Vec<f64> = trained.iter().map(|(a, _)| *a).collect();
    trained.sort_by(|a, b| a.0.total_cmp(&b.0));
    let median = &trained[trained.len() / 2].1;
    let mut reseeded = Vec::new();
    for index in networks..networks + reseeds {
        if let Ok(accuracy) = oracle.evaluate(median, index)? {
            step(index, accuracy);
            reseeded.push(accuracy);
        }
    }
    let (between, within) = (stats::std_dev(&accuracies), stats::std_dev(&reseeded));
    Ok(Spread { networks: accuracies, reseeded, between, within, ratio: between / within })
}
