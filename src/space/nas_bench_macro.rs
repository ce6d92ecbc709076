//! The space of NAS-Bench-Macro: eight layers, each an identity or one of two inverted residual blocks (Su and others,
//! "Prioritized Architecture Sampling with Monto-Carlo Tree Search", 2021).

use rand::Rng;

use super::blocks::{Blocks, InvertedResidual};
use super::chain::{self, Chain};
use super::{Dag, Genotype, SpaceError, Task};
use crate::graph::{Conv2d, Cost, Graph, GraphError, Op};

const NAME: &str = "nas-bench-macro";
const LAYERS: usize = 8;
const CHOICES: u8 = 3;
/// Layers that halve the map and double the channels: the first of each stage.
const STAGE_STARTS: [usize; 3] = [0, 2, 5];
const STEM: usize = 32;
const HEAD: usize = 1280;

/// The space. A genotype has a symbol for each layer: 0 identity, 1 inverted residual with kernel 3 and expansion 3, 2 with
/// kernel 5 and expansion 6.
#[derive(Debug, Clone, PartialEq)]
pub struct NasBenchMacro {
    task: Task,
}

impl NasBenchMacro {
    /// The published networks for a task.
    pub fn new(task: Task) -> Result<Self, SpaceError> {
        task.check(NAME)?;
        let space = NasBenchMacro { task };
        match space.try_lower(&vec![CHOICES - 1; LAYERS].into()) {
            Ok(_) => Ok(space),
            Err(error) => Err(SpaceError::Config { space: NAME, reason: error.to_string() }),
        }
    }

    fn chain(&self) -> Chain {
        Chain { space: NAME, choices: [CHOICES; LAYERS].to_vec() }
    }

    /// Number of texts; where a stage has an identity, its place among the layers that keep the shape does not matter.
    pub fn size(&self) -> f64 {
        self.chain().size()
    }

    /// Reads eight digits: `22212220`.
    pub fn parse(&self, text: &str) -> Result<Genotype, SpaceError> {
        let wrong = |reason| SpaceError::Genotype { text: text.to_string(), reason, example: "22212220".into() };
        let symbol = |digit: char| match digit.to_digit(u32::from(CHOICES)) {
            Some(symbol) => Ok(symbol as u8),
            None => Err(wrong(format!("`{digit}` is not 0, 1 or 2"))),
        };
        let symbols: Vec<u8> = text.trim().chars().map(symbol).collect::<Result<_, _>>()?;
        match symbols.len() {
            LAYERS => Ok(symbols.into()),
            other => Err(wrong(format!("{other} digits, expected {LAYERS}"))),
        }
    }

    /// Writes what [`NasBenchMacro::parse`] reads.
    pub fn format(&self, genotype: &Genotype) -> String {
        genotype.symbols().iter().map(|symbol| char::from(b'0' + symbol)).collect()
    }

    /// The same network with identities behind the blocks of their stage, where they change nothing.
    pub fn canonical(&self, genotype: &Genotype) -> Genotype {
        let mut symbols = genotype.symbols().to_vec();
        let ends = STAGE_STARTS.iter().skip(1).copied().chain([LAYERS]);
        for (start, end) in STAGE_STARTS.into_iter().zip(ends) {
            symbols[start + 1..end].sort_by_key(|symbol| *symbol == 0);
        }
        symbols.into()
    }

    /// A random genotype.
    pub fn sample(&self, rng: &mut impl Rng) -> Genotype {
        self.canonical(&self.chain().sample(rng))
    }

    /// Gives each layer another block with probability `rate`; the mutant is a different network.
    pub fn mutate(&self, genotype: &Genotype, rate: f64, rng: &mut impl Rng) -> Genotype {
        let before = self.canonical(genotype);
        loop {
            let mutant = self.canonical(&self.chain().mutate(&before, rate, rng));
            if mutant != before {
                return mutant;
            }
        }
    }

    /// Takes each layer from one parent or the other.
    pub fn cross(&self, a: &Genotype, b: &Genotype, rng: &mut impl Rng) -> Genotype {
        self.canonical(&chain::cross(a, b, rng))
    }

    /// The predictor's picture of the canonical form: input, a node for each layer whose kind is its symbol plus two,
    /// output, in a chain.
    pub fn dag(&self, genotype: &Genotype) -> Dag {
        self.chain().dag(&self.canonical(genotype))
    }

    /// Number of kinds of a [`Dag`]'s node.
    pub fn vocabulary(&self) -> usize {
        self.chain().vocabulary()
    }

    /// The genotype that a `Dag` stands for, if it is one of this space.
    pub fn genotype_of(&self, dag: &Dag) -> Result<Genotype, SpaceError> {
        Ok(self.canonical(&self.chain().genotype_of(dag)?))
    }

    /// Columns for simple predictors: log10 of MACs, then for each layer one bit for each block.
    pub fn features(&self, genotype: &Genotype, cost: &Cost) -> Vec<f64> {
        let symbols = self.canonical(genotype);
        let bits =
            symbols.symbols().iter().flat_map(|s| (0..CHOICES).map(move |choice| f64::from(u8::from(choice == *s))));
        std::iter::once((cost.macs.max(1) as f64).log10()).chain(bits).collect()
    }

    /// The network.
    pub fn lower(&self, genotype: &Genotype) -> Graph {
        self.try_lower(genotype).expect("all networks keep the shapes of the largest one, which was checked")
    }

    fn try_lower(&self, genotype: &Genotype) -> Result<Graph, GraphError> {
        let (mut blocks, image) = Blocks::start(&self.task)?;
        let mut x = blocks.conv_norm_relu("stem", image, Conv2d::dense(STEM, 3))?;
        let mut out = STEM;
        let block = |(kernel, expansion), out, stride| InvertedResidual {
            kernel,
            expansion,
            out,
            stride,
            activation: Op::Relu,
        };
        for (at, symbol) in genotype.symbols().iter().enumerate() {
            let halves = STAGE_STARTS.contains(&at);
            out *= if halves { 2 } else { 1 };
            let name = format!("layer{}", at + 1);
            let stride = if halves { 2 } else { 1 };
            x = match symbol {
                0 if halves => blocks.conv_norm(&name, x, Conv2d { stride, ..Conv2d::pointwise(out) })?,
                0 => x,
                1 => blocks.inverted_residual(&name, x, &block((3, 3), out, stride))?,
                _ => blocks.inverted_residual(&name, x, &block((5, 6), out, stride))?,
            };
        }
        x = blocks.conv_norm_relu("head", x, Conv2d::pointwise(HEAD))?;
        blocks.classify(x, self.task.classes)?;
        blocks.finish()
    }
}
