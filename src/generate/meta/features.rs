//! What a meta-model sees of an image: the pooled channels of a small network that was trained on the sources of the
//! meta-training and is frozen since.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::task::TaskView;
use crate::data::{Dataset, Images};
use crate::generate::GenerateError;
use crate::generate::vae::Scale;
use crate::graph::{Graph, GraphBuilder, Op, Shape, Weights};
use crate::nn::Net;
use crate::seed;
use crate::space::{MacroConfig, MacroSpace};

/// Images of each class that are kept for looks at a data set.
const KEPT_PER_CLASS: usize = 30;
/// Fewest training images that tell anything of a data set.
const FEWEST_IMAGES: usize = 10;
/// Features are no further from their mean, in standard deviations: a channel that hardly answered in training may answer
/// new images with anything.
const FARTHEST: f32 = 5.0;
/// Side in pixels of the images that the network sees.
const SIDE: usize = 32;
/// Layers of two plain operations each, 3×3 and 5×5.
const GENOTYPE: &str = "011000-011000-011000-011000-011000";

/// Everything that the network's graph depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// Width multiplier.
    pub width: f64,
    /// Number of features.
    pub features: usize,
    /// Classes of its training, those of all sources together.
    pub classes: usize,
    /// Mean of each channel of its training images.
    pub mean: Vec<f32>,
    /// Standard deviation.
    pub std: Vec<f32>,
    /// Scales of the features, found on its training images.
    pub scales: Vec<Scale>,
}

/// The frozen network.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureNet {
    spec: FeatureSpec,
    /// Up to the pooled channels.
    graph: Graph,
    weights: Weights,
}

impl FeatureNet {
    /// Shape of the images that it sees.
    pub const INPUT: Shape = Shape { channels: 3, height: SIDE, width: SIDE };

    /// The network with a classifier, for training.
    ///
    /// # Errors
    /// If there is no such network.
    pub fn classifier(spec: &FeatureSpec) -> Result<Graph, GenerateError> {
        let FeatureSpec { width, features, classes, mean, std, .. } = spec.clone();
        let config =
            MacroConfig { input: Self::INPUT, classes, width, head: features, mean, std, ..MacroConfig::default() };
        let space = MacroSpace::new(config)?;
        Ok(space.lower(&space.parse(GENOTYPE)?))
    }

    /// The network without its classifier, from trained weights. Scales are found on images.
    ///
    /// # Errors
    /// If there is no such network.
    pub fn of_trained(spec: FeatureSpec, trained: &Weights, images: &Images) -> Result<FeatureNet, GenerateError> {
        let graph = without_classifier(&Self::classifier(&spec)?);
        let mut weights = Weights::neutral(&graph);
        let shared = weights.trained.len();
        weights.trained.copy_from_slice(&trained.trained[..shared]);
        weights.buffers.copy_from_slice(&trained.buffers);
        let features = spec.features;
        let raw = FeatureNet { spec: FeatureSpec { scales: Vec::new(), ..spec }, graph, weights };
        let all = raw.raw(images);
        let column =
            |at: usize| all.iter().skip(at).step_by(features).map(|value| f64::from(*value)).collect::<Vec<_>>();
        let scales = (0..features).map(|at| Scale::of(&column(at))).collect();
        Ok(FeatureNet { spec: FeatureSpec { scales, ..raw.spec }, ..raw })
    }

    /// The network from what a file holds.
    pub(super) fn of_parts(
        spec: FeatureSpec,
        trained: Vec<f32>,
        buffers: Vec<f32>,
    ) -> Result<FeatureNet, GenerateError> {
        let graph = without_classifier(&Self::classifier(&spec)?);
        let weights = Weights { trained, buffers, ..Weights::neutral(&graph) };
        Ok(FeatureNet { spec, graph, weights })
    }

    /// Numbers of trained values and of statistics that a network of this spec has.
    pub(super) fn sizes(spec: &FeatureSpec) -> Result<(usize, usize), GenerateError> {
        let weights = Weights::neutral(&without_classifier(&Self::classifier(spec)?));
        Ok((weights.trained.len(), weights.buffers.len()))
    }

    /// What the network depends on.
    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// Its weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// (images, features) as the network gives them.
    fn raw(&self, images: &Images) -> Vec<f32> {
        let images = images.in_shape(Self::INPUT);
        Net::logits(&self.graph, &self.weights, images.len(), |at, pixels| {
            pixels.iter_mut().zip(images.pixels(at)).for_each(|(pixel, byte)| *pixel = f32::from(*byte) / 255.0);
        })
    }

    /// Standardised features of images of any shape.
    pub fn features(&self, images: &Images) -> Vec<Vec<f32>> {
        let scaled = |row: &[f32]| {
            let scaled = row.iter().zip(&self.spec.scales).map(|(value, scale)| scale.down(f64::from(*value)));
            scaled.map(|value| value.clamp(-FARTHEST, FARTHEST)).collect()
        };
        self.raw(images).chunks_exact(self.spec.features).map(scaled).collect()
    }

    /// Whether a data set tells enough to be seen.
    ///
    /// # Errors
    /// If it has fewer than two classes or hardly any images.
    pub fn check(dataset: &Dataset) -> Result<(), GenerateError> {
        Self::looked_at(dataset).map(drop)
    }

    /// For each class that has any, which training images are looked at.
    fn looked_at(dataset: &Dataset) -> Result<Vec<Vec<usize>>, GenerateError> {
        let training = dataset.train.len();
        if training < FEWEST_IMAGES {
            return Err(GenerateError::FewImages { found: training, needed: FEWEST_IMAGES });
        }
        let of_class =
            |class: usize| (0..training).filter(|at| dataset.train.label(*at) == class).collect::<Vec<usize>>();
        let places: Vec<Vec<usize>> = (0..dataset.classes.len())
            .map(|class| some(of_class(class), class))
            .filter(|places| !places.is_empty())
            .collect();
        if places.len() < 2 {
            return Err(GenerateError::FewClasses { found: places.len() });
        }
        Ok(places)
    }

    /// A data set as a meta-model sees it: features of some of its training images, and its size.
    ///
    /// # Errors
    /// As [`FeatureNet::check`].
    pub fn view(&self, dataset: &Dataset) -> Result<TaskView, GenerateError> {
        let (shape, training) = (dataset.shape(), dataset.train.len());
        let places = Self::looked_at(dataset)?;
        let features = self.features(&dataset.train.select(&places.concat()));
        let mut features = features.into_iter();
        let classes = places.iter().map(|places| features.by_ref().take(places.len()).collect()).collect();
        Ok(TaskView::of_images(classes, training, shape.height.max(shape.width), shape.channels > 1))
    }
}

/// Some of the images of a class, always the same ones.
fn some(mut places: Vec<usize>, class: usize) -> Vec<usize> {
    places.shuffle(&mut seed::stream(0, "images of a view", class as u64));
    places.truncate(KEPT_PER_CLASS);
    places
}

/// The graph up to what its last linear map reads.
fn without_classifier(graph: &Graph) -> Graph {
    let mut builder = GraphBuilder::new(graph.input_shape()).expect("the shape is that of a graph");
    let last = graph.output();
    assert!(matches!(graph.node(last).op, Op::Linear(_)), "a classifier ends in a linear map");
    for node in &graph.nodes()[1..last] {
        builder.push(node.name.clone(), node.op.clone(), &node.inputs).expect("the node stood in a graph");
    }
    builder.finish().expect("what a graph begins with is a graph")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BuiltIn;
    use crate::graph::Role;

    fn spec() -> FeatureSpec {
        let (mean, std) = (vec![0.5; 3], vec![0.25; 3]);
        FeatureSpec { width: 0.25, features: 12, classes: 16, mean, std, scales: Vec::new() }
    }

    #[test]
    fn features_are_what_the_classifier_reads() {
        let graph = FeatureNet::classifier(&spec()).unwrap();
        let weights = Weights::init(&graph, &mut seed::stream(1, "test", 0));
        let set = Dataset::built_in(&BuiltIn { seed: 1, train: 64, validation: 16, test: 16 });
        let net = FeatureNet::of_trained(spec(), &weights, &set.train).unwrap();
        let logits = crate::train::logits(&graph, &weights, &set.test);
        let get = |role| weights.get(graph.output(), role).unwrap();
        let (matrix, bias) = (get(Role::Weight), get(Role::Bias));
        let raw = net.raw(&set.test);
        for (image, row) in raw.chunks_exact(12).enumerate() {
            for class in 0..16 {
                let sum: f32 = row.iter().zip(&matrix[class * 12..]).map(|(x, w)| x * w).sum::<f32>() + bias[class];
                assert!((sum - logits[image * 16 + class]).abs() < 1e-3);
            }
        }
        let scaled = net.features(&set.train);
        let first: Vec<f64> = scaled.iter().map(|row| f64::from(row[0])).collect();
        assert!(crate::stats::mean(&first).abs() < 1e-3 && (crate::stats::std_dev(&first) - 1.0).abs() < 0.02);
    }

    #[test]
    fn a_view_has_images_of_every_class_and_too_few_are_refused() {
        let graph = FeatureNet::classifier(&spec()).unwrap();
        let weights = Weights::init(&graph, &mut seed::stream(1, "test", 0));
        let set = Dataset::built_in(&BuiltIn { seed: 1, train: 800, validation: 16, test: 16 });
        let net = FeatureNet::of_trained(spec(), &weights, &set.train).unwrap();
        let view = net.view(&set).unwrap();
        let super::super::task::Classes::Images(classes) = &view.classes else { panic!("{view:?}") };
        assert!(classes.len() == 16 && classes.iter().all(|class| class.len() == KEPT_PER_CLASS));
        let few = Dataset { train: set.train.select(&[0, 1, 2, 3, 4]), ..set.clone() };
        assert!(net.view(&few).unwrap_err().to_string().starts_with("5 training images tell too little"));
        let one = Dataset { train: set.train.select(&[0; 20]), ..set };
        assert!(net.view(&one).unwrap_err().to_string().starts_with("1 class leaves nothing"));
    }
}
