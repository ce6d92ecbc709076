//! What a target is: its figures with their sources, for people and for programs.

use serde_json::{Value, json};

use super::plain_table;
use crate::target::{Connection, LatencySource, Quality, Target};
use crate::units::{Bytes, Millis};

/// How the latency of a network on a target is known: `measured here`, `estimated` or `unknown`.
pub fn latency_is(target: &Target) -> &'static str {
    match (&target.latency_model, target.connection) {
        (_, Connection::Local) => "measured here",
        (LatencySource::Analytic(model), Connection::None) if model.numbers == target.numbers => "estimated",
        (LatencySource::Table(_), Connection::None) => "estimated",
        (LatencySource::Analytic(_) | LatencySource::None, Connection::None) => "unknown",
    }
}

/// Targets with their limits, one in each line.
pub fn targets_text(targets: &[Target]) -> String {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_string());
    let row = |target: &Target| {
        let limits = &target.limits;
        vec![
            target.name.clone(),
            if target.core.is_empty() { "-".to_string() } else { target.core.clone() },
            or_none(target.clock.map(|v| v.to_string())),
            target.numbers.to_string(),
            or_none(limits.peak_ram.map(|v| v.to_string())),
            or_none(limits.weights_flash.map(|v| v.to_string())),
            or_none(limits.macs.map(|v| v.to_string())),
            or_none(limits.latency.map(|l| l.most.to_string())),
            latency_is(target).to_string(),
        ]
    };
    let header = ["target", "core", "clock", "numbers", "peak RAM", "weights flash", "MACs", "latency", "latency is"];
    plain_table(&header, targets.iter().map(row).collect())
}

/// A target with everything that its profile says.
pub fn target_text(target: &Target) -> String {
    let mut lines = Lines { target, text: format!("{}\n", target.name), title: "" };
    lines.word("", &target.description);
    lines.word("vendor", &target.vendor);
    lines.word("core", &target.core);
    lines.figure("clock", "clock", target.clock);
    lines.word("numbers", &target.numbers.to_string());
    let runtime = &target.runtime;
    let named = [&runtime.name, &runtime.version].map(String::as_str).join(" ");
    let threads = if runtime.threads == 1 { "1 thread".to_string() } else { format!("{} threads", runtime.threads) };
    lines.word("runtime", &if named.trim().is_empty() { named } else { format!("{}, {threads}", named.trim()) });
    if let Some(operators) = &target.operators {
        lines.word("operators", &operators.join(", "));
    }
    let (memory, limits) = (&target.memory, &target.limits);
    lines.title("memory");
    lines.figure("RAM", "memory.ram", memory.ram);
    lines.figure("largest block", "memory.largest_block", memory.largest_block);
    lines.figure("reserved RAM", "memory.reserved_ram", memory.reserved_ram);
    lines.figure("flash", "memory.flash", memory.flash);
    lines.figure("reserved flash", "memory.reserved_flash", memory.reserved_flash);
    lines.title("limits");
    lines.limit("peak RAM", "limits.peak_ram", limits.peak_ram, memory.usable_ram());
    lines.limit("weights flash", "limits.weights_flash", limits.weights_flash, memory.usable_flash());
    lines.figure("MACs", "limits.macs", limits.macs);
    let latency = limits.latency.map(|limit| format!("{} at p{}", limit.most, limit.percentile));
    lines.figure("latency", "limits.latency", latency);
    lines.text += &format!("latency: {}\n", latency_is(target));
    lines.title("");
    lines.latency_model();
    lines.text
}

struct Lines<'a> {
    target: &'a Target,
    text: String,
    title: &'static str,
}

impl Lines<'_> {
    /// A title for the lines that follow, if there are any.
    fn title(&mut self, title: &'static str) {
        self.title = title;
    }

    fn push(&mut self, line: &str) {
        if !self.title.is_empty() {
            self.text += &format!("{}\n", std::mem::take(&mut self.title));
        }
        self.text += &format!("  {line}\n");
    }

    fn word(&mut self, label: &str, value: &str) {
        match (label, value.trim()) {
            (_, "") => {}
            ("", value) => self.push(value),
            (label, value) => self.push(&format!("{label:<15} {value}")),
        }
    }

    fn figure<T: std::fmt::Display>(&mut self, label: &str, name: &str, value: Option<T>) {
        let Some(value) = value else { return };
        match self.target.sources.get(name) {
            Some(source) => self.word(label, &format!("{value:<13} {source}")),
            None => self.word(label, &value.to_string()),
        }
    }

    fn limit(&mut self, label: &str, name: &str, limit: Option<Bytes>, usable: Option<Bytes>) {
        match self.target.sources.contains_key(name) || limit != usable {
            true => self.figure(label, name, limit),
            false => {
                self.figure(label, name, limit.map(|limit| format!("{:<13} what the memory leaves", limit.to_string())))
            }
        }
    }

    fn latency_model(&mut self) {
        match &self.target.latency_model {
            LatencySource::None => {}
            LatencySource::Analytic(model) => {
                self.figure("offset", "latency_model.offset", Some(model.offset));
                let rate = format!("{}/s", model.macs_per_second);
                self.figure("MACs", "latency_model.macs_per_second", Some(rate));
                self.word("for numbers", &model.numbers.to_string());
                self.quality(model.quality);
            }
            LatencySource::Table(table) => {
                let file = table.path.as_ref().map(|path| path.display().to_string());
                self.word("operator times", file.as_deref().unwrap_or("timed on this machine when needed"));
                self.quality(table.quality);
            }
        }
    }

    fn quality(&mut self, quality: Quality) {
        self.word("fitted to", &quality.samples.map_or(String::new(), |samples| format!("{samples} networks")));
        self.word("median error", &quality.error.map_or(String::new(), |e| format!("{:.0} %", e * 100.0)));
    }
}

/// A target for programs, with units in the names of fields.
pub fn target_json(target: &Target) -> Value {
    let bytes = |value: Option<Bytes>| value.map(|bytes| bytes.0);
    let (memory, limits) = (&target.memory, &target.limits);
    json!({
        "schema_version": 1,
        "name": target.name,
        "description": target.description,
        "vendor": target.vendor,
        "core": target.core,
        "clock_hz": target.clock.map(|clock| clock.0),
        "numbers": target.numbers,
        "runtime": { "name": target.runtime.name, "version": target.runtime.version, "threads": target.runtime.threads },
        "is_this_machine": target.is_local(),
        "operators": target.operators,
        "memory": {
            "ram_bytes": bytes(memory.ram),
            "largest_block_bytes": bytes(memory.largest_block),
            "reserved_ram_bytes": bytes(memory.reserved_ram),
            "flash_bytes": bytes(memory.flash),
            "reserved_flash_bytes": bytes(memory.reserved_flash),
        },
        "limits": {
            "peak_ram_bytes": bytes(limits.peak_ram),
            "weights_flash_bytes": bytes(limits.weights_flash),
            "macs": limits.macs.map(|macs| macs.0),
            "latency_ms": limits.latency.map(|limit| limit.most.0),
            "latency_percentile": limits.latency.map(|limit| limit.percentile),
        },
        "latency": latency_is(target),
        "latency_model": latency_model_json(&target.latency_model),
        "sources": target.sources,
    })
}

fn latency_model_json(model: &LatencySource) -> Value {
    let quality = |quality: &Quality| (quality.samples, quality.error);
    match model {
        LatencySource::None => json!({ "kind": "none" }),
        LatencySource::Analytic(model) => {
            let (Millis(offset), (samples, error)) = (model.offset, quality(&model.quality));
            json!({
                "kind": "analytic",
                "offset_ms": offset,
                "macs_per_second": model.macs_per_second.0,
                "numbers": model.numbers,
                "samples": samples,
                "median_relative_error": error,
            })
        }
        LatencySource::Table(table) => {
            let (samples, error) = quality(&table.quality);
            json!({ "kind": "table", "file": table.path, "samples": samples, "median_relative_error": error })
        }
    }
}
