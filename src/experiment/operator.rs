//! How fast one operator trains: forward and backward over a batch, cut over threads as a training step cuts it.

use std::fmt;
use std::str::FromStr;

use rayon::prelude::*;
use serde::Serialize;

use super::engine::median_ms_of;
use crate::nn::kernels::{Scratch, Window, batch_norm, dense, depthwise, pointwise};

/// Pieces of a batch, as in a training step.
const CHUNKS: usize = 8;

/// An operator on square maps, written `depthwise,32,32,5,1,1`: kind, channels in and out, side of the map, kernel, stride,
/// dilation; padding keeps the map at stride 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Operator {
    kind: OperatorKind,
    channels: usize,
    side: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum OperatorKind {
    Dense,
    Pointwise,
    Depthwise,
    BatchNorm,
}

/// A text that is no operator.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not an operator\nhint: write kind (dense, pointwise, depthwise, batch_norm), channels, side, kernel, stride and dilation like `depthwise,32,32,5,1,1`"
)]
pub struct NotAnOperator(String);

impl FromStr for Operator {
    type Err = NotAnOperator;

    fn from_str(text: &str) -> Result<Self, NotAnOperator> {
        const LARGEST: usize = 4096;
        let wrong = || NotAnOperator(text.to_string());
        let (kind, numbers) = text.split_once(',').ok_or_else(wrong)?;
        let kind = match kind {
            "dense" => OperatorKind::Dense,
            "pointwise" => OperatorKind::Pointwise,
            "depthwise" => OperatorKind::Depthwise,
            "batch_norm" => OperatorKind::BatchNorm,
            _ => return Err(wrong()),
        };
        let number = |n: &str| n.parse().ok().filter(|n| (1..=LARGEST).contains(n));
        let numbers: Option<Vec<usize>> = numbers.split(',').map(number).collect();
        match numbers.ok_or_else(wrong)?[..] {
            [channels, side, kernel, stride, dilation] if kernel % 2 == 1 => {
                Ok(Operator { kind, channels, side, kernel, stride, dilation })
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Operator { kind, channels, side, kernel, stride, dilation } = self;
        write!(f, "{kind:?} {kernel}×{kernel} s{stride} d{dilation}, {channels} channels of {side}×{side}")
    }
}

/// Time of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OperatorTime {
    /// Median time of the forward pass over a batch, in milliseconds.
    pub forward_ms: f64,
    /// Median time of forward and backward pass (gradients by input and weights) over a batch, in milliseconds.
    pub forward_backward_ms: f64,
}

/// Times an operator on a batch, on the threads of the pool.
pub fn time_operator(operator: &Operator, batch: usize) -> OperatorTime {
    let mut work = Work::new(operator, batch);
    let forward_ms = median_ms_of(|| work.forward());
    let forward_backward_ms = median_ms_of(|| {
        work.forward();
        work.backward();
    });
    OperatorTime { forward_ms, forward_backward_ms }
}

/// An operator with its buffers.
struct Work {
    operator: Operator,
    window: Window,
    weight: Vec<f32>,
    pieces: Vec<Piece>,
}

/// What some images of the batch need.
struct Piece {
    images: usize,
    x: Vec<f32>,
    y: Vec<f32>,
    gy: Vec<f32>,
    gx: Vec<f32>,
    weight_gradient: Vec<f32>,
    /// (image, channel) → moments or sums of batch normalisation.
    sums: Vec<(f32, f32)>,
    scratch: Scratch,
}

impl Work {
    fn new(operator: &Operator, batch: usize) -> Work {
        let Operator { kind, channels, side, kernel, stride, dilation } = *operator;
        let (pad, out) = (dilation * (kernel - 1) / 2, side.div_ceil(stride));
        let window =
            Window { in_h: side, in_w: side, out_h: out, out_w: out, kernel, stride, dilation, top: pad, left: pad };
        let weights = match kind {
            OperatorKind::Dense => channels * channels * window.taps(),
            OperatorKind::Pointwise => channels * channels,
            OperatorKind::Depthwise => channels * window.taps(),
            OperatorKind::BatchNorm => channels,
        };
        let per_piece = batch.div_ceil(CHUNKS);
        let pieces = (0..batch).step_by(per_piece).map(|start| {
            let images = per_piece.min(batch - start);
            let (inputs, outputs) = (images * channels * window.in_plane(), images * channels * window.out_plane());
            Piece {
                images,
                x: noise(inputs),
                y: vec![0.0; outputs],
                gy: noise(outputs),
                gx: vec![0.0; inputs],
                weight_gradient: vec![0.0; weights],
                sums: vec![(0.0, 0.0); images * channels],
                scratch: Scratch::default(),
            }
        });
        Work { operator: *operator, window, weight: noise(weights), pieces: pieces.collect() }
    }

    fn forward(&mut self) {
        let Work { operator, window: w, weight, pieces } = self;
        let (c, plane) = (operator.channels, w.in_plane());
        match operator.kind {
            OperatorKind::BatchNorm => {
                pieces.par_iter_mut().for_each(|p| batch_norm::image_moments(c, plane, p.images, &p.x, &mut p.sums));
                let (scale, shift) = (vec![1.5; c], vec![0.5; c]);
                pieces.par_iter_mut().for_each(|p| {
                    batch_norm::apply(c, plane, p.images, &p.x, &scale, &shift, &mut p.y);
                });
            }
            kind => pieces.par_iter_mut().for_each(|piece| {
                let Piece { images, x, y, scratch: s, .. } = piece;
                match kind {
                    OperatorKind::Dense => dense::forward(w, c, c, 1, *images, x, false, weight, None, y, s),
                    OperatorKind::Pointwise => pointwise::forward(c, c, plane, *images, x, false, weight, None, y, s),
                    _ => depthwise::forward(w, c, *images, x, false, weight, None, y, s),
                }
            }),
        }
    }

    fn backward(&mut self) {
        let Work { operator, window: w, weight, pieces } = self;
        let (c, plane) = (operator.channels, w.in_plane());
        if operator.kind == OperatorKind::BatchNorm {
            let (mean, inv_std, [a, b, d]) = (vec![0.1; c], vec![1.1; c], [1.0, 0.2, 0.3].map(|v| vec![v; c]));
            pieces.par_iter_mut().for_each(|p| {
                batch_norm::backward_sums(c, plane, p.images, &p.x, &p.gy, &mean, &inv_std, &mut p.sums);
            });
            return pieces.par_iter_mut().for_each(|p| {
                batch_norm::backward_apply(c, plane, p.images, &p.x, &p.gy, &a, &b, &d, false, &mut p.gx);
            });
        }
        pieces.par_iter_mut().for_each(|piece| {
            let Piece { images: n, x, gy, gx, weight_gradient: gw, scratch: s, .. } = piece;
            gw.fill(0.0);
            match operator.kind {
                OperatorKind::Dense => {
                    dense::backward_weight(w, c, c, 1, *n, x, false, gy, gw, s);
                    dense::backward_input(w, c, c, 1, *n, gy, weight, None, false, gx, s);
                }
                OperatorKind::Pointwise => {
                    pointwise::backward_weight(c, c, plane, *n, x, false, gy, gw, s);
                    pointwise::backward_input(c, c, plane, *n, gy, weight, None, false, gx, s);
                }
                _ => {
                    depthwise::backward_weight(w, c, *n, x, false, gy, gw, s);
                    depthwise::backward_input(w, c, *n, gy, weight, None, false, gx, s);
                }
            }
        });
        let (first, others) = pieces.split_first_mut().expect("a batch has images");
        for other in others {
            first.weight_gradient.iter_mut().zip(&other.weight_gradient).for_each(|(sum, g)| *sum += g);
        }
    }
}

/// Values of both signs that need no random numbers.
fn noise(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_read_and_nonsense_is_refused() {
        let operator: Operator = "depthwise,32,16,5,2,1".parse().unwrap();
        assert_eq!(operator.to_string(), "Depthwise 5×5 s2 d1, 32 channels of 16×16");
        for wrong in ["depthwise", "depthwise,32,16,5,2", "deep,1,1,1,1,1", "dense,1,1,2,1,1", "dense,0,1,1,1,1"] {
            assert!(wrong.parse::<Operator>().is_err(), "{wrong}");
        }
    }
}
