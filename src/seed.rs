//! Randomness by purpose: every stream is derived from a seed, a purpose and an index, so that no part of a run shifts the
//! draws of another.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A seed for one purpose and index, derived from the seed of the run.
pub fn derive(seed: u64, purpose: &str, index: u64) -> u64 {
    let digest = Sha256::new()
        .chain_update(seed.to_le_bytes())
        .chain_update(index.to_le_bytes())
        .chain_update(purpose.as_bytes())
        .finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("a digest has more than eight bytes"))
}

/// A stream of random numbers for one purpose and index.
pub fn stream(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(derive(seed, purpose, index))
}
