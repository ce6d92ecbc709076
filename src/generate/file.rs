//! A fitted model as bytes and back: safetensors, whose header carries the model's card.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::GenerateError;
use super::config::VaeConfig;
use super::vae::{GraphVae, Scale};
use super::weights::{Block, WeightLayout};
use crate::space::Space;

/// Version of the file.
pub const MODEL_VERSION: u32 = 1;
/// Under which name the card stands in the header.
const CARD_NOTE: &str = "card";
/// Commands that write models, each with a field that only their cards have.
const MAKERS: [(&str, &str); 2] = [(LATENT_FIT, "complexity"), (GENERATE_FIT, "classes")];
pub(super) const LATENT_FIT: &str = "latent fit";
pub(super) const GENERATE_FIT: &str = "generate fit";

/// What a model is and what it was fitted to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Version of the file.
    pub schema_version: u32,
    /// Version of netwright that wrote it.
    pub netwright: String,
    /// The space.
    pub space: String,
    /// Where the networks were from.
    pub table: Option<String>,
    /// What the performance is; none if no label was known.
    pub label: Option<String>,
    /// What the complexity is.
    pub complexity: String,
    /// Seed of the fit.
    pub seed: u64,
    /// Sizes and schedule.
    pub config: VaeConfig,
    /// Scale of the performance.
    pub performance_scale: Scale,
    /// Scale of the logarithm of complexity.
    pub complexity_scale: Scale,
    /// What the fit was found to be worth on networks held out.
    pub report: serde_json::Value,
}

impl GraphVae {
    /// The model as a safetensors file: an array for each matrix, the card in the header.
    pub fn to_bytes(&self, card: &ModelCard) -> Vec<u8> {
        let card_text = serde_json::to_string(card).expect("a card is plain data");
        arrays_to_bytes(self.layout.arrays("", &self.weights), card_text)
    }

    /// The model in a file's bytes; `origin` names the file in messages.
    ///
    /// # Errors
    /// If the bytes are no model, or one of another version.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<(GraphVae, Space, ModelCard), GenerateError> {
        let wrong = |reason: String| GenerateError::NotAModel { origin: origin.to_string(), reason };
        let card: ModelCard = card_of(bytes, MODEL_VERSION, LATENT_FIT, origin)?;
        let space = Space::named(&card.space)?;
        let VaeConfig { hidden, latent, emitter, head, .. } = card.config;
        if !(card.performance_scale.is_sound() && card.complexity_scale.is_sound()) {
            return Err(wrong("its card has scales that measure nothing".to_string()));
        }
        // Maps between these sizes are in the file: a card of larger ones is wrong, and must not take all memory first.
        let maps = [
            (hidden, hidden.saturating_mul(3)),
            (latent, hidden.saturating_mul(3)),
            (latent, emitter),
            (hidden, emitter),
            (latent, head),
            (head, head),
        ];
        let fits = |(a, b): &(usize, usize)| (1..=bytes.len() / 4).contains(&a.saturating_mul(*b));
        if !maps.iter().all(fits) {
            return Err(wrong("its card has sizes that its arrays do not have".to_string()));
        }
        let mut vae = GraphVae::new(&space, card.config.clone(), 0)?;
        (vae.performance_scale, vae.complexity_scale) = (card.performance_scale, card.complexity_scale);
        let arrays = SafeTensors::deserialize(bytes).map_err(|e| wrong(e.to_string()))?;
        vae.layout.fill("", &mut vae.weights, &arrays).map_err(wrong)?;
        Ok((vae, space, card))
    }
}

/// A matrix with its name and its shape.
pub(super) type Array = (String, Vec<usize>, Vec<f32>);

/// A safetensors file of matrices, with the card in its header.
pub(super) fn arrays_to_bytes(arrays: Vec<Array>, card: String) -> Vec<u8> {
    let bytes = |values: Vec<f32>| values.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
    let arrays: Vec<_> = arrays.into_iter().map(|(name, shape, values)| (name, shape, bytes(values))).collect();
    let views = arrays.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a block has as many values as its shape"))
    });
    // One note only: several would stand in any order.
    let notes = HashMap::from([(CARD_NOTE.to_string(), card)]);
    safetensors::serialize(views, Some(notes)).expect("views of whole arrays can be written")
}

/// The card in a file's header, if the file has the version that is expected; `maker` is the command that writes such files.
pub(super) fn card_of<C: DeserializeOwned>(
    bytes: &[u8],
    expected: u32,
    maker: &str,
    origin: &str,
) -> Result<C, GenerateError> {
    let wrong = |reason: String| GenerateError::NotAModel { origin: origin.to_string(), reason };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| wrong(e.to_string()))?;
    let card = header.metadata().as_ref().and_then(|notes| notes.get(CARD_NOTE));
    let card = card.ok_or_else(|| wrong("its header has no card".to_string()))?;
    let card: Value = serde_json::from_str(card).map_err(|e| wrong(format!("its card is broken: {e}")))?;
    let made_by = MAKERS.iter().find(|(_, field)| card.get(field).is_some()).map(|(maker, _)| *maker);
    if let Some(other) = made_by.filter(|other| *other != maker) {
        return Err(wrong(format!("it is one of `netwright {other}`, expected one of `netwright {maker}`")));
    }
    match &card["schema_version"] {
        version if *version == expected => {}
        Value::Null => return Err(wrong("its card has no schema version".to_string())),
        other => {
            let (origin, found) = (origin.to_string(), other.to_string());
            return Err(GenerateError::Version { origin, found, expected });
        }
    }
    serde_json::from_value(card).map_err(|e| wrong(format!("its card is broken: {e}")))
}

/// The values of an array of a file, if it has this shape and all are numbers.
pub(super) fn values_of(arrays: &SafeTensors, name: &str, shape: [usize; 2]) -> Result<Vec<f32>, String> {
    let view = arrays.tensor(name).map_err(|e| e.to_string())?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(format!("array `{name}` has not the shape that its card tells"));
    }
    let number = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("chunks have four bytes"));
    let values: Vec<f32> = view.data().chunks_exact(4).map(number).collect();
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(values),
        false => Err(format!("array `{name}` has values that are no numbers")),
    }
}

impl WeightLayout {
    /// The matrices of some weights, their names after a prefix.
    pub(super) fn arrays(&self, prefix: &str, weights: &[f32]) -> Vec<Array> {
        let array = |(name, block): (&str, Block)| {
            (format!("{prefix}{name}"), vec![block.rows, block.columns], block.of(weights).to_vec())
        };
        self.named().map(array).collect()
    }

    /// Weights from the arrays of a file.
    pub(super) fn fill(&self, prefix: &str, weights: &mut [f32], arrays: &SafeTensors) -> Result<(), String> {
        for (name, block) in self.named() {
            let values = values_of(arrays, &format!("{prefix}{name}"), [block.rows, block.columns])?;
            block.of_mut(weights).copy_from_slice(&values);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> (GraphVae, ModelCard) {
        let config = VaeConfig { hidden: 8, latent: 4, emitter: 8, head: 8, ..VaeConfig::measured() };
        let vae = GraphVae::new(&Space::named("enas6").unwrap(), config.clone(), 3).unwrap();
        let scale = Scale { mean: 0.5, deviation: 2.0 };
        let card = ModelCard {
            schema_version: MODEL_VERSION,
            netwright: "0".to_string(),
            space: "enas6".to_string(),
            table: None,
            label: None,
            complexity: "macs".to_string(),
            seed: 3,
            config,
            performance_scale: scale,
            complexity_scale: scale,
            report: serde_json::Value::Null,
        };
        (vae, card)
    }

    #[test]
    fn a_model_goes_to_bytes_and_back() {
        let (mut vae, card) = model();
        let (read, space, read_card) = GraphVae::from_bytes(&vae.to_bytes(&card), "here").unwrap();
        (vae.performance_scale, vae.complexity_scale) = (card.performance_scale, card.complexity_scale);
        assert_eq!((read, space.name(), read_card), (vae, "enas6", card));
    }

    #[test]
    fn what_is_no_model_of_this_version_is_refused_by_name() {
        let (vae, card) = model();
        let refused = |bytes: &[u8]| GraphVae::from_bytes(bytes, "here").unwrap_err().to_string();
        assert!(refused(b"text").starts_with("`here` is not a model"));
        let whole = vae.to_bytes(&card);
        assert!(refused(&whole[..whole.len() - 5]).contains("not a model"));
        let newer = vae.to_bytes(&ModelCard { schema_version: 2, ..card.clone() });
        assert!(refused(&newer).contains("schema version 2, this netwright reads 1\nhint: "));
        let narrow = ModelCard { config: VaeConfig { hidden: 7, ..card.config.clone() }, ..card.clone() };
        assert!(refused(&vae.to_bytes(&narrow)).contains("has not the shape"));
        let huge = ModelCard { config: VaeConfig { hidden: usize::MAX / 2, ..card.config.clone() }, ..card.clone() };
        assert!(refused(&vae.to_bytes(&huge)).contains("sizes that its arrays do not have"));
        let chain = ModelCard { space: "nats-sss".to_string(), ..card };
        assert!(refused(&vae.to_bytes(&chain)).contains("cannot be decoded"));
    }
}
