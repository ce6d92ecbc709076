//! Where a map lies while it is convolved row by row: among zeros, in the first-level cache.

use super::super::Window;
use super::super::simd::Simd;

/// A map to read, and how it lies in its frame. Also describes the backward pass, which is a convolution of the output
/// gradient with the kernel turned around.
#[derive(Clone, Copy)]
pub struct Frame {
    pub height: usize,
    pub width: usize,
    pub out_h: usize,
    pub out_w: usize,
    pub dilation: usize,
    /// Row of the frame at which the map starts.
    pub top: usize,
    pub left: usize,
    /// Rows and columns between the first tap and the last.
    pub reach: usize,
}

impl Frame {
    pub fn forward(w: &Window) -> Frame {
        let reach = w.dilation * (w.kernel - 1);
        Frame {
            height: w.in_h,
            width: w.in_w,
            out_h: w.out_h,
            out_w: w.out_w,
            dilation: w.dilation,
            top: w.top,
            left: w.left,
            reach,
        }
    }

    pub fn backward(w: &Window) -> Frame {
        let reach = w.dilation * (w.kernel - 1);
        Frame {
            height: w.out_h,
            width: w.out_w,
            out_h: w.in_h,
            out_w: w.in_w,
            dilation: w.dilation,
            top: reach - w.top,
            left: reach - w.left,
            reach,
        }
    }

    /// Column of the frame at which the map starts: a whole number of vectors, so that the copy never straddles cache
    /// lines.
    pub fn lead(&self, lanes: usize) -> usize {
        self.left.next_multiple_of(lanes)
    }

    pub fn pitch(&self, lanes: usize) -> usize {
        let lead = self.lead(lanes);
        let read = lead - self.left + self.out_w.next_multiple_of(lanes) + self.reach;
        read.max(lead + self.width).next_multiple_of(lanes)
    }

    /// Rows of the frame when outputs are computed in blocks of `block` rows.
    pub fn rows(&self, block: usize) -> usize {
        let outputs = self.out_h.div_ceil(self.dilation).next_multiple_of(block) * self.dilation;
        (outputs + self.reach).max(self.top + self.height)
    }

    /// Rows of outputs whose number has the remainder `phase`, which share their input rows.
    pub fn phase_rows(&self, phase: usize) -> usize {
        (self.out_h - phase).div_ceil(self.dilation)
    }

    /// Copies a map into its frame; what surrounds it there stays zero.
    #[inline(always)]
    pub fn copy_in<S: Simd>(&self, x: &[f32], relu: bool, padded: &mut [f32], pitch: usize) {
        let (lead, width) = (self.lead(S::LANES), self.width);
        assert!(padded.len() >= (self.top + self.height) * pitch && x.len() == self.height * width);
        assert!(lead + width.next_multiple_of(S::LANES) <= pitch);
        // SAFETY: the rows of `x` are `width` long and are read no further; a row of the frame has room for whole vectors,
        // whose lanes beyond the map are zero.
        unsafe {
            let floor = S::splat(if relu { 0.0 } else { f32::NEG_INFINITY });
            for row in 0..self.height {
                let from = x.as_ptr().add(row * width);
                let to = padded.as_mut_ptr().add((self.top + row) * pitch + lead);
                let mut column = 0;
                while column + S::LANES <= width {
                    S::store(to.add(column), S::max(floor, S::load(from.add(column))));
                    column += S::LANES;
                }
                if column < width {
                    S::store(to.add(column), S::max(floor, S::load_part(from.add(column), width - column)));
                }
            }
        }
    }
}
