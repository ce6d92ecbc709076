//! The macro space of the first seed (NAS_with_GNN_predictor, 2020): a stem, layers that sum a chosen set of six
//! operations, a head. Channels, strides, width, head and input are parameters.

use std::collections::HashMap;

use rand::Rng;

use super::{Dag, Genotype, SpaceError};
use crate::graph::{
    Conv2d, Cost, Crop, Graph, GraphBuilder, GraphError, Linear, NodeId, Normalize, Op, Padding, Shape,
};
use crate::seed;

/// An operation of a layer; its position here is its bit in a genotype.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Skip,
    Sep(usize),
    Dil(usize),
}

const CHOICES: [(&str, Choice); 6] = [
    ("skip", Choice::Skip),
    ("sep3", Choice::Sep(3)),
    ("sep5", Choice::Sep(5)),
    ("sep7", Choice::Sep(7)),
    ("dil3", Choice::Dil(3)),
    ("dil5", Choice::Dil(5)),
];
const OPERATIONS: usize = CHOICES.len();
/// Symbol of a layer with all operations.
const ALL: u8 = (1 << OPERATIONS) - 1;
/// A layer that only skips.
const SKIP: u8 = 1;
/// Nodes of a layer in the [`Dag`]: its input and its operations.
const DAG_NODES: usize = OPERATIONS + 1;

/// Channels out and stride of one search layer, before the width multiplier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LayerConfig {
    /// Channels out.
    pub channels: usize,
    /// Stride.
    pub stride: usize,
}

/// Everything that is fixed in a network of the space.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MacroConfig {
    /// Shape of the image.
    pub input: Shape,
    /// Number of classes.
    pub classes: usize,
    /// Multiplies the channels of stem and layers; rounded to a multiple of four.
    pub width: f64,
    /// Channels of the stem, before the width multiplier.
    pub stem: usize,
    /// The search layers.
    pub layers: Vec<LayerConfig>,
    /// Channels of the head, as they are.
    pub head: usize,
    /// Mean of each image channel (0…1), subtracted inside the network.
    pub mean: Vec<f32>,
    /// Standard deviation of each image channel, divided by inside the network.
    pub std: Vec<f32>,
}

impl Default for MacroConfig {
    /// The seed's: CIFAR-100, five layers, head of 1,280 channels.
    fn default() -> Self {
        let layer = |(channels, stride)| LayerConfig { channels, stride };
        MacroConfig {
            input: Shape::new(3, 32, 32),
            classes: 100,
            width: 1.0,
            stem: 16,
            layers: [(16, 1), (32, 2), (40, 2), (80, 2), (320, 1)].map(layer).to_vec(),
            head: 1280,
            mean: vec![0.4914, 0.4822, 0.4465],
            std: vec![0.2023, 0.1994, 0.2010],
        }
    }
}

impl MacroConfig {
    /// The same space with channels and head scaled, for cheaper training.
    pub fn scaled(&self, factor: f64) -> Self {
        let head = round_to_four(self.head as f64 * factor);
        MacroConfig { width: self.width * factor, head, ..self.clone() }
    }

    fn channels(&self, unscaled: usize) -> usize {
        round_to_four(unscaled as f64 * self.width)
    }
}

fn round_to_four(channels: f64) -> usize {
    ((channels / 4.0).round() as usize).max(1) * 4
}

/// The space: a genotype has a symbol for each layer, whose bit `i` chooses operation `i`; no symbol is zero.
#[derive(Debug, Clone, PartialEq)]
pub struct MacroSpace {
    config: MacroConfig,
}

impl MacroSpace {
    /// Number of kinds of a [`Dag`]'s node.
    pub const VOCABULARY: usize = DAG_NODES;

    /// A space whose every genotype is a valid network.
    pub fn new(config: MacroConfig) -> Result<Self, SpaceError> {
        let wrong = |reason: &str| Err(SpaceError::Config { space: "macro", reason: reason.to_string() });
        if config.layers.is_empty() || config.layers.len() > 16 {
            return wrong("takes 1 to 16 layers");
        }
        if config.classes < 2 {
            return wrong("needs at least two classes");
        }
        if !(config.width.is_finite() && config.width > 0.0) || config.head == 0 || config.stem == 0 {
            return wrong("width, stem and head must be positive");
        }
        if config.mean.len() != config.input.channels || config.std.iter().any(|s| s.is_nan() || *s <= 0.0) {
            return wrong("needs a mean and a positive standard deviation for each image channel");
        }
        let space = MacroSpace { config };
        match space.try_lower(&space.largest()) {
            Ok(_) => Ok(space),
            Err(error) => wrong(&error.to_string()),
        }
    }

    /// What is fixed.
    pub fn config(&self) -> &MacroConfig {
        &self.config
    }

    /// All operations in every layer: the network that contains every other.
    pub fn largest(&self) -> Genotype {
        vec![ALL; self.config.layers.len()].into()
    }

    /// A network with fewer layers as one of this space: layers that it lacks only skip.
    pub fn padded(&self, genotype: &Genotype) -> Genotype {
        let mut symbols = genotype.symbols().to_vec();
        symbols.resize(self.config.layers.len(), SKIP);
        symbols.into()
    }

    /// Networks whose times tell those of all: the largest, which has every operator, and a fixed random sample.
    pub fn calibration_networks(&self) -> Vec<Graph> {
        const SAMPLE: usize = 19;
        let mut rng = seed::stream(0, "calibration", 0);
        let sample = (0..SAMPLE).map(|_| self.sample(&mut rng));
        std::iter::once(self.largest()).chain(sample).map(|genotype| self.lower(&genotype)).collect()
    }

    /// Number of genotypes.
    pub fn size(&self) -> f64 {
        f64::from(ALL).powi(self.config.layers.len() as i32)
    }

    /// Reads `111000-011101-…`: six bits for each layer.
    pub fn parse(&self, text: &str) -> Result<Genotype, SpaceError> {
        let wrong = |reason: String| SpaceError::Genotype {
            text: text.to_string(),
            reason,
            example: self.format(&self.largest()),
        };
        let layers: Vec<&str> = text.split('-').collect();
        if layers.len() != self.config.layers.len() {
            return Err(wrong(format!("{} layers, expected {}", layers.len(), self.config.layers.len())));
        }
        let symbol = |(at, bits): (usize, &&str)| match bits.len() == OPERATIONS && !bits.contains(['+', '_']) {
            true => u8::from_str_radix(&bits.chars().rev().collect::<String>(), 2)
                .map_err(|_| wrong(format!("layer {} has something else than 0 and 1", at + 1)))
                .and_then(|symbol| match symbol {
                    0 => Err(wrong(format!("layer {} has no operation", at + 1))),
                    some => Ok(some),
                }),
            false => Err(wrong(format!("layer {} has {} bits, expected {OPERATIONS}", at + 1, bits.chars().count()))),
        };
        let symbols: Result<Vec<u8>, SpaceError> = layers.iter().enumerate().map(symbol).collect();
        symbols.map(Genotype::from)
    }

    /// Writes what [`MacroSpace::parse`] reads.
    pub fn format(&self, genotype: &Genotype) -> String {
        let bits = |symbol: &u8| -> String {
            (0..OPERATIONS).map(|bit| if symbol & (1 << bit) != 0 { '1' } else { '0' }).collect()
        };
        genotype.symbols().iter().map(bits).collect::<Vec<_>>().join("-")
    }

    /// A random genotype. Each network has a density of its own, so that small and large ones are equally likely: with
    /// fair bits nearly all would have three operations a layer.
    pub fn sample(&self, rng: &mut impl Rng) -> Genotype {
        let density = rng.random_range(0.1..0.9);
        let layer = |_: &LayerConfig| {
            let symbol = (0..OPERATIONS).fold(0, |s, bit| s | u8::from(rng.random_bool(density)) << bit);
            not_empty(symbol, rng)
        };
        self.config.layers.iter().map(layer).collect::<Vec<u8>>().into()
    }

    /// Flips each bit with probability `rate`, at least one.
    pub fn mutate(&self, genotype: &Genotype, rate: f64, rng: &mut impl Rng) -> Genotype {
        loop {
            let flip = |symbol: &u8| {
                let flips = (0..OPERATIONS).fold(0, |s, bit| s | u8::from(rng.random_bool(rate)) << bit);
                not_empty(symbol ^ flips, rng)
            };
            let mutant = Genotype::from(genotype.symbols().iter().map(flip).collect::<Vec<u8>>());
            if mutant != *genotype {
                return mutant;
            }
        }
    }

    /// Takes each layer from one parent or the other.
    pub fn cross(&self, a: &Genotype, b: &Genotype, rng: &mut impl Rng) -> Genotype {
        let pick = |(a, b): (&u8, &u8)| if rng.random_bool(0.5) { *a } else { *b };
        a.symbols().iter().zip(b.symbols()).map(pick).collect::<Vec<u8>>().into()
    }

    /// The network.
    pub fn lower(&self, genotype: &Genotype) -> Graph {
        self.try_lower(genotype).expect("every genotype is a part of the largest one, which was checked")
    }

    fn try_lower(&self, genotype: &Genotype) -> Result<Graph, GraphError> {
        let mut b = GraphBuilder::new(self.config.input)?;
        let mut x = self.push_stem(&mut b, 0)?;
        for (at, symbol) in genotype.symbols().iter().enumerate() {
            x = self.push_layer(&mut b, x, at, *symbol)?;
        }
        self.push_head(&mut b, x)?;
        b.finish()
    }

    fn push_stem(&self, b: &mut GraphBuilder, image: NodeId) -> Result<NodeId, GraphError> {
        let constants = Normalize { mean: self.config.mean.clone(), std: self.config.std.clone() };
        let x = b.push("normalize", Op::Normalize(constants), &[image])?;
        let x = b.push("stem.conv", Op::Conv2d(Conv2d::dense(self.config.channels(self.config.stem), 3)), &[x])?;
        let x = b.push("stem.norm", Op::BatchNorm, &[x])?;
        b.push("stem.relu6", Op::Relu6, &[x])
    }

    fn push_head(&self, b: &mut GraphBuilder, x: NodeId) -> Result<NodeId, GraphError> {
        let x = b.push("head.conv", Op::Conv2d(Conv2d::pointwise(self.config.head)), &[x])?;
        let x = b.push("head.norm", Op::BatchNorm, &[x])?;
        let x = b.push("head.relu6", Op::Relu6, &[x])?;
        let x = b.push("head.mean", Op::GlobalMean, &[x])?;
        b.push("classifier", Op::Linear(Linear { out: self.config.classes, bias: true }), &[x])
    }

    fn push_layer(&self, b: &mut GraphBuilder, x: NodeId, at: usize, symbol: u8) -> Result<NodeId, GraphError> {
        let LayerConfig { channels, stride } = self.config.layers[at];
        let out = self.config.channels(channels);
        let name = format!("layer{}", at + 1);
        let mut ends = Vec::with_capacity(OPERATIONS);
        for (bit, (choice_name, choice)) in CHOICES.iter().enumerate() {
            if symbol & (1 << bit) != 0 {
                let mut branch = Branch { b, name: format!("{name}.{choice_name}"), x };
                ends.push(match choice {
                    Choice::Skip => branch.skip(out, stride),
                    Choice::Sep(kernel) => branch.separable(*kernel, out, stride),
                    Choice::Dil(kernel) => branch.dilated(*kernel, out, stride),
                }?);
            }
        }
        match ends.as_slice() {
            [one] => Ok(*one),
            _ => b.push(format!("{name}.sum"), Op::Add, &ends),
        }
    }

    /// The cost of a network, from its layers' costs: each is computed once and kept in `memo`.
    pub fn cost(&self, genotype: &Genotype, memo: &mut PartMemo<Cost>) -> Cost {
        self.parts(genotype, memo, Cost::of).into_iter().fold(Cost::default(), Cost::then)
    }

    /// Something of each part of a network, from stem to head, computed once for each part and kept in `memo`. A part is
    /// a graph of its own, whose input is what the part before gives.
    pub fn parts<T: Clone>(
        &self,
        genotype: &Genotype,
        memo: &mut PartMemo<T>,
        compute: impl Fn(&Graph) -> T,
    ) -> Vec<T> {
        let layers = genotype.symbols().iter().enumerate().map(|(at, symbol)| Part::Layer(at, *symbol));
        let parts = std::iter::once(Part::Stem).chain(layers).chain([Part::Head]);
        parts.map(|part| memo.parts.entry(part).or_insert_with(|| compute(&self.part(part))).clone()).collect()
    }

    fn part(&self, part: Part) -> Graph {
        let start = |shape| GraphBuilder::new(shape).expect("a part has an input");
        let (mut b, pushed);
        match part {
            Part::Stem => {
                b = start(self.config.input);
                pushed = self.push_stem(&mut b, 0);
            }
            Part::Layer(at, symbol) => {
                b = start(self.layer_input(at));
                pushed = self.push_layer(&mut b, 0, at, symbol);
            }
            Part::Head => {
                b = start(self.layer_input(self.config.layers.len()));
                pushed = self.push_head(&mut b, 0);
            }
        }
        pushed.and_then(|_| b.finish()).expect("every part of a valid network is valid")
    }

    /// Shape of what layer `at` reads, or the head after the last layer.
    fn layer_input(&self, at: usize) -> Shape {
        let layers = &self.config.layers[..at];
        let Shape { height, width, .. } = self.config.input;
        let (height, width) =
            layers.iter().fold((height, width), |(h, w), l| (h.div_ceil(l.stride), w.div_ceil(l.stride)));
        let channels = layers.last().map_or(self.config.stem, |l| l.channels);
        Shape::new(self.config.channels(channels), height, width)
    }

    /// The predictor's picture: for each layer its input and its six operations (those not chosen stand alone), last the
    /// output. Kind 0 is an input or the output, kind 1 + i operation i.
    pub fn dag(&self, genotype: &Genotype) -> Dag {
        let mut kinds = Vec::with_capacity(DAG_NODES * genotype.symbols().len() + 1);
        let mut edges = Vec::new();
        for symbol in genotype.symbols() {
            let input = kinds.len();
            kinds.extend(0..DAG_NODES as u8);
            let chosen: Vec<usize> = (0..OPERATIONS).filter(|bit| symbol & (1 << bit) != 0).collect();
            edges.extend(chosen.iter().map(|bit| (input, input + 1 + bit)));
            edges.extend(chosen.iter().map(|bit| (input + 1 + bit, input + DAG_NODES)));
        }
        kinds.push(0);
        Dag { kinds, edges }
    }

    /// The genotype that a `Dag` stands for, if it is one of this space.
    pub fn decode(&self, dag: &Dag) -> Result<Genotype, SpaceError> {
        let layers = self.config.layers.len();
        let mut symbols = vec![0u8; layers];
        for (from, to) in dag.edges.iter().filter(|(from, _)| from % DAG_NODES == 0 && from / DAG_NODES < layers) {
            if (1..DAG_NODES).contains(&to.wrapping_sub(*from)) {
                symbols[from / DAG_NODES] |= 1 << (to - from - 1);
            }
        }
        let genotype = Genotype::from(symbols);
        match genotype.symbols().iter().all(|s| *s != 0) && self.dag(&genotype) == *dag {
            true => Ok(genotype),
            false => Err(SpaceError::Dag { space: "macro" }),
        }
    }

    /// Columns for simple predictors: log10 of MACs, then one bit for each operation.
    pub fn features(&self, genotype: &Genotype, cost: &Cost) -> Vec<f64> {
        let bits = genotype.symbols().iter().flat_map(|s| (0..OPERATIONS).map(move |bit| f64::from(s >> bit & 1)));
        std::iter::once((cost.macs.max(1) as f64).log10()).chain(bits).collect()
    }
}

/// A layer without operation gets one at random.
fn not_empty(symbol: u8, rng: &mut impl Rng) -> u8 {
    match symbol {
        0 => 1 << rng.random_range(0..OPERATIONS),
        some => some,
    }
}

/// One operation of a layer under construction.
struct Branch<'a> {
    b: &'a mut GraphBuilder,
    name: String,
    x: NodeId,
}

impl Branch<'_> {
    fn push(&mut self, part: &str, op: Op) -> Result<NodeId, GraphError> {
        self.push_on(part, op, &[self.x])
    }

    fn push_on(&mut self, part: &str, op: Op, inputs: &[NodeId]) -> Result<NodeId, GraphError> {
        self.x = self.b.push(format!("{}.{part}", self.name), op, inputs)?;
        Ok(self.x)
    }

    fn channels(&self) -> usize {
        self.b.shape(self.x).channels
    }

    fn separable(&mut self, kernel: usize, out: usize, stride: usize) -> Result<NodeId, GraphError> {
        let channels = self.channels();
        self.push("relu1", Op::Relu)?;
        self.push("depthwise1", Op::Conv2d(Conv2d::depthwise(channels, kernel, stride, 1)))?;
        self.push("pointwise1", Op::Conv2d(Conv2d::pointwise(channels)))?;
        self.push("norm1", Op::BatchNorm)?;
        self.push("relu2", Op::Relu)?;
        self.push("depthwise2", Op::Conv2d(Conv2d::depthwise(channels, kernel, 1, 1)))?;
        self.push("pointwise2", Op::Conv2d(Conv2d::pointwise(out)))?;
        self.push("norm2", Op::BatchNorm)
    }

    fn dilated(&mut self, kernel: usize, out: usize, stride: usize) -> Result<NodeId, GraphError> {
        let channels = self.channels();
        self.push("relu", Op::Relu)?;
        self.push("depthwise", Op::Conv2d(Conv2d::depthwise(channels, kernel, stride, 2)))?;
        self.push("pointwise", Op::Conv2d(Conv2d::pointwise(out)))?;
        self.push("norm", Op::BatchNorm)
    }

    fn skip(&mut self, out: usize, stride: usize) -> Result<NodeId, GraphError> {
        match (stride, self.channels() == out) {
            (1, true) => Ok(self.x),
            (1, false) => self.push("conv", Op::Conv2d(Conv2d::pointwise(out))),
            _ => self.factorized_reduction(out, stride),
        }
    }

    /// Two strided 1×1 convolutions, the second on the input shifted by one pixel, so that together they see more than
    /// every `stride`-th pixel.
    fn factorized_reduction(&mut self, out: usize, stride: usize) -> Result<NodeId, GraphError> {
        let relu = self.push("relu", Op::Relu)?;
        let size = self.b.shape(relu);
        let strided = |out: usize, padding: Padding| Conv2d { stride, padding, ..Conv2d::pointwise(out) };
        let half = self.push("conv1", Op::Conv2d(strided(out / 2, Padding::default())))?;
        let shifted = self.push_on("shift", Op::Crop(Crop { channels: None, top: 1, left: 1 }), &[relu])?;
        // The shift loses the last window where the size is one more than a multiple of the stride.
        let lost = |size: usize| usize::from(size % stride == 1);
        let padding = Padding { bottom: lost(size.height), right: lost(size.width), ..Padding::default() };
        let other = self.push_on("conv2", Op::Conv2d(strided(out - out / 2, padding)), &[shifted])?;
        self.push_on("concat", Op::Concat, &[half, other])?;
        self.push("norm", Op::BatchNorm)
    }
}

/// Something of the parts of a space's networks, computed once for each.
#[derive(Debug, Clone)]
pub struct PartMemo<T> {
    parts: HashMap<Part, T>,
}

impl<T> Default for PartMemo<T> {
    fn default() -> Self {
        PartMemo { parts: HashMap::new() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Stem,
    Layer(usize, u8),
    Head,
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn seed_space() -> MacroSpace {
        MacroSpace::new(MacroConfig::default()).unwrap()
    }

    #[test]
    fn macs_and_parameters_are_the_published_ones() {
        // Rows of the first seed's table, its evolved network and the network with all operations.
        for (bits, macs, params) in [
            ("111000-011101-111111-111111-011101", 14_461_696, 740_132),
            ("011100-011101-100001-001000-010110", 14_709_248, 663_732),
            ("100111-001000-010101-101111-110000", 12_642_560, 643_700),
        ] {
            let space = seed_space();
            let cost = Cost::of(&space.lower(&space.parse(bits).unwrap()));
            assert_eq!((cost.macs, cost.params), (macs, params), "{bits}");
        }
        let space = seed_space();
        assert_eq!(Cost::of(&space.lower(&space.largest())).macs, 18_802_688);
        let padded = space.padded(&space.largest().first(3));
        assert_eq!(space.format(&padded), "111111-111111-111111-100000-100000");
    }

    #[test]
    fn the_memoised_cost_is_the_cost_of_the_whole_graph() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for input in [Shape::new(3, 32, 32), Shape::new(3, 27, 21)] {
            let config = MacroConfig { input, ..MacroConfig::default() };
            let space = MacroSpace::new(config.scaled(0.5)).unwrap();
            let mut memo = PartMemo::default();
            for _ in 0..40 {
                let genotype = space.sample(&mut rng);
                let whole = Cost::of(&space.lower(&genotype));
                assert_eq!(space.cost(&genotype, &mut memo), whole, "{}", space.format(&genotype));
            }
        }
    }

    #[test]
    fn a_dag_decodes_to_its_genotype_and_nothing_else_decodes() {
        let (space, mut rng) = (seed_space(), ChaCha8Rng::seed_from_u64(2));
        for _ in 0..100 {
            let genotype = space.sample(&mut rng);
            let mut dag = space.dag(&genotype);
            assert_eq!((dag.len(), space.decode(&dag).unwrap()), (36, genotype));
            dag.edges.pop();
            assert!(space.decode(&dag).is_err(), "an operation whose output nothing reads");
        }
    }

    #[test]
    fn a_mutant_differs_and_no_layer_is_empty() {
        let (space, mut rng) = (seed_space(), ChaCha8Rng::seed_from_u64(3));
        let mut genotype = space.sample(&mut rng);
        for _ in 0..1000 {
            let mutant = space.mutate(&genotype, 0.02, &mut rng);
            assert_ne!(mutant, genotype);
            assert!(mutant.symbols().iter().all(|s| *s > 0 && *s <= ALL));
            genotype = mutant;
        }
    }

    #[test]
    fn a_genotype_text_says_what_is_wrong_with_it() {
        let space = seed_space();
        let error = |text: &str| space.parse(text).unwrap_err().to_string();
        assert!(error("111000").contains("1 layers, expected 5"));
        assert!(error("000000-011101-111111-111111-011101").contains("layer 1 has no operation"));
        assert!(error("111000-01110-111111-111111-011101").contains("layer 2 has 5 bits"));
        assert!(error("111000-01110x-111111-111111-011101").contains("layer 2 has something else"));
    }
}
