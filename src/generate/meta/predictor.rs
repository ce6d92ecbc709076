//! How good a network will be on a data set, among networks on the same: one member of an ensemble.

use rand::Rng;

use super::config::MetaConfig;
use super::set::{ClassKind, SetEncoder};
use super::task::{Candidate, TaskView};
use crate::generate::encoder::Encoder;
use crate::generate::head::Head;
use crate::generate::plan::{Batch, Plan, Record};
use crate::generate::tape::{Id, Links, Source, Tape};
use crate::generate::weights::{Block, WeightLayout};
use crate::regress::Ridge;
use crate::seed;

/// Layout and weights.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Predictor {
    pub layout: WeightLayout,
    pub weights: Vec<f32>,
    set: SetEncoder,
    graphs: Encoder,
    head: Head,
    /// From the columns to the score: what holds for all tasks.
    wide: (Block, Block),
}

/// Networks and the task that each is for: places in the lists beside.
pub(super) struct Pairs<'a> {
    pub views: &'a [&'a TaskView],
    pub networks: &'a [(usize, &'a Candidate)],
}

impl Predictor {
    pub fn new(plan: &Plan, kind: ClassKind, columns: usize, config: &MetaConfig, seed: u64) -> Self {
        let mut empty = Self::without_weights(plan, kind, columns, config);
        let mut weights = empty.layout.random(&mut seed::stream(seed, "meta predictor", 0));
        empty.wide.0.of_mut(&mut weights).fill(0.0);
        empty.head.begin_at_zero(&mut weights);
        empty.weights = weights;
        empty
    }

    pub fn without_weights(plan: &Plan, kind: ClassKind, columns: usize, config: &MetaConfig) -> Self {
        let mut layout = WeightLayout::default();
        let set = SetEncoder::new(&mut layout, kind, config);
        let graphs = Encoder::new(&mut layout, plan, &config.graphs(config.latent));
        let inputs = config.latent + config.set + columns + descriptors(kind);
        let head = Head::new(&mut layout, "head", inputs, config.head);
        let wide = (layout.map("wide", columns, 1), layout.bias("wide_bias", 1));
        Predictor { layout, weights: Vec::new(), set, graphs, head, wide }
    }

    /// Takes over a linear model of the columns; what depends on the data is learned beside it.
    pub fn stand_on(&mut self, linear: &Ridge) {
        let coefficients = linear.coefficients.iter().map(|value| *value as f32);
        self.wide.0.of_mut(&mut self.weights).iter_mut().zip(coefficients).for_each(|(weight, value)| *weight = value);
        self.wide.1.of_mut(&mut self.weights)[0] = linear.intercept as f32;
    }

    /// (networks, 1): standardised accuracy within the task.
    pub fn apply(&self, tape: &mut Tape, plan: &Plan, pairs: &Pairs, config: &MetaConfig, rng: &mut impl Rng) -> Id {
        let codes = self.codes(tape, plan, pairs);
        let vectors = self.vectors(tape, pairs.views, config, rng);
        self.judge(tape, pairs, codes, vectors, config)
    }

    /// (networks, latent).
    pub fn codes(&self, tape: &mut Tape, plan: &Plan, pairs: &Pairs) -> Id {
        let records: Vec<Record> = pairs.networks.iter().map(|(_, candidate)| plan.record(&candidate.dag)).collect();
        let batch = Batch::of(&records.iter().collect::<Vec<&Record>>(), plan.nodes());
        self.graphs.apply(tape, plan, &batch).0
    }

    /// (tasks, set): one look at each of some data sets; nothing to see for a model that sees none.
    pub fn vectors(&self, tape: &mut Tape, views: &[&TaskView], config: &MetaConfig, rng: &mut impl Rng) -> Id {
        match config.sees_data {
            true => self.set.apply(tape, views, config, rng),
            false => tape.leaf(config.set, vec![0.0; views.len() * config.set]),
        }
    }

    /// Scores from the codes of networks and the vectors of data sets.
    pub fn judge(&self, tape: &mut Tape, pairs: &Pairs, codes: Id, vectors: Id, config: &MetaConfig) -> Id {
        let networks = pairs.networks.len();
        let links: Links = (0..).zip(pairs.networks).map(|(row, (task, _))| (row, *task as u32)).collect();
        let of_task = tape.gather(networks, config.set, vec![(Source::Value(vectors), links)]);
        let told = |(task, candidate): &(usize, &Candidate)| {
            let descriptors = pairs.views[*task].descriptors.iter();
            let descriptors = descriptors.map(|value| if config.sees_data { *value } else { 0.0 });
            candidate.columns.iter().copied().chain(descriptors).collect::<Vec<f32>>()
        };
        let told: Vec<f32> = pairs.networks.iter().flat_map(told).collect();
        let told = tape.leaf(told.len() / networks, told);
        let all = tape.beside(networks, vec![(codes, 0), (of_task, 0), (told, 0)]);
        let deep = self.head.apply(tape, all);
        let columns: Vec<f32> = pairs.networks.iter().flat_map(|(_, candidate)| candidate.columns.clone()).collect();
        let columns = tape.leaf(self.wide.0.rows, columns);
        tape.linear(columns, self.wide.0, Some(self.wide.1), Some(deep))
    }
}

/// Numbers that tell the size of a data set.
pub(super) fn descriptors(kind: ClassKind) -> usize {
    match kind {
        ClassKind::Features(_) => TaskView::DESCRIPTORS,
        ClassKind::Numbers(_) => 0,
    }
}
