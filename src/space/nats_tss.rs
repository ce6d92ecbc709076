//! The topology space of NATS-Bench, which is NAS-Bench-201: one cell of six operations, repeated in three stages (Dong and
//! others, "NATS-Bench", 2021).

use rand::Rng;

use super::blocks::{Blocks, Pushed};
use super::nats_cell::{Cell, EDGES, NatsOperation, push_reduction};
use super::{Dag, Genotype, Published, SpaceError, Task};
use crate::graph::{Conv2d, Cost, Graph, GraphError, NodeId, Op};

const NAME: &str = "nats-tss";
const OPERATIONS: usize = NatsOperation::ALL.len();
/// Kinds of a [`Dag`]'s node: input, output, then the operations.
const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const FIRST_OPERATION: u8 = 2;

/// What is fixed in a network of the space.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NatsTssConfig {
    /// Images and classes.
    pub task: Task,
    /// Channels of the first stage; each next one has twice as many.
    pub channels: usize,
    /// Cells of a stage.
    pub cells: usize,
}

impl Default for NatsTssConfig {
    /// The published networks: 16 channels, five cells, CIFAR-10.
    fn default() -> Self {
        NatsTssConfig { task: Task::default(), channels: 16, cells: 5 }
    }
}

/// The space. A genotype has a symbol for each edge, in the order of the official text; the symbol is the operation's place
/// in [`NatsOperation::ALL`]. What the space draws is canonical; [`NatsTss::parse`] keeps dead edges as they are written,
/// because tables list such cells one by one.
#[derive(Debug, Clone, PartialEq)]
pub struct NatsTss {
    config: NatsTssConfig,
}

impl NatsTss {
    /// A space whose every genotype is a valid network.
    pub fn new(config: NatsTssConfig) -> Result<Self, SpaceError> {
        config.task.check(NAME)?;
        let wrong = |reason: String| SpaceError::Config { space: NAME, reason };
        if config.channels == 0 || !(1..=32).contains(&config.cells) {
            return Err(wrong("needs at least one channel and 1 to 32 cells a stage".to_string()));
        }
        let space = NatsTss { config };
        let largest = Cell([NatsOperation::Conv3x3; 6]);
        space.try_lower(largest).map_err(|error| wrong(error.to_string()))?;
        Ok(space)
    }

    /// What is fixed.
    pub fn config(&self) -> &NatsTssConfig {
        &self.config
    }

    /// Number of texts; of their networks 9,445 are different, one of which is not connected.
    pub fn size(&self) -> f64 {
        (OPERATIONS as f64).powi(EDGES.len() as i32)
    }

    /// Reads the official text: `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.
    pub fn parse(&self, text: &str) -> Result<Genotype, SpaceError> {
        let wrong = |reason| SpaceError::Genotype {
            text: text.to_string(),
            reason,
            example: Cell([NatsOperation::Conv3x3; 6]).format(),
        };
        Ok(Cell::parse(text).map_err(wrong)?.symbols().into())
    }

    /// Writes the official text.
    pub fn format(&self, genotype: &Genotype) -> String {
        cell(genotype).format()
    }

    /// The same network with `none` on every edge that is on no path from input to output.
    pub fn canonical(&self, genotype: &Genotype) -> Genotype {
        cell(genotype).without_dead_edges().symbols().into()
    }

    /// Whether the output depends on the image. Cells that are not connected are in the benchmark, and tables list them,
    /// but the space never draws one.
    pub fn is_connected(&self, genotype: &Genotype) -> bool {
        cell(genotype).is_connected()
    }

    /// A random connected genotype in canonical form: of the 15,625 texts each is equally likely.
    pub fn sample(&self, rng: &mut impl Rng) -> Genotype {
        loop {
            let symbols: Vec<u8> = EDGES.iter().map(|_| rng.random_range(0..OPERATIONS as u8)).collect();
            if let Some(genotype) = connected(&symbols) {
                return genotype;
            }
        }
    }

    /// Gives each edge another operation with probability `rate`; the mutant is a different connected network.
    pub fn mutate(&self, genotype: &Genotype, rate: f64, rng: &mut impl Rng) -> Genotype {
        let before = self.canonical(genotype);
        let mut change = |symbol: &u8| match rng.random_bool(rate) {
            true => (symbol + rng.random_range(1..OPERATIONS as u8)) % OPERATIONS as u8,
            false => *symbol,
        };
        loop {
            let symbols: Vec<u8> = before.symbols().iter().map(&mut change).collect();
            match connected(&symbols) {
                Some(mutant) if mutant != before => return mutant,
                _ => {}
            }
        }
    }

    /// Takes each edge from one parent or the other; the first parent if no such child of some draws is connected.
    pub fn cross(&self, a: &Genotype, b: &Genotype, rng: &mut impl Rng) -> Genotype {
        const DRAWS: usize = 16;
        let mut pick = |(a, b): (&u8, &u8)| if rng.random_bool(0.5) { *a } else { *b };
        let mut child = || a.symbols().iter().zip(b.symbols()).map(&mut pick).collect::<Vec<u8>>();
        (0..DRAWS).find_map(|_| connected(&child())).unwrap_or_else(|| self.canonical(a))
    }

    /// The predictor's picture of the canonical form: input, the six operations in the order of the text, output. An edge
    /// for each value that one operation makes and another reads; `none` stands alone.
    pub fn dag(&self, genotype: &Genotype) -> Dag {
        let cell = cell(genotype).without_dead_edges();
        let kinds = cell.0.map(|operation| FIRST_OPERATION + operation as u8);
        let ends = |at: usize| (cell.0[at] != NatsOperation::None).then_some(EDGES[at]);
        let mut edges = Vec::new();
        for (at, (from, to)) in (0..EDGES.len()).filter_map(|at| ends(at).map(|edge| (at, edge))) {
            if from == 0 {
                edges.push((0, at + 1));
            }
            let readers = (0..EDGES.len()).filter(|other| ends(*other).is_some_and(|(start, _)| start == to));
            edges.extend(readers.map(|other| (at + 1, other + 1)));
            if to == 3 {
                edges.push((at + 1, EDGES.len() + 1));
            }
        }
        edges.sort_unstable();
        let kinds = [&[INPUT], kinds.as_slice(), &[OUTPUT]].concat();
        Dag { kinds, edges }
    }

    /// Number of kinds of a [`Dag`]'s node.
    pub fn vocabulary(&self) -> usize {
        usize::from(FIRST_OPERATION) + OPERATIONS
    }

    /// The genotype that a `Dag` stands for, if it is one of this space.
    pub fn genotype_of(&self, dag: &Dag) -> Result<Genotype, SpaceError> {
        let refused = SpaceError::Dag { space: NAME };
        let operations = dag.kinds.get(1..=EDGES.len()).ok_or(refused.clone())?;
        let symbols: Option<Vec<u8>> = operations
            .iter()
            .map(|kind| kind.checked_sub(FIRST_OPERATION).filter(|symbol| usize::from(*symbol) < OPERATIONS))
            .collect();
        symbols.and_then(|symbols| connected(&symbols)).filter(|found| self.dag(found) == *dag).ok_or(refused)
    }

    /// Columns for simple predictors: log10 of MACs, then for each edge one bit for each operation.
    pub fn features(&self, genotype: &Genotype, cost: &Cost) -> Vec<f64> {
        let canonical = self.canonical(genotype);
        let bits =
            canonical.symbols().iter().flat_map(|s| (0..OPERATIONS as u8).map(move |op| f64::from(u8::from(op == *s))));
        std::iter::once((cost.macs.max(1) as f64).log10()).chain(bits).collect()
    }

    /// The network, without what cannot change its answer.
    ///
    /// A cell that is not connected gives zero whatever the image: of the published network only a constant answer is left,
    /// and that is what this gives.
    pub fn lower(&self, genotype: &Genotype) -> Graph {
        self.try_lower(cell(genotype).without_dead_edges())
            .expect("all cells keep the shapes of the largest one, which was checked")
    }

    /// What the benchmark says a network costs. It counts every operation of the text, dead ones too, and the bias of the
    /// classifier as an operation for each class; batch normalisation and pooling are free.
    pub fn published(&self, genotype: &Genotype) -> Published {
        let Task { input, classes, .. } = self.config.task;
        let mut published = Published { flops: classes as u64, params: 0 };
        // The skeleton is that of the cell that is one skip connection, which has no cost.
        let mut skeleton = Cell([NatsOperation::None; 6]);
        skeleton.0[3] = NatsOperation::Skip;
        let skeleton = Cost::of(&self.try_lower(skeleton).expect("it keeps the shapes of the largest cell"));
        published.flops += skeleton.macs + skeleton.linear_macs;
        published.params += skeleton.params;
        let (mut height, mut width) = (input.height, input.width);
        for stage in 0..STAGES {
            let channels = self.stage_channels(stage) as u64;
            for operation in cell(genotype).0 {
                let window = match operation {
                    NatsOperation::Conv1x1 => 1,
                    NatsOperation::Conv3x3 => 9,
                    NatsOperation::None | NatsOperation::Skip | NatsOperation::AvgPool3x3 => continue,
                };
                let weights = window * channels * channels;
                published.flops += self.config.cells as u64 * weights * (height * width) as u64;
                published.params += self.config.cells as u64 * (weights + 2 * channels);
            }
            (height, width) = (height.div_ceil(2), width.div_ceil(2));
        }
        published
    }

    fn stage_channels(&self, stage: usize) -> usize {
        self.config.channels << stage
    }

    fn try_lower(&self, cell: Cell) -> Result<Graph, GraphError> {
        let (mut blocks, image) = Blocks::start(&self.config.task)?;
        match cell.is_connected() {
            true => self.push_network(&mut blocks, cell, image)?,
            false => return constant_answer(&self.config.task),
        };
        blocks.finish()
    }

    fn push_network(&self, blocks: &mut Blocks, cell: Cell, image: NodeId) -> Pushed {
        let mut x = blocks.conv_norm("stem", image, Conv2d::dense(self.config.channels, 3))?;
        for stage in 0..STAGES {
            let out = self.stage_channels(stage);
            if stage > 0 {
                x = push_reduction(blocks, &format!("reduction{stage}"), x, out)?;
            }
            for at in 1..=self.config.cells {
                x = cell.push(blocks, &format!("stage{}.cell{at}", stage + 1), x, out)?;
            }
        }
        x = blocks.norm("head", x)?;
        x = blocks.relu("head", x)?;
        blocks.classify(x, self.config.task.classes)
    }
}

/// Stages of cells; the map halves between them.
const STAGES: usize = 3;

fn cell(genotype: &Genotype) -> Cell {
    Cell::of_symbols(genotype.symbols())
}

/// The canonical genotype of a connected cell.
fn connected(symbols: &[u8]) -> Option<Genotype> {
    let cell = Cell::of_symbols(symbols).without_dead_edges();
    cell.is_connected().then(|| cell.symbols().into())
}

/// A network that answers the same to every image. Pixels are at most one, so what a ReLU leaves of a pixel less one is
/// zero, and the classifier's bias is all that is left.
fn constant_answer(task: &Task) -> Result<Graph, GraphError> {
    let channels = task.input.channels;
    let less_one = Task { mean: vec![1.0; channels], std: vec![1.0; channels], ..task.clone() };
    let (mut blocks, x) = Blocks::start(&less_one)?;
    let x = blocks.push("nothing.relu", Op::Relu, &[x])?;
    blocks.classify(x, task.classes)?;
    blocks.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Shape;
    use crate::seed;

    fn space() -> NatsTss {
        NatsTss::new(NatsTssConfig::default()).unwrap()
    }

    /// Millions of FLOPs and of parameters of architectures 0 and 11 in the genuine NATS-Bench files.
    #[test]
    fn cost_is_that_of_the_genuine_files() {
        const ZERO: &str =
            "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|";
        const ELEVEN: &str = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|";
        for (text, classes, side, flops, params) in [
            (ZERO, 10, 32, 15_647_370, 129_306),
            (ZERO, 100, 32, 15_653_220, 135_156),
            (ZERO, 120, 16, 3_919_480, 136_456),
            (ELEVEN, 10, 32, 113_951_370, 802_426),
            (ELEVEN, 100, 32, 113_957_220, 808_276),
            (ELEVEN, 120, 16, 28_495_480, 809_576),
        ] {
            let task = Task { classes, input: Shape::new(3, side, side), ..Task::default() };
            let space = NatsTss::new(NatsTssConfig { task, ..NatsTssConfig::default() }).unwrap();
            let genotype = space.parse(text).unwrap();
            let cost = Cost::of(&space.lower(&genotype));
            assert_eq!((cost.macs + cost.linear_macs + classes as u64, cost.params), (flops, params), "{text}");
            assert_eq!(space.published(&genotype), Published { flops, params }, "{text}");
        }
    }

    #[test]
    fn published_and_own_cost_agree_where_nothing_is_dead() {
        let (space, mut rng) = (space(), seed::stream(1, "test", 0));
        for _ in 0..50 {
            let genotype = space.sample(&mut rng);
            let cost = Cost::of(&space.lower(&genotype));
            let own = Published { flops: cost.macs + cost.linear_macs + 10, params: cost.params };
            assert_eq!(space.published(&genotype), own, "{}", space.format(&genotype));
        }
    }

    #[test]
    fn a_dag_decodes_to_its_genotype_and_nothing_else_decodes() {
        let (space, mut rng) = (space(), seed::stream(2, "test", 0));
        for _ in 0..200 {
            let genotype = space.sample(&mut rng);
            let dag = space.dag(&genotype);
            assert_eq!((dag.len(), space.genotype_of(&dag)), (8, Ok(genotype)));
            assert!(dag.edges.iter().all(|(from, to)| from < to));
            let mut broken = dag.clone();
            broken.edges.pop();
            assert!(space.genotype_of(&broken).is_err(), "an operation whose output nothing reads");
            let mut strange = dag;
            strange.kinds[3] = 7;
            assert!(space.genotype_of(&strange).is_err(), "a kind that does not exist");
        }
    }

    #[test]
    fn what_the_space_draws_is_canonical_connected_and_changes() {
        let (space, mut rng) = (space(), seed::stream(3, "test", 0));
        let (mut a, mut b) = (space.sample(&mut rng), space.sample(&mut rng));
        for _ in 0..500 {
            let mutant = space.mutate(&a, 0.1, &mut rng);
            assert_ne!(mutant, a);
            let child = space.cross(&mutant, &b, &mut rng);
            for genotype in [&mutant, &child] {
                assert!(space.is_connected(genotype) && space.canonical(genotype) == *genotype);
            }
            (a, b) = (mutant, child);
        }
    }

    #[test]
    fn a_cell_that_is_not_connected_answers_always_the_same() {
        let space = space();
        let text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|none~2|";
        let genotype = space.parse(text).unwrap();
        assert!(!space.is_connected(&genotype));
        let graph = space.lower(&genotype);
        assert_eq!((graph.output_shape().elements(), Cost::of(&graph).macs), (10, 0));
        // The benchmark counts what is dead.
        assert_eq!(space.published(&genotype).params, 73_306 + 2 * 243_040);
    }
}
