//! `netwright calibrate`: the operators of the search space, timed on this machine.

use clap::Args;
use serde_json::json;

use super::{Exit, print, print_json};
use crate::measure::{Calibration, CalibrationConfig, calibrate as measure, calibration_file, keep};
use crate::report::percent;
use crate::space::{MacroConfig, MacroSpace};

#[derive(Args)]
pub(super) struct CalibrateArgs {
    /// Number of classes of the networks.
    #[arg(long, default_value_t = 10)]
    classes: usize,
    /// Width multiplier of the networks.
    #[arg(long, default_value_t = 1.0)]
    width: f64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn calibrate(args: &CalibrateArgs) -> anyhow::Result<Exit> {
    let config = MacroConfig { classes: args.classes, ..MacroConfig::default() };
    let space = MacroSpace::new(config.scaled(args.width))?;
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
