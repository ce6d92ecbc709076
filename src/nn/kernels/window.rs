//! Geometry of a window that slides over one map.

/// Geometry of a convolution or pooling window over one map. Padding below and to the right follows from the output
/// size, so asymmetric padding needs no further field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub in_h: usize,
    pub in_w: usize,
    pub out_h: usize,
    pub out_w: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Rows of padding above the map.
    pub top: usize,
    /// Columns of padding left of the map.
    pub left: usize,
}

impl Window {
    pub fn in_plane(&self) -> usize {
        self.in_h * self.in_w
    }

    pub fn out_plane(&self) -> usize {
        self.out_h * self.out_w
    }

    pub fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Input row that tap row `ky` reads for output row `oy`, if it is inside the map.
    pub fn row(&self, oy: usize, ky: usize) -> Option<usize> {
        (oy * self.stride + ky * self.dilation).checked_sub(self.top).filter(|y| *y < self.in_h)
    }

    /// Input column that tap column `kx` reads for output column `ox`, if it is inside the map.
    pub fn column(&self, ox: usize, kx: usize) -> Option<usize> {
        (ox * self.stride + kx * self.dilation).checked_sub(self.left).filter(|x| *x < self.in_w)
    }

    /// Output columns whose tap column `kx` lies inside the map; empty where none does.
    pub(super) fn columns_inside(&self, kx: usize) -> std::ops::Range<usize> {
        span(self.in_w, self.out_w, self.stride, self.left as isize - (kx * self.dilation) as isize)
    }

    /// Output rows whose tap row `ky` lies inside the map; empty where none does.
    pub(super) fn rows_inside(&self, ky: usize) -> std::ops::Range<usize> {
        span(self.in_h, self.out_h, self.stride, self.top as isize - (ky * self.dilation) as isize)
    }
}

/// Positions `o` in `0..outputs` with `0 <= o * stride - shift < inputs`.
fn span(inputs: usize, outputs: usize, stride: usize, shift: isize) -> std::ops::Range<usize> {
    let ceil = |v: isize| if v <= 0 { 0 } else { (v as usize).div_ceil(stride) };
    let end = ceil(shift + inputs as isize).min(outputs);
    ceil(shift).min(end)..end
}

#[cfg(test)]
pub(super) mod tests {
    use rand::Rng;

    use super::*;

    /// A random window: kernels 1 to 7, strides 1 and 2, dilations 1 and 2, odd maps, any padding up to the reach.
    pub fn random(rng: &mut impl Rng, largest: usize) -> Window {
        loop {
            let (kernel, stride, dilation) =
                (rng.random_range(1..=7), rng.random_range(1..=2), rng.random_range(1..=2));
            let (in_h, in_w) = (rng.random_range(1..=largest), rng.random_range(1..=largest));
            let reach = dilation * (kernel - 1);
            let mut side = |size: usize| {
                let (before, after) = (rng.random_range(0..=reach), rng.random_range(0..=reach));
                ((size + before + after).checked_sub(reach + 1).map(|free| free / stride + 1), before)
            };
            let ((out_h, top), (out_w, left)) = (side(in_h), side(in_w));
            if let (Some(out_h), Some(out_w)) = (out_h, out_w) {
                return Window { in_h, in_w, out_h, out_w, kernel, stride, dilation, top, left };
            }
        }
    }

    /// The window with "same" padding that networks use.
    pub fn same(size: usize, kernel: usize, stride: usize, dilation: usize) -> Window {
        let pad = dilation * (kernel - 1) / 2;
        let out = size.div_ceil(stride);
        Window { in_h: size, in_w: size, out_h: out, out_w: out, kernel, stride, dilation, top: pad, left: pad }
    }

    #[test]
    fn the_spans_hold_exactly_the_positions_whose_tap_is_inside() {
        let mut rng = <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(1);
        for _ in 0..500 {
            let w = random(&mut rng, 12);
            for k in 0..w.kernel {
                for o in 0..w.out_w {
                    assert_eq!(w.columns_inside(k).contains(&o), w.column(o, k).is_some(), "{w:?}");
                }
                for o in 0..w.out_h {
                    assert_eq!(w.rows_inside(k).contains(&o), w.row(o, k).is_some(), "{w:?}");
                }
            }
        }
    }
}
