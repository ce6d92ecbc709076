//! Vectors of x86-64.

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
