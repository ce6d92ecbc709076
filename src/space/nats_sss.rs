//! The size space of NATS-Bench: one fixed cell, the channels of five layers are chosen (Dong and others, "NATS-Bench",
//! 2021).

use rand::Rng;

use super::blocks::Blocks;
use super::chain::{self, Chain};
use super::nats_cell::{Cell, NatsOperation, push_reduction};
use super::{Dag, Genotype, Published, SpaceError, Task};
use crate::graph::{Conv2d, Cost, Graph, GraphError};

const NAME: &str = "nats-sss";
const LAYERS: usize = 5;
/// Channels are a multiple of this, up to eight times.
const STEP: usize = 8;
const CHOICES: u8 = 8;
/// Layers whose block halves the map.
const REDUCTIONS: [usize; 2] = [1, 3];
/// The best cell of the topology space on CIFAR-100.
const CELL: Cell = Cell([
    NatsOperation::Conv3x3,
    NatsOperation::Conv3x3,
    NatsOperation::Conv3x3,
    NatsOperation::Skip,
    NatsOperation::Conv3x3,
    NatsOperation::Conv3x3,
]);

/// The space. A genotype has a symbol for each layer: symbol s is 8 (s + 1) channels.
#[derive(Debug, Clone, PartialEq)]
pub struct NatsSss {
    task: Task,
}

impl NatsSss {
    /// The published networks for a task.
    pub fn new(task: Task) -> Result<Self, SpaceError> {
        task.check(NAME)?;
        let space = NatsSss { task };
        let largest = vec![CHOICES - 1; LAYERS].into();
        match space.try_lower(&largest) {
            Ok(_) => Ok(space),
            Err(error) => Err(SpaceError::Config { space: NAME, reason: error.to_string() }),
        }
    }

    fn chain(&self) -> Chain {
        Chain { space: NAME, choices: [CHOICES; LAYERS].to_vec() }
    }

    /// Number of genotypes.
    pub fn size(&self) -> f64 {
        self.chain().size()
    }

    /// Reads the official text: `8:16:24:32:64`.
    pub fn parse(&self, text: &str) -> Result<Genotype, SpaceError> {
        let wrong = |reason| SpaceError::Genotype { text: text.to_string(), reason, example: "8:16:24:32:64".into() };
        let layers: Vec<&str> = text.trim().split(':').collect();
        if layers.len() != LAYERS {
            return Err(wrong(format!("{} layers, expected {LAYERS}", layers.len())));
        }
        let symbol = |layer: &&str| match layer.parse::<usize>() {
            Ok(channels) if channels % STEP == 0 && (1..=usize::from(CHOICES)).contains(&(channels / STEP)) => {
                Ok((channels / STEP) as u8 - 1)
            }
            _ => Err(wrong(format!("`{layer}` is not a multiple of {STEP} from 8 to 64"))),
        };
        let symbols: Result<Vec<u8>, SpaceError> = layers.iter().map(symbol).collect();
        symbols.map(Genotype::from)
    }

    /// Writes the official text.
    pub fn format(&self, genotype: &Genotype) -> String {
        genotype.symbols().iter().map(|symbol| channels(*symbol).to_string()).collect::<Vec<_>>().join(":")
    }

    /// A random genotype.
    pub fn sample(&self, rng: &mut impl Rng) -> Genotype {
        self.chain().sample(rng)
    }

    /// Gives each layer another number of channels with probability `rate`, at least one.
    pub fn mutate(&self, genotype: &Genotype, rate: f64, rng: &mut impl Rng) -> Genotype {
        self.chain().mutate(genotype, rate, rng)
    }

    /// Takes each layer from one parent or the other.
    pub fn cross(&self, a: &Genotype, b: &Genotype, rng: &mut impl Rng) -> Genotype {
        chain::cross(a, b, rng)
    }

    /// The predictor's picture: input, a node for each layer whose kind is its symbol plus two, output, in a chain.
    pub fn dag(&self, genotype: &Genotype) -> Dag {
        self.chain().dag(genotype)
    }

    /// Number of kinds of a [`Dag`]'s node.
    pub fn vocabulary(&self) -> usize {
        self.chain().vocabulary()
    }

    /// The genotype that a `Dag` stands for, if it is one of this space.
    pub fn genotype_of(&self, dag: &Dag) -> Result<Genotype, SpaceError> {
        self.chain().genotype_of(dag)
    }

    /// Columns for simple predictors: log10 of MACs, then the channels of each layer as a fraction of the most.
    pub fn features(&self, genotype: &Genotype, cost: &Cost) -> Vec<f64> {
        let channels = genotype.symbols().iter().map(|symbol| f64::from(symbol + 1) / f64::from(CHOICES));
        std::iter::once((cost.macs.max(1) as f64).log10()).chain(channels).collect()
    }

    /// What the benchmark says a network costs: multiply-accumulates with the classifier's, and its bias as an operation
    /// for each class; batch normalisation and pooling are free.
    pub fn published(&self, genotype: &Genotype) -> Published {
        let cost = Cost::of(&self.lower(genotype));
        Published { flops: cost.macs + cost.linear_macs + self.task.classes as u64, params: cost.params }
    }

    /// The network.
    pub fn lower(&self, genotype: &Genotype) -> Graph {
        self.try_lower(genotype).expect("all widths keep the shapes of the largest network, which was checked")
    }

    fn try_lower(&self, genotype: &Genotype) -> Result<Graph, GraphError> {
        let (mut blocks, image) = Blocks::start(&self.task)?;
        let widths: Vec<usize> = genotype.symbols().iter().map(|symbol| channels(*symbol)).collect();
        let mut x = blocks.conv_norm("stem", image, Conv2d::dense(widths[0], 3))?;
        for (at, out) in widths.into_iter().enumerate() {
            let name = format!("layer{}", at + 1);
            x = match REDUCTIONS.contains(&at) {
                true => push_reduction(&mut blocks, &name, x, out)?,
                false => CELL.push(&mut blocks, &name, x, out)?,
            };
        }
        x = blocks.norm("head", x)?;
        x = blocks.relu("head", x)?;
        blocks.classify(x, self.task.classes)?;
        blocks.finish()
    }
}

fn channels(symbol: u8) -> usize {
    STEP * (usize::from(symbol) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Shape;

    /// FLOPs and parameters of architectures 0 and 11 in the genuine NATS-Bench files.
    #[test]
    fn cost_is_that_of_the_genuine_files() {
        for (text, classes, side, flops, params) in [
            ("8:8:8:8:8", 10, 32, 4_481_114, 11_714),
            ("8:8:8:8:8", 100, 32, 4_481_924, 12_524),
            ("8:8:8:8:8", 120, 16, 1_121_336, 12_704),
            ("8:8:8:16:32", 10, 32, 6_840_650, 49_202),
            ("8:8:8:16:32", 100, 32, 6_843_620, 52_172),
            ("8:8:8:16:32", 120, 16, 1_714_040, 52_832),
        ] {
            let task = Task { classes, input: Shape::new(3, side, side), ..Task::default() };
            let space = NatsSss::new(task).unwrap();
            let genotype = space.parse(text).unwrap();
            assert_eq!(space.published(&genotype), Published { flops, params }, "{text}");
            assert_eq!(space.format(&genotype), text);
        }
    }

    #[test]
    fn a_text_says_what_is_wrong_with_it() {
        let space = NatsSss::new(Task::default()).unwrap();
        let error = |text: &str| space.parse(text).unwrap_err().to_string();
        assert!(error("8:8:8:8").contains("4 layers"));
        assert!(error("8:8:8:8:12").contains("`12` is not a multiple"));
        assert!(error("8:8:8:8:72").contains("`72`"));
    }
}
