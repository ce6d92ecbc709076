//! How long does each operator take, forward and backward, at the shapes that networks are made of? One thread; what
//! the numbers are for: the ratio to what another engine needs for the same shape, and where a step's time goes.
//!
//! `cargo bench --bench kernels -- depthwise` runs one operator.

use std::cell::RefCell;
use std::fmt;

use divan::{Bencher, black_box};
use netwright::nn::kernels::{Scratch, Window, batch_norm, dense, depthwise, elementwise, pointwise};

fn main() {
    divan::main();
}

/// A square convolution with "same" padding over a block of images.
#[derive(Clone, Copy)]
struct Shape {
    n: usize,
    ci: usize,
    co: usize,
    side: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Shape { n, ci, co, side, kernel, stride, dilation } = *self;
        write!(f, "{n}x {ci}->{co} @{side} k{kernel} s{stride} d{dilation}")
    }
}

impl Shape {
    fn window(&self) -> Window {
        let pad = self.dilation * (self.kernel - 1) / 2;
        let (side, out) = (self.side, self.side.div_ceil(self.stride));
        let (kernel, stride, dilation) = (self.kernel, self.stride, self.dilation);
        Window { in_h: side, in_w: side, out_h: out, out_w: out, kernel, stride, dilation, top: pad, left: pad }
    }

    fn input(&self) -> Vec<f32> {
        noise(self.n * self.ci * self.window().in_plane())
    }

    fn output(&self) -> Vec<f32> {
        noise(self.n * self.co * self.window().out_plane())
    }
}

/// Values of both signs that need no random numbers.
fn noise(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect()
}

const fn each(n: usize, c: usize, side: usize, kernel: usize, stride: usize, dilation: usize) -> Shape {
    Shape { n, ci: c, co: c, side, kernel, stride, dilation }
}

const fn point(n: usize, ci: usize, co: usize, side: usize) -> Shape {
    Shape { n, ci, co, side, kernel: 1, stride: 1, dilation: 1 }
}

/// The batch of 64 of the engine comparison, then blocks of networks for CIFAR-sized images.
const DEPTHWISE: &[Shape] = &[
    each(64, 32, 32, 3, 1, 1),
    each(64, 32, 32, 5, 1, 1),
    each(64, 32, 32, 7, 1, 1),
    each(64, 64, 32, 3, 1, 1),
    each(64, 32, 32, 3, 1, 2),
    each(64, 32, 32, 5, 1, 2),
    each(64, 32, 32, 3, 2, 1),
    each(64, 64, 16, 3, 1, 1),
    each(64, 128, 8, 5, 1, 1),
    each(8, 16, 32, 3, 1, 1),
    each(8, 32, 16, 3, 1, 1),
    each(8, 32, 16, 5, 1, 1),
    each(8, 32, 16, 7, 1, 1),
    each(8, 32, 16, 5, 1, 2),
    each(8, 32, 16, 5, 2, 1),
    each(8, 40, 8, 3, 1, 1),
    each(8, 40, 8, 7, 1, 1),
    each(8, 80, 4, 5, 1, 1),
    each(1, 320, 4, 3, 1, 1),
];

const POINTWISE: &[Shape] = &[
    point(64, 32, 32, 32),
    point(8, 16, 16, 32),
    point(8, 16, 96, 32),
    point(8, 32, 32, 16),
    point(8, 40, 40, 8),
    point(8, 80, 80, 4),
    point(16, 80, 320, 4),
    point(16, 320, 1280, 4),
    point(1, 320, 1280, 4),
];

const DENSE: &[Shape] = &[
    each(64, 32, 32, 3, 1, 1),
    Shape { n: 8, ci: 3, co: 16, side: 32, kernel: 3, stride: 1, dilation: 1 },
    Shape { n: 8, ci: 16, co: 32, side: 32, kernel: 3, stride: 2, dilation: 1 },
    each(8, 64, 8, 3, 1, 1),
];

const MAPS: &[Shape] = &[point(64, 32, 32, 32), point(8, 16, 16, 32), point(8, 40, 40, 8), point(8, 80, 80, 4)];

#[divan::bench(args = DEPTHWISE)]
fn depthwise_forward(bencher: Bencher, shape: Shape) {
    let (w, x, weight, mut y) = (shape.window(), shape.input(), noise(shape.ci * shape.kernel.pow(2)), shape.output());
    let mut s = Scratch::default();
    bencher
        .bench_local(|| depthwise::forward(&w, shape.ci, shape.n, black_box(&x), true, &weight, None, &mut y, &mut s));
}

#[divan::bench(args = DEPTHWISE)]
fn depthwise_backward(bencher: Bencher, shape: Shape) {
    let (w, x, gy) = (shape.window(), shape.input(), shape.output());
    let weight = noise(shape.ci * shape.kernel.pow(2));
    let (mut gx, mut gw, mut s) = (shape.input(), weight.clone(), Scratch::default());
    bencher.bench_local(|| {
        depthwise::backward_input(&w, shape.ci, shape.n, black_box(&gy), &weight, Some(&x), false, &mut gx, &mut s);
        depthwise::backward_weight(&w, shape.ci, shape.n, &x, true, &gy, &mut gw, &mut s);
    });
}

#[divan::bench(args = POINTWISE)]
fn pointwise_forward(bencher: Bencher, shape: Shape) {
    let Shape { n, ci, co, .. } = shape;
    let (plane, x, weight, mut y) = (shape.side.pow(2), shape.input(), noise(ci * co), shape.output());
    let mut s = Scratch::default();
    bencher.bench_local(|| pointwise::forward(ci, co, plane, n, black_box(&x), false, &weight, None, &mut y, &mut s));
}

#[divan::bench(args = POINTWISE)]
fn pointwise_backward(bencher: Bencher, shape: Shape) {
    let Shape { n, ci, co, .. } = shape;
    let (plane, x, gy, weight) = (shape.side.pow(2), shape.input(), shape.output(), noise(ci * co));
    let (mut gx, mut gw, mut s) = (shape.input(), weight.clone(), Scratch::default());
    bencher.bench_local(|| {
        pointwise::backward_input(ci, co, plane, n, black_box(&gy), &weight, None, false, &mut gx, &mut s);
        pointwise::backward_weight(ci, co, plane, n, &x, false, &gy, &mut gw, &mut s);
    });
}

#[divan::bench(args = DENSE)]
fn dense_forward(bencher: Bencher, shape: Shape) {
    let Shape { n, ci, co, .. } = shape;
    let (w, x, weight, mut y) = (shape.window(), shape.input(), noise(ci * co * shape.kernel.pow(2)), shape.output());
    let mut s = Scratch::default();
    bencher.bench_local(|| dense::forward(&w, ci, co, 1, n, black_box(&x), false, &weight, None, &mut y, &mut s));
}

#[divan::bench(args = DENSE)]
fn dense_backward(bencher: Bencher, shape: Shape) {
    let Shape { n, ci, co, .. } = shape;
    let (w, x, gy, weight) = (shape.window(), shape.input(), shape.output(), noise(ci * co * shape.kernel.pow(2)));
    let (mut gx, mut gw, mut s) = (shape.input(), weight.clone(), Scratch::default());
    bencher.bench_local(|| {
        dense::backward_input(&w, ci, co, 1, n, black_box(&gy), &weight, None, false, &mut gx, &mut s);
        dense::backward_weight(&w, ci, co, 1, n, &x, false, &gy, &mut gw, &mut s);
    });
}

#[divan::bench(args = MAPS)]
fn batch_norm_forward(bencher: Bencher, shape: Shape) {
    let Shape { n, ci, .. } = shape;
    let (plane, x, mut y, scale) = (shape.side.pow(2), shape.input(), shape.output(), noise(ci));
    let mut moments = vec![(0.0, 0.0); n * ci];
    bencher.bench_local(|| {
        batch_norm::image_moments(ci, plane, n, black_box(&x), &mut moments);
        batch_norm::apply(ci, plane, n, &x, &scale, &scale, &mut y);
    });
}

#[divan::bench(args = MAPS)]
fn batch_norm_backward(bencher: Bencher, shape: Shape) {
    let Shape { n, ci, .. } = shape;
    let (plane, x, gy, mut gx, a) = (shape.side.pow(2), shape.input(), shape.output(), shape.output(), noise(ci));
    let mut sums = vec![(0.0, 0.0); n * ci];
    bencher.bench_local(|| {
        batch_norm::backward_sums(ci, plane, n, black_box(&x), &gy, &a, &a, &mut sums);
        batch_norm::backward_apply(ci, plane, n, &x, &gy, &a, &a, &a, false, &mut gx);
    });
}

#[divan::bench(args = MAPS)]
fn relu_both_ways(bencher: Bencher, shape: Shape) {
    let (x, gy, y) = (shape.input(), shape.output(), RefCell::new(shape.output()));
    bencher.bench_local(|| {
        elementwise::relu(black_box(&x), &mut y.borrow_mut());
        elementwise::relu_backward(&x, &gy, false, &mut y.borrow_mut());
    });
}

#[divan::bench(args = MAPS)]
fn add_of_three(bencher: Bencher, shape: Shape) {
    let (a, b, mut y) = (shape.input(), shape.output(), shape.output());
    bencher.bench_local(|| elementwise::add_many(&[&a, &b, &a], black_box(&mut y)));
}
