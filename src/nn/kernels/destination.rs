//! Where results go: a plain output, or a gradient that is masked by a rectification and may add up.

use std::ops::Range;

use super::simd::Simd;

/// Receives values `v`: `to = v`, or `to += v` with `accumulate`, with `v = 0` where `relu_of` is not positive.
pub(super) struct Destination<'a> {
    pub to: &'a mut [f32],
    relu_of: Option<&'a [f32]>,
    accumulate: bool,
}

impl<'a> Destination<'a> {
    pub fn plain(to: &'a mut [f32]) -> Destination<'a> {
        Destination { to, relu_of: None, accumulate: false }
    }

    /// A destination whose mask, if any, is as long as itself.
    pub fn gradient(to: &'a mut [f32], relu_of: Option<&'a [f32]>, accumulate: bool) -> Destination<'a> {
        assert!(relu_of.is_none_or(|x| x.len() == to.len()), "a mask has the shape of what it masks");
        Destination { to, relu_of, accumulate }
    }

    /// Whether values are stored as they are.
    pub fn is_plain(&self) -> bool {
        self.relu_of.is_none() && !self.accumulate
    }

    /// Receives a run of values.
    #[inline(always)]
    pub fn combine<S: Simd>(&mut self, range: Range<usize>, values: &[f32]) {
        let relu_of = self.relu_of.map(|x| &x[range.clone()]);
        let to = &mut self.to[range];
        match (relu_of, self.accumulate) {
            (None, false) => to.copy_from_slice(&values[..to.len()]),
            (None, true) => to.iter_mut().zip(values).for_each(|(to, v)| *to += v),
            (Some(x), false) => {
                to.iter_mut().zip(values).zip(x).for_each(|((to, v), x)| *to = if *x > 0.0 { *v } else { 0.0 })
            }
            (Some(x), true) => {
                to.iter_mut().zip(values).zip(x).for_each(|((to, v), x)| *to += if *x > 0.0 { *v } else { 0.0 })
            }
        }
    }

    /// Receives the first `count` lanes of a vector.
    ///
    /// # Safety
    /// `count` places must follow `at`, and the caller must be compiled by `on_each_isa!`.
    #[inline(always)]
    pub unsafe fn put<S: Simd>(&mut self, at: usize, v: S::V, count: usize) {
        unsafe {
            let to = self.to.as_mut_ptr().add(at);
            if count == S::LANES {
                let v = match self.relu_of {
                    None => v,
                    Some(x) => S::where_positive(S::load(x.as_ptr().add(at)), v),
                };
                S::store(to, if self.accumulate { S::add(S::load(to), v) } else { v });
            } else {
                let v = match self.relu_of {
                    None => v,
                    Some(x) => S::where_positive(S::load_part(x.as_ptr().add(at), count), v),
                };
                S::store_part(to, if self.accumulate { S::add(S::load_part(to, count), v) } else { v }, count);
            }
        }
    }
}
