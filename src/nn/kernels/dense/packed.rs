//! The layout in which the weights of a dense convolution are read: a vector of lanes for every product.

use super::super::bundle::transpose_rows;
use super::super::simd::Simd;

/// How many channels are summed, how many are computed, and in how many groups. Backwards, the roles of input and output
/// channels are exchanged.
#[derive(Clone, Copy, Debug)]
pub struct Channels {
    pub groups: usize,
    /// Channels of a group that are summed.
    pub summed: usize,
    /// Channels of a group that are computed, one per lane.
    pub computed: usize,
    pub taps: usize,
}

impl Channels {
    /// Products per computed value if no tap falls into the padding.
    pub fn products(&self) -> usize {
        self.summed * self.taps
    }

    /// Blocks of `block` lanes that the channels of a group fill; the last one may be partly empty.
    pub fn blocks(&self, block: usize) -> usize {
        self.computed.div_ceil(block)
    }

    /// Floats of all packed weights.
    pub fn packed(&self, block: usize) -> usize {
        self.groups * self.blocks(block) * self.products() * block
    }
}

/// Distances in the weight array between neighbouring computed and summed channels.
pub struct Strides {
    pub computed: usize,
    pub summed: usize,
}

impl Strides {
    /// The array is (computed, summed, taps).
    pub fn forward(c: &Channels) -> Strides {
        Strides { computed: c.products(), summed: c.taps }
    }

    /// The array is (summed, computed, taps).
    pub fn backward(c: &Channels) -> Strides {
        Strides { computed: c.taps, summed: c.computed * c.taps }
    }
}

/// Packs `weight` as (group, block, summed, tap, lane), zeros in empty lanes.
#[inline(always)]
pub fn pack<S: Simd>(c: &Channels, strides: &Strides, block: usize, weight: &[f32], packed: &mut [f32]) {
    let of_group = c.summed * c.computed * c.taps;
    for (i, packed) in packed.chunks_exact_mut(c.products() * block).enumerate() {
        let (group, first) = (i / c.blocks(block), i % c.blocks(block) * block);
        let weight = &weight[group * of_group..][..of_group];
        for lane in (0..block).step_by(S::LANES) {
            let from = (first + lane) * strides.computed;
            match c.computed.saturating_sub(first + lane) {
                lanes if lanes >= S::LANES => pack_lanes::<S>(c, strides, &weight[from..], &mut packed[lane..], block),
                0 => packed[lane..].chunks_mut(block).for_each(|lanes| lanes[..S::LANES].fill(0.0)),
                lanes => pack_some(c, strides, lanes, S::LANES, &weight[from..], &mut packed[lane..], block),
            }
        }
    }
}

/// One whole vector of lanes.
#[inline(always)]
fn pack_lanes<S: Simd>(c: &Channels, strides: &Strides, weight: &[f32], packed: &mut [f32], block: usize) {
    if strides.summed == c.taps {
        return transpose_rows::<S>(weight, strides.computed, c.products(), packed, block);
    }
    for summed in 0..c.summed {
        let (weight, packed) = (&weight[summed * strides.summed..], &mut packed[summed * c.taps * block..]);
        transpose_rows::<S>(weight, strides.computed, c.taps, packed, block);
    }
}

/// The first `some` of `lanes`, and zeros.
fn pack_some(
    c: &Channels,
    strides: &Strides,
    some: usize,
    lanes: usize,
    weight: &[f32],
    packed: &mut [f32],
    block: usize,
) {
    for (i, packed) in packed.chunks_mut(block).enumerate() {
        for (lane, to) in packed[..lanes].iter_mut().enumerate() {
            let at = lane * strides.computed + i / c.taps * strides.summed + i % c.taps;
            *to = if lane < some { weight[at] } else { 0.0 };
        }
    }
}
