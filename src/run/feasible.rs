//! How many networks of a space keep a target's limits, counted without making them: multiply-accumulates, flash and time
//! of a network are the sums of its parts', its RAM is the largest of them.

use super::SpaceSite;
use crate::graph::{Cost, Graph, deployable};
use crate::search::Site;
use crate::seed;
use crate::space::{Genotype, MacroSpace, PartMemo};
use crate::target::{LatencyModel, LatencySource, Target};
use crate::units::{Bytes, Macs, Millis};

/// Networks from which a search has something to choose.
pub const ENOUGH_NETWORKS: usize = 1000;
/// Share of random networks that must be feasible, so that a search finds them.
const ENOUGH_SHARE: f64 = 0.1;
/// Random networks from which the share is estimated.
const SAMPLE: u64 = 200;
/// Partial networks looked at before a count ends with what it has.
const MOST_STEPS: usize = 200_000;
/// Operations of a macro layer.
const SYMBOLS: u8 = 63;

/// What a search may expect of a space on a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Feasible {
    /// Networks within all limits, counted up to [`ENOUGH_NETWORKS`].
    pub networks: usize,
    /// Share of random networks within all limits.
    pub share: f64,
    /// The least of each cost that any network reaches.
    pub least: Least,
}

impl Feasible {
    /// Whether a search has enough to choose from.
    pub fn is_enough(&self) -> bool {
        self.networks >= ENOUGH_NETWORKS && self.share >= ENOUGH_SHARE
    }
}

/// The least of each cost, each by a network of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Least {
    /// Peak activation RAM.
    pub peak_ram: Bytes,
    /// Weights flash.
    pub weights_flash: Bytes,
    /// Multiply-accumulates.
    pub macs: Macs,
    /// Latency, as far as it is known.
    pub latency: Option<Millis>,
    /// An operator that every network has and the runtime has not.
    pub unsupported: Option<&'static str>,
}

impl Least {
    /// The least of both.
    pub fn min(self, other: Least) -> Least {
        let latency = match (self.latency, other.latency) {
            (Some(a), Some(b)) => Some(if b < a { b } else { a }),
            (a, b) => a.or(b),
        };
        Least {
            peak_ram: self.peak_ram.min(other.peak_ram),
            weights_flash: self.weights_flash.min(other.weights_flash),
            macs: self.macs.min(other.macs),
            latency,
            unsupported: self.unsupported.and(other.unsupported),
        }
    }
}

/// What a part of a network adds.
#[derive(Debug, Clone)]
struct PartCost {
    ram: u64,
    /// Multiply-accumulates, bytes of flash, milliseconds.
    sums: [f64; 3],
    unsupported: Option<&'static str>,
}

/// Counts feasible networks and looks at random ones.
pub fn feasible(space: &MacroSpace, target: &Target, latency: Option<&LatencyModel>, seed: u64) -> Feasible {
    let costs = Costs { space, target, latency };
    let mut memo = PartMemo::default();
    // More operations cost more: where single ones do not fit, no others have to be looked at.
    let single: Vec<u8> = (0..6).map(|bit| 1 << bit).collect();
    let layers = costs.layers(&single, &mut memo);
    let least = costs.least(&layers);
    if costs.count(&layers, 1) == 0 {
        return Feasible { networks: 0, share: 0.0, least };
    }
    let networks = costs.count(&costs.layers(&(1..=SYMBOLS).collect::<Vec<u8>>(), &mut memo), ENOUGH_NETWORKS);
    let mut site = SpaceSite::new(space, target, latency);
    let mut rng = seed::stream(seed, "feasible", 0);
    let found = (0..SAMPLE).filter(|_| {
        let genotype = site.sample(&mut rng);
        site.is_feasible(&genotype)
    });
    let share = found.count() as f64 / SAMPLE as f64;
    Feasible { networks, share, least }
}

struct Costs<'a> {
    space: &'a MacroSpace,
    target: &'a Target,
    latency: Option<&'a LatencyModel>,
}

impl Costs<'_> {
    /// What each of `symbols` adds in each place of a network, from stem to head.
    fn layers(&self, symbols: &[u8], memo: &mut PartMemo<PartCost>) -> Vec<Vec<PartCost>> {
        let places = self.space.config().layers.len() + 2;
        let mut layers = vec![Vec::new(); places];
        for symbol in symbols {
            let genotype = Genotype::from(vec![*symbol; places - 2]);
            let parts = self.space.parts(&genotype, memo, |part| self.part(part));
            for (at, part) in parts.into_iter().enumerate() {
                // Stem and head are the same in every network.
                let is_choice = at > 0 && at + 1 < places;
                if is_choice || layers[at].is_empty() {
                    layers[at].push(part);
                }
            }
        }
        layers
    }

    fn part(&self, part: &Graph) -> PartCost {
        let cost = Cost::of(part);
        let deployable = deployable(part).graph;
        let time = match (&self.latency, &self.target.latency_model) {
            // What is measured later may be unknown now; what never is must be known.
            (Some(model), _) => {
                let unknown = if self.target.is_local() { 0.0 } else { f64::INFINITY };
                model.sum_ms(&deployable).map_or(unknown, |sum| model.scale * sum)
            }
            (None, LatencySource::Analytic(model)) => (model.predict(&cost).0 - model.offset.0).max(0.0),
            (None, LatencySource::Table(_) | LatencySource::None) => 0.0,
        };
        let numbers = self.target.numbers;
        PartCost {
            ram: cost.peak_ram(numbers).0,
            sums: [cost.macs as f64, cost.weights_flash(numbers).0 as f64, time],
            unsupported: self.target.unsupported(&deployable),
        }
    }

    /// Time of a network without operators, if any time is known.
    fn offset(&self) -> Option<f64> {
        match (&self.latency, &self.target.latency_model) {
            (Some(model), _) => Some(model.offset_ms),
            (None, LatencySource::Analytic(model)) if model.numbers == self.target.numbers => Some(model.offset.0),
            (None, LatencySource::Analytic(_) | LatencySource::Table(_) | LatencySource::None) => None,
        }
    }

    fn least(&self, layers: &[Vec<PartCost>]) -> Least {
        let least = |of: &dyn Fn(&PartCost) -> f64| -> Vec<f64> {
            layers.iter().map(|layer| layer.iter().map(of).fold(f64::INFINITY, f64::min)).collect()
        };
        let sum = |kind: usize| least(&|part| part.sums[kind]).iter().sum::<f64>();
        let unsupported = |layer: &Vec<PartCost>| match layer.iter().all(|part| part.unsupported.is_some()) {
            true => layer.iter().find_map(|part| part.unsupported),
            false => None,
        };
        Least {
            peak_ram: Bytes(least(&|part| part.ram as f64).into_iter().fold(0.0, f64::max) as u64),
            weights_flash: Bytes(sum(1) as u64),
            macs: Macs(sum(0) as u64),
            latency: self.offset().map(|offset| Millis((offset + sum(2)).max(0.0))).filter(|time| time.0.is_finite()),
            unsupported: layers.iter().find_map(unsupported),
        }
    }

    /// Networks within all limits, up to `most`.
    fn count(&self, layers: &[Vec<PartCost>], most: usize) -> usize {
        let limits = &self.target.limits;
        let ram = limits.peak_ram.map_or(u64::MAX, |limit| limit.0);
        let time = limits.latency.zip(self.offset()).map(|(limit, offset)| limit.most.0 - offset);
        let room = [
            limits.macs.map_or(f64::INFINITY, |limit| limit.0 as f64),
            limits.weights_flash.map_or(f64::INFINITY, |limit| limit.0 as f64),
            time.unwrap_or(f64::INFINITY),
        ];
        let fits = |part: &&PartCost| part.ram <= ram && part.unsupported.is_none();
        let choices: Vec<Vec<[f64; 3]>> =
            layers.iter().map(|layer| layer.iter().filter(fits).map(|part| part.sums).collect()).collect();
        if choices.iter().any(Vec::is_empty) {
            return 0;
        }
        let mut walk = Walk { rest: least_from(&choices), choices: &choices, found: 0, most, steps: 0 };
        walk.descend(0, room);
        walk.found
    }
}

/// For each place, the least that it and all after it add, of each kind.
fn least_from(choices: &[Vec<[f64; 3]>]) -> Vec<[f64; 3]> {
    let mut rest = vec![[0.0; 3]; choices.len() + 1];
    for (at, options) in choices.iter().enumerate().rev() {
        for kind in 0..3 {
            let least = options.iter().map(|sums| sums[kind]).fold(f64::INFINITY, f64::min);
            rest[at][kind] = rest[at + 1][kind] + least;
        }
    }
    rest
}

/// Depth first over the choices, leaving out what cannot be completed within the room.
struct Walk<'a> {
    choices: &'a [Vec<[f64; 3]>],
    rest: Vec<[f64; 3]>,
    found: usize,
    most: usize,
    steps: usize,
}

impl Walk<'_> {
    fn descend(&mut self, at: usize, room: [f64; 3]) {
        self.steps += 1;
        if at == self.choices.len() {
            self.found += 1;
            return;
        }
        for sums in &self.choices[at] {
            if self.found >= self.most || self.steps >= MOST_STEPS {
                return;
            }
            let left = [0, 1, 2].map(|kind| room[kind] - sums[kind]);
            // Sums of times are rounded; a network at the limit to the last bit may fall on either side.
            if (0..3).all(|kind| left[kind] >= self.rest[at + 1][kind]) {
                self.descend(at + 1, left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::{LayerConfig, MacroConfig};

    fn small(layers: usize) -> MacroSpace {
        let layers = [(16, 1), (32, 2)].map(|(channels, stride)| LayerConfig { channels, stride })[..layers].to_vec();
        MacroSpace::new(MacroConfig { layers, head: 32, classes: 10, ..MacroConfig::default() }).unwrap()
    }

    fn target(limits: &str) -> Target {
        let model = "latency_model: {kind: analytic, offset: 1 ms, macs_per_second: 100 M}";
        Target::parse(&format!("name: x\nlimits: {limits}\n{model}\n"), "x").unwrap_or_else(|e| panic!("{e}"))
    }

    /// All genotypes of two layers, one after the other.
    fn by_hand(space: &MacroSpace, target: &Target) -> usize {
        let mut site = SpaceSite::new(space, target, None);
        let genotypes = (1..=SYMBOLS).flat_map(|a| (1..=SYMBOLS).map(move |b| Genotype::from(vec![a, b])));
        genotypes.filter(|genotype| site.is_feasible(genotype)).count()
    }

    #[test]
    fn the_count_is_that_of_all_networks_one_by_one() {
        let space = small(2);
        let costs: Vec<Cost> = {
            let mut memo = PartMemo::default();
            (1..=SYMBOLS).map(|symbol| space.cost(&Genotype::from(vec![symbol, 1]), &mut memo)).collect()
        };
        let largest = |of: fn(&Cost) -> u64| costs.iter().map(of).max().unwrap();
        let mut counts = Vec::new();
        for limits in [
            format!("{{macs: {}}}", largest(|cost| cost.macs) / 3),
            format!("{{peak_ram: {} B}}", 4 * largest(|cost| cost.peak_elements) * 2 / 3),
            format!("{{macs: {}, weights_flash: 9 KiB, latency: 25 ms}}", largest(|cost| cost.macs) / 2),
            "{latency: 12 ms}".to_string(),
        ] {
            let target = target(&limits);
            let counted = Costs { space: &space, target: &target, latency: None };
            let layers = counted.layers(&(1..=SYMBOLS).collect::<Vec<u8>>(), &mut PartMemo::default());
            let count = counted.count(&layers, usize::MAX);
            assert_eq!(count, by_hand(&space, &target), "{limits}");
            counts.push(count);
        }
        assert!(counts.iter().any(|count| (1..63 * 63).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_least_costs_are_those_of_the_cheapest_networks() {
        let space = small(1);
        let least = feasible(&space, &target("{}"), None, 1).least;
        let mut memo = PartMemo::default();
        let costs: Vec<Cost> = (1..=SYMBOLS).map(|s| space.cost(&Genotype::from(vec![s]), &mut memo)).collect();
        let numbers = crate::graph::NumberFormat::F32;
        assert_eq!(Some(least.macs.0), costs.iter().map(|cost| cost.macs).min());
        assert_eq!(Some(least.peak_ram), costs.iter().map(|cost| cost.peak_ram(numbers)).min());
        assert_eq!(Some(least.weights_flash), costs.iter().map(|cost| cost.weights_flash(numbers)).min());
    }

    #[test]
    fn a_runtime_without_an_operator_leaves_only_networks_without_it() {
        let space = small(1);
        let all = Target::parse("name: x\nlimits: {}\n", "x").unwrap();
        assert_eq!(feasible(&space, &all, None, 1).networks, 63);
        let known = |operators: &[&str]| Target {
            operators: Some(operators.iter().map(|o| o.to_string()).collect()),
            ..all.clone()
        };
        // Without `add`, a layer has one operation.
        let found =
            feasible(&space, &known(&["normalize", "conv2d", "relu", "relu6", "global_mean", "linear"]), None, 1);
        assert_eq!((found.networks, found.least.unsupported), (6, None));
        let found = feasible(&space, &known(&["conv2d", "relu"]), None, 1);
        assert_eq!((found.networks, found.least.unsupported), (0, Some("normalize")));
    }
}
