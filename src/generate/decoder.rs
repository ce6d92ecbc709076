//! From points of the latent space to graphs, level by level: the kinds of the next nodes, the edges into them, then their
//! states. The masks of the space's codec leave only what can become a network.

use rand::Rng;

use super::config::VaeConfig;
use super::plan::{Batch, Plan};
use super::recurrence::{Recurrence, Spoken, by_graph, by_node};
use super::tape::{Id, Links, Source, Tape};
use super::weights::{Block, WeightLayout};
use crate::space::{Dag, Edge};

/// Weights of the decoder.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decoder {
    recurrence: Recurrence,
    hidden: usize,
    /// From the latent point to the gates of every node.
    point_to_gates: Block,
    kind: Emitter,
    /// What a position adds to the units that decide its kind.
    kind_position: Block,
    edge: Emitter,
    /// From the state of the node that an edge leaves.
    edge_from: Block,
    /// What the kind of the node that it enters adds.
    edge_kind: Block,
    /// What the pair of nodes adds.
    edge_pair: Block,
}

/// Units that decide, from the point and from the sum of all states so far.
#[derive(Debug, Clone, PartialEq)]
struct Emitter {
    units: usize,
    of_point: Block,
    of_states: Block,
    output: Block,
    output_bias: Block,
}

impl Emitter {
    fn new(layout: &mut WeightLayout, name: &str, config: &VaeConfig, units: usize, outputs: usize) -> Self {
        Emitter {
            units,
            of_point: layout.map(&format!("{name}.of_point"), config.latent, units),
            of_states: layout.map(&format!("{name}.of_states"), config.hidden, units),
            output: layout.map(&format!("{name}.output"), units, outputs),
            output_bias: layout.bias(&format!("{name}.output_bias"), outputs),
        }
    }
}

/// A decoding under way.
pub(super) struct Decoding {
    level: usize,
    spoken: Spoken,
    gates: Id,
    kind_of_point: Id,
    edge_of_point: Id,
    /// Sum of all states so far, (graphs, hidden).
    sum: Option<Id>,
    /// For each level so far, what its nodes add to the units that decide on edges out of them.
    edge_from: Vec<Id>,
}

impl Decoder {
    pub fn new(layout: &mut WeightLayout, plan: &Plan, config: &VaeConfig) -> Self {
        let (kinds, edge_units) = (plan.codec.kinds(), config.emitter.div_ceil(2));
        Decoder {
            recurrence: Recurrence::new(layout, "decoder", plan, config.hidden),
            hidden: config.hidden,
            point_to_gates: layout.map("decoder.point_to_gates", config.latent, 3 * config.hidden),
            kind: Emitter::new(layout, "decoder.kinds", config, config.emitter, kinds),
            kind_position: layout.table("decoder.kinds.position", plan.nodes(), config.emitter),
            edge: Emitter::new(layout, "decoder.edges", config, edge_units, 1),
            edge_from: layout.map("decoder.edges.from", config.hidden, edge_units),
            edge_kind: layout.table("decoder.edges.kind", kinds, edge_units),
            // A space without choices has a table of one row that nothing reads.
            edge_pair: layout.table("decoder.edges.pair", plan.choices.len().max(1), edge_units),
        }
    }

    pub fn begin(&self, tape: &mut Tape, points: Id) -> Decoding {
        Decoding {
            level: 0,
            spoken: Spoken::default(),
            gates: tape.linear(points, self.point_to_gates, None, None),
            kind_of_point: tape.linear(points, self.kind.of_point, None, None),
            edge_of_point: tape.linear(points, self.edge.of_point, None, None),
            sum: None,
            edge_from: Vec::new(),
        }
    }

    /// Logits of the kinds of the next level's nodes, (nodes of the level · graphs, kinds).
    pub fn kinds(&self, tape: &mut Tape, plan: &Plan, batch: &Batch, decoding: &Decoding) -> Id {
        let context = self.context(tape, &self.kind, decoding.kind_of_point, decoding.sum);
        let rows = plan.levels[decoding.level].len() * batch.graphs;
        let terms = vec![
            (Source::Value(context), by_graph(rows, batch.graphs)),
            (Source::Weights(self.kind_position), by_node(plan, batch, decoding.level)),
        ];
        let units = tape.gather(rows, self.kind.units, terms);
        self.emit(tape, &self.kind, units)
    }

    /// Logits of the edges that can be open into the next level's nodes, whose kinds stand in the batch: (choices of the
    /// level · graphs, 1). Nothing if there is none.
    pub fn edges(&self, tape: &mut Tape, plan: &Plan, batch: &Batch, decoding: &Decoding) -> Option<Id> {
        let choices = plan.choices_into(decoding.level);
        if choices.is_empty() {
            return None;
        }
        let (graphs, rows) = (batch.graphs, choices.len() * batch.graphs);
        let context = self.context(tape, &self.edge, decoding.edge_of_point, decoding.sum);
        let (mut by_kind, mut by_pair) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        let mut by_source = vec![Vec::new(); decoding.edge_from.len()];
        for (place, choice) in choices.iter().enumerate() {
            let (from, to) = plan.choices[*choice];
            for graph in 0..graphs {
                let row = (place * graphs + graph) as u32;
                by_kind.push((row, u32::from(batch.kinds[to * graphs + graph])));
                by_pair.push((row, *choice as u32));
                by_source[plan.level_of[from]].push((row, plan.row(from, graph, graphs)));
            }
        }
        let mut terms = vec![
            (Source::Value(context), by_graph(rows, graphs)),
            (Source::Weights(self.edge_kind), by_kind.into()),
            (Source::Weights(self.edge_pair), by_pair.into()),
        ];
        let from = decoding.edge_from.iter().zip(by_source).filter(|(_, links)| !links.is_empty());
        terms.extend(from.map(|(id, links)| (Source::Value(*id), Links::from(links))));
        let units = tape.gather(rows, self.edge.units, terms);
        Some(self.emit(tape, &self.edge, units))
    }

    /// Takes in the next level's nodes with their edges.
    pub fn take_in(&self, tape: &mut Tape, plan: &Plan, batch: &Batch, decoding: &mut Decoding) {
        let (level, graphs) = (decoding.level, batch.graphs);
        let states = self.recurrence.step(tape, plan, batch, level, &mut decoding.spoken, Some(decoding.gates));
        self.recurrence.speak(tape, plan, batch, level, states, &mut decoding.spoken);
        decoding.edge_from.push(tape.linear(states, self.edge_from, None, None));
        let rows = plan.levels[level].len() * graphs;
        let fold = (0..rows as u32).map(|row| (row % graphs as u32, row)).collect();
        let mut terms = vec![(Source::Value(states), fold)];
        terms.extend(decoding.sum.map(|sum| (Source::Value(sum), by_graph(graphs, graphs))));
        decoding.sum = Some(tape.gather(graphs, self.hidden, terms));
        decoding.level += 1;
    }

    fn context(&self, tape: &mut Tape, emitter: &Emitter, of_point: Id, sum: Option<Id>) -> Id {
        match sum {
            Some(sum) => tape.linear(sum, emitter.of_states, None, Some(of_point)),
            None => of_point,
        }
    }

    fn emit(&self, tape: &mut Tape, emitter: &Emitter, units: Id) -> Id {
        let units = tape.relu(units);
        tape.linear(units, emitter.output, Some(emitter.output_bias), None)
    }

    /// The graphs of some points, (graphs, latent). Each choice is drawn by its probability, or without a generator the
    /// most probable one is taken.
    pub fn decode(
        &self,
        tape: &mut Tape,
        plan: &Plan,
        points: Id,
        graphs: usize,
        mut rng: Option<&mut impl Rng>,
    ) -> Vec<Dag> {
        let mut batch = Batch::empty(plan.nodes(), graphs);
        let mut dags = vec![Dag { kinds: Vec::new(), edges: Vec::new() }; graphs];
        let mut decoding = self.begin(tape, points);
        for (level, nodes) in plan.levels.iter().enumerate() {
            let logits = self.kinds(tape, plan, &batch, &decoding);
            let kinds = plan.codec.kinds();
            // Masks follow from all earlier nodes, those of this level too: kinds first, then edges, node by node.
            let mut decided = dags.clone();
            for node in nodes.clone() {
                for (graph, dag) in decided.iter_mut().enumerate() {
                    let row = plan.row(node, graph, graphs) as usize;
                    let logits = &tape.data(logits)[row * kinds..][..kinds];
                    let kind = choose(logits, plan.codec.next_kinds(dag), rng.as_deref_mut());
                    dag.kinds.push(kind);
                    batch.kinds[node * graphs + graph] = kind;
                }
            }
            let logits = self.edges(tape, plan, &batch, &decoding);
            let choices = plan.choices_into(level);
            for node in nodes.clone() {
                for (graph, dag) in dags.iter_mut().enumerate() {
                    dag.kinds.push(batch.kinds[node * graphs + graph]);
                    for from in 0..node {
                        let is_there = match plan.codec.edge(dag, from) {
                            Edge::No => false,
                            Edge::Yes => true,
                            Edge::Free => {
                                let place = choices.iter().position(|choice| plan.choices[*choice] == (from, node));
                                let place = place.expect("an open edge is among the choices");
                                let logit = tape.data(logits.expect("there are choices"))[place * graphs + graph];
                                match rng.as_deref_mut() {
                                    Some(rng) => rng.random::<f32>() < 1.0 / (1.0 + (-logit).exp()),
                                    None => logit > 0.0,
                                }
                            }
                        };
                        if is_there {
                            dag.edges.push((from, node));
                            batch.reads[node * graphs + graph] |= 1 << from;
                        }
                    }
                }
            }
            if level + 1 < plan.levels.len() {
                self.take_in(tape, plan, &batch, &mut decoding);
            }
        }
        dags.iter_mut().for_each(|dag| dag.edges.sort_unstable());
        dags
    }
}

/// A kind of those allowed: drawn by its probability, or the most probable.
fn choose(logits: &[f32], allowed: u32, rng: Option<&mut impl Rng>) -> u8 {
    let open = || (0..logits.len()).filter(|kind| allowed >> kind & 1 == 1);
    let best = open().max_by(|a, b| logits[*a].total_cmp(&logits[*b])).expect("a mask leaves a kind");
    let Some(rng) = rng else { return best as u8 };
    let weight = |kind: usize| f64::from(logits[kind] - logits[best]).exp();
    let mut left = rng.random::<f64>() * open().map(weight).sum::<f64>();
    for kind in open() {
        left -= weight(kind);
        if left < 0.0 {
            return kind as u8;
        }
    }
    best as u8
}
