//! Networks of the macro search space of the first seed, for tests: a stem, five layers of parallel branches that are
//! summed, a head.

use rand::Rng;

use crate::graph::{Conv2d, Graph, GraphBuilder, Linear, NodeId, Op, Shape};

struct Builder {
    inner: GraphBuilder,
    prefix: String,
}

impl Builder {
    fn push(&mut self, name: &str, op: Op, from: NodeId) -> NodeId {
        self.inner.push(format!("{}{name}", self.prefix), op, &[from]).unwrap()
    }

    fn depthwise(&mut self, name: &str, from: NodeId, kernel: usize, stride: usize, dilation: usize) -> NodeId {
        let channels = self.inner.shape(from).channels;
        self.push(name, Op::Conv2d(Conv2d::depthwise(channels, kernel, stride, dilation)), from)
    }

    fn pointwise(&mut self, name: &str, from: NodeId, out: usize) -> NodeId {
        let conv = self.push(name, Op::Conv2d(Conv2d::pointwise(out)), from);
        self.push(&format!("{name}.norm"), Op::BatchNorm, conv)
    }

    fn separable(&mut self, from: NodeId, kernel: usize, stride: usize, out: usize) -> NodeId {
        let channels = self.inner.shape(from).channels;
        let x = self.push("relu1", Op::Relu, from);
        let x = self.depthwise("dw1", x, kernel, stride, 1);
        let x = self.pointwise("pw1", x, channels);
        let x = self.push("relu2", Op::Relu, x);
        let x = self.depthwise("dw2", x, kernel, 1, 1);
        self.pointwise("pw2", x, out)
    }

    fn dilated(&mut self, from: NodeId, kernel: usize, stride: usize, out: usize) -> NodeId {
        let x = self.push("relu", Op::Relu, from);
        let x = self.depthwise("dw", x, kernel, stride, 2);
        self.pointwise("pw", x, out)
    }
}

const LAYERS: [(usize, usize); 5] = [(16, 1), (32, 2), (40, 2), (80, 2), (320, 1)];

/// The network of five sets of operations, bits in the order of sep3, sep5, sep7, dil3, dil5, skip.
pub(super) fn network(layers: [u8; 5]) -> Graph {
    let inner = GraphBuilder::new(Shape::new(3, 32, 32)).unwrap();
    let mut b = Builder { inner, prefix: String::new() };
    let x = b.push("stem", Op::Conv2d(Conv2d::dense(16, 3)), 0);
    let x = b.push("stem.norm", Op::BatchNorm, x);
    let mut x = b.push("stem.relu", Op::Relu6, x);
    for (i, ((out, stride), bits)) in LAYERS.into_iter().zip(layers).enumerate() {
        let mut branches = Vec::new();
        for bit in (0..6).filter(|bit| bits >> bit & 1 == 1) {
            b.prefix = format!("layer{i}.op{bit}.");
            branches.push(match bit {
                0..3 => b.separable(x, 3 + 2 * bit, stride, out),
                3..5 => b.dilated(x, 2 * bit - 3, stride, out),
                _ if b.inner.shape(x).channels == out => x,
                _ => b.push("skip", Op::Conv2d(Conv2d { stride, ..Conv2d::pointwise(out) }), x),
            });
        }
        x = match branches.as_slice() {
            [one] => *one,
            many => b.inner.push(format!("layer{i}.sum"), Op::Add, many).unwrap(),
        };
    }
    b.prefix.clear();
    let x = b.pointwise("head", x, 1280);
    let x = b.push("head.relu", Op::Relu6, x);
    let x = b.push("mean", Op::GlobalMean, x);
    b.push("fc", Op::Linear(Linear { out: 100, bias: true }), x);
    b.inner.finish().unwrap()
}

/// Random networks.
pub(super) fn networks(count: usize, rng: &mut impl Rng) -> Vec<Graph> {
    (0..count).map(|_| network(std::array::from_fn(|_| rng.random_range(1..64)))).collect()
}
