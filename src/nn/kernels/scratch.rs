//! Working memory that kernels reuse from call to call.

use std::sync::Arc;

use super::Window;
use super::plan::{Direction, Plan};

/// Reusable buffers, one `Scratch` per thread. They grow on demand and are never shrunk. What they hold between calls
/// means nothing.
#[derive(Default)]
pub struct Scratch {
    /// Gathered or padded input.
    pub(super) input: Buffer,
    /// Gathered or padded output or output gradient.
    pub(super) output: Buffer,
    /// Rearranged weights or their gradient.
    pub(super) weight: Buffer,
    /// Results on their way to a gradient.
    pub(super) flat: Buffer,
    plans: Vec<(Window, Direction, Arc<Plan>)>,
}

impl Scratch {
    /// The plan of a convolution or its transpose, made on first use. A network has few distinct windows.
    pub(super) fn plan(&mut self, w: &Window, direction: Direction) -> Arc<Plan> {
        if let Some((_, _, plan)) = self.plans.iter().find(|(v, d, _)| (v, d) == (w, &direction)) {
            return plan.clone();
        }
        let plan = Arc::new(Plan::new(w, direction));
        self.plans.push((*w, direction, plan.clone()));
        plan
    }
}

/// Floats that start at a cache line, so that vector loads at multiples of the vector length never straddle two.
#[derive(Default)]
pub(super) struct Buffer(Vec<f32>);

impl Buffer {
    /// `len` floats of any content.
    pub(super) fn take(&mut self, len: usize) -> &mut [f32] {
        const LINE: usize = 64;
        let spare = LINE / size_of::<f32>();
        if self.0.len() < len + spare {
            self.0.resize(len + spare, 0.0);
        }
        let start = self.0.as_ptr().align_offset(LINE).min(spare);
        &mut self.0[start..start + len]
    }

    /// `len` zeros.
    pub(super) fn zeros(&mut self, len: usize) -> &mut [f32] {
        let zeros = self.take(len);
        zeros.fill(0.0);
        zeros
    }
}

#[cfg(test)]
mod tests {
    use super::super::window::tests::same;
    use super::super::{dense, depthwise, pointwise, reference::values};
    use super::*;

    /// Values of four convolutions whose buffers have different sizes.
    fn outputs(s: &mut Scratch) -> Vec<f32> {
        let mut all = Vec::new();
        for (w, relu) in [(same(8, 3, 1, 1), true), (same(32, 5, 1, 2), false)] {
            let (x, weight) = (values(3 * w.in_plane(), 1), values(3 * 3 * w.taps(), 2));
            let mut y = vec![0.0; 3 * w.out_plane()];
            depthwise::forward(&w, 3, 1, &x, relu, &weight[..3 * w.taps()], None, &mut y, s);
            all.extend_from_slice(&y);
            dense::forward(&w, 3, 3, 1, 1, &x, relu, &weight, None, &mut y, s);
            all.extend_from_slice(&y);
            pointwise::forward(3, 3, w.in_plane(), 1, &x, relu, &weight[..9], None, &mut y, s);
            all.extend_from_slice(&y);
        }
        all
    }

    #[test]
    fn what_a_scratch_held_before_changes_no_bit() {
        let fresh = outputs(&mut Scratch::default());
        let mut used = Scratch::default();
        for buffer in [&mut used.input, &mut used.output, &mut used.weight, &mut used.flat] {
            buffer.take(100_000).fill(f32::NAN);
        }
        outputs(&mut used);
        assert_eq!(fresh, outputs(&mut used));
    }
}
