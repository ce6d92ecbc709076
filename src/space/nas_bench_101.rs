//! The space of NAS-Bench-101: cells of up to seven vertices and nine edges, with an operation on each inner vertex (Ying
//! and others, "NAS-Bench-101", 2019).

use rand::Rng;

use super::blocks::Blocks;
use super::cell_101::{ABSENT, Cell101, OPERATIONS, VERTICES};
use super::{Dag, Genotype, SpaceError, Task};
use crate::graph::{Conv2d, Cost, Crop, Graph, GraphError, NodeId, Op, Padding, Pool};

const NAME: &str = "nas-bench-101";
/// Kinds of a [`Dag`]'s node: input, output, a vertex that is not there, then the operations.
const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const NO_VERTEX: u8 = 2;
const STACKS: usize = 3;

/// What is fixed in a network of the space.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NasBench101Config {
    /// Images and classes.
    pub task: Task,
    /// Channels of the stem; each stack after the first has twice as many as the one before.
    pub stem: usize,
    /// Cells of a stack.
    pub modules: usize,
}

impl Default for NasBench101Config {
    /// The published networks: stem of 128 channels, three cells a stack, CIFAR-10.
    fn default() -> Self {
        NasBench101Config { task: Task::default(), stem: 128, modules: 3 }
    }
}

/// The space. A genotype has the operations of five inner vertices (0 for one that is not there, which are the last), then
/// the 21 bits above the diagonal of the matrix of seven, in which the output is always the last vertex. It is pruned:
/// every vertex is on a path from input to output.
///
/// What the space draws is canonical: of all orders of the vertices the one whose symbols come first. What
/// [`NasBench101::parse`] reads keeps its order, on which the number of channels, and so of parameters, depends by one.
#[derive(Debug, Clone, PartialEq)]
pub struct NasBench101 {
    config: NasBench101Config,
}

impl NasBench101 {
    /// A space whose every genotype is a valid network.
    pub fn new(config: NasBench101Config) -> Result<Self, SpaceError> {
        config.task.check(NAME)?;
        let wrong = |reason: String| SpaceError::Config { space: NAME, reason };
        // Each of up to five vertices that the output joins needs a channel of its own.
        if config.stem < VERTICES || !(1..=32).contains(&config.modules) {
            return Err(wrong(format!("needs at least {VERTICES} channels and 1 to 32 cells a stack")));
        }
        let space = NasBench101 { config };
        space.try_lower(&Cell101::chain()).map_err(|error| wrong(error.to_string()))?;
        Ok(space)
    }

    /// What is fixed.
    pub fn config(&self) -> &NasBench101Config {
        &self.config
    }

    /// Number of different networks.
    pub fn size(&self) -> f64 {
        423_624.0
    }

    /// Reads `0110/0011/0001/0000:input,conv3x3-bn-relu,maxpool3x3,output`: the rows of the upper triangular matrix, then
    /// the operations. The cell is pruned; then it must keep the limits of the benchmark.
    pub fn parse(&self, text: &str) -> Result<Genotype, SpaceError> {
        let wrong =
            |reason| SpaceError::Genotype { text: text.to_string(), reason, example: Cell101::chain().format() };
        Ok(Cell101::parse(text).map_err(wrong)?.symbols().into())
    }

    /// Writes what [`NasBench101::parse`] reads.
    pub fn format(&self, genotype: &Genotype) -> String {
        cell(genotype).format()
    }

    /// The rows of the pruned matrix and the operations, as the benchmark's answers show them.
    pub fn spec(&self, genotype: &Genotype) -> (Vec<Vec<u8>>, Vec<&'static str>) {
        let cell = cell(genotype);
        (cell.matrix(), cell.operation_names())
    }

    /// The benchmark's name of a network: an MD5 that does not depend on the order of the vertices.
    pub fn hash(&self, genotype: &Genotype) -> [u8; 16] {
        cell(genotype).hash()
    }

    /// The same network with its vertices in the order whose symbols come first.
    pub fn canonical(&self, genotype: &Genotype) -> Genotype {
        cell(genotype).canonical().symbols().into()
    }

    /// A random genotype, as the benchmark's authors draw them: matrix and operations at random, until the pruned cell
    /// keeps the limits.
    pub fn sample(&self, rng: &mut impl Rng) -> Genotype {
        loop {
            let mut raw = Cell101::empty();
            raw.operations.iter_mut().for_each(|operation| *operation = rng.random_range(1..=OPERATIONS.len() as u8));
            raw.flip_edges(|| rng.random_bool(0.5));
            if let Some(cell) = raw.pruned().filter(Cell101::keeps_limits) {
                return cell.canonical().symbols().into();
            }
        }
    }

    /// Flips each edge and gives each vertex another operation with probability `rate`; the mutant is a different valid
    /// network. Vertices that are not there may come to life.
    pub fn mutate(&self, genotype: &Genotype, rate: f64, rng: &mut impl Rng) -> Genotype {
        let before = cell(genotype).canonical();
        loop {
            let mut raw = before.clone();
            for operation in &mut raw.operations {
                if *operation == ABSENT || rng.random_bool(rate) {
                    *operation = rng.random_range(1..=OPERATIONS.len() as u8);
                }
            }
            raw.flip_edges(|| rng.random_bool(rate));
            match raw.pruned().filter(Cell101::keeps_limits).map(|cell| cell.canonical()) {
                Some(mutant) if mutant != before => return mutant.symbols().into(),
                _ => {}
            }
        }
    }

    /// Takes each operation and each edge from one parent or the other; the first parent if no such child of some draws is
    /// valid.
    pub fn cross(&self, a: &Genotype, b: &Genotype, rng: &mut impl Rng) -> Genotype {
        const DRAWS: usize = 16;
        let mut child = || {
            let pick = |(a, b): (&u8, &u8)| if rng.random_bool(0.5) { *a } else { *b };
            let symbols: Vec<u8> = a.symbols().iter().zip(b.symbols()).map(pick).collect();
            Cell101::of_symbols(&symbols).without_absent().pruned().filter(Cell101::keeps_limits)
        };
        let child = (0..DRAWS).find_map(|_| child()).unwrap_or_else(|| cell(a));
        child.canonical().symbols().into()
    }

    /// The predictor's picture of the canonical form: seven nodes, the input, five inner vertices, the output.
    pub fn dag(&self, genotype: &Genotype) -> Dag {
        let cell = cell(genotype).canonical();
        let inner = cell.operations.iter().map(|operation| NO_VERTEX + operation);
        let kinds = std::iter::once(INPUT).chain(inner).chain([OUTPUT]).collect();
        Dag { kinds, edges: cell.edges().collect() }
    }

    /// Number of kinds of a [`Dag`]'s node.
    pub fn vocabulary(&self) -> usize {
        usize::from(NO_VERTEX) + 1 + OPERATIONS.len()
    }

    /// The genotype that a `Dag` stands for, if it is one of this space. The vertices may be in any order that edges
    /// follow; those that are not there, or on no path from input to output, are left out.
    pub fn genotype_of(&self, dag: &Dag) -> Result<Genotype, SpaceError> {
        let refused = SpaceError::Dag { space: NAME };
        let is_cell = dag.len() == VERTICES && dag.kinds[0] == INPUT && dag.kinds[VERTICES - 1] == OUTPUT;
        if !is_cell || dag.edges.iter().any(|(from, to)| from >= to || *to >= VERTICES) {
            return Err(refused);
        }
        let mut raw = Cell101::empty();
        for (operation, kind) in raw.operations.iter_mut().zip(&dag.kinds[1..VERTICES - 1]) {
            let symbol = kind.checked_sub(NO_VERTEX).filter(|symbol| usize::from(*symbol) <= OPERATIONS.len());
            *operation = symbol.ok_or(refused.clone())?;
        }
        dag.edges.iter().for_each(|(from, to)| raw.connect(*from, *to));
        let cell = raw.without_absent().pruned().filter(Cell101::keeps_limits).ok_or(refused)?;
        Ok(cell.canonical().symbols().into())
    }

    /// Columns for simple predictors, of the canonical form: log10 of MACs, one bit for each edge, for each vertex one bit
    /// for each operation.
    pub fn features(&self, genotype: &Genotype, cost: &Cost) -> Vec<f64> {
        let symbols = self.canonical(genotype);
        let (operations, edges) = symbols.symbols().split_at(VERTICES - 2);
        let one_hot =
            operations.iter().flat_map(|o| (1..=OPERATIONS.len() as u8).map(move |k| f64::from(u8::from(k == *o))));
        let edges = edges.iter().map(|bit| f64::from(*bit));
        std::iter::once((cost.macs.max(1) as f64).log10()).chain(edges).chain(one_hot).collect()
    }

    /// The network: its parameters are those that the benchmark publishes, if the vertices are in the benchmark's order.
    pub fn lower(&self, genotype: &Genotype) -> Graph {
        self.try_lower(&cell(genotype)).expect("every cell keeps the shapes that were checked")
    }

    fn try_lower(&self, cell: &Cell101) -> Result<Graph, GraphError> {
        let (mut blocks, image) = Blocks::start(&self.config.task)?;
        let mut x = blocks.conv_norm_relu("stem", image, Conv2d::dense(self.config.stem, 3))?;
        for stack in 0..STACKS {
            if stack > 0 {
                x = halve(&mut blocks, &format!("downsample{stack}"), x)?;
            }
            for module in 1..=self.config.modules {
                let name = format!("stack{}.module{module}", stack + 1);
                x = push_module(&mut blocks, &name, cell, x, self.config.stem << stack)?;
            }
        }
        blocks.classify(x, self.config.task.classes)?;
        blocks.finish()
    }
}

fn cell(genotype: &Genotype) -> Cell101 {
    Cell101::of_symbols(genotype.symbols())
}

/// The largest value of 2×2 windows; odd sizes are rounded up.
fn halve(blocks: &mut Blocks, name: &str, x: NodeId) -> Result<NodeId, GraphError> {
    let input = blocks.shape(x);
    let padding = Padding { bottom: input.height % 2, right: input.width % 2, ..Padding::default() };
    blocks.push(format!("{name}.max"), Op::MaxPool(Pool { kernel: 2, stride: 2, padding }), &[x])
}

/// One cell. An inner vertex sums what it reads, the output joins it; the input is projected wherever it is read, a value
/// with a channel more than its reader loses its last.
fn push_module(
    blocks: &mut Blocks,
    name: &str,
    cell: &Cell101,
    input: NodeId,
    out: usize,
) -> Result<NodeId, GraphError> {
    let channels = cell.channels(out);
    let last = VERTICES - 1;
    let mut values = [input; VERTICES];
    for vertex in (1..last).filter(|vertex| cell.is_present(*vertex)) {
        let name = format!("{name}.vertex{vertex}");
        let mut terms = Vec::new();
        for from in (1..vertex).filter(|from| cell.is_edge(*from, vertex)) {
            terms.push(match channels[from] > channels[vertex] {
                true => {
                    let crop = Crop { channels: Some(channels[vertex]), top: 0, left: 0 };
                    blocks.push(format!("{name}.from{from}.crop"), Op::Crop(crop), &[values[from]])?
                }
                false => values[from],
            });
        }
        if cell.is_edge(0, vertex) {
            let project = Conv2d::pointwise(channels[vertex]);
            terms.push(blocks.conv_norm_relu(&format!("{name}.projection"), input, project)?);
        }
        let x = blocks.sum(&name, &terms)?;
        values[vertex] = match OPERATIONS[usize::from(cell.operations[vertex - 1]) - 1] {
            "conv3x3-bn-relu" => blocks.conv_norm_relu(&name, x, Conv2d::dense(channels[vertex], 3))?,
            "conv1x1-bn-relu" => blocks.conv_norm_relu(&name, x, Conv2d::pointwise(channels[vertex]))?,
            _ => blocks.max_3x3(&name, x)?,
        };
    }
    let mut ends = Vec::new();
    let joined: Vec<NodeId> = (1..last).filter(|v| cell.is_edge(*v, last)).map(|v| values[v]).collect();
    if !joined.is_empty() {
        ends.push(blocks.concat(name, &joined)?);
    }
    if cell.is_edge(0, last) {
        ends.push(blocks.conv_norm_relu(&format!("{name}.projection"), input, Conv2d::pointwise(out))?);
    }
    blocks.sum(name, &ends)
}
