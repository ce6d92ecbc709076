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
