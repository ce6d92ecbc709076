//! Networks drawn for a data set: its vector becomes a point, and a graph decoder is asked what stands there at a wanted
//! size of network.

use rand::Rng;

use super::config::MetaConfig;
use super::set::{ClassKind, SetEncoder};
use super::task::TaskView;
use crate::generate::decoder::Decoder;
use crate::generate::plan::Plan;
use crate::generate::tape::{Id, Links, Source, Tape};
use crate::generate::training::normal;
use crate::generate::weights::{Block, WeightLayout};
use crate::seed;

/// Layout and weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Generator {
    pub layout: WeightLayout,
    pub weights: Vec<f32>,
    set: SetEncoder,
    mean: (Block, Block),
    log_variance: (Block, Block),
    pub decoder: Decoder,
}

/// Points of data sets.
pub(super) struct Points {
    /// (data sets, latent).
    pub mean: Id,
    pub log_variance: Id,
    /// Of each graph, with the wanted size as the last number: (graphs, latent + 1).
    pub with_size: Id,
}

impl Generator {
    pub fn new(plan: &Plan, kind: ClassKind, config: &MetaConfig, seed: u64) -> Self {
        let mut empty = Self::without_weights(plan, kind, config);
        let mut weights = empty.layout.random(&mut seed::stream(seed, "meta generator", 0));
        // A spread of one wherever a data set lies: features far out would make it overflow before anything is learned.
        empty.log_variance.0.of_mut(&mut weights).fill(0.0);
        empty.weights = weights;
        empty
    }

    pub fn without_weights(plan: &Plan, kind: ClassKind, config: &MetaConfig) -> Self {
        let mut layout = WeightLayout::default();
        let set = SetEncoder::new(&mut layout, kind, config);
        let mut map = |name: &str| {
            (layout.map(name, config.set, config.latent), layout.bias(&format!("{name}_bias"), config.latent))
        };
        let (mean, log_variance): ((Block, Block), (Block, Block)) = (map("mean"), map("log_variance"));
        let decoder = Decoder::new(&mut layout, plan, &config.graphs(config.latent + 1));
        Generator { layout, weights: Vec::new(), set, mean, log_variance, decoder }
    }

    /// Points for graphs of data sets, each named by its place, with a standardised size.
    pub fn points(
        &self,
        tape: &mut Tape,
        views: &[&TaskView],
        graphs: &[(usize, f32)],
        config: &MetaConfig,
        rng: &mut impl Rng,
    ) -> Points {
        let vectors = self.set.apply(tape, views, config, rng);
        let mean = tape.linear(vectors, self.mean.0, Some(self.mean.1), None);
        let log_variance = tape.linear(vectors, self.log_variance.0, Some(self.log_variance.1), None);
        let links: Links = (0..).zip(graphs).map(|(row, (task, _))| (row, *task as u32)).collect();
        let mut of_graphs = |id| tape.gather(graphs.len(), config.latent, vec![(Source::Value(id), links.clone())]);
        let (means, variances) = (of_graphs(mean), of_graphs(log_variance));
        let noise = (0..graphs.len() * config.latent).map(|_| normal(rng)).collect();
        let points = tape.perturb(means, variances, noise, config.noise as f32);
        let sizes = tape.leaf(1, graphs.iter().map(|(_, size)| *size).collect());
        let with_size = tape.beside(graphs.len(), vec![(points, 0), (sizes, 0)]);
        Points { mean, log_variance, with_size }
    }
}
