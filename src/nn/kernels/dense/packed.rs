//! The layout in which the weights of a dense convolution are read: a vector of lanes for every product.

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
pub fn pack(c: &Channels, strides: &Strides, block: usize, weight: &[f32], packed: &mut [f32]) {
    let of_group = c.summed * c.computed * c.taps;
    for (i, packed) in packed.chunks_exact_mut(c.products() * block).enumerate() {
        let (group, first) = (i / c.blocks(block), i % c.blocks(block) * block);
        let weight = &weight[group * of_group..][..of_group];
        for lane in 0..block {
            if first + lane >= c.computed {
                packed[lane..].iter_mut().step_by(block).for_each(|v| *v = 0.0);
                continue;
            }
            for summed in 0..c.summed {
                let from = &weight[(first + lane) * strides.computed + summed * strides.summed..][..c.taps];
                let to = packed[summed * c.taps * block + lane..].iter_mut().step_by(block);
                to.zip(from).for_each(|(to, from)| *to = *from);
            }
        }
    }
}
