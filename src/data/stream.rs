//! Streams of random numbers: one for each purpose and position, so that no result depends on what ran before it.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream is drawn for. The numbers are part of every seed's meaning: never reuse one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// A picture of the built-in set, at (part of the set, index).
    Picture = 1,
    /// Which images of a class go to which part, at (class).
    Split = 2,
    /// Which images of a class are kept under a limit, at (class).
    Limit = 3,
    /// The order of the images in an epoch, at (epoch).
    Order = 4,
    /// How an image is augmented, at (epoch, image).
    Augment = 5,
    /// A texture, at (part of the set, index).
    Texture = 6,
    /// A picture of a glyph, at (part of the set, index).
    Glyph = 7,
    /// A glyph itself, at (glyph).
    GlyphKind = 8,
}

/// The stream of `purpose` at a position.
pub(super) fn stream(seed: u64, purpose: Purpose, position: (u64, u64)) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, position.0, position.1]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A number from `low` to `high`, made from 24 random bits by operations that round the same on every machine.
pub(super) fn uniform(rng: &mut impl RngCore, low: f32, high: f32) -> f32 {
    low + (high - low) * ((rng.next_u32() >> 8) as f32 / (1 << 24) as f32)
}

/// Whether something that happens with `probability` happens.
pub(super) fn chance(rng: &mut impl RngCore, probability: f32) -> bool {
    uniform(rng, 0.0, 1.0) < probability
}
