//! Training the network that makes features of images: on the classes of all sources that are learned from, together.

use super::{Database, MetaError};
use crate::data::{Dataset, Images};
use crate::experiment::labels::Sources;
use crate::generate::{FeatureNet, FeatureSpec};
use crate::seed;
use crate::train::{self, TrainConfig};

/// How the network is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureTraining {
    /// Width multiplier.
    pub width: f64,
    /// Number of features.
    pub features: usize,
    /// Most training images of each class.
    pub per_class: usize,
    /// Epochs.
    pub epochs: usize,
}

impl Default for FeatureTraining {
    fn default() -> Self {
        FeatureTraining { width: 0.25, features: 48, per_class: 250, epochs: 10 }
    }
}

/// Trains the network on all classes of all sources of a database; gives it with its accuracy on validation images, of all
/// classes at once. `observe` is told the epochs.
///
/// # Errors
/// If a source cannot be read, or the training diverges.
pub fn train_features(
    database: &Database,
    training: &FeatureTraining,
    seed: u64,
    observe: &mut dyn FnMut(usize),
) -> Result<(FeatureNet, f64), MetaError> {
    let together = union(database, training.per_class, seed)?;
    let spec = FeatureSpec {
        width: training.width,
        features: training.features,
        classes: together.classes.len(),
        mean: together.mean.clone(),
        std: together.std.clone(),
        scales: Vec::new(),
    };
    let graph = FeatureNet::classifier(&spec)?;
    // Digits among the classes are other signs in the mirror.
    let config = TrainConfig { epochs: training.epochs, batch: 64, mirror: false, ..TrainConfig::default() };
    let trained = train::train(&graph, &together.train, &config, seed, None, &mut |record| observe(record.epoch))?;
    let accuracy = train::accuracy(&graph, &trained.weights, &together.validation);
    Ok((FeatureNet::of_trained(spec, &trained.weights, &together.train)?, accuracy))
}

/// All classes of all sources as one data set, in the shape that the network sees.
fn union(database: &Database, per_class: usize, seed: u64) -> Result<Dataset, MetaError> {
    let mut sources = Sources::default();
    let (mut classes, mut parts) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    for source in database.sources() {
        let dataset = sources.open(&source, None)?;
        let first = classes.len();
        for (part, images) in parts.iter_mut().zip([&dataset.train, &dataset.validation, &dataset.test]) {
            let most = per_class * dataset.classes.len();
            let some = images.take_stratified(most, &mut seed::stream(seed, &format!("features of {source}"), 0));
            part.push((first, some.in_shape(FeatureNet::INPUT)));
        }
        classes.extend(dataset.classes.iter().map(|class| format!("{source}/{class}")));
    }
    let [train, validation, test] = parts.map(|part| joined(&part));
    Ok(Dataset::new("features", classes, train, validation, test))
}

/// Images after each other, their labels counted from a first one.
fn joined(parts: &[(usize, Images)]) -> Images {
    let pixels: Vec<u8> = parts.iter().flat_map(|(_, images)| images.all_pixels()).copied().collect();
    let labels = parts.iter().flat_map(|(first, images)| images.labels().iter().map(move |label| first + label));
    Images::new(FeatureNet::INPUT, pixels, labels.collect())
}
