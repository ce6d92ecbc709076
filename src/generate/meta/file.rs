//! A meta-model with its features as bytes and back: safetensors, whose header carries the card.

use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};

use super::config::MetaConfig;
use super::features::{FeatureNet, FeatureSpec};
use super::model::MetaModel;
use super::predictor::descriptors;
use super::set::ClassKind;
use crate::generate::GenerateError;
use crate::generate::file::{Array, GENERATE_FIT, arrays_to_bytes, card_of, values_of};
use crate::generate::vae::Scale;
use crate::space::Space;

/// Version of the file.
pub const META_VERSION: u32 = 1;
/// Sizes beyond this are no model of ours, and must not take all memory first.
const LARGEST: usize = 4096;
/// Names of the arrays of the features.
const FEATURE_ARRAYS: [&str; 2] = ["features.trained", "features.statistics"];

/// What a model is and what it learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetaCard {
    /// Version of the file.
    pub schema_version: u32,
    /// Version of netwright that wrote it.
    pub netwright: String,
    /// The space.
    pub space: String,
    /// What classes are known by.
    pub classes: ClassKind,
    /// Sizes and schedule.
    pub config: MetaConfig,
    /// Scale of the logarithm of multiply-accumulates.
    pub size_scale: Scale,
    /// Smallest and largest descriptors of the tasks.
    pub descriptor_range: Vec<(f32, f32)>,
    /// The network that makes features of images.
    pub features: Option<FeatureSpec>,
    /// Seed of the fit.
    pub seed: u64,
    /// The tasks: sources, numbers, how networks trained.
    pub learned_from: serde_json::Value,
    /// What the model was found to be worth on tasks held out.
    pub report: serde_json::Value,
}

/// A model, what makes its features, and where both are from.
#[derive(Debug, Clone, PartialEq)]
pub struct MetaFile {
    /// The model.
    pub model: MetaModel,
    /// What makes features of images; none for classes that are known by number.
    pub features: Option<FeatureNet>,
    /// Where they are from.
    pub card: MetaCard,
}

impl MetaFile {
    /// A model with its card.
    pub fn new(model: MetaModel, features: Option<FeatureNet>, seed: u64, learned_from: serde_json::Value) -> MetaFile {
        let card = MetaCard {
            schema_version: META_VERSION,
            netwright: env!("CARGO_PKG_VERSION").to_string(),
            space: model.space.name().to_string(),
            classes: model.kind,
            config: model.config.clone(),
            size_scale: model.size_scale,
            descriptor_range: model.descriptor_range.clone(),
            features: features.as_ref().map(|net| net.spec().clone()),
            seed,
            learned_from,
            report: serde_json::Value::Null,
        };
        MetaFile { model, features, card }
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut arrays = self.model.generator.layout.arrays("generator.", &self.model.generator.weights);
        for (at, member) in self.model.members.iter().enumerate() {
            arrays.extend(member.layout.arrays(&member_prefix(at), &member.weights));
        }
        if let Some(net) = &self.features {
            let parts = [&net.weights().trained, &net.weights().buffers];
            let array = |(name, values): (&str, &Vec<f32>)| -> Array {
                (name.to_string(), vec![1, values.len()], values.clone())
            };
            arrays.extend(FEATURE_ARRAYS.into_iter().zip(parts).map(array));
        }
        let card = serde_json::to_string(&self.card).expect("a card is plain data");
        arrays_to_bytes(arrays, card)
    }

    /// The model in a file's bytes; `origin` names the file in messages.
    ///
    /// # Errors
    /// If the bytes are no meta-model, or one of another version.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<MetaFile, GenerateError> {
        let wrong = |reason: String| GenerateError::NotAModel { origin: origin.to_string(), reason };
        let card: MetaCard = card_of(bytes, META_VERSION, GENERATE_FIT, origin)?;
        check_sizes(&card).map_err(wrong)?;
        let space = Space::named(&card.space)?;
        // Before the memory for them is asked for.
        let weights = MetaModel::weights_of(&space, card.classes, &card.config)?;
        if weights.saturating_mul(size_of::<f32>()) > bytes.len() {
            return Err(wrong(format!("its card asks for {weights} weights, more than it holds")));
        }
        let (config, range) = (card.config.clone(), card.descriptor_range.clone());
        let mut model = MetaModel::new(&space, card.classes, config, card.size_scale, range, 0)?;
        let arrays = SafeTensors::deserialize(bytes).map_err(|e| wrong(e.to_string()))?;
        model.generator.layout.fill("generator.", &mut model.generator.weights, &arrays).map_err(wrong)?;
        for (at, member) in model.members.iter_mut().enumerate() {
            member.layout.fill(&member_prefix(at), &mut member.weights, &arrays).map_err(wrong)?;
        }
        let features = match &card.features {
            Some(spec) => {
                let (trained, statistics) = FeatureNet::sizes(spec)?;
                let read = |name: &str, len: usize| values_of(&arrays, name, [1, len]).map_err(wrong);
                let [of_weights, of_statistics] = FEATURE_ARRAYS;
                let (trained, statistics) = (read(of_weights, trained)?, read(of_statistics, statistics)?);
                Some(FeatureNet::of_parts(spec.clone(), trained, statistics)?)
            }
            None => None,
        };
        Ok(MetaFile { model, features, card })
    }
}

fn member_prefix(member: usize) -> String {
    format!("predictor.{member}.")
}

/// A card of impossible sizes is wrong before anything is made of them.
fn check_sizes(card: &MetaCard) -> Result<(), String> {
    let MetaConfig { set, heads, images_per_class, hidden, latent, emitter, head, members, .. } = card.config;
    let sizes = [set, heads, images_per_class, hidden, latent, emitter, head, members];
    let classes = match card.classes {
        ClassKind::Features(features) => features,
        ClassKind::Numbers(numbers) => numbers / 16,
    };
    let features = card.features.as_ref().map_or([1, 1, 1], |spec| [spec.features, spec.classes, spec.scales.len()]);
    let is_possible = |size: &usize| (1..=LARGEST).contains(size);
    if !sizes.iter().chain([&classes.max(1)]).chain(&features).all(is_possible) || members > 64 {
        return Err("its card has impossible sizes".to_string());
    }
    if !set.is_multiple_of(heads) {
        return Err(format!("its card divides {set} values among {heads} heads"));
    }
    let descriptors = descriptors(card.classes);
    let is_range = |(least, most): &(f32, f32)| least.is_finite() && most.is_finite() && least <= most;
    if card.descriptor_range.len() != descriptors || !card.descriptor_range.iter().all(is_range) {
        return Err(format!("its card does not have {descriptors} ranges of descriptors, the smaller number first"));
    }
    let mut scales = card.features.iter().flat_map(|spec| &spec.scales).chain([&card.size_scale]);
    if !scales.all(Scale::is_sound) {
        return Err("its card has scales that measure nothing".to_string());
    }
    match (&card.features, card.classes) {
        (Some(spec), ClassKind::Features(features)) if spec.features == features && spec.scales.len() == features => {
            let is_width = spec.width.is_finite() && spec.width > 0.0 && spec.width <= 4.0;
            if is_width { Ok(()) } else { Err("its card has an impossible width".to_string()) }
        }
        (None, ClassKind::Numbers(_)) => Ok(()),
        _ => Err("its card does not say what makes its features".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Classes, MetaLabel, MetaTask, TaskView};
    use crate::graph::Weights;
    use crate::seed;

    fn file() -> MetaFile {
        let space = Space::named("nats-tss").unwrap();
        let mut rng = seed::stream(1, "test", 0);
        let task = |at: usize| {
            let label = |n: usize| MetaLabel { genotype: space.sample(&mut rng), accuracy: 0.1 * n as f64 };
            let view = TaskView::of_images(vec![vec![vec![at as f32; 6]; 2]; 3], 100 + at, 16, true);
            MetaTask { view, labels: (0..4).map(label).collect(), tested_on: 1000 }
        };
        let tasks: Vec<MetaTask> = (0..8).map(task).collect();
        let config = MetaConfig {
            set: 8,
            heads: 2,
            hidden: 8,
            latent: 4,
            emitter: 8,
            head: 8,
            members: 2,
            epochs: 1,
            generator_epochs: 1,
            ..MetaConfig::default()
        };
        let model = MetaModel::fit(&space, ClassKind::Features(6), &tasks, config, 1, &mut |_| {}).unwrap();
        let (mean, std) = (vec![0.5; 3], vec![0.25; 3]);
        let spec = FeatureSpec { width: 0.25, features: 6, classes: 4, mean, std, scales: Vec::new() };
        let graph = FeatureNet::classifier(&spec).unwrap();
        let set =
            crate::data::Dataset::built_in(&crate::data::BuiltIn { seed: 1, train: 32, validation: 16, test: 16 });
        let net = FeatureNet::of_trained(spec, &Weights::init(&graph, &mut rng), &set.train).unwrap();
        MetaFile::new(model, Some(net), 1, serde_json::json!({"tasks": 8}))
    }

    #[test]
    fn a_model_goes_to_bytes_and_back() {
        let file = file();
        assert_eq!(MetaFile::from_bytes(&file.to_bytes(), "here").unwrap(), file);
    }

    #[test]
    fn what_is_no_model_of_this_version_is_refused_by_name() {
        let file = file();
        let refused = |bytes: &[u8]| MetaFile::from_bytes(bytes, "here").unwrap_err().to_string();
        assert!(refused(b"text").starts_with("`here` is not a model"));
        let other = arrays_to_bytes(Vec::new(), r#"{"schema_version": 1, "complexity": "macs"}"#.to_string());
        assert!(refused(&other).contains("one of `netwright latent fit`, expected one of `netwright generate fit`"));
        let whole = file.to_bytes();
        assert!(refused(&whole[..whole.len() - 5]).contains("not a model"));
        let with = |change: &dyn Fn(&mut MetaCard)| {
            let mut other = file.clone();
            change(&mut other.card);
            refused(&other.to_bytes())
        };
        assert!(with(&|card| card.schema_version = 2).contains("schema version 2, this netwright reads 1\nhint: "));
        assert!(with(&|card| card.config.hidden = 9).contains("has not the shape"));
        let hungry = with(&|card| (card.config.hidden, card.config.members) = (4096, 64));
        assert!(hungry.contains("weights, more than it holds"), "{hungry}");
        assert!(with(&|card| card.descriptor_range[0] = (1.0, 0.0)).contains("4 ranges of descriptors"));
        assert!(with(&|card| card.descriptor_range.truncate(3)).contains("4 ranges of descriptors"));
        assert!(with(&|card| card.size_scale.deviation = 0.0).contains("scales that measure nothing"));
        assert!(with(&|card| card.config.set = usize::MAX / 2).contains("impossible sizes"));
        assert!(with(&|card| card.config.heads = 3).contains("8 values among 3 heads"));
        assert!(with(&|card| card.features = None).contains("what makes its features"));
        assert!(with(&|card| card.space = "nats-sss".to_string()).contains("cannot be decoded"));
    }

    #[test]
    fn classes_by_number_need_no_features() {
        let space = Space::named("nats-tss").unwrap();
        let mut rng = seed::stream(2, "test", 0);
        let task = |at: usize| MetaTask {
            view: TaskView { classes: Classes::Numbers(vec![at, at + 1, 7]), descriptors: Vec::new() },
            labels: (0..4).map(|n| MetaLabel { genotype: space.sample(&mut rng), accuracy: 0.1 * n as f64 }).collect(),
            tested_on: 1000,
        };
        let tasks: Vec<MetaTask> = (0..10).map(task).collect();
        let config = MetaConfig { members: 1, epochs: 1, generator_epochs: 1, ..MetaConfig::default() };
        let model = MetaModel::fit(&space, ClassKind::Numbers(12), &tasks, config, 1, &mut |_| {}).unwrap();
        let file = MetaFile::new(model, None, 1, serde_json::Value::Null);
        assert_eq!(MetaFile::from_bytes(&file.to_bytes(), "here").unwrap(), file);
    }
}
