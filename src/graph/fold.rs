//! Folding: batch normalisation becomes part of the convolution before it, as it is deployed.

use super::op::{Conv2d, Op, Padding, Role};
use super::{Graph, GraphBuilder, NodeId, Weights};

/// Added to the variance before the square root, in training as in folding.
pub const BATCH_NORM_EPSILON: f32 = 1e-5;

/// A graph without batch normalisation, and how to make its weights.
#[derive(Debug, Clone)]
pub struct Folded {
    /// The folded graph.
    pub graph: Graph,
    recipes: Vec<Recipe>,
}

/// Where the weights of a node of the folded graph come from.
#[derive(Debug, Clone, Copy)]
enum Recipe {
    /// From the same node.
    Same(NodeId),
    /// From a convolution and the channels of a normalisation from `first` on.
    Merged { conv: NodeId, norm: NodeId, first: usize },
    /// From a normalisation that stands alone: it becomes a depthwise 1×1 convolution.
    Alone(NodeId),
}

impl Folded {
    /// Folds every batch normalisation of `graph`.
    pub fn of(graph: &Graph) -> Self {
        let merged = merged_norms(graph);
        let mut builder = GraphBuilder::default();
        let mut recipes = Vec::new();
        let mut place = vec![0; graph.nodes().len()];
        for (id, node) in graph.nodes().iter().enumerate() {
            let recipe = match (&node.op, merged[id]) {
                (Op::BatchNorm, Some(_)) => {
                    place[id] = place[node.inputs[0]];
                    continue;
                }
                (Op::BatchNorm, None) => Recipe::Alone(id),
                (_, Some((norm, first))) => Recipe::Merged { conv: id, norm, first },
                (_, None) => Recipe::Same(id),
            };
            let op = match (recipe, &node.op) {
                (Recipe::Merged { .. }, Op::Conv2d(conv)) => Op::Conv2d(Conv2d { bias: true, ..*conv }),
                (Recipe::Alone(_), _) => Op::Conv2d(scale_and_shift(node.shape.channels)),
                (_, op) => op.clone(),
            };
            let inputs: Vec<NodeId> = node.inputs.iter().map(|i| place[*i]).collect();
            place[id] =
                builder.push(node.name.clone(), op, &inputs).expect("folding keeps every shape of a valid graph");
            recipes.push(recipe);
        }
        Folded { graph: builder.finish().expect("folding keeps a valid graph valid"), recipes }
    }

    /// The weights of the folded graph, from those of the original one.
    pub fn weights(&self, original: &Weights) -> Weights {
        let mut folded = Weights::neutral(&self.graph);
        for (id, recipe) in self.recipes.iter().enumerate() {
            match *recipe {
                Recipe::Same(old) => {
                    for role in [Role::Weight, Role::Bias] {
                        if let Some(values) = original.get(old, role) {
                            folded.set(id, role, values);
                        }
                    }
                }
                Recipe::Merged { conv, norm, first } => {
                    let weight = original.get(conv, Role::Weight).expect("a convolution has weights");
                    let channels = self.graph.node(id).shape.channels;
                    let (scale, shift) = scale_shift(original, norm);
                    let (scale, shift) = (&scale[first..first + channels], &shift[first..first + channels]);
                    let per_channel = weight.len() / channels;
                    let weight: Vec<f32> = weight.iter().enumerate().map(|(i, w)| w * scale[i / per_channel]).collect();
                    let bias = original.get(conv, Role::Bias);
                    let bias: Vec<f32> =
                        (0..channels).map(|c| bias.map_or(0.0, |b| b[c]) * scale[c] + shift[c]).collect();
                    folded.set(id, Role::Weight, &weight);
                    folded.set(id, Role::Bias, &bias);
                }
                Recipe::Alone(norm) => {
                    let (scale, shift) = scale_shift(original, norm);
                    folded.set(id, Role::Weight, &scale);
                    folded.set(id, Role::Bias, &shift);
                }
            }
        }
        folded
    }
}

/// For each convolution the normalisation it absorbs and the first of its channels there; for each absorbed
/// normalisation, itself. A normalisation is absorbed by the convolution that it alone reads, or by all the convolutions
/// of a concatenation that it alone reads.
fn merged_norms(graph: &Graph) -> Vec<Option<(NodeId, usize)>> {
    let consumers = graph.consumers();
    let absorbs = |id: NodeId| matches!(graph.node(id).op, Op::Conv2d(_)) && consumers[id].len() == 1;
    let mut merged = vec![None; graph.nodes().len()];
    for (norm, node) in graph.nodes().iter().enumerate() {
        if node.op != Op::BatchNorm {
            continue;
        }
        let source = node.inputs[0];
        let convs = match graph.node(source).op {
            Op::Conv2d(_) => vec![source],
            Op::Concat if consumers[source].len() == 1 => graph.node(source).inputs.clone(),
            _ => continue,
        };
        if convs.iter().all(|c| absorbs(*c)) {
            let mut first = 0;
            for conv in convs {
                merged[conv] = Some((norm, first));
                first += graph.node(conv).shape.channels;
            }
            merged[norm] = Some((norm, 0));
        }
    }
    merged
}

fn scale_and_shift(channels: usize) -> Conv2d {
    Conv2d {
        out: channels,
        kernel: 1,
        stride: 1,
        dilation: 1,
        groups: channels,
        padding: Padding::default(),
        bias: true,
    }
}

/// Scale and shift that a normalisation amounts to once its statistics are fixed.
fn scale_shift(weights: &Weights, norm: NodeId) -> (Vec<f32>, Vec<f32>) {
    let of = |role| weights.get(norm, role).expect("a normalisation has all four arrays");
    let (gamma, beta, mean, var) = (of(Role::Gamma), of(Role::Beta), of(Role::RunningMean), of(Role::RunningVar));
    let scale: Vec<f32> = gamma.iter().zip(var).map(|(g, v)| g / (v + BATCH_NORM_EPSILON).sqrt()).collect();
    let shift = beta.iter().zip(mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
    (scale, shift)
}
