//! Pure data → text for people: tables for a terminal, Markdown for a run folder, JSON for programs.

#[cfg(feature = "train")]
mod cloud;
#[cfg(feature = "train")]
mod curve;
#[cfg(feature = "train")]
mod front;
mod inspect;
mod latent;
#[cfg(feature = "train")]
mod regret;
#[cfg(feature = "train")]
mod run;
#[cfg(feature = "train")]
mod run_front;
mod scatter;
mod svg;
mod target;

#[cfg(feature = "train")]
pub use cloud::{Marked, cloud_svg};
#[cfg(feature = "train")]
pub use curve::{Curve, curve_svg};
#[cfg(feature = "train")]
pub use front::{Point, front_svg};
pub use inspect::{inspection_json, inspection_text};
pub use latent::{DrawnGraph, graphs_svg, map_svg};
#[cfg(feature = "train")]
pub use regret::{RegretLine, regret_svg};
#[cfg(feature = "train")]
pub use run::{run_curve_svg, run_json, run_markdown, run_text};
#[cfg(feature = "train")]
pub use run_front::run_front_svg;
pub use scatter::scatter_svg;
pub use target::{latency_is, target_json, target_text, targets_text};

use comfy_table::{CellAlignment, Table, TableStyle, presets};

/// A table whose columns after the first are numbers.
fn table(headers: &[&str], rows: Vec<Vec<String>>, style: TableStyle) -> String {
    let mut table = Table::new();
    table.load_style(style).set_header(headers.iter().map(|h| h.to_string()).collect::<Vec<_>>());
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// A table for a terminal.
pub fn plain_table(headers: &[&str], rows: Vec<Vec<String>>) -> String {
    table(headers, rows, presets::NOTHING)
}

/// A table for Markdown.
pub fn markdown_table(headers: &[&str], rows: Vec<Vec<String>>) -> String {
    table(headers, rows, presets::ASCII_MARKDOWN)
}

/// A share as a percentage with one digit.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
