//! The graph convolutional network of the second seed (Wen and others, Neural Predictor for Neural Architecture Search,
//! 2019), on candle: every layer averages what nodes read and what reads them, with weights of their own.
//!
//! A layer is ½ ReLU(Ā V W⁺) + ½ ReLU(Āᵀ V W⁻) with Ā the rows of A + I divided by their sums; three layers, the mean over
//! the nodes that are on a path or a join, one hidden layer, one output.

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, ops::sigmoid};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{PredictorError, Sample, check, dags};
use crate::seed;
use crate::space::Dag;
use crate::stats;

/// Units between the mean of the nodes and the output.
const HIDDEN: usize = 128;
/// Graph layers.
const LAYERS: usize = 3;
/// Graphs of a step of inference.
const CHUNK: usize = 512;

/// How the network is trained.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct GcnSchedule {
    /// Values of a node.
    pub width: usize,
    /// Step size of Adam, falling to zero along a cosine.
    pub learning_rate: f64,
    /// Penalty of squared weights, halved, inside the loss as Adam (not AdamW) has it.
    pub weight_decay: f64,
    /// Passes over the samples.
    pub epochs: usize,
    /// Samples per step.
    pub batch: usize,
    /// Share of values set to zero after each layer while training.
    pub dropout: f64,
}

/// The published one.
pub const GCN_SCHEDULE: GcnSchedule =
    GcnSchedule { width: 144, learning_rate: 1e-4, weight_decay: 1e-3, epochs: 300, batch: 10, dropout: 0.1 };

/// What the output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// A standardised accuracy; squared error.
    Value,
    /// The logit of a probability; cross-entropy.
    Logit,
}

/// The network fitted to accuracies.
#[derive(Debug, Clone, PartialEq)]
pub struct GcnRegressor {
    network: Gcn,
    mean: f64,
    deviation: f64,
}

impl GcnRegressor {
    /// Fits one accuracy per sample; only the graphs are looked at.
    ///
    /// # Errors
    /// As [`super::fit`].
    pub fn fit(
        schedule: &GcnSchedule,
        samples: &[Sample],
        accuracies: &[f64],
        seed: u64,
    ) -> std::result::Result<GcnRegressor, PredictorError> {
        check(samples, accuracies)?;
        let (mean, deviation) = (stats::mean(accuracies), stats::std_dev(accuracies).max(f64::MIN_POSITIVE));
        let targets: Vec<f32> = accuracies.iter().map(|accuracy| ((accuracy - mean) / deviation) as f32).collect();
        let network = Gcn::fit(schedule, Output::Value, &dags(samples), &targets, seed)?;
        Ok(GcnRegressor { network, mean, deviation })
    }

    /// One accuracy per sample.
    ///
    /// # Errors
    /// What candle reports.
    pub fn predict(&self, samples: &[Sample]) -> std::result::Result<Vec<f64>, PredictorError> {
        let outputs = self.network.apply(&dags(samples))?;
        Ok(outputs.into_iter().map(|output| self.mean + f64::from(output) * self.deviation).collect())
    }
}

/// The network fitted to a class: the first stage of the second seed's cascade.
#[derive(Debug, Clone, PartialEq)]
pub struct GcnClassifier(Gcn);

impl GcnClassifier {
    /// Fits whether each sample is of the class.
    ///
    /// # Errors
    /// As [`super::fit`].
    pub fn fit(
        schedule: &GcnSchedule,
        samples: &[Sample],
        is_member: &[bool],
        seed: u64,
    ) -> std::result::Result<GcnClassifier, PredictorError> {
        let targets: Vec<f32> = is_member.iter().map(|member| f32::from(u8::from(*member))).collect();
        check(samples, &targets.iter().map(|target| f64::from(*target)).collect::<Vec<f64>>())?;
        Ok(GcnClassifier(Gcn::fit(schedule, Output::Logit, &dags(samples), &targets, seed)?))
    }

    /// Probability of the class, one per sample.
    ///
    /// # Errors
    /// What candle reports.
    pub fn probabilities(&self, samples: &[Sample]) -> std::result::Result<Vec<f64>, PredictorError> {
        let logits = self.0.apply(&dags(samples))?;
        Ok(logits.into_iter().map(|logit| 1.0 / (1.0 + (-f64::from(logit)).exp())).collect())
    }
}

/// Weights of the network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gcn {
    nodes: usize,
    kinds: usize,
    /// Both maps of each layer, then hidden weights and biases, output weights and bias.
    weights: Vec<(Vec<usize>, Vec<f32>)>,
}

impl Gcn {
    /// Trains on standardised targets, or on targets of zero and one for a logit.
    pub(super) fn fit(
        schedule: &GcnSchedule,
        output: Output,
        dags: &[&Dag],
        targets: &[f32],
        seed: u64,
    ) -> Result<Gcn> {
        let mut rng = seed::stream(seed, "gcn", 0);
        let nodes = dags[0].len();
        let kinds = 1 + dags.iter().flat_map(|dag| &dag.kinds).max().map_or(0, |kind| *kind as usize);
        let mut gcn = Gcn { nodes, kinds, weights: Vec::new() };
        let variables: Vec<Var> =
            gcn.shapes(schedule.width).into_iter().map(|shape| random(&shape, &mut rng)).collect::<Result<_>>()?;
        let tensors: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
        let start = ParamsAdamW { lr: schedule.learning_rate, weight_decay: 0.0, ..Default::default() };
        let mut optimizer = AdamW::new(variables.clone(), start)?;
        let mut order: Vec<usize> = (0..dags.len()).collect();
        let steps = order.len().div_ceil(schedule.batch) * schedule.epochs;
        let mut step = 0;
        for _ in 0..schedule.epochs {
            order.shuffle(&mut rng);
            for chosen in order.chunks(schedule.batch) {
                let progress = step as f64 / steps as f64;
                optimizer
                    .set_learning_rate(schedule.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()));
                let batch = Batch::of(&gcn, chosen.iter().map(|i| dags[*i]))?;
                let wanted: Vec<f32> = chosen.iter().map(|i| targets[*i]).collect();
                let wanted = Tensor::from_vec(wanted, chosen.len(), &Device::Cpu)?;
                let found = forward(&tensors, &batch, Some((schedule.dropout, &mut rng)))?;
                let loss = (loss(output, &found, &wanted)? + penalty(&tensors, schedule.weight_decay)?)?;
                optimizer.backward_step(&loss)?;
                step += 1;
            }
        }
        for variable in &variables {
            gcn.weights.push((variable.dims().to_vec(), variable.flatten_all()?.to_vec1()?));
        }
        Ok(gcn)
    }

    /// One output per graph.
    pub(super) fn apply(&self, dags: &[&Dag]) -> Result<Vec<f32>> {
        let tensor =
            |(shape, values): &(Vec<usize>, Vec<f32>)| Tensor::from_slice(values, shape.as_slice(), &Device::Cpu);
        let tensors: Vec<Tensor> = self.weights.iter().map(tensor).collect::<Result<_>>()?;
        let mut outputs = Vec::with_capacity(dags.len());
        for chunk in dags.chunks(CHUNK) {
            let batch = Batch::of(self, chunk.iter().copied())?;
            outputs.extend(forward(&tensors, &batch, None)?.to_vec1::<f32>()?);
        }
        Ok(outputs)
    }

    fn shapes(&self, width: usize) -> Vec<Vec<usize>> {
        let layers = (0..LAYERS).flat_map(|layer| {
            let inputs = if layer == 0 { self.kinds } else { width };
            [vec![inputs, width], vec![inputs, width]]
        });
        layers.chain([vec![width, HIDDEN], vec![HIDDEN], vec![HIDDEN, 1], vec![1]]).collect()
    }
}

/// Graphs as tensors.
struct Batch {
    /// (graphs, nodes, kinds).
    kinds: Tensor,
    /// What nodes read, with themselves, rows of sum one: (graphs, nodes, nodes).
    read: Tensor,
    /// Its transpose.
    readers: Tensor,
    /// One over the number of nodes that count, for these: (graphs, nodes, 1).
    shares: Tensor,
}

impl Batch {
    fn of<'a>(gcn: &Gcn, dags: impl Iterator<Item = &'a Dag>) -> Result<Batch> {
        let n = gcn.nodes;
        let (mut kinds, mut read, mut shares, mut count) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for dag in dags {
            let mut adjacency = vec![0f32; n * n];
            (0..n).for_each(|node| adjacency[node * n + node] = 1.0);
            let mut counts = vec![false; n];
            (counts[0], counts[n - 1]) = (true, true);
            for (from, to) in &dag.edges {
                adjacency[from * n + to] = 1.0;
                (counts[*from], counts[*to]) = (true, true);
            }
            for row in adjacency.chunks_mut(n) {
                let sum: f32 = row.iter().sum();
                row.iter_mut().for_each(|cell| *cell /= sum);
            }
            let share = 1.0 / counts.iter().filter(|counted| **counted).count() as f32;
            shares.extend(counts.iter().map(|counted| if *counted { share } else { 0.0 }));
            kinds.extend(
                dag.kinds
                    .iter()
                    .flat_map(|kind| (0..gcn.kinds).map(move |other| if other == *kind as usize { 1f32 } else { 0.0 })),
            );
            read.extend(adjacency);
            count += 1;
        }
        let read = Tensor::from_vec(read, (count, n, n), &Device::Cpu)?;
        Ok(Batch {
            kinds: Tensor::from_vec(kinds, (count, n, gcn.kinds), &Device::Cpu)?,
            readers: read.transpose(1, 2)?.contiguous()?,
            read,
            shares: Tensor::from_vec(shares, (count, n, 1), &Device::Cpu)?,
        })
    }
}

/// One output per graph, (graphs).
fn forward(weights: &[Tensor], batch: &Batch, mut dropout: Option<(f64, &mut ChaCha8Rng)>) -> Result<Tensor> {
    let (graphs, nodes, _) = batch.kinds.dims3()?;
    let mut state = batch.kinds.clone();
    for maps in weights[..2 * LAYERS].chunks(2) {
        let flat = state.reshape((graphs * nodes, ()))?;
        let along = |adjacency: &Tensor, map: &Tensor| {
            adjacency.matmul(&flat.matmul(map)?.reshape((graphs, nodes, ()))?)?.relu()
        };
        state = ((along(&batch.read, &maps[0])? + along(&batch.readers, &maps[1])?)? * 0.5)?;
        state = dropped(state, &mut dropout)?;
    }
    let [hidden, hidden_bias, output, bias] = &weights[2 * LAYERS..] else {
        return Err(candle_core::Error::Msg("a graph convolutional network has four tensors after its layers".into()));
    };
    let mean = state.broadcast_mul(&batch.shares)?.sum(1)?;
    let hidden = dropped(mean.matmul(hidden)?.broadcast_add(hidden_bias)?.relu()?, &mut dropout)?;
    hidden.matmul(output)?.broadcast_add(bias)?.squeeze(D::Minus1)
}

fn dropped(values: Tensor, dropout: &mut Option<(f64, &mut ChaCha8Rng)>) -> Result<Tensor> {
    let Some((share, rng)) = dropout else { return Ok(values) };
    let kept = (1.0 / (1.0 - *share)) as f32;
    let mask: Vec<f32> = (0..values.elem_count()).map(|_| if rng.random_bool(*share) { 0.0 } else { kept }).collect();
    let mask = Tensor::from_vec(mask, values.shape(), &Device::Cpu)?;
    values * mask
}

/// Squared error, or cross-entropy with a logit as softplus(z) − t z.
fn loss(output: Output, found: &Tensor, wanted: &Tensor) -> Result<Tensor> {
    match output {
        Output::Value => (found - wanted)?.sqr()?.mean_all(),
        Output::Logit => {
            // −log σ(z) or −log σ(−z): the sign says which; the small addend keeps the logarithm finite.
            let signed = (found * wanted.affine(2.0, -1.0)?)?;
            sigmoid(&signed)?.affine(1.0, 1e-7)?.log()?.neg()?.mean_all()
        }
    }
}

fn penalty(weights: &[Tensor], decay: f64) -> Result<Tensor> {
    let mut sum = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    for weight in weights {
        sum = (sum + weight.sqr()?.sum_all()?)?;
    }
    sum * (0.5 * decay)
}

/// Glorot and Bengio's uniform start (2010); biases begin at zero.
fn random(shape: &[usize], rng: &mut ChaCha8Rng) -> Result<Var> {
    let values: Vec<f32> = match shape {
        [inputs, outputs] => {
            let bound = (6.0 / (inputs + outputs) as f32).sqrt();
            (0..inputs * outputs).map(|_| rng.random_range(-bound..bound)).collect()
        }
        _ => vec![0.0; shape.iter().product()],
    };
    Var::from_vec(values, shape, &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{made_up_accuracies, random_samples};
    use super::*;

    const SHORT: GcnSchedule = GcnSchedule { width: 24, learning_rate: 3e-3, epochs: 40, ..GCN_SCHEDULE };

    #[test]
    fn it_learns_values_and_classes() {
        let (samples, unseen) = (random_samples(80, 1), random_samples(60, 2));
        let (known, truth) = (made_up_accuracies(&samples), made_up_accuracies(&unseen));
        let found = GcnRegressor::fit(&SHORT, &samples, &known, 1).unwrap().predict(&unseen).unwrap();
        assert!(stats::kendall_tau(&found, &truth) > 0.4, "{found:?}");
        let middle = stats::median(&known);
        let classes: Vec<bool> = known.iter().map(|accuracy| *accuracy > middle).collect();
        let classifier = GcnClassifier::fit(&SHORT, &samples, &classes, 1).unwrap();
        let found = classifier.probabilities(&unseen).unwrap();
        assert!(found.iter().all(|probability| (0.0..=1.0).contains(probability)));
        assert!(stats::kendall_tau(&found, &truth) > 0.3, "{found:?}");
    }

    /// The layer by hand on a path of two nodes: Ā = [[½, ½], [0, 1]].
    #[test]
    fn a_layer_averages_both_directions() {
        let gcn = Gcn { nodes: 2, kinds: 2, weights: Vec::new() };
        let dag = Dag { kinds: vec![0, 1], edges: vec![(0, 1)] };
        let batch = Batch::of(&gcn, std::iter::once(&dag)).unwrap();
        assert_eq!(batch.read.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [0.5, 0.5, 0.0, 1.0]);
        assert_eq!(batch.readers.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [0.5, 0.0, 0.5, 1.0]);
        assert_eq!(batch.shares.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [0.5, 0.5]);
    }
}
