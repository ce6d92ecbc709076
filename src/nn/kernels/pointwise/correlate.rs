//! Weight gradients of a pointwise convolution: dot products of long rows.
//!
//! Both sides lie in memory as rows of pixels, so a block of products runs down its rows with one vector of partial sums
//! each and adds up the lanes at the end. A general matrix product is slow here: the summed dimension is long and the
//! other two are short.

use super::super::isa::on_each_isa;
use super::super::simd::Simd;

/// Floats of input and gradient that are visited again and again before going on: half of a second-level cache.
const CHUNK: usize = 128 * 1024;

on_each_isa! {
    /// Adds the products of `gy` (n, co, plane) and `x` (n, ci, plane), summed over images and pixels, to `gw` (co, ci).
    pub fn backward_weight(
        ci: usize, co: usize, plane: usize, x: &[f32], relu: bool, gy: &[f32], gw: &mut [f32],
    ) = backward_weight_body
}

#[inline(always)]
fn backward_weight_body<S: Simd>(
    ci: usize,
    co: usize,
    plane: usize,
    x: &[f32],
    relu: bool,
    gy: &[f32],
    gw: &mut [f32],
) {
    let images = (CHUNK / ((ci + co) * plane)).max(1);
    for (x, gy) in x.chunks(images * ci * plane).zip(gy.chunks(images * co * plane)) {
        let pair = Pair { ci, co, plane, images: gy.len() / (co * plane), x, gy, relu };
        assert_eq!(x.len(), pair.images * ci * plane);
        let mut row = 0;
        while row < co {
            row += match (co - row, S::REGISTERS >= 32) {
                (4.., true) => pair.rows::<S, 4>(row, gw),
                (2.., _) => pair.rows::<S, 2>(row, gw),
                _ => pair.rows::<S, 1>(row, gw),
            };
        }
    }
}

/// Some images of both sides.
struct Pair<'a> {
    ci: usize,
    co: usize,
    plane: usize,
    images: usize,
    x: &'a [f32],
    gy: &'a [f32],
    relu: bool,
}

impl Pair<'_> {
    /// Gradients of `M` output channels. Returns `M`.
    #[inline(always)]
    fn rows<S: Simd, const M: usize>(&self, row: usize, gw: &mut [f32]) -> usize {
        let mut column = 0;
        while column < self.ci {
            // SAFETY: only called from bodies that `on_each_isa!` compiles; the channels `row..row + M` and
            // `column..column + N` exist.
            column += unsafe {
                match self.ci - column {
                    4.. => self.block::<S, M, 4>(row, column, gw),
                    _ => self.block::<S, M, 1>(row, column, gw),
                }
            };
        }
        M
    }

    /// Gradients of `M` output channels by `N` input channels. Returns `N`.
    #[inline(always)]
    unsafe fn block<S: Simd, const M: usize, const N: usize>(
        &self,
        row: usize,
        column: usize,
        gw: &mut [f32],
    ) -> usize {
        unsafe {
            let floor = S::splat(if self.relu { 0.0 } else { f32::NEG_INFINITY });
            let mut sums = [[S::splat(0.0); N]; M];
            for image in 0..self.images {
                let x = self.x.as_ptr().add((image * self.ci + column) * self.plane);
                let gy = self.gy.as_ptr().add((image * self.co + row) * self.plane);
                let mut at = 0;
                while at + S::LANES <= self.plane {
                    let mut inputs = [floor; N];
                    for n in 0..N {
                        inputs[n] = S::max(floor, S::load(x.add(n * self.plane + at)));
                    }
                    for m in 0..M {
                        let gradient = S::load(gy.add(m * self.plane + at));
                        for n in 0..N {
                            sums[m][n] = S::mul_add(gradient, inputs[n], sums[m][n]);
                        }
                    }
                    at += S::LANES;
                }
                if at < self.plane {
                    let count = self.plane - at;
                    for m in 0..M {
                        let gradient = S::load_part(gy.add(m * self.plane + at), count);
                        for n in 0..N {
                            // Lanes beyond the plane are zero, and stay zero when raised to the floor.
                            let input = S::max(floor, S::load_part(x.add(n * self.plane + at), count));
                            sums[m][n] = S::mul_add(gradient, input, sums[m][n]);
                        }
                    }
                }
            }
            for m in 0..M {
                for n in 0..N {
                    gw[(row + m) * self.ci + column + n] += S::sum(sums[m][n]);
                }
            }
            N
        }
    }
}
