//! Attributes of a node, and the sliding windows they describe.

use tract_onnx::pb::{AttributeProto, NodeProto};

use crate::graph::{Padding, Shape};

/// Kernels, strides, dilations and pads above this are taken for damage.
const LARGEST_SETTING: i64 = 1 << 14;

/// A window as convolutions and pools have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    pub(super) padding: Padding,
}

pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name == name)
}

pub(super) fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    attribute(node, name).map_or(default, |a| a.i)
}

pub(super) fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    attribute(node, name).map_or(default, |a| a.f)
}

/// A count or size within reason.
pub(super) fn size(name: &str, value: i64) -> Result<usize, String> {
    match (0..=LARGEST_SETTING).contains(&value) {
        true => Ok(value as usize),
        false => Err(format!("`{name}` is {value}, expected 0 to {LARGEST_SETTING}")),
    }
}

/// An attribute that has the same value for rows and columns.
fn square(node: &NodeProto, name: &str, default: usize) -> Result<usize, String> {
    match attribute(node, name).map(|a| a.ints.as_slice()) {
        None => Ok(default),
        Some([rows, columns]) if rows == columns => size(name, *rows),
        Some(other) => Err(format!("`{name}` is {other:?}, only two equal numbers are supported")),
    }
}

impl Window {
    /// The window of a node over a map. The kernel's size stands in the attributes or, for convolutions, in the weights.
    pub(super) fn read(node: &NodeProto, input: Shape, kernel: Option<usize>) -> Result<Self, String> {
        let kernel = match (kernel, square(node, "kernel_shape", kernel.unwrap_or(0))?) {
            (Some(weights), kernel) if weights != kernel => {
                return Err(format!("`kernel_shape` is {kernel}, but the weights are {weights}×{weights}"));
            }
            (_, kernel) => kernel,
        };
        let (stride, dilation) = (square(node, "strides", 1)?, square(node, "dilations", 1)?);
        if kernel == 0 || stride == 0 || dilation == 0 {
            return Err("kernel, stride and dilation must be at least 1".into());
        }
        let mut window = Window { kernel, stride, dilation, padding: Padding::default() };
        window.padding = window.read_padding(node, input)?;
        Ok(window)
    }

    fn span(&self) -> usize {
        self.dilation * (self.kernel - 1) + 1
    }

    fn read_padding(&self, node: &NodeProto, input: Shape) -> Result<Padding, String> {
        let auto = attribute(node, "auto_pad").map_or("NOTSET".into(), |a| String::from_utf8_lossy(&a.s).into_owned());
        // `SAME`: as many outputs as strides fit into the input; an odd pixel goes to the end (upper) or start (lower).
        let total = |size: usize| ((size.div_ceil(self.stride) - 1) * self.stride + self.span()).saturating_sub(size);
        let (rows, columns) = (total(input.height), total(input.width));
        match auto.as_str() {
            "" | "NOTSET" => explicit_padding(node),
            "VALID" => Ok(Padding::default()),
            "SAME_UPPER" => Ok(sides(rows / 2, columns / 2, rows.div_ceil(2), columns.div_ceil(2))),
            "SAME_LOWER" => Ok(sides(rows.div_ceil(2), columns.div_ceil(2), rows / 2, columns / 2)),
            other => Err(format!("`auto_pad` is `{other}`, expected NOTSET, VALID, SAME_UPPER or SAME_LOWER")),
        }
    }

    /// Whether rounding the output size up instead of down would change it.
    pub(super) fn ceil_differs(&self, input: Shape) -> bool {
        let p = self.padding;
        [input.height + p.top + p.bottom, input.width + p.left + p.right]
            .into_iter()
            .any(|padded| padded >= self.span() && !(padded - self.span()).is_multiple_of(self.stride))
    }
}

fn sides(top: usize, left: usize, bottom: usize, right: usize) -> Padding {
    Padding { top, left, bottom, right }
}

fn explicit_padding(node: &NodeProto) -> Result<Padding, String> {
    match attribute(node, "pads").map(|a| a.ints.as_slice()) {
        None => Ok(Padding::default()),
        Some([top, left, bottom, right]) => {
            let of = |value: &i64| size("pads", *value);
            Ok(sides(of(top)?, of(left)?, of(bottom)?, of(right)?))
        }
        Some(other) => Err(format!("`pads` is {other:?}, expected four numbers")),
    }
}
