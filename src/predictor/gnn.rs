//! The graph network of the first seed on plain arrays: what scores the candidates of a search.
//!
//! Nodes start from their degree, exchange messages for five rounds, each followed by a gated recurrent unit, and keep
//! the largest value of each channel over the rounds; a small network reads the nodes by position. Rounds run once per
//! colour (see `colouring`), so only the reading of positions grows with the number of graphs.

use super::colouring::{Colouring, Messages, Origin, Round};
use super::dense::{Dense, add_product};
use crate::space::Dag;

/// Slope of the leaky rectifier below zero (PyTorch's default).
pub(super) const LEAK: f32 = 0.01;
/// Rounds of messages.
const ROUNDS: usize = 5;
/// Units between the nodes and the output.
const HIDDEN: usize = 54;

/// What a network sees of its graphs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct View {
    /// Nodes of every graph.
    pub(super) nodes: usize,
    /// Number of kinds that enter as columns; 0 where the position of a node already tells its kind.
    pub(super) kinds: usize,
    pub(super) messages: Messages,
}

impl View {
    /// The view for graphs like these.
    pub(super) fn of(dags: &[&Dag], messages: Messages) -> View {
        let first = &dags[0].kinds;
        let told_by_position = dags.iter().all(|dag| dag.kinds == *first);
        let largest = dags.iter().flat_map(|dag| &dag.kinds).max().map_or(0, |kind| *kind as usize);
        View { nodes: first.len(), kinds: if told_by_position { 0 } else { largest + 1 }, messages }
    }

    pub(super) fn colouring(&self, dags: &[&Dag]) -> Colouring {
        Colouring::of(dags.iter().copied(), self.messages, self.kinds > 0, ROUNDS)
    }

    /// Columns of a node: out-degree, two constants, one per kind.
    pub(super) fn columns(&self) -> usize {
        3 + self.kinds
    }

    /// (origins, columns).
    pub(super) fn features(&self, origins: &[Origin]) -> Vec<f32> {
        let row = |origin: &Origin| {
            let kind = (0..self.kinds).map(|kind| (kind == origin.kind as usize) as u8 as f32);
            [origin.out_degree as f32, 1.0, 1.0].into_iter().chain(kind).collect::<Vec<f32>>()
        };
        origins.iter().flat_map(row).collect()
    }
}

/// Weights of the network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gnn {
    pub(super) view: View,
    /// Columns of a node to its first state.
    pub(super) embedding: Dense,
    /// Messages to the three gates (reset, update, new) of the recurrent unit.
    pub(super) input_gates: Dense,
    /// State to the three gates.
    pub(super) state_gates: Dense,
    /// All nodes to the hidden units.
    pub(super) hidden: Dense,
    /// Hidden units to the one output.
    pub(super) output: Dense,
}

impl Gnn {
    /// Random weights for states of `width` values.
    pub(super) fn random(view: View, width: usize, rng: &mut impl rand::Rng) -> Gnn {
        let flat = view.nodes * width;
        Gnn {
            view,
            embedding: Dense::random(view.columns(), width, view.columns(), rng),
            input_gates: Dense::random(width, 3 * width, width, rng),
            state_gates: Dense::random(width, 3 * width, width, rng),
            hidden: Dense::random(flat, HIDDEN, flat, rng),
            output: Dense::random(HIDDEN, 1, HIDDEN, rng),
        }
    }

    /// One output per graph of the colouring.
    pub(super) fn apply(&self, colouring: &Colouring) -> Vec<f32> {
        let states = self.largest_states(colouring);
        let mut hidden = self.read_positions(&states, &colouring.nodes);
        hidden.iter_mut().for_each(|value| *value = leaky(*value));
        self.output.apply(&hidden)
    }

    fn width(&self) -> usize {
        self.embedding.outputs
    }

    /// (colours after the last round, width): the largest state over the rounds.
    fn largest_states(&self, colouring: &Colouring) -> Vec<f32> {
        let mut state = self.embedding.apply(&self.view.features(&colouring.origins));
        state.iter_mut().for_each(|value| *value = leaky(*value));
        let mut largest = vec![f32::NEG_INFINITY; state.len()];
        for round in &colouring.rounds {
            state = self.advance(&state, round);
            largest = gather(&largest, &round.before, self.width());
            largest.iter_mut().zip(&state).for_each(|(largest, value)| *largest = largest.max(*value));
        }
        largest
    }

    /// One round: weightless graph convolution, then the gated recurrent unit (Cho et al., 2014) with the messages as its
    /// input. Both maps to the gates are linear, so they are taken before the messages are added up.
    fn advance(&self, state: &[f32], round: &Round) -> Vec<f32> {
        let width = self.width();
        let from_state = self.state_gates.apply(state);
        let mut sent = vec![0.0; from_state.len()];
        add_product(&mut sent, state, &self.input_gates.weight, width, 3 * width);
        let mut received = self.input_gates.bias.repeat(round.colours());
        for ((receiver, sender), weight) in round.receivers.iter().zip(&round.senders).zip(&round.weights) {
            let message = &sent[*sender as usize * 3 * width..][..3 * width];
            let sum = &mut received[*receiver as usize * 3 * width..][..3 * width];
            sum.iter_mut().zip(message).for_each(|(sum, value)| *sum += weight * value);
        }
        let mut next = gather(state, &round.before, width);
        for ((next, received), before) in next.chunks_mut(width).zip(received.chunks(3 * width)).zip(&round.before) {
            gate(next, received, &from_state[*before as usize * 3 * width..][..3 * width]);
        }
        next
    }

    /// (graphs, hidden): each node's state times the weights of its position, once per colour that occurs there.
    fn read_positions(&self, states: &[f32], nodes: &[u32]) -> Vec<f32> {
        let (width, positions) = (self.width(), self.view.nodes);
        let mut hidden = self.hidden.bias.repeat(nodes.len() / positions);
        let mut place = vec![u32::MAX; states.len() / width];
        for position in 0..positions {
            let here = nodes.iter().skip(position).step_by(positions);
            let mut distinct: Vec<u32> = Vec::new();
            for colour in here.clone() {
                if place[*colour as usize] == u32::MAX {
                    place[*colour as usize] = distinct.len() as u32;
                    distinct.push(*colour);
                }
            }
            let mut read = vec![0.0; distinct.len() * HIDDEN];
            let weight = &self.hidden.weight[position * width * HIDDEN..][..width * HIDDEN];
            add_product(&mut read, &gather(states, &distinct, width), weight, width, HIDDEN);
            for (sum, colour) in hidden.chunks_mut(HIDDEN).zip(here) {
                let values = &read[place[*colour as usize] as usize * HIDDEN..][..HIDDEN];
                sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
            distinct.iter().for_each(|colour| place[*colour as usize] = u32::MAX);
        }
        hidden
    }
}

/// The gated recurrent unit on one state, gates in the order reset, update, new.
fn gate(state: &mut [f32], input: &[f32], own: &[f32]) {
    let width = state.len();
    for (c, value) in state.iter_mut().enumerate() {
        let reset = sigmoid(input[c] + own[c]);
        let update = sigmoid(input[width + c] + own[width + c]);
        let new = (input[2 * width + c] + reset * own[2 * width + c]).tanh();
        *value = new + update * (*value - new);
    }
}

fn leaky(value: f32) -> f32 {
    if value < 0.0 { LEAK * value } else { value }
}

fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

/// The rows named, in their order.
fn gather(rows: &[f32], names: &[u32], width: usize) -> Vec<f32> {
    names.iter().flat_map(|name| &rows[*name as usize * width..][..width]).copied().collect()
}
