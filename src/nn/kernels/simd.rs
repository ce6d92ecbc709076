//! One vector of floats, with the few operations that the kernels need, for each instruction set.
//!
//! Kernels are written once over `Simd` and compiled once per implementation by `isa::on_each_isa!`. Everything here is
//! `#[inline(always)]`, so that the instructions end up in functions that enable them.

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
            let column = std::array::from_fn(|i| rows[i][j]);
            unsafe { Self::store(to(j), Self::max(floor, column)) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Simd;

    /// Sixteen lanes, with masks.
    #[derive(Clone, Copy)]
    pub struct Avx512;

    impl Simd for Avx512 {
        type V = __m512;
        const LANES: usize = 16;
        const REGISTERS: usize = 32;

        #[inline(always)]
        unsafe fn splat(value: f32) -> __m512 {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, count: usize) -> __m512 {
            unsafe { _mm512_maskz_loadu_ps(first(count), from) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: __m512) {
            unsafe { _mm512_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn store_part(to: *mut f32, v: __m512, count: usize) {
            unsafe { _mm512_mask_storeu_ps(to, first(count), v) }
        }
        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn max(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn where_positive(x: __m512, v: __m512) -> __m512 {
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, _mm512_setzero_ps()), v) }
        }
        #[inline(always)]
        unsafe fn sum(v: __m512) -> f32 {
            unsafe { _mm512_reduce_add_ps(v) }
        }
        #[inline(always)]
        unsafe fn transpose(from: *const f32, pitch: usize, floor: Self::V, to: impl Fn(usize) -> *mut f32) {
            unsafe {
                // Four rows that are four apart, each a quarter of a vector, make the 4x4 blocks that are transposed
                // within quarters; the quarters are put in place by the loads.
                for part in 0..4 {
                    let base = from.add(4 * part);
                    let (a, b) = (quarters(base, pitch), quarters(base.add(pitch), pitch));
                    let (c, d) = (quarters(base.add(2 * pitch), pitch), quarters(base.add(3 * pitch), pitch));
                    let (ab_low, ab_high) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                    let (cd_low, cd_high) = (_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                    let columns = [
                        _mm512_shuffle_ps::<0x44>(ab_low, cd_low),
                        _mm512_shuffle_ps::<0xee>(ab_low, cd_low),
                        _mm512_shuffle_ps::<0x44>(ab_high, cd_high),
                        _mm512_shuffle_ps::<0xee>(ab_high, cd_high),
                    ];
                    for (j, column) in columns.into_iter().enumerate() {
                        Self::store(to(4 * part + j), Self::max(floor, column));
                    }
                }
            }
        }
    }

    /// Quarters of rows 0, 4, 8 and 12.
    #[inline(always)]
    unsafe fn quarters(rows: *const f32, pitch: usize) -> __m512 {
        unsafe {
            let v = _mm512_castps128_ps512(_mm_loadu_ps(rows));
            let v = _mm512_insertf32x4::<1>(v, _mm_loadu_ps(rows.add(4 * pitch)));
            let v = _mm512_insertf32x4::<2>(v, _mm_loadu_ps(rows.add(8 * pitch)));
            _mm512_insertf32x4::<3>(v, _mm_loadu_ps(rows.add(12 * pitch)))
        }
    }

    #[inline(always)]
    fn first(count: usize) -> __mmask16 {
        ((1u32 << count) - 1) as __mmask16
    }

    /// Eight lanes and fused multiply-add.
    #[derive(Clone, Copy)]
    pub struct Avx2;

    impl Simd for Avx2 {
        type V = __m256;
        const LANES: usize = 8;
        const REGISTERS: usize = 16;

        #[inline(always)]
        unsafe fn splat(value: f32) -> __m256 {
            unsafe { _mm256_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m256 {
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, count: usize) -> __m256 {
            unsafe { _mm256_maskload_ps(from, lanes_below(count)) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: __m256) {
            unsafe { _mm256_storeu_ps(to, v) }
        }
        #[inline(always)]
        unsafe fn store_part(to: *mut f32, v: __m256, count: usize) {
            unsafe { _mm256_maskstore_ps(to, lanes_below(count), v) }
        }
        #[inline(always)]
        unsafe fn add(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn max(a: __m256, b: __m256) -> __m256 {
            unsafe { _mm256_max_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn mul_add(a: __m256, b: __m256, c: __m256) -> __m256 {
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn where_positive(x: __m256, v: __m256) -> __m256 {
            unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(x, _mm256_setzero_ps()), v) }
        }
        #[inline(always)]
        unsafe fn sum(v: __m256) -> f32 {
            unsafe {
                let v = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let v = _mm_add_ps(v, _mm_movehl_ps(v, v));
                _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps::<1>(v, v)))
            }
        }
        #[inline(always)]
        unsafe fn transpose(from: *const f32, pitch: usize, floor: Self::V, to: impl Fn(usize) -> *mut f32) {
            unsafe {
                for part in 0..2 {
                    let base = from.add(4 * part);
                    let (a, b) = (halves(base, pitch), halves(base.add(pitch), pitch));
                    let (c, d) = (halves(base.add(2 * pitch), pitch), halves(base.add(3 * pitch), pitch));
                    let (ab_low, ab_high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                    let (cd_low, cd_high) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
                    let columns = [
                        _mm256_shuffle_ps::<0x44>(ab_low, cd_low),
                        _mm256_shuffle_ps::<0xee>(ab_low, cd_low),
                        _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
                        _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
                    ];
                    for (j, column) in columns.into_iter().enumerate() {
                        Self::store(to(4 * part + j), Self::max(floor, column));
                    }
                }
            }
        }
    }

    /// Halves of rows 0 and 4.
    #[inline(always)]
    unsafe fn halves(rows: *const f32, pitch: usize) -> __m256 {
        unsafe {
            let low = _mm256_castps128_ps256(_mm_loadu_ps(rows));
            _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(rows.add(4 * pitch)))
        }
    }

    #[inline(always)]
    unsafe fn lanes_below(count: usize) -> __m256i {
        unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
    }
}

#[cfg(target_arch = "aarch64")]
pub(super) use arm::Neon;

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::*;

    use super::{Scalar, Simd};

    /// Four lanes and fused multiply-add; every 64-bit Arm has it.
    #[derive(Clone, Copy)]
    pub struct Neon;

    impl Simd for Neon {
        type V = float32x4_t;
        const LANES: usize = 4;
        const REGISTERS: usize = 32;

        #[inline(always)]
        unsafe fn splat(value: f32) -> float32x4_t {
            unsafe { vdupq_n_f32(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> float32x4_t {
            unsafe { vld1q_f32(from) }
        }
        #[inline(always)]
        unsafe fn load_part(from: *const f32, count: usize) -> float32x4_t {
            unsafe { vld1q_f32(Scalar::load_part(from, count).as_ptr()) }
        }
        #[inline(always)]
        unsafe fn store(to: *mut f32, v: float32x4_t) {
            unsafe { vst1q_f32(to, v) }
        }
        #[inline(always)]
        unsafe fn store_part(to: *mut f32, v: float32x4_t, count: usize) {
            let mut lanes = [0.0; 4];
            unsafe {
                vst1q_f32(lanes.as_mut_ptr(), v);
                Scalar::store_part(to, lanes, count);
            }
        }
        #[inline(always)]
        unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vaddq_f32(a, b) }
        }
        #[inline(always)]
        unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
            unsafe { vmaxq_f32(a, b) }
        }
        #[inline(always)]
        unsafe fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
            unsafe { vfmaq_f32(c, a, b) }
        }
        #[inline(always)]
        unsafe fn where_positive(x: float32x4_t, v: float32x4_t) -> float32x4_t {
            unsafe { vreinterpretq_f32_u32(vandq_u32(vcgtzq_f32(x), vreinterpretq_u32_f32(v))) }
        }
        #[inline(always)]
        unsafe fn sum(v: float32x4_t) -> f32 {
            unsafe { vaddvq_f32(v) }
        }
        #[inline(always)]
        unsafe fn transpose(from: *const f32, pitch: usize, floor: Self::V, to: impl Fn(usize) -> *mut f32) {
            let mut lanes = [0.0; 4];
            unsafe {
                vst1q_f32(lanes.as_mut_ptr(), floor);
                Scalar::transpose(from, pitch, lanes, to)
            }
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
