//! How a depthwise convolution is cut into blocks: tiles of maps in shared memory.

use super::super::kernels::Window;
use super::command::{Arg, Call, THREADS};

/// Rows that a thread takes in `DEPTHWISE` of `kernels.cu`.
const ROWS: usize = 4;
/// Longest side of a tile of outputs.
const LONGEST_SIDE: usize = 32;
/// Shared memory that a block may take on every card without asking, less what the kernels take themselves.
const SHARED_BYTES: usize = 44 << 10;
/// Blocks that fill a large card a few times over.
pub(super) const ENOUGH_BLOCKS: usize = 1024;

/// A tile of outputs, and how many maps a block takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    height: usize,
    width: usize,
    together: usize,
    /// Tiles of a map.
    across: usize,
    down: usize,
    shared: usize,
}

impl Tile {
    /// The tile for a window, unless it is one that the tiled kernels do not serve.
    pub fn of(w: &Window, maps: usize) -> Option<Tile> {
        let served = [3, 5, 7].contains(&w.kernel) && [1, 2].contains(&w.stride);
        if !served {
            return None;
        }
        let (mut height, width) = (w.out_h.min(LONGEST_SIDE), w.out_w.min(LONGEST_SIDE));
        while height > 1 && map_bytes(w, height, width) > SHARED_BYTES {
            height = height.div_ceil(2);
        }
        let fit = SHARED_BYTES / map_bytes(w, height, width);
        let items = width * height.div_ceil(ROWS * w.dilation) * w.dilation;
        let together = (THREADS as usize / items).clamp(1, maps).min(fit);
        // A weight gradient adds the sums of its warps in the same memory.
        let shared = (together * map_bytes(w, height, width)).max(THREADS as usize / 32 * w.taps() * 4);
        let (across, down) = (w.out_w.div_ceil(width), w.out_h.div_ceil(height));
        (fit > 0).then_some(Tile { height, width, together, across, down, shared })
    }

    /// The forward kernel over `planes` maps.
    pub fn forward(&self, w: &Window, planes: usize) -> Call {
        let call =
            Call::blocks(&format!("depthwise_{}_{}", w.kernel, w.stride), planes.div_ceil(self.together), self.tiles());
        Call { shared: self.shared, ..call }
    }

    /// Into how many parts the images of a weight gradient are split.
    pub fn splits(&self, channels: usize, images: usize) -> usize {
        (ENOUGH_BLOCKS / channels).clamp(1, images.div_ceil(self.together))
    }

    /// The weight gradient's kernel.
    pub fn weight(&self, w: &Window, channels: usize, splits: usize) -> Call {
        let call = Call::blocks(&format!("depthwise_weight_{}_{}", w.kernel, w.stride), channels, splits);
        Call { shared: self.shared, ..call }
    }

    /// The arguments that both kernels take after the padding.
    pub fn args(&self) -> [Arg; 3] {
        [self.height.into(), self.width.into(), self.together.into()]
    }

    fn tiles(&self) -> usize {
        self.across * self.down
    }
}

/// Shared memory for one map: its padded tile and its weights, as floats.
fn map_bytes(w: &Window, height: usize, width: usize) -> usize {
    let side = |outputs: usize| (outputs - 1) * w.stride + (w.kernel - 1) * w.dilation + 1;
    (side(height) * side(width) + w.taps()) * 4
}
