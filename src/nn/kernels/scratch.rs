//! Working memory that kernels reuse from call to call.

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
