//! A target as it is used: who it is, what it has, what a network must not exceed, and how its latency is known.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::graph::{Cost, Graph, NumberFormat, Op};
use crate::units::{Bytes, Hertz, Macs, Millis};

/// A device that networks are made for.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name; for a shipped profile the stem of its file.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Who makes it; may be empty.
    pub vendor: String,
    /// Its processor; may be empty.
    pub core: String,
    /// Clock of the processor.
    pub clock: Option<Hertz>,
    /// How numbers are stored on it.
    pub numbers: NumberFormat,
    /// What runs the network.
    pub runtime: Runtime,
    /// Where the device is.
    pub connection: Connection,
    /// Operators that the runtime has, by [`Op::name`]; all if absent.
    pub operators: Option<Vec<String>>,
    /// Its memory.
    pub memory: Memory,
    /// What a network must not exceed.
    pub limits: Limits,
    /// How latency is known without measuring.
    pub latency_model: LatencySource,
    /// Where figures come from, by dotted name: `memory.ram`.
    pub sources: BTreeMap<String, String>,
}

/// What runs networks on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Its name.
    pub name: String,
    /// Its version; may be empty.
    pub version: String,
    /// Threads that one network runs on.
    pub threads: usize,
}

/// Where a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connection {
    /// It is the machine that netwright runs on: latency is measured.
    #[default]
    Local,
    /// It cannot be reached: latency is estimated.
    None,
}

/// Memory of a device; what is absent is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// All of its RAM.
    pub ram: Option<Bytes>,
    /// The largest part of the RAM that has consecutive addresses.
    pub largest_block: Option<Bytes>,
    /// RAM that the program and the runtime need beside activations.
    pub reserved_ram: Option<Bytes>,
    /// Storage for the program and the weights.
    pub flash: Option<Bytes>,
    /// Flash that the program and the runtime need beside weights.
    pub reserved_flash: Option<Bytes>,
}

impl Memory {
    /// RAM that activations can have: the largest block, less what the rest of the RAM does not take of the reserved part.
    pub fn usable_ram(&self) -> Option<Bytes> {
        let reserved = self.reserved_ram.unwrap_or_default().0;
        let free = self.ram.map(|ram| ram.0.saturating_sub(reserved));
        let block = self.largest_block.map(|block| block.0);
        free.into_iter().chain(block).min().map(Bytes)
    }

    /// Flash that weights can have.
    pub fn usable_flash(&self) -> Option<Bytes> {
        let reserved = self.reserved_flash.unwrap_or_default().0;
        self.flash.map(|flash| Bytes(flash.0.saturating_sub(reserved)))
    }
}

/// Hard limits; what is absent does not limit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// Peak activation RAM.
    pub peak_ram: Option<Bytes>,
    /// Weights flash.
    pub weights_flash: Option<Bytes>,
    /// Multiply-accumulates of convolutions.
    pub macs: Option<Macs>,
    /// Latency of one image.
    pub latency: Option<LatencyLimit>,
}

/// A latency that a percentile of the runs must not exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyLimit {
    /// The longest time.
    pub most: Millis,
    /// The percentile: 50, 90 or 99.
    pub percentile: u8,
}

/// How the latency of a network is known without measuring it.
#[derive(Debug, Clone, PartialEq)]
pub enum LatencySource {
    /// It is not.
    None,
    /// From the multiply-accumulates.
    Analytic(Analytic),
    /// As the sum of operators that were timed on the device.
    Table(TimesFile),
}

/// A file of operator times.
#[derive(Debug, Clone, PartialEq)]
pub struct TimesFile {
    /// As `netwright calibrate` writes it, seen from the profile's folder. Without it, the operators are timed on this
    /// machine.
    pub path: Option<PathBuf>,
    /// How well it is known.
    pub quality: Quality,
}

/// Time as a straight line over multiply-accumulates. These alone rank networks roughly: rates of networks differ by a
/// factor of 1.3 to 2.6 on one processor.
#[derive(Debug, Clone, PartialEq)]
pub struct Analytic {
    /// Time of a network without operators.
    pub offset: Millis,
    /// Multiply-accumulates in a second, of convolutions and linear layers.
    pub macs_per_second: Macs,
    /// The number format that the rate holds for.
    pub numbers: NumberFormat,
    /// How well it is known.
    pub quality: Quality,
}

/// How well a latency model is known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quality {
    /// Networks that it was fitted to.
    pub samples: Option<u64>,
    /// Median of |predicted - measured| / measured.
    pub error: Option<f64>,
}

impl Analytic {
    /// Time of a network.
    pub fn predict(&self, cost: &Cost) -> Millis {
        let macs = (cost.macs + cost.linear_macs) as f64;
        Millis(self.offset.0 + 1e3 * macs / self.macs_per_second.0 as f64)
    }
}

impl Target {
    /// Whether the latency of the device is measured here.
    pub fn is_local(&self) -> bool {
        self.connection == Connection::Local
    }

    /// Latency by the analytic model, if there is one for the target's number format.
    pub fn estimated(&self, cost: &Cost) -> Option<Millis> {
        match &self.latency_model {
            LatencySource::Analytic(model) if model.numbers == self.numbers => Some(model.predict(cost)),
            LatencySource::Analytic(_) | LatencySource::Table(_) | LatencySource::None => None,
        }
    }

    /// The first operator of a deployable graph that the runtime does not have.
    pub fn unsupported(&self, deployable: &Graph) -> Option<&'static str> {
        let supported = self.operators.as_ref()?;
        let names =
            deployable.nodes().iter().filter(|node| !matches!(node.op, Op::Input(_))).map(|node| node.op.name());
        names.into_iter().find(|name| !supported.iter().any(|known| known == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_memory_is_what_the_runtime_leaves_of_one_block() {
        let kib = |n: u64| Some(Bytes(n * 1024));
        let memory = Memory { ram: kib(128), reserved_ram: kib(16), ..Memory::default() };
        assert_eq!(memory.usable_ram(), kib(112));
        // What is reserved finds room beside the block.
        let split = Memory { ram: kib(1024), largest_block: kib(512), reserved_ram: kib(32), ..memory };
        assert_eq!(split.usable_ram(), kib(512));
        assert_eq!((split.usable_flash(), Memory::default().usable_ram()), (None, None));
    }

    #[test]
    fn an_analytic_estimate_holds_for_its_number_format_alone() {
        let yaml = "name: x\nnumbers: int8\nconnection: none\nlimits: {}\n\
                    latency_model: {kind: analytic, offset: 1 ms, macs_per_second: 100 M}\n";
        let target = Target::parse(yaml, "x").unwrap();
        let cost = Cost { macs: 9_000_000, linear_macs: 1_000_000, ..Cost::default() };
        assert_eq!(target.estimated(&cost), Some(Millis(101.0)));
        assert_eq!(target.with_numbers(NumberFormat::F32).unwrap().estimated(&cost), None);
    }
}
