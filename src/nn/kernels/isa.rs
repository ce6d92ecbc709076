//! Which vector instructions this machine has, chosen once at run time, so that one binary serves every machine.

use std::cell::Cell;
use std::sync::OnceLock;

/// A set of vector instructions that the kernels were written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    Avx512,
    Avx2,
    Neon,
    Scalar,
}

thread_local! {
    static FORCED: Cell<Option<Isa>> = const { Cell::new(None) };
}

/// The instruction set that kernels on this thread use.
pub fn current() -> Isa {
    FORCED.get().unwrap_or_else(best)
}

/// Makes kernels on this thread use `isa`, or the best one again; for tests. An instruction set that the machine lacks
/// is a panic here rather than an illegal instruction later.
pub fn force(isa: Option<Isa>) {
    assert!(isa.is_none_or(|isa| available().contains(&isa)), "this machine lacks {isa:?}");
    FORCED.set(isa);
}

/// Every instruction set that this machine can run, the best one first.
pub fn available() -> Vec<Isa> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            found.push(Isa::Avx512);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            found.push(Isa::Avx2);
        }
    }
    #[cfg(target_arch = "aarch64")]
    found.push(Isa::Neon);
    found.push(Isa::Scalar);
    found
}

fn best() -> Isa {
    static BEST: OnceLock<Isa> = OnceLock::new();
    *BEST.get_or_init(|| available()[0])
}

/// Compiles the generic `#[inline(always)]` function `$body` once per instruction set and defines `$name`, which calls
/// the one for this machine. This is the only way into code that uses vector instructions.
macro_rules! on_each_isa {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) = $body:ident) => {
        $(#[$doc])*
        $vis fn $name($($arg: $type),*) {
            use $crate::nn::kernels::isa::{self, Isa};
            use $crate::nn::kernels::simd;
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            fn avx512($($arg: $type),*) {
                $body::<simd::Avx512>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) {
                $body::<simd::Avx2>($($arg),*)
            }
            match isa::current() {
                // SAFETY: `current` only answers with instruction sets that this machine has.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2($($arg),*) },
                #[cfg(target_arch = "aarch64")]
                Isa::Neon => $body::<simd::Neon>($($arg),*),
                _ => $body::<simd::Scalar>($($arg),*),
            }
        }
    };
}
pub(super) use on_each_isa;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Runs `claim` once with each instruction set of this machine.
    pub fn each(mut claim: impl FnMut(Isa)) {
        for isa in available() {
            force(Some(isa));
            claim(isa);
        }
        force(None);
    }

    #[test]
    fn the_last_resort_is_always_available() {
        assert_eq!(available().last(), Some(&Isa::Scalar));
    }
}
