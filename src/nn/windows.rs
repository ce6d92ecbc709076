//! The window that an operator slides over a map, from its settings and the maps before and after it.

use super::kernels::Window;
use crate::graph::{Conv2d, Padding, Pool, Shape};

/// The window of a convolution.
pub(super) fn conv_window(conv: &Conv2d, input: Shape, output: Shape) -> Window {
    let w = window(conv.kernel, conv.stride, conv.padding, input, output);
    Window { dilation: conv.dilation, ..w }
}

/// The window of a pooling operator.
pub(super) fn pool_window(pool: &Pool, input: Shape, output: Shape) -> Window {
    window(pool.kernel, pool.stride, pool.padding, input, output)
}

fn window(kernel: usize, stride: usize, padding: Padding, input: Shape, output: Shape) -> Window {
    Window {
        in_h: input.height,
        in_w: input.width,
        out_h: output.height,
        out_w: output.width,
        kernel,
        stride,
        dilation: 1,
        top: padding.top,
        left: padding.left,
    }
}
