//! A mapping of a profile: its keys are checked when it is opened, its leaves become typed values one by one, and whatever
//! is wrong is noted with its place.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::document::{Entry, Node, Value};
use super::fault::{Fault, Place};

/// Sections and their keys; the first is the profile itself.
pub(super) const SECTIONS: [(&str, &[&str]); 5] = [
    (
        "",
        &[
            "name",
            "description",
            "vendor",
            "core",
            "clock",
            "numbers",
            "runtime",
            "connection",
            "operators",
            "memory",
            "limits",
            "latency_model",
        ],
    ),
    ("runtime", &["name", "version", "threads"]),
    ("memory", &["ram", "largest_block", "reserved_ram", "flash", "reserved_flash", "source"]),
    ("limits", &["peak_ram", "weights_flash", "macs", "latency", "latency_percentile", "source"]),
    ("latency_model", &["kind", "offset", "macs_per_second", "numbers", "file", "samples", "error", "source"]),
];
/// Keys of a figure that is written with its source.
const FIGURE: &[&str] = &["value", "source"];
/// Similarity of spellings from which a key is proposed.
const SIMILAR: f64 = 0.75;

/// What reading a profile has brought so far.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub faults: Vec<Fault>,
    /// Where each value stands, by its dotted name: `memory.ram`.
    pub places: BTreeMap<String, Place>,
    /// Where each figure comes from.
    pub sources: BTreeMap<String, String>,
    /// Whether the latency model was written wrongly, so that no latency is known for that reason.
    pub latency_model_is_faulty: bool,
}

impl Reading {
    fn fault(&mut self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.faults.push(Fault::new(place, message, hint));
    }

    /// Notes what is wrong with a value that was read; nothing if it was not written.
    pub fn fault_at(&mut self, name: &str, message: impl Into<String>, hint: impl Into<String>) {
        if let Some(place) = self.places.get(name) {
            self.faults.push(Fault::new(*place, message, hint));
        }
    }
}

/// A mapping with known keys.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// Its name, empty for the profile itself.
    pub name: &'static str,
    entries: &'a [Entry],
}

impl<'a> Section<'a> {
    /// One of [`SECTIONS`]; an empty value is a section without entries.
    pub fn open(name: &'static str, node: &'a Node, reading: &mut Reading) -> Self {
        let keys = SECTIONS.iter().find(|(section, _)| *section == name).map_or(&[][..], |(_, keys)| keys);
        Section { name, entries: entries(name, node, keys, reading) }
    }

    /// The dotted name of a key.
    pub fn path(&self, key: &str) -> String {
        dotted(self.name, key)
    }

    /// The value of a key, if it is written.
    pub fn node(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// A text.
    pub fn text(&self, key: &str, reading: &mut Reading) -> Option<String> {
        let node = self.node(key)?;
        reading.places.insert(self.path(key), node.place);
        scalar(&self.path(key), node, reading).map(str::to_string)
    }

    /// A value that its type reads.
    pub fn value<T: FromStr<Err: ToString>>(&self, key: &str, reading: &mut Reading) -> Option<T> {
        let node = self.node(key)?;
        reading.places.insert(self.path(key), node.place);
        typed(&self.path(key), node, reading)
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], reading: &mut Reading) -> Option<T> {
        let node = self.node(key)?;
        reading.places.insert(self.path(key), node.place);
        let text = scalar(&self.path(key), node, reading)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let hint = similar(text, &words).map_or_else(|| format!("it can be {}", either(&words)), did_you_mean);
            reading.fault(node.place, format!("`{}` cannot be `{text}`", self.path(key)), hint);
        }
        found
    }

    /// A figure that may be zero, as `value` or `{value: …, source: …}`; without a source of its own it has the section's.
    pub fn amount<T: FromStr<Err: ToString>>(&self, key: &str, reading: &mut Reading) -> Option<T> {
        let (path, node) = (self.path(key), self.node(key)?);
        let Value::Map(_) = &node.value else {
            reading.places.insert(path.clone(), node.place);
            if let Some(Value::Scalar(source)) = self.node("source").map(|node| &node.value) {
                reading.sources.insert(path.clone(), source.clone());
            }
            return typed(&path, node, reading);
        };
        let figure = Section { name: "", entries: entries(&path, node, FIGURE, reading) };
        if let Some(source) = figure.node("source").and_then(|node| scalar("source", node, reading)) {
            reading.sources.insert(path.clone(), source.to_string());
        }
        let Some(value) = figure.node("value") else {
            reading.fault(node.place, format!("`{path}` has no `value`"), "write `{value: …, source: …}`");
            return None;
        };
        reading.places.insert(path.clone(), value.place);
        typed(&path, value, reading)
    }

    /// A figure above zero.
    pub fn figure<T>(&self, key: &str, reading: &mut Reading) -> Option<T>
    where
        T: FromStr<Err: ToString> + Default + PartialEq,
    {
        let value = self.amount(key, reading)?;
        if value == T::default() {
            let hint = "leave it out if it is not known or does not matter";
            reading.fault_at(&self.path(key), format!("`{}` is zero", self.path(key)), hint);
            return None;
        }
        Some(value)
    }

    /// A list of words.
    pub fn words(&self, key: &str, known: &[&str], reading: &mut Reading) -> Option<Vec<String>> {
        let node = self.node(key)?;
        reading.places.insert(self.path(key), node.place);
        let Value::List(items) = &node.value else {
            reading.fault(node.place, format!("`{}` is no list", self.path(key)), "write `[one, two]`");
            return None;
        };
        let mut words = Vec::new();
        for item in items {
            let Some(word) = scalar(&self.path(key), item, reading) else { continue };
            if !known.contains(&word) {
                let hint = similar(word, known).map_or_else(|| format!("known are {}", listed(known)), did_you_mean);
                reading.fault(item.place, format!("`{word}` is not known in `{}`", self.path(key)), hint);
            }
            words.push(word.to_string());
        }
        Some(words)
    }
}

fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_string() } else { format!("{section}.{key}") }
}

/// The entries of a mapping, after its keys were checked.
fn entries<'a>(name: &str, node: &'a Node, keys: &[&str], reading: &mut Reading) -> &'a [Entry] {
    let entries = match &node.value {
        Value::Map(entries) => entries.as_slice(),
        Value::Empty | Value::Refused => return &[],
        Value::Scalar(_) | Value::List(_) => {
            let what = if name.is_empty() { "the profile".to_string() } else { format!("`{name}`") };
            reading.fault(node.place, format!("{what} is no mapping"), format!("write {}", written(name, keys)));
            return &[];
        }
    };
    for (at, Entry { key, place, .. }) in entries.iter().enumerate() {
        let first = entries[..at].iter().find(|earlier| earlier.key == *key);
        if let Some(first) = first {
            let message = format!("`{key}` is written twice, first on line {}", first.place.line);
            reading.fault(*place, message, "remove one of them");
        } else if !keys.contains(&key.as_str()) {
            let message = match name.is_empty() {
                true => format!("unknown key `{key}`"),
                false => format!("unknown key `{key}` in `{name}`"),
            };
            reading.fault(*place, message, key_hint(key, keys));
        }
    }
    entries
}

fn written(name: &str, keys: &[&str]) -> String {
    match name.is_empty() {
        true => format!("`{}: …` on lines of their own", keys[0]),
        false => format!("`{}: …` on a line of its own below `{name}:`", keys[0]),
    }
}

/// The key that was probably meant, here or in another section, or all that there are.
fn key_hint(key: &str, keys: &[&str]) -> String {
    if let Some(key) = similar(key, keys) {
        return did_you_mean(key);
    }
    let elsewhere = SECTIONS.iter().find(|(section, keys)| !section.is_empty() && keys.contains(&key));
    match elsewhere {
        Some((section, _)) => format!("`{key}` belongs below `{section}:`"),
        None if SECTIONS[0].1.contains(&key) => format!("`{key}` belongs at the beginning of a line"),
        None => format!("keys here are {}", listed(keys)),
    }
}

fn did_you_mean(word: &str) -> String {
    format!("did you mean `{word}`?")
}

fn similar<'a>(word: &str, words: &[&'a str]) -> Option<&'a str> {
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&word.to_lowercase(), known);
    let partly = |known: &str| word.len() > 2 && known.split('_').any(|part| part == word);
    let best = words.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    match likeness(best) >= SIMILAR {
        true => Some(best),
        false => words.iter().copied().find(|known| partly(known)),
    }
}

/// `a`, `b` or `c`.
fn either(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or `{last}`", listed(rest)),
        _ => listed(words),
    }
}

/// `a`, `b`, `c`.
fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn scalar<'a>(path: &str, node: &'a Node, reading: &mut Reading) -> Option<&'a str> {
    match &node.value {
        Value::Scalar(text) => Some(text),
        Value::Refused => None,
        Value::Empty => {
            reading.fault(node.place, format!("`{path}` has no value"), "write one, or remove the line");
            None
        }
        Value::List(_) | Value::Map(_) => {
            reading.fault(node.place, format!("`{path}` is no single value"), "write it on the same line");
            None
        }
    }
}

fn typed<T: FromStr<Err: ToString>>(path: &str, node: &Node, reading: &mut Reading) -> Option<T> {
    let text = scalar(path, node, reading)?;
    let wrong = match text.parse() {
        Ok(value) => return Some(value),
        Err(error) => ToString::to_string(&error),
    };
    let (message, hint) = wrong.split_once("\nhint: ").unwrap_or((&wrong, "write a whole number"));
    reading.fault(node.place, format!("`{path}`: {message}"), hint);
    None
}
