//! `netwright doctor`: what this build and this machine can do.

use clap::Args;
use serde_json::{Value, json};

use super::{Exit, print, print_json};
use crate::measure::{Host, RUNTIME};

#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn doctor(args: &DoctorArgs) -> anyhow::Result<Exit> {
    let host = Host::here();
    let engine = engine();
    let warnings = host.warnings();
    match args.json {
        true => print_json(&json!({
            "schema_version": 1,
            "netwright": env!("CARGO_PKG_VERSION"),
            "runtime": RUNTIME,
            "host": host,
            "engine": engine,
            "warnings": warnings,
        }))?,
        false => {
            let engine: Vec<String> = engine
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| format!("{:<12}{}\n", name, value.to_string().trim_matches('"')))
                .collect();
            print(&format!(
                "netwright   {}\nmachine     {}, {} cores, {}\nruntime     {RUNTIME}\n{}",
                env!("CARGO_PKG_VERSION"),
                host.cpu,
                host.cores,
                host.platform,
                engine.concat(),
            ))?;
            warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        }
    }
    Ok(Exit::Done)
}

#[cfg(feature = "train")]
fn engine() -> Value {
    crate::nn::runtime::init(None);
    json!({
        "training": "yes, on the CPU",
        "isa": format!("{:?}", crate::nn::kernels::isa::current()),
        "threads": rayon::current_num_threads(),
    })
}

#[cfg(not(feature = "train"))]
fn engine() -> Value {
    json!({ "training": "no, this build is for devices (feature `train` is off)" })
}
