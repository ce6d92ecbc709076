//! Runs a network that `netwright compile` made on one image, through tract alone: what a device's own program does.
//!
//! ```bash
//! cargo run --release --example deploy -- models/runs/run-1/model.onnx photo.png
//! ```
//!
//! The file takes `float32[1, channels, rows, columns]` with values from 0 to 1, normalises them itself and gives logits; the
//! names of the classes are in its metadata under `labels`, one a line.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use image::imageops::FilterType;
use tract_onnx::prelude::*;

fn main() -> Result<()> {
    let paths: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let [model_path, image_path] = paths.as_slice() else {
        anyhow::bail!("usage: deploy MODEL.onnx IMAGE");
    };
    let proto = tract_onnx::onnx().proto_model_for_path(model_path).context("cannot read the model")?;
    let labels = proto.metadata_props.iter().find(|entry| entry.key == "labels").map(|entry| entry.value.clone());
    let model = tract_onnx::onnx().model_for_path(model_path)?.into_optimized()?;
    let shape = model.input_fact(0)?.shape.as_concrete().context("the model's input has no fixed shape")?.to_vec();
    let [1, channels, rows, columns] = shape[..] else { anyhow::bail!("the input is {shape:?}, not one image") };
    ensure!(channels == 1 || channels == 3, "the input has {channels} channels");

    let picture = image::open(image_path).with_context(|| format!("cannot read `{}`", image_path.display()))?;
    let picture = picture.resize_to_fill(columns as u32, rows as u32, FilterType::Triangle);
    // Bytes of (row, column, channel) become values of (channel, row, column).
    let bytes = if channels == 1 { picture.to_luma8().into_raw() } else { picture.to_rgb8().into_raw() };
    let value = |(_, c, y, x): (usize, usize, usize, usize)| f32::from(bytes[(y * columns + x) * channels + c]) / 255.0;
    let input: Tensor = tract_ndarray::Array4::from_shape_fn((1, channels, rows, columns), value).into();

    let outputs = model.into_runnable()?.run(tvec!(input.into()))?;
    let logits: Vec<f32> = outputs[0].try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f32 = weights.iter().sum();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    let labels = labels.unwrap_or_default();
    let names: Vec<&str> = labels.lines().collect();
    for class in order.into_iter().take(3) {
        let name = names.get(class).map_or_else(|| format!("class {class}"), |name| name.to_string());
        println!("{:5.1} %  {name}", 100.0 * weights[class] / sum);
    }
    Ok(())
}
