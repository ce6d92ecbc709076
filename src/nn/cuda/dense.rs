//! The sizes of a convolution that is computed as matrix products on its windows, written out as columns.

use std::ops::Range;

use super::super::kernels::Window;
use super::lowering::Lowering;
use crate::graph::{Conv2d, Shape};

/// Sizes of a dense or grouped convolution.
#[derive(Debug, Clone, Copy)]
pub struct Dense {
    /// Its window.
    pub window: Window,
    /// What it reads.
    pub input: Shape,
    /// Groups.
    pub groups: usize,
    /// Output channels of a group.
    pub co: usize,
    /// Values in a window of a group: input channels times taps.
    pub length: usize,
    /// Output pixels.
    pub outputs: usize,
    /// Images whose columns are in memory at once.
    at_once: usize,
}

impl Dense {
    /// The sizes of a convolution.
    pub fn new(lowering: &Lowering, conv: &Conv2d, window: Window, input: Shape, output: Shape) -> Self {
        let length = input.channels / conv.groups * window.taps();
        let co = conv.out / conv.groups;
        let columns = conv.groups * length * output.plane() * lowering.stored;
        let partial = conv.out * length * 4;
        let at_once = lowering.images_at_once(columns.max(partial));
        Dense { window, input, groups: conv.groups, co, length, outputs: output.plane(), at_once }
    }

    /// Values in the columns of one image.
    pub fn image_columns(&self) -> usize {
        self.groups * self.length * self.outputs
    }

    /// Where a group begins in the columns of an image.
    pub fn group_columns(&self, group: usize) -> usize {
        group * self.length * self.outputs
    }

    /// Where a group begins in the weights.
    pub fn group_weights(&self, group: usize) -> usize {
        group * self.co * self.length
    }

    /// Number of weights.
    pub fn weights(&self) -> usize {
        self.groups * self.co * self.length
    }

    /// The batch in pieces; none is larger than the first.
    pub fn chunks(&self, batch: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let at_once = self.at_once;
        (0..batch).step_by(at_once).map(move |start| start..(start + at_once).min(batch))
    }
}
