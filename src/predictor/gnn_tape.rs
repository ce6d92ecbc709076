//! The graph network on candle's tape, for training: the same colours, with gradients.

use candle_core::{D, Device, Result, Tensor, Var};
use candle_nn::ops::{leaky_relu, sigmoid};

use super::colouring::{Colouring, Round};
use super::dense::TapedDense;
use super::gnn::{Gnn, LEAK, View};

/// A batch of graphs as tensors.
pub(super) struct GraphBatch {
    /// (origins, columns).
    features: Tensor,
    rounds: Vec<RoundIndices>,
    /// Colour of each node of each graph, (graphs · nodes).
    nodes: Tensor,
    graphs: usize,
}

struct RoundIndices {
    colours: usize,
    before: Tensor,
    receivers: Tensor,
    senders: Tensor,
    /// (messages, 1).
    weights: Tensor,
}

impl GraphBatch {
    pub(super) fn of(colouring: &Colouring, view: &View) -> Result<GraphBatch> {
        let features = view.features(&colouring.origins);
        Ok(GraphBatch {
            features: Tensor::from_vec(features, (colouring.origins.len(), view.columns()), &Device::Cpu)?,
            rounds: colouring.rounds.iter().map(RoundIndices::of).collect::<Result<_>>()?,
            nodes: indices(&colouring.nodes)?,
            graphs: colouring.nodes.len() / view.nodes,
        })
    }
}

impl RoundIndices {
    fn of(round: &Round) -> Result<RoundIndices> {
        Ok(RoundIndices {
            colours: round.colours(),
            before: indices(&round.before)?,
            receivers: indices(&round.receivers)?,
            senders: indices(&round.senders)?,
            weights: Tensor::from_slice(&round.weights, (round.weights.len(), 1), &Device::Cpu)?,
        })
    }
}

fn indices(values: &[u32]) -> Result<Tensor> {
    Tensor::from_slice(values, values.len(), &Device::Cpu)
}

/// The network with gradients.
pub(super) struct TapedGnn {
    view: View,
    embedding: TapedDense,
    input_gates: TapedDense,
    state_gates: TapedDense,
    hidden: TapedDense,
    output: TapedDense,
}

impl TapedGnn {
    pub(super) fn of(gnn: &Gnn) -> Result<TapedGnn> {
        Ok(TapedGnn {
            view: gnn.view,
            embedding: TapedDense::of(&gnn.embedding)?,
            input_gates: TapedDense::of(&gnn.input_gates)?,
            state_gates: TapedDense::of(&gnn.state_gates)?,
            hidden: TapedDense::of(&gnn.hidden)?,
            output: TapedDense::of(&gnn.output)?,
        })
    }

    pub(super) fn variables(&self) -> Vec<Var> {
        let layers = [&self.embedding, &self.input_gates, &self.state_gates, &self.hidden, &self.output];
        layers.iter().flat_map(|layer| layer.variables()).collect()
    }

    /// The weights as plain arrays.
    pub(super) fn plain(&self) -> Result<Gnn> {
        Ok(Gnn {
            view: self.view,
            embedding: self.embedding.plain()?,
            input_gates: self.input_gates.plain()?,
            state_gates: self.state_gates.plain()?,
            hidden: self.hidden.plain()?,
            output: self.output.plain()?,
        })
    }

    /// One output per graph, (graphs).
    pub(super) fn forward(&self, batch: &GraphBatch) -> Result<Tensor> {
        let mut state = leaky_relu(&self.embedding.forward(&batch.features)?, LEAK as f64)?;
        let mut largest: Option<Tensor> = None;
        for round in &batch.rounds {
            state = self.advance(&state, round)?;
            largest = Some(match largest {
                Some(largest) => largest.index_select(&round.before, 0)?.maximum(&state)?,
                None => state.clone(),
            });
        }
        let states = largest.unwrap_or(state).index_select(&batch.nodes, 0)?;
        let flat = states.reshape((batch.graphs, ()))?;
        let hidden = leaky_relu(&self.hidden.forward(&flat)?, LEAK as f64)?;
        self.output.forward(&hidden)?.squeeze(D::Minus1)
    }

    /// Graph convolution, then the gated recurrent unit.
    fn advance(&self, state: &Tensor, round: &RoundIndices) -> Result<Tensor> {
        let width = state.dim(1)?;
        let messages = state.index_select(&round.senders, 0)?.broadcast_mul(&round.weights)?;
        let received = Tensor::zeros((round.colours, width), state.dtype(), state.device())?;
        let received = received.index_add(&round.receivers, &messages, 0)?;
        let before = state.index_select(&round.before, 0)?;
        let input = self.input_gates.forward(&received)?;
        let own = self.state_gates.forward(&before)?;
        let part = |gates: &Tensor, i: usize| gates.narrow(1, i * width, width);
        let reset = sigmoid(&(part(&input, 0)? + part(&own, 0)?)?)?;
        let update = sigmoid(&(part(&input, 1)? + part(&own, 1)?)?)?;
        let new = (part(&input, 2)? + (reset * part(&own, 2)?)?)?.tanh()?;
        &new + (update * (before - &new)?)?
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::colouring::Messages;
    use super::super::fixture::random_samples;
    use super::*;

    #[test]
    fn fast_inference_is_the_tape_s_forward() {
        let samples = random_samples(50, 1);
        let dags: Vec<_> = samples.iter().map(|sample| &sample.dag).collect();
        for (messages, kinds) in [(Messages::Forward, 0), (Messages::Both, 0), (Messages::Forward, 7)] {
            let view = View { nodes: 36, kinds, messages };
            let gnn = Gnn::random(view, 24, &mut ChaCha8Rng::seed_from_u64(5));
            let colouring = view.colouring(&dags);
            let fast = gnn.apply(&colouring);
            let batch = GraphBatch::of(&colouring, &view).unwrap();
            let taped: Vec<f32> = TapedGnn::of(&gnn).unwrap().forward(&batch).unwrap().to_vec1().unwrap();
            assert!(fast.iter().zip(&taped).all(|(a, b)| (a - b).abs() < 1e-5), "{fast:?} {taped:?}");
        }
    }

    /// Against the plain definition: every node of every graph on its own, messages as a dense matrix.
    #[test]
    fn merging_equal_nodes_changes_nothing() {
        let samples = random_samples(8, 2);
        let dags: Vec<_> = samples.iter().map(|sample| &sample.dag).collect();
        let view = View { nodes: 36, kinds: 0, messages: Messages::Forward };
        let gnn = Gnn::random(view, 16, &mut ChaCha8Rng::seed_from_u64(6));
        let fast = gnn.apply(&view.colouring(&dags));
        let taped = TapedGnn::of(&gnn).unwrap();
        for (dag, fast) in dags.iter().zip(fast) {
            let slow = node_by_node(&taped, dag).unwrap();
            assert!((fast - slow).abs() < 1e-5, "{fast} {slow}");
        }
    }

    fn node_by_node(gnn: &TapedGnn, dag: &crate::space::Dag) -> Result<f32> {
        let n = dag.len();
        let (out, read) = (dag.out_degrees(), dag.predecessors());
        let mut adjacency = vec![0f32; n * n];
        for (from, to) in &dag.edges {
            adjacency[to * n + from] = 1.0 / ((out[*from] * read[*to].len()) as f32).sqrt();
        }
        let adjacency = Tensor::from_vec(adjacency, (n, n), &Device::Cpu)?;
        let features: Vec<f32> = out.iter().flat_map(|degree| [*degree as f32, 1.0, 1.0]).collect();
        let features = Tensor::from_vec(features, (n, 3), &Device::Cpu)?;
        let mut state = leaky_relu(&gnn.embedding.forward(&features)?, LEAK as f64)?;
        let mut largest = (state.ones_like()? * f64::MIN)?;
        for _ in 0..5 {
            let received = adjacency.matmul(&state)?;
            let input = gnn.input_gates.forward(&received)?.chunk(3, 1)?;
            let own = gnn.state_gates.forward(&state)?.chunk(3, 1)?;
            let reset = sigmoid(&(&input[0] + &own[0])?)?;
            let update = sigmoid(&(&input[1] + &own[1])?)?;
            let new = (&input[2] + (reset * &own[2])?)?.tanh()?;
            state = ((&update * &state)? + (update.affine(-1.0, 1.0)? * new)?)?;
            largest = largest.maximum(&state)?;
        }
        let hidden = leaky_relu(&gnn.hidden.forward(&largest.reshape((1, ()))?)?, LEAK as f64)?;
        gnn.output.forward(&hidden)?.squeeze(0)?.squeeze(0)?.to_scalar()
    }
}
