//! One vector of floats, with the few operations that the kernels need, for each instruction set.
//!
//! Kernels are written once over `Simd` and compiled once per implementation by `isa::on_each_isa!`. Everything here is
//! `#[inline(always)]`, so that the instructions end up in functions that enable them.

#[cfg(target_arch = "aarch64")]
mod arm;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub(super) use arm::Neon;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

/// A vector register of `LANES` floats.
///
/// Safety: every method may compile to instructions that not every machine has. Call them only from the bodies that
/// `on_each_isa!` compiles, whose wrappers have asked the machine. Loads and stores touch exactly `LANES` floats, or
/// `count <= LANES` where they say so.
pub(super) trait Simd: Copy {
    type V: Copy;
    const LANES: usize;
    /// Vector registers of the machine: how much a kernel may keep in flight.
    const REGISTERS: usize;

    unsafe fn splat(value: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    /// The first `count` floats, then zeros.
    unsafe fn load_part(from: *const f32, count: usize) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    unsafe fn store_part(to: *mut f32, v: Self::V, count: usize);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// The larger of each pair. A NaN in `b` stays.
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the machine can.
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `v` where `x > 0`, else 0.
    unsafe fn where_positive(x: Self::V, v: Self::V) -> Self::V;
    /// Sum of the lanes, in a fixed order.
    unsafe fn sum(v: Self::V) -> f32;
    /// Transposes a square of `LANES` rows: row `i` starts at `from + i * pitch`, column `j` is stored at `to(j)`, with
    /// values below `floor` raised to it.
    unsafe fn transpose(from: *const f32, pitch: usize, floor: Self::V, to: impl Fn(usize) -> *mut f32);
}

/// Plain code over four lanes, which every compiler turns into what the baseline has (SSE2 on x86-64).
#[derive(Clone, Copy)]
pub(super) struct Scalar;

const PLAIN: usize = 4;

// SAFETY of the pointer accesses in this file: the caller vouches for `LANES` (or `count`) floats, as the trait says.
impl Simd for Scalar {
    type V = [f32; PLAIN];
    const LANES: usize = PLAIN;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::V {
        [value; PLAIN]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_part(from: *const f32, count: usize) -> Self::V {
        std::array::from_fn(|i| if i < count { unsafe { from.add(i).read() } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        unsafe { to.cast::<Self::V>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn store_part(to: *mut f32, v: Self::V, count: usize) {
        for (i, v) in v.into_iter().enumerate().take(count) {
            unsafe { to.add(i).write(v) }
        }
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn where_positive(x: Self::V, v: Self::V) -> Self::V {
        std::array::from_fn(|i| if x[i] > 0.0 { v[i] } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        (v[0] + v[2]) + (v[1] + v[3])
    }
    #[inline(always)]
    unsafe fn transpose(from: *const f32, pitch: usize, floor: Self::V, to: impl Fn(usize) -> *mut f32) {
        let rows: [Self::V; PLAIN] = std::array::from_fn(|i| unsafe { Self::load(from.add(i * pitch)) });
        for j in 0..PLAIN {
            unsafe { Self::store(to(j), Self::max(floor, rows.map(|row| row[j]))) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::isa;
    use super::*;

    isa::on_each_isa! { fn exercise() = exercise_body }

    #[inline(always)]
    fn exercise_body<S: Simd>() {
        let from: Vec<f32> = (0..S::LANES * 20).map(|i| i as f32 - 20.0).collect();
        let mut to = vec![0.0; S::LANES * 20];
        // SAFETY: both buffers hold `LANES` rows of at most 20 floats.
        unsafe {
            let start = to.as_mut_ptr();
            S::transpose(from.as_ptr(), 20, S::splat(3.0), |j| start.add(17 * j));
            for (i, j) in (0..S::LANES).flat_map(|i| (0..S::LANES).map(move |j| (i, j))) {
                assert_eq!(to[j * 17 + i], from[i * 20 + j].max(3.0));
            }
            let v = S::load(from.as_ptr().add(15));
            assert_eq!(S::sum(v), from[15..15 + S::LANES].iter().sum::<f32>());
            S::store(to.as_mut_ptr(), S::where_positive(v, S::mul_add(v, S::splat(2.0), S::splat(1.0))));
            for i in 0..S::LANES {
                let x = from[15 + i];
                assert_eq!(to[i], if x > 0.0 { 2.0 * x + 1.0 } else { 0.0 });
            }
            for count in 0..=S::LANES {
                to.fill(9.0);
                S::store_part(to.as_mut_ptr(), S::load(from.as_ptr()), count);
                assert_eq!((&to[..count], to[count]), (&from[..count], 9.0));
                S::store(to.as_mut_ptr(), S::load_part(from.as_ptr(), count));
                assert_eq!(&to[..count], &from[..count]);
                assert!(to[count..S::LANES].iter().all(|v| *v == 0.0));
            }
        }
    }

    #[test]
    fn every_vector_type_does_what_its_operations_say() {
        isa::tests::each(|_| exercise());
    }
}
