//! From the YAML of a profile to a [`Target`]: all leaves are read, then held against each other, and all faults are
//! reported together.

use std::path::PathBuf;

use super::checks;
use super::document;
use super::error::TargetError;
use super::fault::{Fault, render};
use super::section::{Reading, Section};
use super::{
    Analytic, Connection, LatencyLimit, LatencySource, Limits, Memory, Quality, Runtime, Target, TimesFile, write,
};
use crate::graph::NumberFormat;
use crate::units::Millis;

/// Longest name of a target.
const LONGEST_NAME: usize = 64;
const NUMBERS: [(&str, NumberFormat); 2] = [("f32", NumberFormat::F32), ("int8", NumberFormat::Int8)];
/// Operators of networks after batch normalisation was folded away.
pub(super) const OPERATORS: [&str; 11] =
    ["normalize", "conv2d", "relu", "relu6", "add", "concat", "crop", "max_pool", "avg_pool", "global_mean", "linear"];

/// A share that is written as a percentage.
#[derive(Debug, PartialEq, Default)]
struct Percent(f64);

impl std::str::FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
        match number.filter(|number| number.is_finite() && *number >= 0.0) {
            Some(number) => Ok(Percent(number / 100.0)),
            None => Err(format!("`{text}` is not a percentage\nhint: write a number and `%`, for example `10 %`")),
        }
    }
}

impl Target {
    /// Reads a profile; `origin` is what messages call it.
    ///
    /// # Errors
    /// If anything is wrong with it: everything, each with its place.
    pub fn parse(yaml: &str, origin: &str) -> Result<Self, TargetError> {
        let text = yaml.strip_prefix('\u{feff}').unwrap_or(yaml);
        let (root, faults) = document::parse(text);
        let mut reading = Reading { faults, ..Reading::default() };
        let target = root.and_then(|root| {
            let profile = Section::open("", &root, &mut reading);
            let target = read(&profile, &mut reading);
            checks::check(&target, &mut reading);
            reading.faults.is_empty().then_some(target)
        });
        let count = reading.faults.len();
        target.ok_or_else(|| TargetError::Invalid {
            origin: origin.to_string(),
            count,
            faults: render(origin, text, reading.faults),
        })
    }

    /// The same device with networks stored in another number format.
    ///
    /// # Errors
    /// If its latency is not known then, but limited.
    pub fn with_numbers(&self, numbers: NumberFormat) -> Result<Self, TargetError> {
        let target = Target { numbers, ..self.clone() };
        match checks::latency_is_known(&target) {
            true => Ok(target),
            false => Err(TargetError::Numbers { name: self.name.clone(), numbers }),
        }
    }

    /// The profile as YAML, complete: reading it gives the same target.
    pub fn to_yaml(&self) -> String {
        write::profile(self)
    }
}

fn read(profile: &Section, reading: &mut Reading) -> Target {
    let name = name(profile, reading);
    let text = |key, reading: &mut Reading| profile.text(key, reading).unwrap_or_default();
    let numbers = profile.word("numbers", &NUMBERS, reading).unwrap_or_default();
    let memory = memory(profile, reading);
    let mut target = Target {
        name,
        description: text("description", reading),
        vendor: text("vendor", reading),
        core: text("core", reading),
        clock: profile.figure("clock", reading),
        numbers,
        runtime: runtime(profile, reading),
        connection: connection(profile, reading),
        operators: profile.words("operators", &OPERATORS, reading),
        memory,
        limits: limits(profile, reading),
        latency_model: latency_source(profile, numbers, reading),
        sources: std::mem::take(&mut reading.sources),
    };
    // What the device does not have, no network may need.
    target.limits.peak_ram = target.limits.peak_ram.or(memory.usable_ram());
    target.limits.weights_flash = target.limits.weights_flash.or(memory.usable_flash());
    target
}

fn section<'a>(name: &'static str, profile: &Section<'a>, reading: &mut Reading) -> Option<Section<'a>> {
    let node = profile.node(name)?;
    reading.places.insert(name.to_string(), node.place);
    Some(Section::open(name, node, reading))
}

fn name(profile: &Section, reading: &mut Reading) -> String {
    let example = "write a word like `my-board`";
    let name = profile.text("name", reading).unwrap_or_default();
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if profile.node("name").is_none() {
        let start = super::fault::Place { line: 1, column: 1, width: 1 };
        reading.faults.push(Fault::new(start, "the profile has no `name`", example));
    } else if name.len() > LONGEST_NAME || !name.chars().all(is_word) {
        let message = format!("`name` is no word of at most {LONGEST_NAME} letters, digits, `-`, `_` and `.`");
        reading.fault_at("name", message, example);
    }
    name
}

fn runtime(profile: &Section, reading: &mut Reading) -> Runtime {
    let section = section("runtime", profile, reading);
    let text = |key, reading: &mut Reading| section.as_ref().and_then(|s| s.text(key, reading)).unwrap_or_default();
    let threads = section.as_ref().and_then(|s| s.figure("threads", reading)).unwrap_or(1);
    Runtime { name: text("name", reading), version: text("version", reading), threads }
}

fn connection(profile: &Section, reading: &mut Reading) -> Connection {
    let words = [("local", Connection::Local), ("none", Connection::None)];
    match profile.word("connection", &words, reading) {
        Some(connection) => connection,
        // A device with a latency model is not this machine unless it says so.
        None if profile.node("latency_model").is_some() => Connection::None,
        None => Connection::Local,
    }
}

fn memory(profile: &Section, reading: &mut Reading) -> Memory {
    let Some(section) = section("memory", profile, reading) else { return Memory::default() };
    Memory {
        ram: section.figure("ram", reading),
        largest_block: section.figure("largest_block", reading),
        reserved_ram: section.amount("reserved_ram", reading),
        flash: section.figure("flash", reading),
        reserved_flash: section.amount("reserved_flash", reading),
    }
}

fn limits(profile: &Section, reading: &mut Reading) -> Limits {
    let Some(section) = section("limits", profile, reading) else { return Limits::default() };
    let percentile = section.word("latency_percentile", &[("50", 50), ("90", 90), ("99", 99)], reading).unwrap_or(90);
    Limits {
        peak_ram: section.figure("peak_ram", reading),
        weights_flash: section.figure("weights_flash", reading),
        macs: section.figure("macs", reading),
        latency: section.figure::<Millis>("latency", reading).map(|most| LatencyLimit { most, percentile }),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    None,
    Analytic,
    Table,
}

/// Keys that only one kind of latency model has.
const ANALYTIC_KEYS: [&str; 3] = ["offset", "macs_per_second", "numbers"];

fn latency_source(profile: &Section, numbers: NumberFormat, reading: &mut Reading) -> LatencySource {
    let faults = reading.faults.len();
    let source = written_latency_source(profile, numbers, reading);
    reading.latency_model_is_faulty = reading.faults.len() > faults;
    source
}

fn written_latency_source(profile: &Section, numbers: NumberFormat, reading: &mut Reading) -> LatencySource {
    let Some(section) = section("latency_model", profile, reading) else { return LatencySource::None };
    let words = [("none", Kind::None), ("analytic", Kind::Analytic), ("table", Kind::Table)];
    if section.node("kind").is_none() {
        reading.fault_at("latency_model", "`latency_model` has no `kind`", "write `kind: none`, `analytic` or `table`");
    }
    let kind = section.word("kind", &words, reading);
    let offset = section.amount("offset", reading).unwrap_or_default();
    let macs_per_second = section.figure("macs_per_second", reading);
    let for_numbers = section.word("numbers", &NUMBERS, reading).unwrap_or(numbers);
    let path = section.text("file", reading).map(PathBuf::from);
    let samples = section.value("samples", reading);
    let error = section.value("error", reading).map(|Percent(share)| share);
    let quality = Quality { samples, error };
    let superfluous = |keys: &[&str], kind: &str, reading: &mut Reading| {
        for key in keys {
            let name = section.path(key);
            let message = format!("a latency model of kind `{kind}` has no `{key}`");
            reading.fault_at(&name, message, "remove it, or change `kind`");
        }
    };
    match kind {
        Some(Kind::None) => superfluous(&[&ANALYTIC_KEYS[..], &["file", "samples", "error"]].concat(), "none", reading),
        Some(Kind::Analytic) => superfluous(&["file"], "analytic", reading),
        Some(Kind::Table) => superfluous(&ANALYTIC_KEYS, "table", reading),
        None => {}
    }
    match (kind, macs_per_second) {
        (Some(Kind::Analytic), Some(macs_per_second)) => {
            LatencySource::Analytic(Analytic { offset, macs_per_second, numbers: for_numbers, quality })
        }
        (Some(Kind::Analytic), None) => {
            let message = "an analytic latency model has no `macs_per_second`";
            reading.fault_at("latency_model", message, "write for example `macs_per_second: 100 M`");
            LatencySource::None
        }
        (Some(Kind::Table), _) => LatencySource::Table(TimesFile { path, quality }),
        (Some(Kind::None) | None, _) => LatencySource::None,
    }
}
