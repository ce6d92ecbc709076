//! Random small graphs with every operator, for tests: odd sizes, strides, dilations, crops.

use rand::Rng;

use crate::graph::{Conv2d, Crop, Graph, GraphBuilder, Linear, NodeId, Normalize, Op, Padding, Pool, Shape};

fn random_padding(rng: &mut impl Rng, below: usize) -> Padding {
    let mut side = || rng.random_range(0..below);
    Padding { top: side(), left: side(), bottom: side(), right: side() }
}

fn random_conv(rng: &mut impl Rng, channels: usize) -> Conv2d {
    let groups = *[1, 1, 2, channels].get(rng.random_range(0..4)).unwrap();
    let groups = if channels.is_multiple_of(groups) { groups } else { 1 };
    Conv2d {
        out: groups * rng.random_range(1..4),
        kernel: rng.random_range(1..4),
        stride: rng.random_range(1..3),
        dilation: rng.random_range(1..3),
        groups,
        padding: random_padding(rng, 4),
        bias: rng.random(),
    }
}

fn random_op(rng: &mut impl Rng, shape: Shape) -> Op {
    let kernel = rng.random_range(1..4);
    let pool = Pool { kernel, stride: rng.random_range(1..3), padding: random_padding(rng, kernel) };
    match rng.random_range(0..8) {
        0 => Op::MaxPool(pool),
        1 => Op::AvgPool(pool),
        2 => Op::Relu,
        3 => Op::Relu6,
        4 => {
            let channels = Some(rng.random_range(1..=shape.channels)).filter(|kept| *kept < shape.channels);
            Op::Crop(Crop { channels, top: 1, left: rng.random_range(0..2) })
        }
        5 => Op::BatchNorm,
        _ => Op::Conv2d(random_conv(rng, shape.channels)),
    }
}

/// A random network: a normalised image, ten operators with branches that are added or joined, a global mean that a
/// convolution and a linear layer read.
pub(crate) fn random_graph(rng: &mut impl Rng) -> Graph {
    let channels = rng.random_range(1..4);
    let mut b = GraphBuilder::new(Shape::new(channels, rng.random_range(9..16), rng.random_range(9..16))).unwrap();
    let constants = |from: f32| (0..channels).map(|c| from + 0.1 * c as f32).collect();
    let mut last =
        b.push("normalize", Op::Normalize(Normalize { mean: constants(0.4), std: constants(0.2) }), &[0]).unwrap();
    for i in 0..10 {
        let op = random_op(rng, b.shape(last));
        last = b.push(format!("op{i}"), op, &[last]).unwrap_or(last);
        if rng.random_range(0..3) == 0 {
            last = branch(&mut b, rng, last, i);
        }
    }
    last = b.push("mean", Op::GlobalMean, &[last]).unwrap();
    let excite = Op::Conv2d(Conv2d::pointwise(6));
    let (left, right) = (
        b.push("excite", excite.clone(), &[last]).unwrap(),
        b.push("fc", Op::Linear(Linear { out: 6, bias: true }), &[last]).unwrap(),
    );
    last = b.push("meet", Op::Add, &[left, right]).unwrap();
    last = b.push("relu", Op::Relu, &[last]).unwrap();
    if rng.random() {
        last = b.push("again", excite, &[last]).unwrap();
    }
    b.push("logits", Op::Linear(Linear { out: 5, bias: rng.random() }), &[last]).unwrap();
    b.finish().unwrap()
}

fn branch(b: &mut GraphBuilder, rng: &mut impl Rng, from: NodeId, i: usize) -> NodeId {
    let channels = b.shape(from).channels;
    let keep = Op::Conv2d(Conv2d { bias: true, ..Conv2d::dense(channels, 3) });
    let a = b.push(format!("branch{i}.a"), keep, &[from]).unwrap();
    let c = b.push(format!("branch{i}.b"), Op::Relu6, &[from]).unwrap();
    let (name, op) = if rng.random() { ("sum", Op::Add) } else { ("join", Op::Concat) };
    b.push(format!("branch{i}.{name}"), op, &[a, c, from]).unwrap()
}
