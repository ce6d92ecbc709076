//! The six-layer space of ENAS that D-VAE and NGAE learn from: each layer has one of six operations on the layer before and
//! sums any set of earlier ones (Pham and others, "Efficient Neural Architecture Search via Parameter Sharing", 2018, the
//! macro space).

use rand::Rng;

use super::blocks::{Blocks, Pushed};
use super::{Dag, Genotype, SpaceError, Task};
use crate::graph::{Conv2d, Cost, Graph, GraphError, Linear, NodeId, Op};

const NAME: &str = "enas6";
const LAYERS: usize = 6;
/// Symbols of a genotype: the operation of each layer, then the bits of each.
const SYMBOLS: usize = LAYERS + LAYERS * (LAYERS - 1) / 2;
const OPERATIONS: u8 = 6;
/// Kinds of a [`Dag`]'s node: input, output, then the operations.
const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const FIRST_OPERATION: u8 = 2;
/// Layers after which the map is halved.
const POOLS: [usize; 2] = [1, 3];

/// What is fixed in a network of the space.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Enas6Config {
    /// Images and classes.
    pub task: Task,
    /// Channels of every layer, an even number.
    pub channels: usize,
}

impl Default for Enas6Config {
    /// The network whose shared weights gave the published accuracies: 36 channels, CIFAR-10.
    fn default() -> Self {
        Enas6Config { task: Task::default(), channels: 36 }
    }
}

/// The space. A genotype has the operation of each layer (0 convolution 3×3, 1 separable 3×3, 2 convolution 5×5, 3 separable
/// 5×5, 4 mean 3×3, 5 maximum 3×3), then for each layer after the first a bit for each vertex before the one it reads:
/// vertex 0 is the stem, vertex k the layer k.
#[derive(Debug, Clone, PartialEq)]
pub struct Enas6 {
    config: Enas6Config,
}

impl Enas6 {
    /// A space whose every genotype is a valid network.
    pub fn new(config: Enas6Config) -> Result<Self, SpaceError> {
        config.task.check(NAME)?;
        let wrong = |reason: String| SpaceError::Config { space: NAME, reason };
        if config.channels == 0 || !config.channels.is_multiple_of(2) {
            return Err(wrong("needs an even number of channels".to_string()));
        }
        let space = Enas6 { config };
        space.try_lower(&vec![1; SYMBOLS].into()).map_err(|error| wrong(error.to_string()))?;
        Ok(space)
    }

    /// What is fixed.
    pub fn config(&self) -> &Enas6Config {
        &self.config
    }

    /// Number of genotypes.
    pub fn size(&self) -> f64 {
        f64::from(OPERATIONS).powi(LAYERS as i32) * 2f64.powi((SYMBOLS - LAYERS) as i32)
    }

    /// Reads a line of the published structures: `[[1], [4, 0], [5, 0, 0], …]`, for each layer its operation and bits.
    pub fn parse(&self, text: &str) -> Result<Genotype, SpaceError> {
        let wrong = |reason: String| SpaceError::Genotype {
            text: text.to_string(),
            reason,
            example: self.format(&vec![0; SYMBOLS].into()),
        };
        let layers: Vec<Vec<u8>> =
            serde_json::from_str(text.trim()).map_err(|_| wrong("is not a list of lists of numbers".to_string()))?;
        if layers.len() != LAYERS {
            return Err(wrong(format!("{} layers, expected {LAYERS}", layers.len())));
        }
        for (at, layer) in layers.iter().enumerate() {
            if layer.len() != at + 1 {
                return Err(wrong(format!("layer {} has {} numbers, expected {}", at + 1, layer.len(), at + 1)));
            }
            if layer[0] >= OPERATIONS || layer[1..].iter().any(|bit| *bit > 1) {
                return Err(wrong(format!("layer {} has no operation from 0 to 5 with bits behind it", at + 1)));
            }
        }
        let operations = layers.iter().map(|layer| layer[0]);
        let bits = layers.iter().flat_map(|layer| layer[1..].iter().copied());
        Ok(operations.chain(bits).collect::<Vec<u8>>().into())
    }

    /// Writes what [`Enas6::parse`] reads.
    pub fn format(&self, genotype: &Genotype) -> String {
        let layer = |at: usize| {
            let numbers = std::iter::once(&genotype.symbols()[at]).chain(bits(genotype, at));
            format!("[{}]", numbers.map(u8::to_string).collect::<Vec<_>>().join(", "))
        };
        format!("[{}]", (0..LAYERS).map(layer).collect::<Vec<_>>().join(", "))
    }

    /// A random genotype.
    pub fn sample(&self, rng: &mut impl Rng) -> Genotype {
        (0..SYMBOLS).map(|at| rng.random_range(0..choices(at))).collect::<Vec<u8>>().into()
    }

    /// Changes each operation and each bit with probability `rate`, at least one.
    pub fn mutate(&self, genotype: &Genotype, rate: f64, rng: &mut impl Rng) -> Genotype {
        loop {
            let change = |(at, symbol): (usize, &u8)| match rng.random_bool(rate) {
                true => (symbol + rng.random_range(1..choices(at))) % choices(at),
                false => *symbol,
            };
            let mutant: Vec<u8> = genotype.symbols().iter().enumerate().map(change).collect();
            if mutant != genotype.symbols() {
                return mutant.into();
            }
        }
    }

    /// Takes each layer, its operation with its bits, from one parent or the other.
    pub fn cross(&self, a: &Genotype, b: &Genotype, rng: &mut impl Rng) -> Genotype {
        let mut child = a.symbols().to_vec();
        for layer in 0..LAYERS {
            if rng.random_bool(0.5) {
                child[layer] = b.symbols()[layer];
                child[bit_range(layer)].copy_from_slice(bits(b, layer));
            }
        }
        child.into()
    }

    /// The predictor's picture, as D-VAE draws it: input, the six layers, output. A layer reads the vertex before it and
    /// those of its bits; the output reads the last layer.
    pub fn dag(&self, genotype: &Genotype) -> Dag {
        let layers = genotype.symbols()[..LAYERS].iter().map(|operation| FIRST_OPERATION + operation);
        let kinds = std::iter::once(INPUT).chain(layers).chain([OUTPUT]).collect();
        let mut edges: Vec<(usize, usize)> = (0..=LAYERS).map(|vertex| (vertex, vertex + 1)).collect();
        for layer in 0..LAYERS {
            let chosen = bits(genotype, layer).iter().enumerate().filter(|(_, bit)| **bit == 1);
            edges.extend(chosen.map(|(from, _)| (from, layer + 1)));
        }
        edges.sort_unstable();
        Dag { kinds, edges }
    }

    /// Number of kinds of a [`Dag`]'s node.
    pub fn vocabulary(&self) -> usize {
        usize::from(FIRST_OPERATION + OPERATIONS)
    }

    /// The genotype that a `Dag` stands for, if it is one of this space.
    pub fn genotype_of(&self, dag: &Dag) -> Result<Genotype, SpaceError> {
        let refused = SpaceError::Dag { space: NAME };
        let kinds = dag.kinds.get(1..=LAYERS).ok_or(refused.clone())?;
        let operation = |kind: &u8| kind.checked_sub(FIRST_OPERATION).filter(|operation| *operation < OPERATIONS);
        let mut symbols: Vec<u8> = kinds.iter().map(operation).collect::<Option<_>>().ok_or(refused.clone())?;
        for layer in 0..LAYERS {
            symbols.extend((0..layer).map(|from| u8::from(dag.edges.contains(&(from, layer + 1)))));
        }
        Some(Genotype::from(symbols)).filter(|found| self.dag(found) == *dag).ok_or(refused)
    }

    /// Columns for simple predictors: log10 of MACs, for each layer one bit for each operation, then the bits of the
    /// connections.
    pub fn features(&self, genotype: &Genotype, cost: &Cost) -> Vec<f64> {
        let (operations, connections) = genotype.symbols().split_at(LAYERS);
        let one_hot = operations.iter().flat_map(|o| (0..OPERATIONS).map(move |k| f64::from(u8::from(k == *o))));
        let connections = connections.iter().map(|bit| f64::from(*bit));
        std::iter::once((cost.macs.max(1) as f64).log10()).chain(one_hot).chain(connections).collect()
    }

    /// The network, as ENAS builds it while it shares weights: what is read from before a pooling is reduced with it.
    pub fn lower(&self, genotype: &Genotype) -> Graph {
        self.try_lower(genotype).expect("all networks have the shapes that were checked")
    }

    fn try_lower(&self, genotype: &Genotype) -> Result<Graph, GraphError> {
        let (mut blocks, image) = Blocks::start(&self.config.task)?;
        let mut vertices = vec![blocks.conv_norm("stem", image, Conv2d::dense(self.config.channels, 3))?];
        for layer in 0..LAYERS {
            let x = self.push_layer(&mut blocks, genotype, layer, &vertices)?;
            vertices.push(x);
            if POOLS.contains(&layer) {
                for (at, vertex) in vertices.iter_mut().enumerate() {
                    // Only what a later layer reads is reduced.
                    let is_read = at == layer + 1 || (layer + 1..LAYERS).any(|later| bits(genotype, later)[at] == 1);
                    if is_read {
                        let name = format!("pool{}.from{at}", layer + 1);
                        *vertex = blocks.factorized_reduction(&name, *vertex, self.config.channels)?;
                    }
                }
            }
        }
        let x = blocks.push("head.mean", Op::GlobalMean, &[vertices[LAYERS]])?;
        blocks.push("classifier", Op::Linear(Linear { out: self.config.task.classes, bias: false }), &[x])?;
        blocks.finish()
    }

    fn push_layer(&self, blocks: &mut Blocks, genotype: &Genotype, layer: usize, vertices: &[NodeId]) -> Pushed {
        let (channels, name) = (self.config.channels, format!("layer{}", layer + 1));
        let x = blocks.conv_norm_relu(&format!("{name}.in"), vertices[layer], Conv2d::pointwise(channels))?;
        let x = match genotype.symbols()[layer] {
            0 => blocks.conv_norm_relu(&name, x, Conv2d::dense(channels, 3))?,
            1 => separable(blocks, &name, x, 3)?,
            2 => blocks.conv_norm_relu(&name, x, Conv2d::dense(channels, 5))?,
            3 => separable(blocks, &name, x, 5)?,
            4 => blocks.mean_3x3(&name, x)?,
            _ => blocks.max_3x3(&name, x)?,
        };
        if layer == 0 {
            return Ok(x);
        }
        let chosen = bits(genotype, layer).iter().enumerate().filter(|(_, bit)| **bit == 1);
        let terms: Vec<NodeId> = chosen.map(|(from, _)| vertices[from]).chain([x]).collect();
        let sum = blocks.sum(&name, &terms)?;
        blocks.norm(&format!("{name}.out"), sum)
    }
}

fn separable(blocks: &mut Blocks, name: &str, x: NodeId, kernel: usize) -> Pushed {
    let channels = blocks.shape(x).channels;
    let x = blocks.conv(&format!("{name}.depthwise"), x, Conv2d::depthwise(channels, kernel, 1, 1))?;
    blocks.conv_norm_relu(name, x, Conv2d::pointwise(channels))
}

fn choices(symbol: usize) -> u8 {
    if symbol < LAYERS { OPERATIONS } else { 2 }
}

/// Where the bits of a layer are.
fn bit_range(layer: usize) -> std::ops::Range<usize> {
    let first = LAYERS + layer * layer.saturating_sub(1) / 2;
    first..first + layer
}

fn bits(genotype: &Genotype, layer: usize) -> &[u8] {
    &genotype.symbols()[bit_range(layer)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    #[test]
    fn a_published_structure_reads_back_and_its_dag_decodes() {
        let space = Enas6::new(Enas6Config::default()).unwrap();
        let text = "[[1], [4, 0], [5, 0, 0], [0, 1, 1, 1], [2, 1, 1, 1, 1], [3, 0, 0, 0, 0, 1]]";
        let genotype = space.parse(text).unwrap();
        assert_eq!(space.format(&genotype), text);
        let dag = space.dag(&genotype);
        assert_eq!(dag.kinds, [0, 3, 6, 7, 2, 4, 5, 1]);
        // Layer 4 reads layer 3 and, by its bits, the stem and layers 1 and 2.
        assert_eq!(dag.predecessors()[4], [0, 1, 2, 3]);
        assert_eq!(dag.predecessors()[6], [4, 5]);
        assert_eq!(space.genotype_of(&dag), Ok(genotype));
    }

    #[test]
    fn parameters_are_those_counted_by_hand() {
        let space = Enas6::new(Enas6Config::default()).unwrap();
        let genotype =
            space.parse("[[0], [0, 0], [0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]").unwrap();
        let (c, norm) = (36, 72);
        let stem = 27 * c + norm;
        let layer = c * c + norm + 9 * c * c + norm;
        let reduction = c * c + norm;
        let all = stem + 6 * layer + 5 * norm + 2 * reduction + 10 * c;
        assert_eq!(Cost::of(&space.lower(&genotype)).params, all as u64);
    }

    #[test]
    fn what_the_space_draws_lowers_and_decodes() {
        let space = Enas6::new(Enas6Config::default()).unwrap();
        let mut rng = seed::stream(1, "test", 0);
        let mut genotype = space.sample(&mut rng);
        for _ in 0..100 {
            let mutant = space.mutate(&genotype, 0.1, &mut rng);
            assert_ne!(mutant, genotype);
            let child = space.cross(&genotype, &mutant, &mut rng);
            assert_eq!(space.genotype_of(&space.dag(&child)).as_ref(), Ok(&child));
            assert_eq!(space.parse(&space.format(&child)).as_ref(), Ok(&child));
            assert_eq!(space.lower(&child).output_shape().elements(), 10);
            genotype = mutant;
        }
    }

    #[test]
    fn a_text_says_what_is_wrong_with_it() {
        let space = Enas6::new(Enas6Config::default()).unwrap();
        let error = |text: &str| space.parse(text).unwrap_err().to_string();
        assert!(error("[[1], [4, 0]]").contains("2 layers"));
        assert!(error("[[1], [4], [5, 0, 0], [0, 1, 1, 1], [2, 1, 1, 1, 1], [3, 0, 0, 0, 0, 1]]").contains("layer 2"));
        assert!(
            error("[[7], [4, 0], [5, 0, 0], [0, 1, 1, 1], [2, 1, 1, 1, 1], [3, 0, 0, 0, 0, 1]]").contains("layer 1")
        );
        assert!(error("1 2 3").contains("list of lists"));
    }
}
