//! Whether a network may be deployed on a target: every broken limit, with what was needed and what was found.

use std::fmt;

use super::Target;
use crate::graph::Cost;
use crate::units::{Bytes, Macs, Millis};

/// Where a latency comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// From a latency model: it only filters.
    Predicted,
    /// From a latency model of a device that is not here: the last word on it, and marked as such.
    Estimated,
    /// From the device.
    Measured,
}

impl Provenance {
    /// The word for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Provenance::Predicted => "predicted",
            Provenance::Estimated => "estimated",
            Provenance::Measured => "measured",
        }
    }
}

/// A latency at the percentile that the target names, or a prediction of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// The time.
    pub time: Millis,
    /// Where it comes from.
    pub provenance: Provenance,
}

/// A limit of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Peak activation RAM.
    PeakRam,
    /// Weights flash.
    WeightsFlash,
    /// Multiply-accumulates.
    Macs,
    /// Latency.
    Latency,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Limit::PeakRam => "peak RAM",
            Limit::WeightsFlash => "weights flash",
            Limit::Macs => "MACs",
            Limit::Latency => "latency",
        })
    }
}

/// A limit that a network breaks.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    /// Which one.
    pub limit: Limit,
    /// The most that the target allows.
    pub allowed: String,
    /// What the network needs.
    pub found: String,
    /// How many times the limit that is.
    pub ratio: f64,
}

/// Every limit that a network breaks; none if it fits.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The broken limits.
    pub broken: Vec<Broken>,
}

impl Verdict {
    /// Whether no limit is broken.
    pub fn fits(&self) -> bool {
        self.broken.is_empty()
    }
}

impl Target {
    /// Whether a network may be trained: by its cost and the latency that is expected. What is measured later may be
    /// unknown now; what never is must be known.
    pub fn lets_in(&self, cost: &Cost, expected: Option<Millis>) -> bool {
        let latency = expected.map(|time| Latency { time, provenance: Provenance::Predicted });
        let is_known = self.limits.latency.is_none() || self.is_local() || latency.is_some();
        is_known && self.verdict(cost, latency).fits()
    }

    /// Holds a network's cost, and its latency where it is known, against the limits.
    pub fn verdict(&self, cost: &Cost, latency: Option<Latency>) -> Verdict {
        let mut broken = Vec::new();
        let mut check = |limit, allowed: f64, found: f64, texts: (String, String)| {
            if found > allowed {
                broken.push(Broken { limit, allowed: texts.0, found: texts.1, ratio: found / allowed });
            }
        };
        let limits = &self.limits;
        let bytes = |allowed: Bytes, found: Bytes| (allowed.to_string(), found.to_string());
        if let Some(allowed) = limits.peak_ram {
            let found = cost.peak_ram(self.numbers);
            check(Limit::PeakRam, allowed.0 as f64, found.0 as f64, bytes(allowed, found));
        }
        if let Some(allowed) = limits.weights_flash {
            let found = cost.weights_flash(self.numbers);
            check(Limit::WeightsFlash, allowed.0 as f64, found.0 as f64, bytes(allowed, found));
        }
        if let Some(allowed) = limits.macs {
            let texts = (allowed.to_string(), Macs(cost.macs).to_string());
            check(Limit::Macs, allowed.0 as f64, cost.macs as f64, texts);
        }
        if let (Some(allowed), Some(found)) = (limits.latency, latency) {
            let texts = (format!("{} at p{}", allowed.most, allowed.percentile), found.time.to_string());
            check(Limit::Latency, allowed.most.0, found.time.0, texts);
        }
        Verdict { broken }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_lists_every_broken_limit() {
        let yaml = "name: x\nlimits: {peak_ram: 1 KiB, weights_flash: 8 KiB, macs: 1 M, latency: 2 ms}";
        let target = Target::parse(yaml, "x").unwrap();
        let cost = Cost { macs: 2_000_000, peak_elements: 512, stored_weights: 1000, ..Cost::default() };
        let latency = Latency { time: Millis(3.0), provenance: Provenance::Measured };
        let verdict = target.verdict(&cost, Some(latency));
        let broken: Vec<Limit> = verdict.broken.iter().map(|b| b.limit).collect();
        assert_eq!(broken, [Limit::PeakRam, Limit::Macs, Limit::Latency]);
        assert_eq!((verdict.broken[1].allowed.as_str(), verdict.broken[1].ratio), ("1 M", 2.0));
        assert!(target.verdict(&Cost::default(), None).fits());
    }
}
