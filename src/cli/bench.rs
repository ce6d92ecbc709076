//! `netwright bench`: latency and memory of an ONNX file on this machine.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Exit, print, print_json, read_model};
use crate::measure::{BenchConfig, BenchReport, OperatorTime, bench as measure, profile};
use crate::report::{percent, plain_table};
use crate::units::{Bytes, Macs, Millis};

#[derive(Args)]
pub(super) struct BenchArgs {
    /// The ONNX file.
    file: PathBuf,
    /// Fewest timed runs.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Fewest seconds of timed runs.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Operators shown, the slowest first; 0 for none.
    #[arg(long, default_value_t = 12)]
    operators: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs of the profile: its medians are for orientation.
const PROFILE_RUNS: usize = 50;

pub(super) fn bench(args: &BenchArgs) -> anyhow::Result<Exit> {
    let model = read_model(&args.file)?;
    let named = |e| anyhow::anyhow!("`{}`: {e}", args.file.display());
    anyhow::ensure!(args.seconds.is_finite() && args.seconds >= 0.0, "`--seconds` is not a time");
    let config = BenchConfig { min_runs: args.runs as usize, min_seconds: args.seconds, ..BenchConfig::default() };
    let report = measure(&model, &config).map_err(named)?;
    let mut operators = match args.operators {
        0 => Vec::new(),
        _ => profile(&model, PROFILE_RUNS).map_err(named)?,
    };
    operators.sort_by(|a, b| b.time_us.total_cmp(&a.time_us));
    match args.json {
        true => print_json(&json!({ "file": args.file, "bench": report, "operators": operators }))?,
        false => {
            operators.truncate(args.operators);
            print(&text(&report, &operators))?;
            report.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        }
    }
    Ok(Exit::Done)
}

fn text(report: &BenchReport, operators: &[OperatorTime]) -> String {
    let ms = |value: f64| Millis(value).to_string();
    let l = &report.latency;
    let memory = |bytes: Option<u64>| bytes.map_or("unknown".to_string(), |b| Bytes(b).to_string());
    let mut text = plain_table(
        &["p50", "p90", "p99", "min", "mean", "sd"],
        vec![vec![ms(l.p50_ms), ms(l.p90_ms), ms(l.p99_ms), ms(l.min_ms), ms(l.mean_ms), ms(l.std_dev_ms)]],
    );
    text += &format!(
        "\n\nruns        {} after {} to warm up, {} thread, {}\n\
         cold start  {} (reading and optimising {})\n\
         peak RSS    {} ({} before the file was read)\n\
         work        {} MACs an image\n\
         machine     {}, {} cores\n",
        report.runs,
        report.warm_up_runs,
        report.threads,
        report.runtime,
        ms(report.cold_start_ms),
        ms(report.load_ms),
        memory(report.peak_rss_bytes),
        memory(report.rss_before_bytes),
        Macs(report.macs),
        report.host.cpu,
        report.host.cores,
    );
    if !operators.is_empty() {
        let row = |o: &OperatorTime| vec![o.name.clone(), o.op.clone(), ms(o.time_us / 1e3), percent(o.share)];
        text += &format!(
            "\n{}\n",
            plain_table(&["operator", "kind", "time", "share"], operators.iter().map(row).collect())
        );
    }
    text
}
