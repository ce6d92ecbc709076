//! Weights as plain arrays: one flat vector of what a gradient trains, one of what it does not, and the layout that says
//! where each node's arrays lie.

use rand::Rng;

use super::op::{Op, Role};
use super::{Graph, NodeId};

/// One parameter array of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamSpec {
    /// The node it belongs to.
    pub node: NodeId,
    /// What it is for.
    pub role: Role,
    /// Its dimensions.
    pub dims: Vec<usize>,
    /// Where it starts in [`Weights::trained`] or, for running statistics, [`Weights::buffers`].
    pub offset: usize,
}

impl ParamSpec {
    /// Number of values.
    pub fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.elements()
    }
}

/// Where every parameter array of a graph lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    specs: Vec<Vec<ParamSpec>>,
    trained: usize,
    buffers: usize,
}

impl Layout {
    /// The layout of a graph: nodes in order, arrays in the order of [`Op::params`].
    pub fn of(graph: &Graph) -> Self {
        let (mut trained, mut buffers) = (0, 0);
        let mut specs = Vec::with_capacity(graph.nodes().len());
        for (node, n) in graph.nodes().iter().enumerate() {
            let params = n.op.params(&graph.input_shapes(node));
            let place = |(role, dims): (Role, Vec<usize>)| {
                let end = if role.is_trained() { &mut trained } else { &mut buffers };
                let spec = ParamSpec { node, role, dims, offset: *end };
                *end += spec.elements();
                spec
            };
            specs.push(params.into_iter().map(place).collect());
        }
        Layout { specs, trained, buffers }
    }

    /// Number of values that a gradient trains.
    pub fn trained(&self) -> usize {
        self.trained
    }

    /// Number of running statistics.
    pub fn buffers(&self) -> usize {
        self.buffers
    }

    /// All arrays in order.
    pub fn specs(&self) -> impl Iterator<Item = &ParamSpec> {
        self.specs.iter().flatten()
    }

    /// One array of a node, if the node has it.
    pub fn find(&self, node: NodeId, role: Role) -> Option<&ParamSpec> {
        self.specs[node].iter().find(|s| s.role == role)
    }
}

/// The numbers of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// Where each array lies.
    pub layout: Layout,
    /// What a gradient trains.
    pub trained: Vec<f32>,
    /// Running statistics of batch normalisation.
    pub buffers: Vec<f32>,
}

impl Weights {
    /// Zero weights, unit scale and variance.
    pub fn neutral(graph: &Graph) -> Self {
        let layout = Layout::of(graph);
        let (trained, buffers) = (vec![0.0; layout.trained], vec![0.0; layout.buffers]);
        let mut weights = Weights { layout: layout.clone(), trained, buffers };
        for spec in layout.specs().filter(|s| matches!(s.role, Role::Gamma | Role::RunningVar)) {
            weights.values_mut(spec).fill(1.0);
        }
        weights
    }

    /// Weights to start training from: convolutions from a normal distribution with variance 2 / fan-in (He et al.,
    /// 2015), linear layers uniformly within 1 / sqrt(fan-in), biases zero.
    pub fn init(graph: &Graph, rng: &mut impl Rng) -> Self {
        let mut weights = Weights::neutral(graph);
        let specs: Vec<ParamSpec> = weights.layout.specs().filter(|s| s.role == Role::Weight).cloned().collect();
        for spec in specs {
            let fan_in = spec.dims[1..].iter().product::<usize>() as f32;
            let is_linear = matches!(graph.node(spec.node).op, Op::Linear(_));
            for value in weights.values_mut(&spec) {
                *value = match is_linear {
                    true => rng.random_range(-1.0f32..1.0) / fan_in.sqrt(),
                    false => standard_normal(rng) * (2.0 / fan_in).sqrt(),
                };
            }
        }
        weights
    }

    /// The values of one array.
    pub fn values(&self, spec: &ParamSpec) -> &[f32] {
        match spec.role.is_trained() {
            true => &self.trained[spec.range()],
            false => &self.buffers[spec.range()],
        }
    }

    /// The values of one array, to change.
    pub fn values_mut(&mut self, spec: &ParamSpec) -> &mut [f32] {
        match spec.role.is_trained() {
            true => &mut self.trained[spec.range()],
            false => &mut self.buffers[spec.range()],
        }
    }

    /// The values of a node's array, if it has one.
    pub fn get(&self, node: NodeId, role: Role) -> Option<&[f32]> {
        self.layout.find(node, role).map(|spec| self.values(spec))
    }

    /// Sets a node's array.
    ///
    /// # Panics
    /// If the node has no such array or its size differs: the caller has mixed up two graphs.
    pub fn set(&mut self, node: NodeId, role: Role, values: &[f32]) {
        let spec = self.layout.find(node, role).expect("the node has this array").clone();
        self.values_mut(&spec).copy_from_slice(values);
    }
}

/// One draw from the standard normal distribution (Box and Muller, 1958).
fn standard_normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()) as f32
}
