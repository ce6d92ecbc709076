//! The Pareto front of a run: its table, its picture, and which of its networks a report is about.

use super::run::Layout;
use super::{Point, front_svg, percent};
use crate::run::{FrontRow, Summary, TrialRecord};
use crate::units::{Bytes, Macs, Millis};

/// What a network is to this report, if anything.
pub(super) fn role(summary: &Summary, genotype: &str) -> Option<&'static str> {
    let own_winner = summary.card.instead_of.as_deref();
    match (genotype == summary.winner().trial.genotype, own_winner) {
        (true, None) => Some("winner"),
        (true, Some(_)) => Some("picked"),
        (false, own_winner) => (own_winner == Some(genotype)).then_some("the run's winner"),
    }
}

/// What the front is made of, and where the winner is if it is not on it.
pub(super) fn about_front(summary: &Summary) -> String {
    let chosen = summary.winner();
    let mut text =
        "Networks that none beats in everything: accuracy, MACs, peak RAM and latency. Networks trained in full \
         are compared with each other, the others by their cheap training with all. `netwright resume RUN --pick ROW` \
         trains, exports and measures one of them, without a new search."
            .to_string();
    if !summary.front.iter().any(|row| row.genotype == chosen.trial.genotype) {
        let reason = if chosen.verdict.fits() { "others beat it" } else { "it breaks a limit" };
        text += &format!(" `{}` is not among them: {reason}.", chosen.trial.genotype);
    }
    text
}

pub(super) fn front(summary: &Summary, layout: Layout) -> String {
    if summary.front.is_empty() {
        return "no trial keeps every limit".to_string();
    }
    let latency = |row: &FrontRow| match row.latency_ms.zip(row.latency_provenance) {
        Some((ms, provenance)) => format!("{} ({})", Millis(ms), provenance.name()),
        None => "unknown".to_string(),
    };
    let cells = |row: &FrontRow| {
        vec![
            row.row.to_string(),
            row.genotype.clone(),
            percent(row.cheap_validation_accuracy),
            row.validation_accuracy.map_or(String::new(), percent),
            Macs(row.macs).to_string(),
            Bytes(row.peak_ram_bytes).to_string(),
            Bytes(row.weights_flash_bytes).to_string(),
            latency(row),
            role(summary, &row.genotype).unwrap_or_default().to_string(),
        ]
    };
    let heads = ["row", "Pareto front", "cheap", "full", "MACs", "peak RAM", "flash", "latency", ""];
    layout(&heads, summary.front.iter().map(cells).collect())
}

/// The front among all trials, as SVG; an error is text for people.
pub fn run_front_svg(summary: &Summary) -> Result<String, String> {
    let points: Vec<Point> = summary.trials.iter().filter_map(|trial| point(summary, trial)).collect();
    let name = role(summary, &summary.winner().trial.genotype).unwrap_or_default();
    front_svg(&format!("Pareto front of {} networks for `{}`", points.len(), summary.target.name), name, &points)
}

/// A trial in the picture; one that failed is not there.
fn point(summary: &Summary, trial: &TrialRecord) -> Option<Point> {
    let row = summary.front.iter().find(|row| row.genotype == trial.genotype);
    let finalist = summary.finalists.iter().find(|finalist| finalist.trial.genotype == trial.genotype);
    let cheap = trial.validation_accuracy?;
    let measured = finalist.and_then(|finalist| finalist.latency).map(|latency| latency.time.0);
    Some(Point {
        row: row.map(|row| row.row),
        is_chosen: trial.genotype == summary.winner().trial.genotype,
        accuracy: finalist.map_or(cheap, |finalist| finalist.validation_accuracy),
        is_full: finalist.is_some(),
        macs_m: trial.macs as f64 / 1e6,
        peak_ram_kib: trial.peak_ram_bytes as f64 / 1024.0,
        latency_ms: measured.or(trial.predicted_latency_ms),
    })
}
