//! How fast the graph convolutional predictor trains and scores: what `doctor --predictor-step` measures.

use rand::Rng;
use rand::seq::SliceRandom;

use super::GCN_SCHEDULE;
use super::convolution::{Adam, Network, Output, Step, pieces};
use crate::seed;
use crate::space::Dag;

/// The predictor of Wen et al. on random cells of seven nodes and nine edges, ready to be timed.
pub struct PredictorWork {
    dags: Vec<Dag>,
    targets: Vec<f32>,
    network: Network,
    adam: Adam,
}

impl PredictorWork {
    /// Work on `graphs` graphs.
    pub fn new(graphs: usize) -> PredictorWork {
        const NODES: usize = 7;
        const KINDS: u8 = 5;
        /// The cells of NAS-Bench-101 have no more.
        const MOST_EDGES: usize = 9;
        let mut rng = seed::stream(0, "predictor", 0);
        let cell = |_| {
            let mut pairs: Vec<(usize, usize)> =
                (0..NODES).flat_map(|to| (0..to).map(move |from| (from, to))).collect();
            pairs.shuffle(&mut rng);
            pairs.truncate(MOST_EDGES);
            let kind = |node: usize| match node {
                0 => 0,
                last if last + 1 == NODES => KINDS - 1,
                _ => rng.random_range(1..KINDS - 1),
            };
            Dag { kinds: (0..NODES).map(kind).collect(), edges: pairs }
        };
        let dags: Vec<Dag> = (0..graphs).map(cell).collect();
        let targets =
            dags.iter().map(|dag| dag.edges.iter().map(|(from, to)| to - from).sum::<usize>() as f32 / 50.0).collect();
        let network = Network::random(KINDS as usize, GCN_SCHEDULE.width, &mut seed::stream(0, "predictor", 1));
        let adam = Adam::of(&network);
        PredictorWork { dags, targets, network, adam }
    }

    /// A training step on all graphs, from their description on, without dropout.
    pub fn train(&mut self) {
        let dags: Vec<&Dag> = self.dags.iter().collect();
        let step = Step { output: Output::Value, learning_rate: 1e-4, weight_decay: 1e-3, dropout: 0.0, seed: 0 };
        self.network.train_step(&pieces(&dags), &self.targets, &mut self.adam, &step);
    }

    /// Scores all graphs, from their description on.
    pub fn score(&self) -> Vec<f32> {
        self.network.apply(&self.dags.iter().collect::<Vec<&Dag>>())
    }
}
