//! A slow interpreter that anyone can check by reading: one image, plain loops. Faster code is tested against it.

use super::fold::BATCH_NORM_EPSILON;
use super::op::{Conv2d, Op, Pool, Role};
use super::{Graph, Shape, Weights};

/// Output of the network for one image (channels, rows, columns; values 0…1), with batch normalisation by its running
/// statistics.
pub fn run_reference(graph: &Graph, weights: &Weights, image: &[f32]) -> Vec<f32> {
    let mut values: Vec<Vec<f32>> = Vec::with_capacity(graph.nodes().len());
    for (id, node) in graph.nodes().iter().enumerate() {
        let shapes = graph.input_shapes(id);
        let inputs: Vec<&[f32]> = node.inputs.iter().map(|i| values[*i].as_slice()).collect();
        let get = |role| weights.get(id, role);
        let channel = |i: usize| i / node.shape.plane();
        let map = |f: &dyn Fn(usize, f32) -> f32| -> Vec<f32> {
            inputs[0].iter().enumerate().map(|(i, x)| f(i, *x)).collect()
        };
        values.push(match &node.op {
            Op::Input(_) => image.to_vec(),
            Op::Normalize(n) => map(&|i, x| (x - n.mean[channel(i)]) / n.std[channel(i)]),
            Op::Conv2d(conv) => {
                let weight = get(Role::Weight).expect("a convolution has weights");
                convolve(conv, inputs[0], shapes[0], weight, get(Role::Bias), node.shape)
            }
            Op::BatchNorm => {
                let of = |role| get(role).expect("a normalisation has all four arrays");
                let (gamma, beta) = (of(Role::Gamma), of(Role::Beta));
                let (mean, var) = (of(Role::RunningMean), of(Role::RunningVar));
                map(&|i, x| {
                    let c = channel(i);
                    (x - mean[c]) / (var[c] + BATCH_NORM_EPSILON).sqrt() * gamma[c] + beta[c]
                })
            }
            Op::Relu => map(&|_, x| x.max(0.0)),
            Op::Relu6 => map(&|_, x| x.clamp(0.0, 6.0)),
            Op::Add => (0..node.shape.elements()).map(|i| inputs.iter().map(|x| x[i]).sum()).collect(),
            Op::Concat => inputs.concat(),
            Op::Crop(crop) => {
                let s = shapes[0];
                pixels(node.shape)
                    .map(|(c, y, x)| inputs[0][(c * s.height + y + crop.top) * s.width + x + crop.left])
                    .collect()
            }
            Op::MaxPool(pool) => {
                windows(pool, inputs[0], shapes[0], node.shape, |w| w.iter().copied().fold(f32::NEG_INFINITY, f32::max))
            }
            Op::AvgPool(pool) => {
                windows(pool, inputs[0], shapes[0], node.shape, |w| w.iter().sum::<f32>() / w.len() as f32)
            }
            Op::GlobalMean => {
                let plane = shapes[0].plane();
                inputs[0].chunks(plane).map(|c| c.iter().sum::<f32>() / plane as f32).collect()
            }
            Op::Linear(_) => {
                let weight = get(Role::Weight).expect("a linear layer has weights");
                let bias = get(Role::Bias);
                let row = |(o, w): (usize, &[f32])| {
                    let dot: f32 = w.iter().zip(inputs[0]).map(|(w, x)| w * x).sum();
                    dot + bias.map_or(0.0, |b| b[o])
                };
                weight.chunks(inputs[0].len()).enumerate().map(row).collect()
            }
        });
    }
    values.pop().expect("a graph has an output")
}

fn pixels(shape: Shape) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..shape.channels).flat_map(move |c| (0..shape.height).flat_map(move |y| (0..shape.width).map(move |x| (c, y, x))))
}

/// The input position under tap `k` of output position `o`, unless it lies in the padding.
fn tap(o: usize, stride: usize, k: usize, pad: usize, size: usize) -> Option<usize> {
    (o * stride + k).checked_sub(pad).filter(|i| *i < size)
}

fn convolve(conv: &Conv2d, x: &[f32], from: Shape, weight: &[f32], bias: Option<&[f32]>, to: Shape) -> Vec<f32> {
    let per_group = from.channels / conv.groups;
    let outs_per_group = conv.out / conv.groups;
    let k = conv.kernel;
    pixels(to)
        .map(|(o, oy, ox)| {
            let mut sum = bias.map_or(0.0, |b| b[o]);
            for i in 0..per_group {
                let channel = o / outs_per_group * per_group + i;
                for ky in 0..k {
                    for kx in 0..k {
                        let y = tap(oy, conv.stride, ky * conv.dilation, conv.padding.top, from.height);
                        let x_ = tap(ox, conv.stride, kx * conv.dilation, conv.padding.left, from.width);
                        if let (Some(y), Some(x_)) = (y, x_) {
                            let w = weight[((o * per_group + i) * k + ky) * k + kx];
                            sum += w * x[(channel * from.height + y) * from.width + x_];
                        }
                    }
                }
            }
            sum
        })
        .collect()
}

fn windows(pool: &Pool, x: &[f32], from: Shape, to: Shape, reduce: impl Fn(&[f32]) -> f32) -> Vec<f32> {
    pixels(to)
        .map(|(c, oy, ox)| {
            let mut window = Vec::with_capacity(pool.kernel * pool.kernel);
            for ky in 0..pool.kernel {
                for kx in 0..pool.kernel {
                    let y = tap(oy, pool.stride, ky, pool.padding.top, from.height);
                    let x_ = tap(ox, pool.stride, kx, pool.padding.left, from.width);
                    if let (Some(y), Some(x_)) = (y, x_) {
                        window.push(x[(c * from.height + y) * from.width + x_]);
                    }
                }
            }
            reduce(&window)
        })
        .collect()
}
