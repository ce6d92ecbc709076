//! From the images of a data set to one vector: attention and pooling within classes, then between classes (Lee and others,
//! "Set Transformer", 2019, as MetaD2A has it).

use std::sync::Arc;

use rand::Rng;

use super::config::MetaConfig;
use super::task::{Classes, TaskView, look};
use crate::generate::attention::{Heads, Reading};
use crate::generate::tape::{Id, Links, Source, Tape};
use crate::generate::weights::{Block, WeightLayout};

/// Rows that read rows: `o = q + attention`, then `o + relu(map of o)`.
#[derive(Debug, Clone, PartialEq)]
struct Attention {
    size: Heads,
    query: (Block, Block),
    key: (Block, Block),
    value: (Block, Block),
    output: (Block, Block),
}

impl Attention {
    fn new(layout: &mut WeightLayout, name: &str, config: &MetaConfig) -> Self {
        let width = config.set;
        let mut map = |part: &str| {
            let name = format!("{name}.{part}");
            (layout.map(&name, width, width), layout.bias(&format!("{name}_bias"), width))
        };
        let (query, key, value, output) = (map("query"), map("key"), map("value"), map("output"));
        Attention { size: Heads { width, heads: config.heads }, query, key, value, output }
    }

    fn apply(&self, tape: &mut Tape, queries: Id, keys: Id, readings: &Arc<[Reading]>) -> Id {
        let of = [(queries, self.query), (keys, self.key), (keys, self.value)];
        let of = of.map(|(rows, (map, bias))| tape.linear(rows, map, Some(bias), None));
        let heard = tape.attend(self.size, readings, of);
        let bent = tape.linear(heard, self.output.0, Some(self.output.1), None);
        let bent = tape.relu(bent);
        let rows = tape.data(heard).len() / self.size.width;
        let each: Links = (0..rows as u32).map(|row| (row, row)).collect();
        tape.gather(rows, self.size.width, vec![(Source::Value(heard), each.clone()), (Source::Value(bent), each)])
    }
}

/// Two rounds of attention within each set, then one row that stands for it.
#[derive(Debug, Clone, PartialEq)]
struct Pool {
    rounds: [Attention; 2],
    seed: Block,
    pooling: Attention,
    output: (Block, Block),
}

impl Pool {
    fn new(layout: &mut WeightLayout, name: &str, config: &MetaConfig) -> Self {
        let rounds = [0, 1].map(|round| Attention::new(layout, &format!("{name}.{round}"), config));
        Pool {
            rounds,
            seed: layout.table(&format!("{name}.seed"), 1, config.set),
            pooling: Attention::new(layout, &format!("{name}.pool"), config),
            output: (
                layout.map(&format!("{name}.output"), config.set, config.set),
                layout.bias(&format!("{name}.output_bias"), config.set),
            ),
        }
    }

    /// (sets, width) from the rows of sets of these sizes.
    fn apply(&self, tape: &mut Tape, rows: Id, sizes: &[usize]) -> Id {
        let themselves: Arc<[Reading]> = Reading::of_themselves(sizes).into();
        let rows = self.rounds.iter().fold(rows, |rows, round| round.apply(tape, rows, rows, &themselves));
        let first: Links = (0..sizes.len() as u32).map(|set| (set, 0)).collect();
        let seeds = tape.gather(sizes.len(), self.seed.columns, vec![(Source::Weights(self.seed), first)]);
        let pooled = self.pooling.apply(tape, seeds, rows, &Reading::by_one_row(sizes).into());
        tape.linear(pooled, self.output.0, Some(self.output.1), None)
    }
}

/// Weights that read data sets.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SetEncoder {
    classes: ClassEncoder,
    between: Pool,
}

#[derive(Debug, Clone, PartialEq)]
enum ClassEncoder {
    /// From image features.
    Images { features: usize, input: (Block, Block), within: Box<Pool> },
    /// A row of the table for each class.
    Numbers { table: Block },
}

/// What classes are known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassKind {
    /// Features of images, so many numbers each.
    Features(usize),
    /// Numbers below this.
    Numbers(usize),
}

impl SetEncoder {
    pub fn new(layout: &mut WeightLayout, kind: ClassKind, config: &MetaConfig) -> Self {
        let classes = match kind {
            ClassKind::Features(features) => ClassEncoder::Images {
                features,
                input: (layout.map("set.input", features, config.set), layout.bias("set.input_bias", config.set)),
                within: Box::new(Pool::new(layout, "set.within", config)),
            },
            ClassKind::Numbers(numbers) => {
                ClassEncoder::Numbers { table: layout.table("set.classes", numbers, config.set) }
            }
        };
        SetEncoder { classes, between: Pool::new(layout, "set.between", config) }
    }

    /// The vectors of some data sets, (data sets, width); the images of each look are drawn.
    pub fn apply(&self, tape: &mut Tape, views: &[&TaskView], config: &MetaConfig, rng: &mut impl Rng) -> Id {
        let mut sizes: Vec<usize> = Vec::with_capacity(views.len());
        let prototypes = match &self.classes {
            ClassEncoder::Images { features, input, within } => {
                let (mut rows, mut counts) = (Vec::new(), Vec::new());
                for view in views {
                    let Classes::Images(classes) = &view.classes else {
                        unreachable!("a model of images is shown images: checked where a task comes in");
                    };
                    let classes = look(classes, config.images_per_class, rng);
                    sizes.push(classes.len());
                    for class in classes {
                        counts.push(class.len());
                        class.iter().for_each(|image| rows.extend_from_slice(image));
                    }
                }
                let rows = tape.leaf(*features, rows);
                let rows = tape.linear(rows, input.0, Some(input.1), None);
                within.apply(tape, rows, &counts)
            }
            ClassEncoder::Numbers { table } => {
                sizes.extend(views.iter().map(|view| view.classes.len()));
                let numbers = views.iter().flat_map(|view| match &view.classes {
                    Classes::Numbers(numbers) => numbers.iter(),
                    Classes::Images(_) => unreachable!("a model of numbers is shown numbers"),
                });
                let links: Links = numbers.enumerate().map(|(row, number)| (row as u32, *number as u32)).collect();
                tape.gather(links.len(), config.set, vec![(Source::Weights(*table), links)])
            }
        };
        self.between.apply(tape, prototypes, &sizes)
    }
}
