//! Small networks, each around one operator, of sizes that no tile or block divides.

use rand::Rng;

use crate::graph::{
    Conv2d, Crop, Graph, GraphBuilder, GraphError, Linear, NodeId, Normalize, Op, Padding, Pool, Shape,
};
use crate::seed;

const INPUT: Shape = Shape::new(3, 11, 9);
const CLASSES: usize = 4;
/// Channels of the map that the operator reads.
const CHANNELS: usize = 6;

/// A network for each operator and each way in which its kernels differ.
pub fn operator_graphs() -> Vec<(String, Graph)> {
    let mut graphs = Vec::new();
    let mut add = |name: String, ops: &[Op]| graphs.push((name, chain(ops).expect("it fits")));
    let mut rng = seed::stream(5, "graphs", 0);
    for kernel in [1, 2, 3, 5, 7, 9] {
        for (stride, dilation) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
            let reach = dilation * (kernel - 1);
            let mut pad = || rng.random_range(reach / 2..=reach);
            let padding = Padding { top: pad(), left: pad(), bottom: pad(), right: pad() };
            let conv = Conv2d { padding, bias: true, ..Conv2d::depthwise(CHANNELS, kernel, stride, dilation) };
            add(format!("depthwise {kernel}×{kernel} s{stride} d{dilation}"), &[Op::Conv2d(conv)]);
        }
    }
    let depthwise = Op::Conv2d(Conv2d::depthwise(CHANNELS, 5, 1, 1));
    add("relu → depthwise".into(), &[Op::Relu, depthwise.clone()]);
    add("relu → depthwise s2".into(), &[Op::Relu, Op::Conv2d(Conv2d::depthwise(CHANNELS, 3, 2, 1))]);
    add("relu → depthwise 9×9".into(), &[Op::Relu, Op::Conv2d(Conv2d::depthwise(CHANNELS, 9, 1, 1))]);
    add("relu → dense".into(), &[Op::Relu, Op::Conv2d(Conv2d::dense(5, 3))]);
    add("relu → pointwise".into(), &[Op::Relu, Op::Conv2d(Conv2d::pointwise(5))]);
    add("pointwise".into(), &[Op::Conv2d(Conv2d { bias: true, ..Conv2d::pointwise(7) })]);
    add("dense".into(), &[Op::Conv2d(Conv2d { bias: true, ..Conv2d::dense(5, 3) })]);
    add("dense s2 d2".into(), &[Op::Conv2d(Conv2d { stride: 2, dilation: 2, ..Conv2d::dense(4, 3) })]);
    add("grouped".into(), &[Op::Conv2d(Conv2d { groups: 2, ..Conv2d::dense(4, 3) })]);
    add("1×1 s2".into(), &[Op::Conv2d(Conv2d { stride: 2, ..Conv2d::pointwise(4) })]);
    add("batch_norm".into(), &[Op::BatchNorm]);
    add("batch_norm → relu".into(), &[Op::BatchNorm, Op::Relu, Op::Conv2d(Conv2d::pointwise(5))]);
    add("batch_norm → relu6".into(), &[Op::BatchNorm, Op::Relu6]);
    add("batch_norm → batch_norm".into(), &[Op::BatchNorm, Op::BatchNorm]);
    add("relu".into(), &[Op::Relu]);
    add("relu6".into(), &[Op::Relu6]);
    add("crop".into(), &[Op::Crop(Crop { channels: None, top: 2, left: 1 })]);
    add("crop of channels".into(), &[Op::Crop(Crop { channels: Some(2), top: 0, left: 1 })]);
    for (kernel, stride, pad) in [(2, 2, 0), (3, 1, 1), (3, 2, 1)] {
        let pool = Pool { kernel, stride, padding: Padding::all(pad) };
        add(format!("max_pool {kernel}×{kernel} s{stride}"), &[Op::MaxPool(pool)]);
        add(format!("avg_pool {kernel}×{kernel} s{stride}"), &[Op::AvgPool(pool)]);
    }
    graphs.push(("add of 7".into(), many().expect("it fits")));
    graphs.push(("concat".into(), concat().expect("it fits")));
    graphs.push(("wide map".into(), wide().expect("it fits")));
    graphs.push(("one class a channel".into(), no_normalisation().expect("it fits")));
    graphs
}

/// Every operator in one network, with values that several others read.
pub fn every_operator_together() -> Graph {
    together().expect("it fits")
}

fn start() -> Result<(GraphBuilder, NodeId), GraphError> {
    let mut b = GraphBuilder::new(INPUT)?;
    let constants = Normalize { mean: vec![0.4, 0.5, 0.6], std: vec![0.2, 0.3, 0.25] };
    let x = b.push("normalize", Op::Normalize(constants), &[0])?;
    let x = b.push("before", Op::Conv2d(Conv2d::dense(CHANNELS, 3)), &[x])?;
    Ok((b, x))
}

fn end(mut b: GraphBuilder, x: NodeId) -> Result<Graph, GraphError> {
    let x = b.push("mean", Op::GlobalMean, &[x])?;
    b.push("classifier", Op::Linear(Linear { out: CLASSES, bias: true }), &[x])?;
    b.finish()
}

fn chain(ops: &[Op]) -> Result<Graph, GraphError> {
    let (mut b, mut x) = start()?;
    for (at, op) in ops.iter().enumerate() {
        x = b.push(format!("op{at}"), op.clone(), &[x])?;
    }
    // The mean over a map forgets where a gradient comes from; a convolution by position does not.
    let x = b.push("after", Op::Conv2d(Conv2d { bias: true, ..Conv2d::dense(5, 3) }), &[x])?;
    let x = b.push("after.relu", Op::Relu, &[x])?;
    end(b, x)
}

/// A sum of normalised and plain maps, more than one pass adds up, that two others read; one map stands twice in it.
fn many() -> Result<Graph, GraphError> {
    let (mut b, x) = start()?;
    let mut terms = vec![x, x];
    for at in 0..5 {
        let y = b.push(format!("conv{at}"), Op::Conv2d(Conv2d::pointwise(CHANNELS)), &[x])?;
        terms.push(b.push(format!("norm{at}"), Op::BatchNorm, &[y])?);
    }
    let sum = b.push("sum", Op::Add, &terms)?;
    let relu = b.push("relu", Op::Relu, &[sum])?;
    let again = b.push("again", Op::Add, &[relu, sum])?;
    let end_relu = b.push("end.relu", Op::Relu6, &[again])?;
    end(b, end_relu)
}

fn concat() -> Result<Graph, GraphError> {
    let (mut b, x) = start()?;
    let y = b.push("left", Op::Conv2d(Conv2d::pointwise(3)), &[x])?;
    let joined = b.push("concat", Op::Concat, &[y, x, y])?;
    let norm = b.push("norm", Op::BatchNorm, &[joined])?;
    let relu = b.push("relu", Op::Relu, &[norm])?;
    end(b, relu)
}

/// A map of several tiles, and one where tiles have a ragged end.
fn wide() -> Result<Graph, GraphError> {
    let mut b = GraphBuilder::new(Shape::new(2, 37, 45))?;
    let x = b.push("stem", Op::Conv2d(Conv2d::dense(3, 3)), &[0])?;
    let x = b.push("relu", Op::Relu, &[x])?;
    let a = b.push("a", Op::Conv2d(Conv2d::depthwise(3, 7, 1, 1)), &[x])?;
    let c = b.push("b", Op::Conv2d(Conv2d::depthwise(3, 3, 1, 2)), &[x])?;
    let x = b.push("sum", Op::Add, &[a, c])?;
    let x = b.push("down", Op::Conv2d(Conv2d::depthwise(3, 5, 2, 1)), &[x])?;
    let x = b.push("norm", Op::BatchNorm, &[x])?;
    end(b, x)
}

/// The image itself is read by a convolution and by a sum; no normalisation anywhere; more classes than a warp has threads.
fn no_normalisation() -> Result<Graph, GraphError> {
    let mut b = GraphBuilder::new(Shape::new(5, 4, 4))?;
    let x = b.push("conv", Op::Conv2d(Conv2d::dense(5, 3)), &[0])?;
    let x = b.push("sum", Op::Add, &[x, 0])?;
    let x = b.push("mean", Op::GlobalMean, &[x])?;
    b.push("classifier", Op::Linear(Linear { out: 70, bias: true }), &[x])?;
    b.finish()
}

fn together() -> Result<Graph, GraphError> {
    let (mut b, x) = start()?;
    let x = b.push("stem.norm", Op::BatchNorm, &[x])?;
    let x = b.push("stem.relu6", Op::Relu6, &[x])?;
    let r = b.push("relu", Op::Relu, &[x])?;
    let d = b.push("depthwise", Op::Conv2d(Conv2d::depthwise(CHANNELS, 5, 2, 1)), &[r])?;
    let p = b.push("pointwise", Op::Conv2d(Conv2d::pointwise(8)), &[d])?;
    let p = b.push("pointwise.norm", Op::BatchNorm, &[p])?;
    let half = Conv2d { stride: 2, ..Conv2d::pointwise(4) };
    let h1 = b.push("half1", Op::Conv2d(half), &[r])?;
    let crop = b.push("crop", Op::Crop(Crop { channels: None, top: 1, left: 1 }), &[r])?;
    let padding = Padding { bottom: 1, right: 1, ..Padding::default() };
    let h2 = b.push("half2", Op::Conv2d(Conv2d { padding, ..half }), &[crop])?;
    let c = b.push("concat", Op::Concat, &[h1, h2])?;
    let c = b.push("concat.norm", Op::BatchNorm, &[c])?;
    let pool = Pool { kernel: 3, stride: 1, padding: Padding::all(1) };
    let m = b.push("max", Op::MaxPool(pool), &[c])?;
    let a = b.push("average", Op::AvgPool(pool), &[p])?;
    let s = b.push("sum", Op::Add, &[p, c, m, a])?;
    let s = b.push("last.relu", Op::Relu, &[s])?;
    end(b, s)
}
