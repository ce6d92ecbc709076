//! The size of the space for a device: width, head, resolution, colour and depth of the macro space are lowered, in the
//! order of what that is expected to cost, until there are enough networks within the limits.

use std::fmt;

use super::RunError;
use super::feasible::{Feasible, Least, feasible};
use crate::graph::{Cost, Graph, Shape, deployable};
use crate::space::{MacroConfig, MacroSpace};
use crate::target::{Analytic, LatencyModel, LatencySource, Limit, Quality, Target};
use crate::units::{Bytes, Macs, Millis};

/// What is not to be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fixed {
    /// Width multiplier.
    pub width: Option<f64>,
    /// The largest width multiplier to choose.
    pub widest: Option<f64>,
    /// Channels of the head.
    pub head: Option<usize>,
    /// Layers.
    pub depth: Option<usize>,
    /// Whether the images keep their rows and columns.
    pub side: bool,
    /// Channels of the images: as many as they have, or one.
    pub channels: Option<usize>,
}

/// A size and what fits in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sized {
    /// The size.
    pub size: Size,
    /// What fits.
    pub feasible: Feasible,
}

/// The size of a macro space.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size {
    /// Width multiplier of stem and layers.
    pub width: f64,
    /// Channels of the head.
    pub head: usize,
    /// Layers, from the first on.
    pub depth: usize,
    /// Shape of the images.
    pub input: Shape,
}

// A rule of thumb, not a measurement: how much accuracy it is expected to cost to halve each of these, relative to the
// width. The head holds most weights of the published space and loses least; fewer pixels and grey images lose what no
// network can bring back.
const HEAD_LOSS: f64 = 0.25;
const SIDE_LOSS: f64 = 1.2;
/// Of grey instead of colour.
const GREY_LOSS: f64 = 1.0;
/// Of each layer that is left out.
const LAYER_LOSS: f64 = 0.8;

const WIDTHS: [f64; 7] = [1.0, 0.75, 0.5, 0.35, 0.25, 0.15, 0.1];
const HEADS: [f64; 5] = [1.0, 0.5, 0.25, 0.125, 0.0625];
const SIDES: [f64; 8] = [1.0, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125, 0.0625];
const FEWEST_LAYERS: usize = 2;
/// Fewest rows and columns: below, the strides of the space leave nothing to convolve.
const SMALLEST_SIDE: usize = 8;
/// Spaces whose operators are timed for a limit on latency, and rates tried to find the next one.
const MOST_CALIBRATIONS: usize = 5;
const MOST_RATES: usize = 12;
const LOWER_RATE: f64 = 0.7;

impl From<&MacroConfig> for Size {
    fn from(config: &MacroConfig) -> Self {
        Size { width: config.width, head: config.head, depth: config.layers.len(), input: config.input }
    }
}

impl Size {
    /// The space of this size.
    pub fn of(self, published: &MacroConfig) -> MacroConfig {
        let channels = self.input.channels;
        // Images that become grey have other statistics, which cost the same.
        let resized = |values: &[f32]| (0..channels).map(|c| values[c.min(values.len() - 1)]).collect::<Vec<f32>>();
        MacroConfig {
            input: self.input,
            width: self.width,
            head: self.head,
            layers: published.layers[..self.depth].to_vec(),
            mean: resized(&published.mean),
            std: resized(&published.std),
            ..published.clone()
        }
    }

    /// What differs from the space as published, on images as they are.
    pub fn describe(&self) -> String {
        format!("width {}, head {}, {} layers, images of {}", self.width, self.head, self.depth, self.input)
    }
}

/// The first size in the order of expected losses that leaves enough networks within the limits; if there is none, the one
/// with the most. `published` has the images as they are.
///
/// # Errors
/// If no network of any size fits, or what is fixed makes no space.
pub fn size(
    published: &MacroConfig,
    fixed: &Fixed,
    target: &Target,
    latency: Option<&LatencyModel>,
    seed: u64,
) -> Result<Sized, RunError> {
    fixed.check(published)?;
    let (mut best, mut least): (Option<Sized>, Option<Least>) = (None, None);
    for size in sizes(published, fixed) {
        let Ok(space) = MacroSpace::new(size.of(published)) else { continue };
        let feasible = feasible(&space, target, latency, seed);
        least = Some(least.map_or(feasible.least, |least| least.min(feasible.least)));
        if feasible.is_enough() {
            return Ok(Sized { size, feasible });
        }
        let is_more = best.as_ref().is_none_or(|best| feasible.networks > best.feasible.networks);
        if feasible.networks > 0 && is_more {
            best = Some(Sized { size, feasible });
        }
    }
    match (best, least) {
        (Some(best), _) => Ok(best),
        (None, Some(least)) => Err(NothingFits::of(target, fixed, &least).into()),
        (None, None) => Err(RunError::Config(
            "images of this shape are too small for the space\nhint: `--side 32` makes them larger".to_string(),
        )),
    }
}

impl Fixed {
    fn is_free(&self) -> bool {
        Fixed { widest: None, ..*self } == Fixed::default()
    }

    fn check(&self, published: &MacroConfig) -> Result<(), RunError> {
        let (layers, channels) = (published.layers.len(), published.input.channels);
        let wrong = |text: String| Err(RunError::Config(text));
        match *self {
            Fixed { width: Some(width), .. } if !(width.is_finite() && width > 0.0) => {
                wrong(format!("`--width {width}` is no width\nhint: 1 is the published one, 0.5 has half the channels"))
            }
            Fixed { head: Some(0), .. } => {
                wrong("`--head 0` leaves nothing to classify\nhint: `--head 64`".to_string())
            }
            Fixed { depth: Some(depth), .. } if depth == 0 || depth > layers => {
                wrong(format!("`--depth {depth}`: the space has 1 to {layers} layers"))
            }
            Fixed { channels: Some(asked), .. } if asked != 1 && asked != channels => {
                wrong(format!("`--channels {asked}`: the images have {channels}\nhint: `--channels 1` makes them grey"))
            }
            Fixed { .. } => Ok(()),
        }
    }
}

/// All sizes, the least expected loss first.
fn sizes(published: &MacroConfig, fixed: &Fixed) -> Vec<Size> {
    let mut all: Vec<(f64, Size)> = Vec::new();
    for (width, of_width) in widths(fixed) {
        for (head, of_head) in heads(published, fixed, width) {
            for (input, of_input) in inputs(published.input, fixed) {
                for (depth, of_depth) in depths(published, fixed) {
                    all.push((of_width + of_head + of_input + of_depth, Size { width, head, depth, input }));
                }
            }
        }
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut sizes: Vec<Size> = Vec::new();
    // Rounding makes some of them equal; they need not be looked at twice.
    for (_, size) in all {
        if !sizes.contains(&size) {
            sizes.push(size);
        }
    }
    sizes
}

fn widths(fixed: &Fixed) -> Vec<(f64, f64)> {
    match fixed.width {
        Some(width) => vec![(width, 0.0)],
        None => {
            let narrow = WIDTHS.iter().filter(|width| fixed.widest.is_none_or(|widest| **width <= widest));
            narrow.map(|width| (*width, -width.log2())).collect()
        }
    }
}

fn heads(published: &MacroConfig, fixed: &Fixed, width: f64) -> Vec<(usize, f64)> {
    match fixed.head {
        Some(head) => vec![(head, 0.0)],
        None => HEADS.iter().map(|share| (published.scaled(width * share).head, -HEAD_LOSS * share.log2())).collect(),
    }
}

fn inputs(image: Shape, fixed: &Fixed) -> Vec<(Shape, f64)> {
    let shares = if fixed.side { &SIDES[..1] } else { &SIDES[..] };
    let shrunk = |length: usize, share: f64| ((length as f64 * share).round() as usize).max(SMALLEST_SIDE).min(length);
    let channels = fixed.channels.map_or(vec![image.channels, 1], |channels| vec![channels]);
    let with_channels = |share: &f64| {
        let (height, width, of_side) =
            (shrunk(image.height, *share), shrunk(image.width, *share), -SIDE_LOSS * share.log2());
        let of = move |channels: &usize| {
            let of_colour = if *channels < image.channels { GREY_LOSS } else { 0.0 };
            (Shape::new(*channels, height, width), of_side + of_colour)
        };
        channels.iter().map(of).collect::<Vec<_>>()
    };
    shares.iter().flat_map(with_channels).collect()
}

fn depths(published: &MacroConfig, fixed: &Fixed) -> Vec<(usize, f64)> {
    let whole = published.layers.len();
    let depths = fixed.depth.map_or((FEWEST_LAYERS.min(whole)..=whole).collect(), |depth| vec![depth]);
    depths.into_iter().map(|depth| (depth, LAYER_LOSS * (whole - depth) as f64)).collect()
}

/// Times operators of spaces that become smaller until enough networks keep a limit on latency that is measured here.
/// `calibrate` measures a space; the rates found say which size to measure next.
///
/// # Errors
/// If no network of any size is fast enough, or a measurement fails.
pub fn size_by_measuring(
    published: &MacroConfig,
    fixed: &Fixed,
    target: &Target,
    start: MacroConfig,
    seed: u64,
    calibrate: &mut dyn FnMut(&MacroSpace) -> Result<LatencyModel, RunError>,
) -> Result<(MacroConfig, LatencyModel, Feasible), RunError> {
    let (mut config, mut best, mut least): (_, Option<(MacroConfig, LatencyModel, Feasible)>, Option<Least>) =
        (start, None, None);
    for _ in 0..MOST_CALIBRATIONS {
        let space = MacroSpace::new(config.clone())?;
        let model = calibrate(&space)?;
        let found = feasible(&space, target, Some(&model), seed);
        least = Some(least.map_or(found.least, |least| least.min(found.least)));
        if found.is_enough() {
            return Ok((config, model, found));
        }
        let next = next_size(published, fixed, &rated(target, &space, &model), &config, seed);
        let is_more = best.as_ref().is_none_or(|(_, _, best)| found.networks > best.networks);
        if found.networks > 0 && is_more {
            best = Some((config, model, found));
        }
        match next {
            Some(smaller) => config = smaller,
            None => break,
        }
    }
    let least = least.expect("at least one space was measured");
    best.ok_or_else(|| NothingFits::of(target, fixed, &least).into())
}

/// The target with latency by the rate that a calibration shows, without its limits on other costs being touched.
fn rated(target: &Target, space: &MacroSpace, model: &LatencyModel) -> Target {
    let (mut macs, mut ms) = (0.0, 0.0);
    for graph in space.calibration_networks() {
        let (cost, folded) = (Cost::of(&graph), deployable(&graph).graph);
        macs += (cost.macs + cost.linear_macs) as f64;
        ms += model.scale * model.sum_ms(&folded).unwrap_or(0.0);
    }
    let rate = Macs((1e3 * macs / ms.max(1e-6)).max(1.0) as u64);
    let offset = Millis(model.offset_ms.max(0.0));
    let analytic = Analytic { offset, macs_per_second: rate, numbers: target.numbers, quality: Quality::default() };
    Target { latency_model: LatencySource::Analytic(analytic), ..target.clone() }
}

/// The next size to measure: smaller networks reach a lower rate, so the rate is lowered until the size is another one.
fn next_size(
    published: &MacroConfig,
    fixed: &Fixed,
    rated: &Target,
    current: &MacroConfig,
    seed: u64,
) -> Option<MacroConfig> {
    let mut rated = rated.clone();
    for _ in 0..MOST_RATES {
        let next = size(published, fixed, &rated, None, seed).ok()?.size.of(published);
        let elements = |config: &MacroConfig| Cost::of(&largest(config)).macs;
        if elements(&next) < elements(current) {
            return Some(next);
        }
        if let LatencySource::Analytic(model) = &mut rated.latency_model {
            model.macs_per_second = Macs((model.macs_per_second.0 as f64 * LOWER_RATE) as u64);
        }
    }
    None
}

fn largest(config: &MacroConfig) -> Graph {
    let space = MacroSpace::new(config.clone()).expect("a size that was measured or found makes a space");
    space.lower(&space.largest())
}

/// Why no network of any size fits: the least of each cost that is reachable, against the limits.
#[derive(Debug, Clone, PartialEq)]
pub struct NothingFits {
    target: String,
    /// Whether no part of the size was asked for.
    is_free: bool,
    /// A cost, the least of it, its limit, and whether that excludes every network.
    costs: Vec<(Limit, String, Option<String>, bool)>,
    unsupported: Option<&'static str>,
}

impl NothingFits {
    fn of(target: &Target, fixed: &Fixed, least: &Least) -> Self {
        let limits = &target.limits;
        let latency = limits.latency.map(|limit| limit.most);
        let bytes = |limit: Option<Bytes>, least: Bytes| {
            (least.to_string(), limit.map(|l| l.to_string()), limit.is_some_and(|limit| least > limit))
        };
        let (ram, flash) = (bytes(limits.peak_ram, least.peak_ram), bytes(limits.weights_flash, least.weights_flash));
        let macs = limits.macs;
        let mut costs = vec![
            (Limit::PeakRam, ram.0, ram.1, ram.2),
            (Limit::WeightsFlash, flash.0, flash.1, flash.2),
            (
                Limit::Macs,
                least.macs.to_string(),
                macs.map(|limit| limit.to_string()),
                macs.is_some_and(|limit| least.macs > limit),
            ),
        ];
        let allowed = latency.map(|limit| limit.to_string());
        match least.latency {
            Some(found) => {
                let excluded = latency.is_some_and(|limit| found > limit);
                costs.push((Limit::Latency, found.to_string(), allowed, excluded));
            }
            // The table of operator times has none for networks of any size.
            None if !target.is_local() && latency.is_some() => {
                costs.push((Limit::Latency, "unknown".to_string(), allowed, true));
            }
            None => {}
        }
        NothingFits { target: target.name.clone(), is_free: fixed.is_free(), costs, unsupported: least.unsupported }
    }
}

impl From<NothingFits> for RunError {
    fn from(reason: NothingFits) -> Self {
        RunError::NothingFits(Box::new(reason))
    }
}

impl std::error::Error for NothingFits {}

impl fmt::Display for NothingFits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "no network of space `macro` of any size fits target `{}`; the least it can need:", self.target)?;
        for (limit, least, allowed, excluded) in &self.costs {
            let allowed = allowed.as_ref().map_or("no limit".to_string(), |allowed| format!("limit {allowed}"));
            let verdict = if *excluded { ": excludes every network" } else { "" };
            writeln!(f, "  {limit:<14} {least:>9}, {allowed}{verdict}")?;
        }
        if let Some(operator) = self.unsupported {
            writeln!(f, "  operator `{operator}` is in every network and not among those of the target")?;
        }
        let excluding = self.costs.iter().find(|(.., excluded)| *excluded);
        match (excluding, self.unsupported) {
            (Some((Limit::Latency, least, ..)), _) if least == "unknown" => {
                let command = "netwright calibrate --classes … --input … --width … --json";
                write!(f, "hint: time the operators of such networks on the device: `{command}`")?;
            }
            (Some((limit, ..)), _) => write!(f, "hint: allow more {limit} in the profile")?,
            (None, Some(_)) => write!(f, "hint: choose a runtime that has it")?,
            (None, None) => write!(f, "hint: each limit can be kept alone, but not all together: loosen one")?,
        }
        if !self.is_free {
            write!(f, ", or leave out `--width` and the like")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> MacroConfig {
        MacroConfig { classes: 10, ..MacroConfig::default() }
    }

    fn target(limits: &str) -> Target {
        Target::parse(&format!("name: x\nlimits: {limits}\n"), "x").unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn the_published_space_stays_as_it_is_where_it_fits() {
        let sized = size(&published(), &Fixed::default(), &target("{macs: 15 M}"), None, 1).unwrap();
        assert_eq!(sized.size.of(&published()), published());
        assert!(sized.feasible.is_enough(), "{:?}", sized.feasible);
    }

    #[test]
    fn the_smaller_the_device_the_smaller_the_space_and_enough_networks_fit() {
        let mut before = f64::INFINITY;
        for limits in
            ["{peak_ram: 256 KiB}", "{peak_ram: 64 KiB, weights_flash: 128 KiB}", "{peak_ram: 8 KiB, macs: 1 M}"]
        {
            let (published, target) = (published(), target(limits));
            let sized = size(&published, &Fixed::default(), &target, None, 1).unwrap();
            let config = sized.size.of(&published);
            let largest = Cost::of(&largest(&config)).macs as f64;
            assert!(largest < before && sized.feasible.is_enough(), "{limits}: {sized:?}");
            before = largest;
            // The search of that space finds networks, and they do keep the limits.
            let space = MacroSpace::new(config).unwrap();
            let mut site = crate::run::SpaceSite::new(&space, &target, None);
            use crate::search::Site;
            let mut rng = crate::seed::stream(9, "test", 0);
            let drawn: Vec<_> = (0..200).map(|_| site.sample(&mut rng)).collect();
            let found = drawn.into_iter().find(|genotype| site.is_feasible(genotype)).unwrap();
            assert!(target.verdict(&Cost::of(&space.lower(&found)), None).fits());
        }
    }

    #[test]
    fn what_is_fixed_is_not_chosen() {
        let fixed = Fixed { width: Some(0.5), depth: Some(4), side: true, channels: Some(1), ..Fixed::default() };
        let sized = size(&published(), &fixed, &target("{weights_flash: 96 KiB}"), None, 1).unwrap();
        assert_eq!((sized.size.width, sized.size.depth, sized.size.input), (0.5, 4, Shape::new(1, 32, 32)));
        let wrong = |fixed: Fixed| size(&published(), &fixed, &target("{}"), None, 1).unwrap_err().to_string();
        assert!(wrong(Fixed { depth: Some(6), ..Fixed::default() }).contains("1 to 5 layers"));
        assert!(wrong(Fixed { channels: Some(2), ..Fixed::default() }).contains("the images have 3"));
        assert!(wrong(Fixed { width: Some(f64::NAN), ..Fixed::default() }).contains("no width"));
    }

    #[test]
    fn what_nothing_fits_says_which_limit_excludes_it() {
        let error =
            size(&published(), &Fixed::default(), &target("{peak_ram: 100 B, macs: 15 M}"), None, 1).unwrap_err();
        let text = error.to_string();
        let excluding: Vec<&str> = text.lines().filter(|line| line.ends_with("excludes every network")).collect();
        assert!(excluding.len() == 1 && excluding[0].contains("peak RAM"), "{text}");
        assert!(text.contains("limit 15 M\n") && text.contains("weights flash") && text.contains("\nhint: "), "{text}");
    }

    #[test]
    fn a_latency_that_is_measured_shrinks_the_space() {
        // A machine on which every operator takes a microsecond for each thousand values it writes.
        let mut calibrate = |space: &MacroSpace| {
            let mut operators_ms = std::collections::BTreeMap::new();
            let all = space.calibration_networks();
            for graph in all.iter().map(|graph| deployable(graph).graph) {
                for id in 1..graph.nodes().len() {
                    let time = graph.node(id).shape.elements() as f64 * 1e-6;
                    operators_ms.insert(crate::target::signature(&graph, id), time);
                }
            }
            Ok(LatencyModel {
                schema_version: LatencyModel::SCHEMA_VERSION,
                runtime: "made up".into(),
                host: "made up".into(),
                threads: 1,
                offset_ms: 0.01,
                scale: 1.0,
                operators_ms,
                networks_measured: all.len(),
                median_relative_error: 0.0,
                spearman: 1.0,
            })
        };
        let mut search = |limits: &str| {
            size_by_measuring(&published(), &Fixed::default(), &target(limits), published(), 1, &mut calibrate)
        };
        let (whole, ..) = search("{latency: 25 ms}").unwrap();
        assert_eq!(whole, published());
        let (small, _, found) = search("{latency: 100 us}").unwrap();
        assert!(found.is_enough() && Cost::of(&largest(&small)).macs < Cost::of(&largest(&whole)).macs, "{found:?}");
        let error = search("{latency: 10.1 us}").unwrap_err().to_string();
        assert!(error.contains("latency") && error.contains("excludes every network"), "{error}");
    }
}
