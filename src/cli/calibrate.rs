//! `netwright calibrate`: the operators of the search space, timed on this machine.

use clap::Args;
use serde_json::json;

use super::{Exit, print, print_json};
use crate::graph::Shape;
use crate::measure::{Calibration, CalibrationConfig, calibrate as measure, calibration_file, keep};
use crate::report::percent;
use crate::space::{MacroConfig, MacroSpace};

#[derive(Args)]
pub(super) struct CalibrateArgs {
    /// Number of classes of the networks.
    #[arg(long, default_value_t = 10)]
    classes: usize,
    /// Shape of the image: channels×rows×columns.
    #[arg(long, default_value = "3x32x32", value_parser = super::inspect::parse_shape)]
    input: Shape,
    /// Width multiplier of the networks.
    #[arg(long, default_value_t = 1.0)]
    width: f64,
    /// Channels of the networks' head; by default 1280 times the width.
    #[arg(long)]
    head: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn calibrate(args: &CalibrateArgs) -> anyhow::Result<Exit> {
    let scaled = MacroConfig::default().scaled(args.width);
    let space = MacroSpace::new(MacroConfig {
        input: args.input,
        classes: args.classes,
        head: args.head.unwrap_or(scaled.head),
        // Times do not depend on the constants of the normalisation.
        mean: vec![0.5; args.input.channels],
        std: vec![0.25; args.input.channels],
        ..scaled
    })?;
    let graphs = space.calibration_networks();
    let Calibration { model, held_out, .. } = measure(&graphs, &CalibrationConfig::default(), &mut |_, _| {})?;
    keep(&model, &graphs);
    let file = calibration_file(&graphs);
    match args.json {
        true => print_json(&json!({ "model": model, "held_out": held_out, "file": file }))?,
        false => {
            print(&format!(
                "{} operators timed on {} through {}\n\
                 held-out networks: median error {}, Spearman {:.2} over {} networks\n",
                model.operators_ms.len(),
                model.host,
                model.runtime,
                percent(model.median_relative_error),
                model.spearman,
                held_out.len(),
            ))?;
            match file {
                Some(file) => eprintln!("kept in `{}` for networks of this shape", file.display()),
                None => eprintln!("warning: this system has no cache directory; nothing was kept"),
            }
        }
    }
    Ok(Exit::Done)
}
