//! The MobileNetV3 space of Once-for-all: five stages of two to four inverted residual blocks, each with a kernel and an
//! expansion of its own (Cai and others, "Once-for-All: Train One Network and Specialize it for Efficient Deployment", 2020;
//! `OFAMobileNetV3`).
//!
//! Channels, strides and head are those of `OFAMobileNetV3`. Two things are left out that small devices and their
//! compilers are poor at: squeeze-and-excitation, and hard-swish, in whose place stands ReLU6, as in the networks of
//! ProxylessNAS and MCUNet. Width and image are parameters.

use rand::Rng;

use super::blocks::{Blocks, InvertedResidual};
use super::chain::{self, Chain};
use super::{Dag, Genotype, SpaceError, Task};
use crate::graph::{Conv2d, Cost, Graph, GraphError, Op, Shape};

const NAME: &str = "mobilenet-v3";
const STAGES: usize = 5;
/// Layers of a stage; those from the third on may be absent.
const LAYERS: usize = 4;
const LEAST_LAYERS: usize = 2;
const KERNELS: [usize; 3] = [3, 5, 7];
const EXPANSIONS: [usize; 3] = [3, 4, 6];
/// Symbol of a layer that is not there; the others are one more than three times the kernel's place plus the expansion's.
const ABSENT: u8 = 0;
const SYMBOLS: u8 = 10;
/// Channels before the width multiplier: of the stem and the first block, of the stages, of the two layers of the head.
const STEM: usize = 16;
const CHANNELS: [usize; STAGES] = [24, 40, 80, 112, 160];
const HEAD: [usize; 2] = [960, 1280];
/// Channels are multiples of this.
const STEP: usize = 8;
/// Largest width multiplier: ten times the published channels are a hundred times the parameters.
const WIDEST: f64 = 10.0;
/// Strides of the stem and of the first layer of each stage, for images that are large enough.
const STRIDES: [usize; STAGES + 1] = [2, 2, 2, 2, 1, 2];
/// Rows and columns that the last map has at least, unless the image has fewer.
const LAST_MAP: usize = 4;

/// What is fixed in a network of the space.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MobileNetV3Config {
    /// Images and classes.
    pub task: Task,
    /// Multiplies all channels; they are rounded to a multiple of eight, and down by no more than a tenth.
    pub width: f64,
}

impl Default for MobileNetV3Config {
    /// The published width.
    fn default() -> Self {
        MobileNetV3Config { task: Task::default(), width: 1.0 }
    }
}

/// The space. A genotype has four symbols for each stage, a layer's kernel and expansion in one; absent layers come last.
///
/// The published networks halve the map five times: in the stem and in stages 1, 2, 3 and 5. Of these, the last ones are
/// kept, as many as leave a last map of at least 4 × 4 pixels (rounded up): all five from 97 pixels on, four from 49, three
/// from 25, two from 13, one from 7. So a small image keeps its resolution where it is read, and the late stages see what
/// they would see of a large one.
#[derive(Debug, Clone, PartialEq)]
pub struct MobileNetV3 {
    config: MobileNetV3Config,
}

impl MobileNetV3 {
    /// A space whose every genotype is a valid network.
    pub fn new(config: MobileNetV3Config) -> Result<Self, SpaceError> {
        config.task.check(NAME)?;
        let wrong = |reason: String| Err(SpaceError::Config { space: NAME, reason });
        if !(config.width > 0.0 && config.width <= WIDEST) {
            return wrong(format!("width must be more than 0 and at most {WIDEST}"));
        }
        let space = MobileNetV3 { config };
        match space.try_lower(&vec![SYMBOLS - 1; STAGES * LAYERS].into()) {
            Ok(_) => Ok(space),
            Err(error) => wrong(error.to_string()),
        }
    }

    /// What is fixed.
    pub fn config(&self) -> &MobileNetV3Config {
        &self.config
    }

    fn chain(&self) -> Chain {
        Chain { space: NAME, choices: vec![SYMBOLS; STAGES * LAYERS] }
    }

    /// Number of genotypes: 7,371⁵, about 2 · 10¹⁹.
    pub fn size(&self) -> f64 {
        let blocks = f64::from(SYMBOLS - 1);
        let stage: f64 = (LEAST_LAYERS..=LAYERS).map(|layers| blocks.powi(layers as i32)).sum();
        stage.powi(STAGES as i32)
    }

    /// Reads `k3e6+k5e3/k3e4+k3e4+k7e6/…`: stages between slashes, layers between plus signs, each with kernel and
    /// expansion.
    pub fn parse(&self, text: &str) -> Result<Genotype, SpaceError> {
        let wrong = |reason| SpaceError::Genotype {
            text: text.to_string(),
            reason,
            example: "k3e3+k5e4/k3e6+k3e4+k7e6/k5e3+k5e6/k3e6+k7e4+k3e3+k5e6/k7e6+k5e4".into(),
        };
        let stages: Vec<&str> = text.trim().split('/').collect();
        if stages.len() != STAGES {
            return Err(wrong(format!("expected {STAGES} stages, found {}", stages.len())));
        }
        let mut symbols = Vec::with_capacity(STAGES * LAYERS);
        for (stage, text) in stages.into_iter().enumerate().map(|(at, text)| (at + 1, text)) {
            let layers: Vec<&str> = text.split('+').map(str::trim).collect();
            if !(LEAST_LAYERS..=LAYERS).contains(&layers.len()) || text.trim().is_empty() {
                let found = if text.trim().is_empty() { 0 } else { layers.len() };
                return Err(wrong(format!("stage {stage}: expected {LEAST_LAYERS} to {LAYERS} layers, found {found}")));
            }
            for (at, layer) in layers.iter().enumerate() {
                let no_layer = || format!("stage {stage}, layer {}: `{layer}` {EXPECTED}", at + 1);
                symbols.push(symbol_of(layer).ok_or_else(|| wrong(no_layer()))?);
            }
            symbols.resize(stage * LAYERS, ABSENT);
        }
        Ok(symbols.into())
    }

    /// Writes what [`MobileNetV3::parse`] reads.
    pub fn format(&self, genotype: &Genotype) -> String {
        let layer = |(kernel, expansion)| format!("k{kernel}e{expansion}");
        let stage = |symbols: &[u8]| symbols.iter().filter_map(|s| block(*s)).map(layer).collect::<Vec<_>>().join("+");
        genotype.symbols().chunks(LAYERS).map(stage).collect::<Vec<_>>().join("/")
    }

    /// A random genotype. Depths, kernels and expansions of a network each have a tendency of their own, so that small and
    /// large networks are drawn, not only medium ones; over all networks each option is equally likely.
    pub fn sample(&self, rng: &mut impl Rng) -> Genotype {
        let [deep, large, wide] = [(); 3].map(|()| rng.random_range(0.0..1.0));
        // Two throws of a coin whose bias is drawn evenly: none, one or two heads are equally likely.
        let option = |bias: f64, rng: &mut _| (0..2).map(|_| u8::from(Rng::random_bool(rng, bias))).sum::<u8>();
        let mut symbols = Vec::with_capacity(STAGES * LAYERS);
        for stage in 1..=STAGES {
            let layers = LEAST_LAYERS + usize::from(option(deep, rng));
            symbols.extend((0..layers).map(|_| symbol(option(large, rng), option(wide, rng))));
            symbols.resize(stage * LAYERS, ABSENT);
        }
        symbols.into()
    }

    /// Gives each depth, each kernel and each expansion another value with probability `rate`, at least one; layers that are
    /// new are random.
    pub fn mutate(&self, genotype: &Genotype, rate: f64, rng: &mut impl Rng) -> Genotype {
        let other = |option: u8, rng: &mut _| match Rng::random_bool(rng, rate) {
            true => (option + Rng::random_range(rng, 1..3)) % 3,
            false => option,
        };
        loop {
            let mut mutant = Vec::with_capacity(STAGES * LAYERS);
            for stage in genotype.symbols().chunks(LAYERS) {
                let depth = usize::from(other(depth(stage), rng)) + LEAST_LAYERS;
                let start = mutant.len();
                for before in &stage[..depth] {
                    mutant.push(match options(*before) {
                        Some((kernel, expansion)) => symbol(other(kernel, rng), other(expansion, rng)),
                        None => rng.random_range(1..SYMBOLS),
                    });
                }
                mutant.resize(start + LAYERS, ABSENT);
            }
            if mutant != genotype.symbols() {
                return mutant.into();
            }
        }
    }

    /// Takes each layer from one parent or the other, absent ones too.
    pub fn cross(&self, a: &Genotype, b: &Genotype, rng: &mut impl Rng) -> Genotype {
        let mut symbols = chain::cross(a, b, rng).symbols().to_vec();
        symbols.chunks_mut(LAYERS).for_each(|stage| stage.sort_by_key(|symbol| *symbol == ABSENT));
        symbols.into()
    }

    /// The predictor's picture: input, a node for each of the 20 layers whose kind is its symbol plus two, output, in a
    /// chain. Layers that are not there have a kind of their own.
    pub fn dag(&self, genotype: &Genotype) -> Dag {
        self.chain().dag(genotype)
    }

    /// Number of kinds of a [`Dag`]'s node.
    pub fn vocabulary(&self) -> usize {
        self.chain().vocabulary()
    }

    /// The genotype that a `Dag` stands for, if it is one of this space.
    pub fn genotype_of(&self, dag: &Dag) -> Result<Genotype, SpaceError> {
        let is_whole = |stage: &[u8]| {
            let there = stage.iter().take_while(|symbol| **symbol != ABSENT).count();
            there >= LEAST_LAYERS && stage[there..].iter().all(|symbol| *symbol == ABSENT)
        };
        let genotype = self.chain().genotype_of(dag)?;
        let all_whole = genotype.symbols().chunks(LAYERS).all(is_whole);
        Some(genotype).filter(|_| all_whole).ok_or(SpaceError::Dag { space: NAME })
    }

    /// Number of options of each choice, which is three: five depths, then for each of 20 layers kernel and expansion.
    pub fn choices(&self) -> Vec<u8> {
        vec![3; STAGES + 2 * STAGES * LAYERS]
    }

    /// The options that were chosen in a genotype; those of a layer that is not there count as the first.
    pub fn choices_of(&self, genotype: &Genotype) -> Vec<u8> {
        let depths = genotype.symbols().chunks(LAYERS).map(depth);
        let layers = genotype.symbols().iter().map(|symbol| options(*symbol).unwrap_or((0, 0)));
        depths.chain(layers.flat_map(|(kernel, expansion)| [kernel, expansion])).collect()
    }

    /// The genotype of these options; what they say of layers beyond the depth of a stage does not matter.
    pub fn assemble(&self, options: &[u8]) -> Genotype {
        let (depths, layers) = options.split_at(STAGES);
        let mut symbols: Vec<u8> = layers.chunks(2).map(|layer| symbol(layer[0], layer[1])).collect();
        for (stage, depth) in symbols.chunks_mut(LAYERS).zip(depths) {
            stage[LEAST_LAYERS + usize::from(*depth)..].fill(ABSENT);
        }
        symbols.into()
    }

    /// Columns for simple predictors: log10 of MACs, the depth of each stage, then kernel and expansion of each layer, all
    /// from 0 to 1.
    pub fn features(&self, genotype: &Genotype, cost: &Cost) -> Vec<f64> {
        let depths = genotype.symbols().chunks(LAYERS).map(|stage| f64::from(depth(stage)) / 2.0);
        let layers = genotype.symbols().iter().flat_map(|symbol| match block(*symbol) {
            Some((kernel, expansion)) => [kernel as f64 / 7.0, expansion as f64 / 6.0],
            None => [0.0; 2],
        });
        std::iter::once((cost.macs.max(1) as f64).log10()).chain(depths).chain(layers).collect()
    }

    /// The network.
    pub fn lower(&self, genotype: &Genotype) -> Graph {
        self.try_lower(genotype).expect("all networks keep the shapes of the largest one, which was checked")
    }

    fn try_lower(&self, genotype: &Genotype) -> Result<Graph, GraphError> {
        let (mut blocks, image) = Blocks::start(&self.config.task)?;
        let strides = strides(self.config.task.input);
        let stem = Conv2d { stride: strides[0], ..Conv2d::dense(self.channels(STEM), 3) };
        let mut x = blocks.conv_norm_activation("stem", image, stem, &Op::Relu6)?;
        let layer = |(kernel, expansion), channels, stride| InvertedResidual {
            kernel,
            expansion,
            out: self.channels(channels),
            stride,
            activation: Op::Relu6,
        };
        x = blocks.inverted_residual("first", x, &layer((3, 1), STEM, 1))?;
        for (stage, symbols) in genotype.symbols().chunks(LAYERS).enumerate() {
            for (at, chosen) in symbols.iter().filter_map(|symbol| block(*symbol)).enumerate() {
                let stride = if at == 0 { strides[stage + 1] } else { 1 };
                let name = format!("stage{}.layer{}", stage + 1, at + 1);
                x = blocks.inverted_residual(&name, x, &layer(chosen, CHANNELS[stage], stride))?;
            }
        }
        let [wide, mixed] = HEAD.map(|channels| Conv2d::pointwise(self.channels(channels)));
        x = blocks.conv_norm_activation("head", x, wide, &Op::Relu6)?;
        x = blocks.push("head.mean", Op::GlobalMean, &[x])?;
        x = blocks.conv("mix", x, mixed)?;
        x = blocks.activation("mix", x, &Op::Relu6)?;
        blocks.linear(x, self.config.task.classes)?;
        blocks.finish()
    }

    /// Channels at the width, rounded as all MobileNets are.
    fn channels(&self, unscaled: usize) -> usize {
        let exact = unscaled as f64 * self.config.width;
        let nearest = ((exact / STEP as f64 + 0.5).floor() as usize).max(1).saturating_mul(STEP);
        if (nearest as f64) < 0.9 * exact { nearest + STEP } else { nearest }
    }
}

const EXPECTED: &str = "is not a kernel of 3, 5 or 7 and an expansion of 3, 4 or 6, such as `k5e4`";

fn symbol_of(text: &str) -> Option<u8> {
    let (kernel, expansion) = text.strip_prefix('k')?.split_once('e')?;
    let place = |of: [usize; 3], text: &str| of.iter().position(|value| value.to_string() == text);
    Some(symbol(place(KERNELS, kernel)? as u8, place(EXPANSIONS, expansion)? as u8))
}

/// The symbol of a layer from the places of its kernel and its expansion.
fn symbol(kernel: u8, expansion: u8) -> u8 {
    1 + 3 * kernel + expansion
}

/// Places of a layer's kernel and expansion, if it is there.
fn options(symbol: u8) -> Option<(u8, u8)> {
    symbol.checked_sub(1).map(|at| (at / 3, at % 3))
}

/// Kernel and expansion of a layer, if it is there.
fn block(symbol: u8) -> Option<(usize, usize)> {
    options(symbol).map(|(kernel, expansion)| (KERNELS[usize::from(kernel)], EXPANSIONS[usize::from(expansion)]))
}

/// Layers of a stage beyond the second.
fn depth(stage: &[u8]) -> u8 {
    stage[LEAST_LAYERS..].iter().map(|symbol| u8::from(*symbol != ABSENT)).sum()
}

/// Strides of the stem and of the stages for an image: the last halvings that leave a map of [`LAST_MAP`].
fn strides(input: Shape) -> [usize; STAGES + 1] {
    let mut side = input.height.min(input.width);
    let mut strides = [1; STAGES + 1];
    for at in (0..=STAGES).rev().filter(|at| STRIDES[*at] == 2) {
        side = side.div_ceil(2);
        if side >= LAST_MAP {
            strides[at] = 2;
        }
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    fn space(width: f64, side: usize) -> MobileNetV3 {
        let task = Task { input: Shape::new(3, side, side), classes: 10, ..Task::default() };
        MobileNetV3::new(MobileNetV3Config { task, width }).unwrap()
    }

    const SMALLEST: &str = "k3e3+k3e3/k3e3+k3e3/k3e3+k3e3/k3e3+k3e3/k3e3+k3e3";

    #[test]
    fn the_last_map_is_four_pixels_or_more_for_images_of_all_sizes() {
        let last_map = |side: usize| {
            let space = space(0.25, side);
            let graph = space.lower(&space.parse(SMALLEST).unwrap());
            graph.nodes().iter().find(|node| node.name == "head.conv").unwrap().shape.height
        };
        let found: Vec<usize> = [224, 128, 97, 96, 64, 49, 48, 32, 28, 25, 24, 13, 7, 3, 1].map(last_map).to_vec();
        assert_eq!(found, [7, 4, 4, 6, 4, 4, 6, 4, 4, 4, 6, 4, 4, 3, 1]);
        assert_eq!(strides(Shape::new(3, 32, 32)), [1, 1, 2, 2, 1, 2]);
        assert_eq!(strides(Shape::new(1, 300, 28)), [1, 1, 2, 2, 1, 2], "the shorter side decides");
    }

    /// Of the published network without squeeze-and-excitation; a kernel or an expansion changes one term.
    #[test]
    fn parameters_are_those_counted_by_hand() {
        let block = |input: usize, kernel: usize, expansion: usize, out: usize| {
            let hidden = input * expansion;
            let expand = if expansion == 1 { 0 } else { input * hidden + 2 * hidden };
            expand + hidden * kernel * kernel + 2 * hidden + hidden * out + 2 * out
        };
        let stages: usize = [(16, 24), (24, 40), (40, 80), (80, 112), (112, 160)]
            .map(|(input, out)| block(input, 3, 3, out) + block(out, 3, 3, out))
            .iter()
            .sum();
        let stem = 3 * 9 * 16 + 2 * 16 + block(16, 3, 1, 16);
        let head = 160 * 960 + 2 * 960 + 960 * 1280 + 1280 * 10 + 10;
        let space = space(1.0, 224);
        let params = |text: &str| Cost::of(&space.lower(&space.parse(text).unwrap())).params as usize;
        assert_eq!(params(SMALLEST), stem + stages + head);
        let larger = SMALLEST.replacen("k3e3+k3e3", "k3e3+k3e3+k7e6", 1);
        assert_eq!(params(&larger), stem + stages + head + block(24, 7, 6, 24));
    }

    #[test]
    fn channels_are_rounded_as_published() {
        let channels = |width: f64| [24, 40, 112, 160].map(|unscaled| space(width, 32).channels(unscaled));
        assert_eq!(channels(1.2), [32, 48, 136, 192]);
        assert_eq!(channels(0.25), [8, 16, 32, 40], "10 would lose more than a tenth as 8");
        assert_eq!(channels(0.01), [8; 4]);
    }

    #[test]
    fn a_width_that_makes_no_networks_is_refused() {
        for width in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e30] {
            let error = MobileNetV3::new(MobileNetV3Config { width, ..MobileNetV3Config::default() }).unwrap_err();
            assert!(error.to_string().contains("width must be more than 0 and at most 10"), "{width}: {error}");
        }
    }

    #[test]
    fn small_and_large_networks_are_drawn_and_every_option_alike() {
        const NETWORKS: usize = 3000;
        let space = space(1.0, 32);
        let mut rng = seed::stream(1, "test", 0);
        let (mut counts, mut layers) = ([[0usize; 3]; 3], Vec::new());
        for _ in 0..NETWORKS {
            let options = space.choices_of(&space.sample(&mut rng));
            counts[0][usize::from(options[0])] += 1;
            counts[1][usize::from(options[STAGES])] += 1;
            counts[2][usize::from(options[STAGES + 1])] += 1;
            layers.push(10 + options[..STAGES].iter().sum::<u8>());
        }
        for count in counts.as_flattened() {
            assert!(count.abs_diff(NETWORKS / 3) < NETWORKS / 20, "{counts:?}");
        }
        // With independent depths fewer than one in a hundred would have at most eleven.
        let shallow = layers.iter().filter(|layers| **layers <= 11).count();
        assert!(shallow > NETWORKS / 20, "{shallow}");
    }

    #[test]
    fn layers_beyond_the_depth_of_a_stage_do_not_matter() {
        let space = space(1.0, 32);
        let genotype = space.parse(SMALLEST).unwrap();
        let mut options = space.choices_of(&genotype);
        *options.last_mut().unwrap() = 2;
        assert_eq!(space.assemble(&options), genotype);
        options[STAGES - 1] = 2;
        assert!(space.format(&space.assemble(&options)).ends_with("/k3e3+k3e3+k3e3+k3e6"));
    }

    #[test]
    fn a_graph_with_a_gap_in_a_stage_is_no_network() {
        let space = space(1.0, 32);
        let mut dag = space.dag(&space.parse(SMALLEST).unwrap());
        dag.kinds[4] = 5;
        assert!(space.genotype_of(&dag).is_err(), "a fourth layer without a third");
        dag.kinds[3] = 5;
        assert!(space.genotype_of(&dag).is_ok());
        dag.kinds[2..5].fill(2);
        assert!(space.genotype_of(&dag).is_err(), "one layer");
    }

    #[test]
    fn a_text_says_what_is_wrong_with_it() {
        let space = space(1.0, 32);
        let error = |text: &str| space.parse(text).unwrap_err().to_string();
        assert!(error("k3e3+k3e3").contains("expected 5 stages, found 1"));
        assert!(error(&SMALLEST.replacen("k3e3+k3e3", "k3e3", 1)).contains("stage 1: expected 2 to 4 layers, found 1"));
        assert!(error(&SMALLEST.replacen("k3e3+k3e3", "", 1)).contains("stage 1: expected 2 to 4 layers, found 0"));
        assert!(error(&SMALLEST.replacen("k3e3", "k3e5", 1)).contains("stage 1, layer 1: `k3e5` is not"));
        assert!(error(&SMALLEST.replacen("k3e3", "k03e3", 1)).contains("`k03e3`"));
        let hint = error("?").split("hint: write it like `").nth(1).map(str::to_string).unwrap();
        assert!(space.parse(hint.trim_end_matches('`')).is_ok(), "the hint is a genotype: {hint}");
    }
}
