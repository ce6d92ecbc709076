//! Profiles as text: a target written out, and the page that `netwright targets new` starts one with.

use std::fmt::Write;

use serde::Serialize;

use super::{Connection, LatencySource, Quality, Target};

/// A profile to fill in, valid as it is.
const TEMPLATE: &str = include_str!("template.yaml");

/// A commented profile with this name.
pub fn template(name: &str) -> String {
    TEMPLATE.replace("NAME", name)
}

/// The profile as YAML, complete: reading it gives the same target.
pub(super) fn profile(target: &Target) -> String {
    let mut page = Page { target, text: String::new(), section: "" };
    page.word("name", &target.name);
    page.quoted("description", &target.description);
    page.quoted("vendor", &target.vendor);
    page.quoted("core", &target.core);
    page.figure("clock", target.clock);
    page.word("numbers", &target.numbers.to_string());
    page.word("connection", connection(target.connection));
    if let Some(operators) = &target.operators {
        page.word("operators", &format!("[{}]", operators.join(", ")));
    }
    page.open("runtime");
    page.quoted("name", &target.runtime.name);
    page.quoted("version", &target.runtime.version);
    page.word("threads", &target.runtime.threads.to_string());
    page.open("memory");
    page.figure("ram", target.memory.ram);
    page.figure("largest_block", target.memory.largest_block);
    page.figure("reserved_ram", target.memory.reserved_ram);
    page.figure("flash", target.memory.flash);
    page.figure("reserved_flash", target.memory.reserved_flash);
    page.open("limits");
    page.figure("peak_ram", target.limits.peak_ram);
    page.figure("weights_flash", target.limits.weights_flash);
    page.figure("macs", target.limits.macs);
    if let Some(limit) = target.limits.latency {
        page.figure("latency", Some(limit.most));
        page.word("latency_percentile", &limit.percentile.to_string());
    }
    page.latency_model();
    page.text
}

/// The word of a profile for a connection.
pub(super) fn connection(connection: Connection) -> &'static str {
    match connection {
        Connection::Local => "local",
        Connection::None => "none",
    }
}

struct Page<'a> {
    target: &'a Target,
    text: String,
    section: &'static str,
}

impl Page<'_> {
    fn open(&mut self, section: &'static str) {
        self.section = section;
        let _ = writeln!(self.text, "{section}:");
    }

    fn word(&mut self, key: &str, value: &str) {
        let indent = if self.section.is_empty() { "" } else { "  " };
        let _ = writeln!(self.text, "{indent}{key}: {value}");
    }

    fn quoted(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.word(key, &quote(value));
        }
    }

    fn figure<T: Serialize>(&mut self, key: &str, value: Option<T>) {
        let Some(value) = value else { return };
        let value = serde_json::to_value(value).expect("a quantity is a text");
        let value = value.as_str().expect("a quantity is a text");
        let name = if self.section.is_empty() { key.to_string() } else { format!("{}.{key}", self.section) };
        match self.target.sources.get(&name) {
            Some(source) => self.word(key, &format!("{{value: {value}, source: {}}}", quote(source))),
            None => self.word(key, value),
        }
    }

    fn latency_model(&mut self) {
        self.open("latency_model");
        match &self.target.latency_model {
            LatencySource::None => self.word("kind", "none"),
            LatencySource::Analytic(model) => {
                self.word("kind", "analytic");
                self.figure("offset", Some(model.offset));
                self.figure("macs_per_second", Some(model.macs_per_second));
                self.word("numbers", &model.numbers.to_string());
                self.quality(model.quality);
            }
            LatencySource::Table(table) => {
                self.word("kind", "table");
                if let Some(path) = &table.path {
                    self.word("file", &quote(&path.display().to_string()));
                }
                self.quality(table.quality);
            }
        }
    }

    fn quality(&mut self, quality: Quality) {
        if let Some(samples) = quality.samples {
            self.word("samples", &samples.to_string());
        }
        if let Some(error) = quality.error {
            self.word("error", &format!("{} %", error * 100.0));
        }
    }
}

/// A text in double quotes, as JSON has it, which YAML reads the same way.
fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}
