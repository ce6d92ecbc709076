//! A graph made executable: training step by step over flat buffers, and evaluation.

use rayon::prelude::*;

use super::plan::{Plan, Purpose};
use super::state::{Chunk, Context, NormState};
use crate::graph::{BATCH_NORM_EPSILON, Folded, Graph, Layout, NodeId, Op, Role, Weights};

/// Into how many chunks a batch is split. More than the threads there are, and never dependent on them: sums over chunks
/// run in chunk order, so the bits of a result do not depend on threads.
const CHUNKS: usize = 8;
/// Share of the new batch in running statistics.
const STATISTICS_MOMENTUM: f32 = 0.1;
/// Images that one task evaluates at a time.
const EVALUATED_TOGETHER: usize = 16;

/// An executable network: how to run it, not its weights.
#[derive(Debug)]
pub struct Net {
    pub(super) graph: Graph,
    layout: Layout,
    pub(super) plan: Plan,
    /// For each level, the order of its backward pass.
    backward: Vec<Vec<NodeId>>,
}

/// Buffers of a training step, kept between steps.
#[derive(Default)]
pub struct Workspace {
    pub(super) chunks: Vec<Chunk>,
    norms: Vec<NormState>,
}

impl Net {
    /// Plans a graph for training.
    pub fn new(graph: &Graph) -> Self {
        Net::planned(graph, Purpose::Training)
    }

    fn planned(graph: &Graph, purpose: Purpose) -> Self {
        let layout = Layout::of(graph);
        let plan = Plan::of(graph, &layout, purpose);
        let backward = (0..plan.levels.len()).map(|level| plan.backward_order(graph, level)).collect();
        Net { graph: graph.clone(), layout, plan, backward }
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    fn context<'a>(&'a self, params: &'a [f32]) -> Context<'a> {
        Context { graph: &self.graph, layout: &self.layout, plan: &self.plan, params }
    }

    /// Forward pass of a training step: logits (batch, classes) of `images` (batch, channels, rows, columns; 0…1), with
    /// batch statistics, which also move the running statistics in `buffers`.
    pub fn forward(&self, params: &[f32], buffers: &mut [f32], images: &[f32], w: &mut Workspace) -> Vec<f32> {
        self.forward_following(STATISTICS_MOMENTUM, params, buffers, images, w)
    }

    /// Running statistics of `params` over batches of images, each as for [`Net::forward`]: the moments of the batches
    /// averaged, instead of what followed changing parameters (Wu and Johnson, 2021, section 3).
    pub fn statistics(&self, params: &[f32], batches: impl Iterator<Item = Vec<f32>>) -> Vec<f32> {
        let mut workspace = Workspace::default();
        let len = self.layout.buffers();
        let (mut sums, mut count) = (vec![0.0f64; len], 0.0);
        for images in batches {
            let mut of_batch = vec![0.0; len];
            self.forward_following(1.0, params, &mut of_batch, &images, &mut workspace);
            for (mean_at, var_at) in self.statistics_places() {
                let mean = f64::from(of_batch[mean_at]);
                sums[mean_at] += mean;
                sums[var_at] += f64::from(of_batch[var_at]) + mean * mean;
            }
            count += 1.0;
        }
        for (mean_at, var_at) in self.statistics_places() {
            sums[mean_at] /= count;
            sums[var_at] = (sums[var_at] / count - sums[mean_at] * sums[mean_at]).max(0.0);
        }
        sums.into_iter().map(|value| value as f32).collect()
    }

    /// Where the running mean and variance of every channel of every normalisation lie.
    fn statistics_places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let norms = (0..self.plan.levels.len()).flat_map(|level| self.norms(level));
        norms.flat_map(|id| {
            let at = |role| self.layout.find(id, role).expect("a normalisation has running statistics").offset;
            let (mean_at, var_at) = (at(Role::RunningMean), at(Role::RunningVar));
            (0..self.graph.node(id).shape.channels).map(move |c| (mean_at + c, var_at + c))
        })
    }

    /// The forward pass, after which running statistics have gone by `share` of the way to those of the batch.
    fn forward_following(
        &self,
        share: f32,
        params: &[f32],
        buffers: &mut [f32],
        images: &[f32],
        w: &mut Workspace,
    ) -> Vec<f32> {
        let cx = self.context(params);
        let image = self.graph.input_shape().elements();
        let batch = images.len() / image;
        let per_chunk = batch.div_ceil(CHUNKS).max(1);
        w.chunks.resize_with(batch.div_ceil(per_chunk), Chunk::default);
        w.norms.resize(self.graph.nodes().len(), NormState::default());
        for level in 0..self.plan.levels.len() {
            for id in self.norms(level) {
                w.norms[id] = self.batch_statistics(&cx, id, &w.chunks, (share, buffers));
            }
            let norms = &w.norms;
            let chunks = w.chunks.par_iter_mut().zip(images.par_chunks(per_chunk * image));
            chunks.for_each(|(chunk, images)| {
                if level == 0 {
                    chunk.resize(&cx, images.len() / image, true);
                }
                chunk.forward_level(&cx, level, norms, images);
            });
        }
        let classes = self.graph.output_shape().elements();
        w.chunks.iter().flat_map(|c| &c.values[self.graph.output()][..c.images * classes]).copied().collect()
    }

    /// Backward pass that follows [`Net::forward`] on the same `images`: the gradient by the flat parameters, from the
    /// gradient by the logits (batch, classes).
    pub fn backward(&self, params: &[f32], images: &[f32], logits_gradient: &[f32], w: &mut Workspace) -> Vec<f32> {
        let cx = self.context(params);
        let (output, image) = (self.graph.output(), self.graph.input_shape().elements());
        let per_chunk = w.chunks[0].images;
        let mut rest = logits_gradient;
        for chunk in &mut w.chunks {
            chunk.make_room_for_gradients(&cx, self.plan.levels.len() - 1);
            let (own, others) = rest.split_at(chunk.images * self.graph.output_shape().elements());
            chunk.gradients[output][..own.len()].copy_from_slice(own);
            chunk.param_gradient.fill(0.0);
            rest = others;
        }
        let mut gradient = vec![0.0; self.layout.trained()];
        for level in (0..self.plan.levels.len()).rev() {
            let (norms, order) = (&w.norms, &self.backward[level]);
            let chunks = w.chunks.par_iter_mut().zip(images.par_chunks(per_chunk * image));
            chunks.for_each(|(chunk, images)| chunk.backward_level(&cx, order, level, norms, images));
            for id in self.norms(level) {
                self.reduce_norm(&cx, id, &w.chunks, &mut w.norms[id], &mut gradient);
            }
        }
        sum_chunks(&w.chunks, &mut gradient);
        gradient
    }

    fn norms(&self, level: usize) -> impl Iterator<Item = NodeId> + '_ {
        self.plan.levels[level].iter().copied().filter(|id| self.graph.node(*id).op == Op::BatchNorm)
    }

    /// Mean and variance over a batch from the moments of its images (Chan, Golub and LeVeque, 1979), in image order.
    fn batch_statistics(
        &self,
        cx: &Context,
        id: NodeId,
        chunks: &[Chunk],
        (share, buffers): (f32, &mut [f32]),
    ) -> NormState {
        let shape = self.graph.node(id).shape;
        let (channels, pixels) = (shape.channels, shape.plane() as f64);
        let images = chunks.iter().map(|c| c.images).sum::<usize>() as f64;
        let of = |role| cx.param(id, role).expect("a normalisation has scale and shift");
        let (gamma, beta) = (of(Role::Gamma), of(Role::Beta));
        let at = |role| self.layout.find(id, role).expect("a normalisation has running statistics").offset;
        let (mean_at, var_at) = (at(Role::RunningMean), at(Role::RunningVar));
        let mut norm = NormState::default();
        for c in 0..channels {
            let moments = || chunks.iter().flat_map(|k| k.moments[id].chunks(channels)).map(|m| m[c]);
            let mean = moments().map(|(mean, _)| f64::from(mean)).sum::<f64>() / images;
            let squares: f64 =
                moments().map(|(m, squares)| f64::from(squares) + (f64::from(m) - mean).powi(2) * pixels).sum();
            let count = images * pixels;
            let variance = squares / count;
            let inv_std = 1.0 / (variance + f64::from(BATCH_NORM_EPSILON)).sqrt();
            let scale = gamma[c] * inv_std as f32;
            norm.mean.push(mean as f32);
            norm.inv_std.push(inv_std as f32);
            norm.scale.push(scale);
            norm.shift.push(beta[c] - mean as f32 * scale);
            let unbiased = squares / (count - 1.0).max(1.0);
            let follow = |old: &mut f32, new: f64| *old += share * (new as f32 - *old);
            follow(&mut buffers[mean_at + c], mean);
            follow(&mut buffers[var_at + c], unbiased);
        }
        norm
    }

    /// Gradients of a normalisation's scale and shift, and the coefficients of its backward pass (Ioffe and Szegedy, 2015):
    /// `gx = γ/σ · (gy - mean(gy) - x̂ · mean(gy · x̂))`.
    fn reduce_norm(&self, cx: &Context, id: NodeId, chunks: &[Chunk], norm: &mut NormState, gradient: &mut [f32]) {
        let shape = self.graph.node(id).shape;
        let count = chunks.iter().map(|c| c.images).sum::<usize>() as f64 * shape.plane() as f64;
        let gamma = cx.param(id, Role::Gamma).expect("a normalisation has a scale");
        let at = |role| self.layout.find(id, role).expect("a normalisation has scale and shift").offset;
        let (gamma_at, beta_at) = (at(Role::Gamma), at(Role::Beta));
        for all in [&mut norm.a, &mut norm.b, &mut norm.d] {
            all.resize(shape.channels, 0.0);
        }
        for c in 0..shape.channels {
            let sums = || chunks.iter().flat_map(|k| k.sums[id].chunks(shape.channels)).map(|s| s[c]);
            let gy: f64 = sums().map(|(gy, _)| f64::from(gy)).sum();
            let gy_xhat: f64 = sums().map(|(_, g)| f64::from(g)).sum();
            gradient[beta_at + c] = gy as f32;
            gradient[gamma_at + c] = gy_xhat as f32;
            let inv_std = f64::from(norm.inv_std[c]);
            let a = f64::from(gamma[c]) * inv_std;
            let b = -a * inv_std * gy_xhat / count;
            norm.a[c] = a as f32;
            norm.b[c] = b as f32;
            norm.d[c] = (-a * gy / count - b * f64::from(norm.mean[c])) as f32;
        }
    }

    /// Logits (images, classes) with running statistics. `image(i)` writes image `i` (channels, rows, columns; 0…1).
    pub fn logits(
        graph: &Graph,
        weights: &Weights,
        images: usize,
        image: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let folded = Folded::of(graph);
        let (net, weights) = (Net::planned(&folded.graph, Purpose::Evaluation), folded.weights(weights));
        let cx = net.context(&weights.trained);
        let classes = net.graph.output_shape().elements();
        let elements = net.graph.input_shape().elements();
        let mut logits = vec![0.0; images * classes];
        let blocks = logits.par_chunks_mut(EVALUATED_TOGETHER * classes).enumerate();
        blocks.for_each_init(
            || (Chunk::default(), Vec::new()),
            |(chunk, pixels), (block, logits)| {
                let n = logits.len() / classes;
                pixels.resize(n * elements, 0.0);
                for (i, pixels) in pixels.chunks_mut(elements).enumerate() {
                    image(block * EVALUATED_TOGETHER + i, pixels);
                }
                chunk.resize(&cx, n, false);
                for level in 0..net.plan.levels.len() {
                    chunk.forward_level(&cx, level, &[], pixels);
                }
                logits.copy_from_slice(&chunk.values[net.graph.output()][..logits.len()]);
            },
        );
        logits
    }
}

/// Adds the chunks' parameter gradients in chunk order, a piece of the parameters for each task.
fn sum_chunks(chunks: &[Chunk], gradient: &mut [f32]) {
    const PIECE: usize = 1 << 14;
    gradient.par_chunks_mut(PIECE).enumerate().for_each(|(piece, sum)| {
        let range = piece * PIECE..piece * PIECE + sum.len();
        for chunk in chunks {
            sum.iter_mut().zip(&chunk.param_gradient[range.clone()]).for_each(|(s, g)| *s += g);
        }
    });
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::graph::{Conv2d, Crop, GraphBuilder, Linear, Normalize, Padding, Pool, Shape, run_reference};
    use crate::seed;

    /// Every operator once, odd maps, a sum of branches read by two.
    fn every_operator() -> Graph {
        let mut b = GraphBuilder::new(Shape::new(2, 9, 7)).unwrap();
        let constants = Normalize { mean: vec![0.4, 0.5], std: vec![0.2, 0.3] };
        let x = b.push("normalize", Op::Normalize(constants), &[0]).unwrap();
        let x = b.push("stem", Op::Conv2d(Conv2d { bias: true, ..Conv2d::dense(6, 3) }), &[x]).unwrap();
        let x = b.push("stem.norm", Op::BatchNorm, &[x]).unwrap();
        let x = b.push("stem.relu6", Op::Relu6, &[x]).unwrap();
        let r = b.push("relu", Op::Relu, &[x]).unwrap();
        let d = b.push("depthwise", Op::Conv2d(Conv2d::depthwise(6, 5, 2, 1)), &[r]).unwrap();
        let p = b.push("pointwise", Op::Conv2d(Conv2d::pointwise(8)), &[d]).unwrap();
        let p = b.push("pointwise.norm", Op::BatchNorm, &[p]).unwrap();
        let half = Conv2d { stride: 2, ..Conv2d::pointwise(4) };
        let h1 = b.push("half1", Op::Conv2d(half), &[r]).unwrap();
        let crop = b.push("crop", Op::Crop(Crop { channels: Some(5), top: 1, left: 1 }), &[r]).unwrap();
        let padding = Padding { bottom: 1, right: 1, ..Padding::default() };
        let h2 = b.push("half2", Op::Conv2d(Conv2d { padding, ..half }), &[crop]).unwrap();
        let c = b.push("concat", Op::Concat, &[h1, h2]).unwrap();
        let c = b.push("concat.norm", Op::BatchNorm, &[c]).unwrap();
        let pool = Pool { kernel: 3, stride: 1, padding: Padding::all(1) };
        let m = b.push("max", Op::MaxPool(pool), &[c]).unwrap();
        let a = b.push("average", Op::AvgPool(pool), &[p]).unwrap();
        let s = b.push("sum", Op::Add, &[p, c, m, a]).unwrap();
        let s = b.push("last.relu", Op::Relu, &[s]).unwrap();
        let g = b.push("mean", Op::GlobalMean, &[s]).unwrap();
        b.push("classifier", Op::Linear(Linear { out: 3, bias: true }), &[g]).unwrap();
        b.finish().unwrap()
    }

    fn images(graph: &Graph, n: usize) -> Vec<f32> {
        let mut rng = seed::stream(7, "images", 0);
        (0..n * graph.input_shape().elements()).map(|_| rng.random_range(0.0..1.0)).collect()
    }

    /// Weights with scales and shifts away from their start.
    fn weights(graph: &Graph) -> Weights {
        let mut rng = seed::stream(3, "weights", 0);
        let mut weights = Weights::init(graph, &mut rng);
        weights.trained.iter_mut().for_each(|w| *w += rng.random_range(-0.1..0.1));
        weights
    }

    fn run(graph: &Graph, weights: &Weights, images: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let (net, mut w) = (Net::new(graph), Workspace::default());
        let mut buffers = weights.buffers.clone();
        let logits = net.forward(&weights.trained, &mut buffers, images, &mut w);
        let gradient = net.backward(&weights.trained, images, &direction(logits.len()), &mut w);
        (logits, gradient, buffers)
    }

    /// Coefficients of the linear function of the logits whose gradient is tested.
    fn direction(len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 37 % 11) as f32 - 5.0) / 5.0).collect()
    }

    #[test]
    fn the_gradient_is_that_of_central_differences() {
        let graph = every_operator();
        let (weights, x) = (weights(&graph), images(&graph, 5));
        let (_, gradient, _) = run(&graph, &weights, &x);
        let loss = |weights: &Weights| -> f64 {
            let logits = run(&graph, weights, &x).0;
            logits.iter().zip(direction(logits.len())).map(|(l, d)| f64::from(*l) * f64::from(d)).sum()
        };
        let layout = weights.layout.clone();
        for spec in layout.specs().filter(|s| s.role.is_trained()) {
            let at = spec.offset + spec.elements() / 2;
            let step = 2e-3;
            let moved = |by: f32| {
                let mut moved = weights.clone();
                moved.trained[at] += by;
                loss(&moved)
            };
            let expected = (moved(step) - moved(-step)) / (2.0 * f64::from(step));
            let found = f64::from(gradient[at]);
            let tolerance = 0.02 * expected.abs().max(0.5);
            let name = &graph.node(spec.node).name;
            assert!((found - expected).abs() < tolerance, "{name} {:?}: {found} {expected}", spec.role);
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let graph = every_operator();
        let (weights, x) = (weights(&graph), images(&graph, 21));
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&graph, &weights, &x))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn evaluation_agrees_with_the_readable_interpreter() {
        let graph = every_operator();
        let (mut weights, x) = (weights(&graph), images(&graph, 19));
        weights.buffers = run(&graph, &weights, &x).2;
        let elements = graph.input_shape().elements();
        let image = |i: usize| &x[i * elements..(i + 1) * elements];
        let logits = Net::logits(&graph, &weights, 19, |i, pixels| pixels.copy_from_slice(image(i)));
        for i in 0..19 {
            let expected = run_reference(&graph, &weights, image(i));
            for (found, expected) in logits[i * 3..].iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-4, "{found} {expected}");
            }
        }
    }

    #[test]
    fn running_statistics_follow_the_batch() {
        let graph = every_operator();
        let (weights, x) = (weights(&graph), images(&graph, 8));
        let norm = graph.nodes().iter().position(|n| n.name == "stem.norm").unwrap();
        let at = weights.layout.find(norm, Role::RunningVar).unwrap().offset;
        let first = run(&graph, &weights, &x).2[at];
        let second = run(&graph, &Weights { buffers: run(&graph, &weights, &x).2, ..weights.clone() }, &x).2[at];
        // Both steps go a tenth of the way to the same variance.
        let variance = [(weights.buffers[at], first), (first, second)].map(|(old, new)| old + (new - old) * 10.0);
        assert!((variance[0] - variance[1]).abs() < 1e-3 * variance[0] && variance[0] > 0.0, "{variance:?}");
    }

    #[test]
    fn recalibrated_statistics_are_the_moments_of_all_batches() {
        let graph = every_operator();
        let (weights, x) = (weights(&graph), images(&graph, 12));
        let net = Net::new(&graph);
        let batch = x.len() / 2;
        let found = net.statistics(&weights.trained, x.chunks(batch).map(<[f32]>::to_vec));
        // What the first normalisation reads does not depend on other statistics, so the parts say what the whole says.
        let whole = net.statistics(&weights.trained, std::iter::once(x.clone()));
        let norm = graph.nodes().iter().position(|n| n.name == "stem.norm").unwrap();
        for role in [Role::RunningMean, Role::RunningVar] {
            let spec = weights.layout.find(norm, role).unwrap();
            for at in spec.offset..spec.offset + spec.elements() {
                assert!((found[at] - whole[at]).abs() < 0.01 * whole[at].abs().max(0.1), "{} {}", found[at], whole[at]);
            }
        }
        let mut followed = weights.buffers.clone();
        (0..200).for_each(|_| drop(net.forward(&weights.trained, &mut followed, &x, &mut Workspace::default())));
        assert!(followed.iter().zip(&whole).all(|(f, w)| (f - w).abs() < 1e-3 * w.abs().max(1.0)));
    }
}
