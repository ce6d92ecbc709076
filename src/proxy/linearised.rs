//! Synflow: the flow through a network of absolute weights without normalisation, from an image of ones.
//!
//! The published code sums |w · ∂R/∂w| over all weights of convolutions and linear layers, where R is the sum of the
//! outputs. Without signs no ReLU does anything, and R is linear in each weight. So the sum is the derivative of R by one
//! factor t on all these weights at t = 1 (Euler), which is carried forward beside the values: no backward pass is needed.
//! As in the published code numbers have 64 bits, since R grows beyond what 32 hold.

use super::bare::Bare;
use crate::graph::{Conv2d, Op, Padding, Pool, Role, Shape, Weights};

/// A value of the linearised network and its derivative by the common factor of all weights.
#[derive(Clone)]
struct Flow {
    value: Vec<f64>,
    slope: Vec<f64>,
}

/// The natural logarithm of the sum, as it is published.
pub(super) fn synflow(bare: &Bare, weights: &Weights) -> f64 {
    let graph = &bare.graph;
    let mut flows: Vec<Flow> = Vec::with_capacity(graph.nodes().len());
    for (id, node) in graph.nodes().iter().enumerate() {
        let inputs: Vec<&Flow> = node.inputs.iter().map(|input| &flows[*input]).collect();
        let from = node.inputs.first().map_or(node.shape, |input| graph.node(*input).shape);
        let array = |role| -> Option<Vec<f64>> {
            weights.get(id, role).map(|values| values.iter().map(|value| f64::from(value.abs())).collect())
        };
        let weight = || array(Role::Weight).expect("convolutions and linear layers have weights");
        flows.push(match &node.op {
            Op::Input(shape) => Flow { value: vec![1.0; shape.elements()], slope: vec![0.0; shape.elements()] },
            // A clip would cut the flow where the network is not linear; linearised it passes all.
            Op::Normalize(_) | Op::BatchNorm | Op::Relu | Op::Relu6 => inputs[0].clone(),
            // It is no layer of the network.
            Op::Conv2d(_) if id == bare.image => inputs[0].clone(),
            Op::Conv2d(conv) => {
                let through = convolve(conv, from, node.shape, &weight(), inputs[0]);
                with_bias(through, array(Role::Bias), node.shape.plane())
            }
            Op::Linear(layer) => {
                let whole = Conv2d::pointwise(layer.out);
                let through = convolve(&whole, from, node.shape, &weight(), inputs[0]);
                with_bias(through, array(Role::Bias), 1)
            }
            Op::Add => {
                let sum = |of: fn(&Flow) -> &[f64]| -> Vec<f64> {
                    (0..node.shape.elements()).map(|at| inputs.iter().map(|input| of(input)[at]).sum()).collect()
                };
                Flow { value: sum(|flow| &flow.value), slope: sum(|flow| &flow.slope) }
            }
            Op::Concat => {
                let join = |of: fn(&Flow) -> &[f64]| inputs.iter().flat_map(|input| of(input)).copied().collect();
                Flow { value: join(|flow| &flow.value), slope: join(|flow| &flow.slope) }
            }
            Op::Crop(crop) => {
                let at = |(channel, row, column)| place(from, channel, row + crop.top, column + crop.left);
                gather(inputs[0], positions(node.shape).map(at).collect())
            }
            Op::MaxPool(pool) => {
                let largest = |window: Vec<usize>| {
                    let value = |at: &usize| inputs[0].value[*at];
                    window
                        .into_iter()
                        .reduce(|a, b| if value(&b) > value(&a) { b } else { a })
                        .expect("no window is empty")
                };
                gather(inputs[0], windows(pool, from, node.shape).map(largest).collect())
            }
            Op::AvgPool(pool) => means(inputs[0], windows(pool, from, node.shape)),
            Op::GlobalMean => {
                let channel = |channel: usize| (channel * from.plane()..(channel + 1) * from.plane()).collect();
                means(inputs[0], (0..from.channels).map(channel))
            }
        });
    }
    flows.last().expect("a graph has an output").slope.iter().sum::<f64>().ln()
}

fn positions(shape: Shape) -> impl Iterator<Item = (usize, usize, usize)> {
    let rows = move |channel| (0..shape.height).map(move |row| (channel, row));
    (0..shape.channels).flat_map(rows).flat_map(move |(c, row)| (0..shape.width).map(move |column| (c, row, column)))
}

fn place(shape: Shape, channel: usize, row: usize, column: usize) -> usize {
    (channel * shape.height + row) * shape.width + column
}

fn gather(from: &Flow, places: Vec<usize>) -> Flow {
    let pick = |values: &[f64]| places.iter().map(|at| values[*at]).collect();
    Flow { value: pick(&from.value), slope: pick(&from.slope) }
}

fn means(from: &Flow, windows: impl Iterator<Item = Vec<usize>>) -> Flow {
    let mean =
        |values: &[f64], window: &[usize]| window.iter().map(|at| values[*at]).sum::<f64>() / window.len() as f64;
    let (value, slope) = windows.map(|window| (mean(&from.value, &window), mean(&from.slope, &window))).unzip();
    Flow { value, slope }
}

/// For each output of a pooling, the places in its input that it looks at.
fn windows(pool: &Pool, from: Shape, to: Shape) -> impl Iterator<Item = Vec<usize>> {
    let (kernel, stride, Padding { top, left, .. }) = (pool.kernel, pool.stride, pool.padding);
    let span = move |at: usize, pad: usize, size: usize| {
        let start = (at * stride).saturating_sub(pad);
        start..(at * stride + kernel).saturating_sub(pad).min(size)
    };
    positions(to).map(move |(channel, row, column)| {
        let columns = span(column, left, from.width);
        let rows = span(row, top, from.height);
        rows.flat_map(|y| columns.clone().map(move |x| place(from, channel, y, x))).collect()
    })
}

/// A convolution of value and slope: `value ← W·value`, `slope ← W·(slope + value)`, since the weights bear the factor too.
fn convolve(conv: &Conv2d, from: Shape, to: Shape, weight: &[f64], x: &Flow) -> Flow {
    let both: Vec<f64> = x.slope.iter().zip(&x.value).map(|(slope, value)| slope + value).collect();
    let mut y = Flow { value: vec![0.0; to.elements()], slope: vec![0.0; to.elements()] };
    let (per_group, outs) = (from.channels / conv.groups, conv.out / conv.groups);
    let mut weights = weight.iter();
    for out in 0..conv.out {
        for channel in (0..per_group).map(|i| out / outs * per_group + i) {
            for (ky, kx) in (0..conv.kernel).flat_map(|ky| (0..conv.kernel).map(move |kx| (ky, kx))) {
                let w = *weights.next().expect("a weight for each tap");
                let columns = taps(conv, kx, conv.padding.left, from.width, to.width);
                for row in taps(conv, ky, conv.padding.top, from.height, to.height) {
                    let input_row = row * conv.stride + ky * conv.dilation - conv.padding.top;
                    let end = place(from, channel, input_row, 0) + from.width;
                    let first = columns.start * conv.stride + kx * conv.dilation;
                    let start = end - from.width + first.saturating_sub(conv.padding.left);
                    let at = place(to, out, row, 0);
                    let outputs = at + columns.start..at + columns.end;
                    add(&mut y.value[outputs.clone()], w, &x.value[start.min(end)..end], conv.stride);
                    add(&mut y.slope[outputs], w, &both[start.min(end)..end], conv.stride);
                }
            }
        }
    }
    y
}

/// The outputs along one side for which tap `k` lies inside the image.
fn taps(conv: &Conv2d, k: usize, pad: usize, size: usize, outputs: usize) -> std::ops::Range<usize> {
    let offset = k * conv.dilation;
    let first = pad.saturating_sub(offset).div_ceil(conv.stride);
    let end = (size + pad).saturating_sub(offset).div_ceil(conv.stride).min(outputs);
    first.min(end)..end
}

/// `y += w · x`, of which every `stride`-th counts.
fn add(y: &mut [f64], w: f64, x: &[f64], stride: usize) {
    match stride {
        1 => y.iter_mut().zip(x).for_each(|(y, x)| *y += w * x),
        _ => y.iter_mut().zip(x.iter().step_by(stride)).for_each(|(y, x)| *y += w * x),
    }
}

fn with_bias(mut flow: Flow, bias: Option<Vec<f64>>, plane: usize) -> Flow {
    for (channel, bias) in bias.iter().flatten().enumerate() {
        flow.value[channel * plane..(channel + 1) * plane].iter_mut().for_each(|value| *value += bias);
    }
    flow
}

#[cfg(test)]
mod tests {
    use super::super::weights::published;
    use super::*;
    use crate::graph::{Graph, run_reference};
    use crate::seed;
    use crate::space::Space;

    /// The published definition by central differences: the readable interpreter on absolute weights, each array scaled.
    fn by_differences(graph: &Graph, bare: &Bare, weights: &Weights) -> f64 {
        let mut absolute = weights.clone();
        absolute.trained.iter_mut().for_each(|value| *value = value.abs());
        let ones = vec![1.0; graph.input_shape().elements()];
        let total = |weights: &Weights| run_reference(graph, weights, &ones).iter().map(|v| f64::from(*v)).sum::<f64>();
        let specs: Vec<_> = bare.layers(&weights.layout).cloned().collect();
        let derivative = |spec| {
            let scaled = |by: f32| {
                let mut scaled = absolute.clone();
                scaled.values_mut(spec).iter_mut().for_each(|value| *value *= by);
                total(&scaled)
            };
            (scaled(1.05) - scaled(0.95)) / 0.1
        };
        specs.iter().map(derivative).sum::<f64>().ln()
    }

    /// A network without normalisations, so that the interpreter is the linearised network.
    fn without_norms(graph: &Graph) -> Graph {
        let mut b = crate::graph::GraphBuilder::new(graph.input_shape()).unwrap();
        let mut places = vec![0];
        for node in &graph.nodes()[1..] {
            let inputs: Vec<usize> = node.inputs.iter().map(|input| places[*input]).collect();
            places.push(match &node.op {
                Op::BatchNorm | Op::Relu6 => inputs[0],
                op => b.push(node.name.clone(), op.clone(), &inputs).unwrap(),
            });
        }
        b.finish().unwrap()
    }

    #[test]
    fn synflow_is_the_published_sum() {
        let task = crate::space::Task { input: Shape::new(3, 6, 5), classes: 3, ..Default::default() };
        for name in ["nats-tss", "nas-bench-101", "enas6", "nas-bench-macro"] {
            let space = Space::for_task(name, task.clone()).unwrap();
            let graph = space.lower(&space.sample(&mut seed::stream(3, "test", 0)));
            let bare = Bare::of(&without_norms(&graph));
            // Weights that keep the flow within what the interpreter's 32 bits hold.
            let mut weights = published(&bare, 1);
            weights.trained.iter_mut().for_each(|value| *value *= 0.5);
            bare.pass_the_image_on(&mut weights);
            let (found, expected) = (synflow(&bare, &weights), by_differences(&bare.graph, &bare, &weights));
            assert!((found - expected).abs() < 1e-2, "{name}: {found} {expected}");
        }
    }
}
