//! More procedural sets, of other kinds than the built-in parts: textures, which have no outline, and glyphs, which have
//! nothing else. They are there so that what learns across data sets meets more than one kind of them.
//!
//! As in [`super::parts`], only operations that round the same everywhere are used.

mod glyph;
mod lattice;
mod texture;

use rand::RngCore;
use rayon::prelude::*;

use super::stream::{Purpose, chance, stream, uniform};
use super::{BuiltIn, Images};
use crate::graph::Shape;
use glyph::Glyph;
use texture::Texture;

/// A kind of pictures that are drawn from a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Even coverings of the picture, such as bricks, dots and cracks: what counts is the small scale.
    Textures,
    /// Signs of a few strokes, thick or thin, turned a little, before strokes of others: what counts is the large scale.
    Glyphs,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 2] = [Family::Textures, Family::Glyphs];

    /// The name in lists of tasks.
    pub fn name(self) -> &'static str {
        match self {
            Family::Textures => "textures",
            Family::Glyphs => "glyphs",
        }
    }

    /// The kind of a name.
    pub fn named(name: &str) -> Option<Family> {
        Family::ALL.into_iter().find(|family| family.name() == name)
    }

    pub(super) fn class_names(self) -> Vec<String> {
        match self {
            Family::Textures => Texture::ALL.iter().map(|texture| texture.name().to_string()).collect(),
            Family::Glyphs => (0..Glyph::KINDS).map(|kind| format!("glyph-{kind:02}")).collect(),
        }
    }

    /// How much of the foreground there is at points of a picture, 0 to 1; (0, 0) to (1, 1).
    fn cover(self, class: usize, rng: &mut impl RngCore) -> Box<dyn Fn(f32, f32) -> f32> {
        match self {
            Family::Textures => Texture::ALL[class].draw(rng),
            Family::Glyphs => glyph::scene(class, rng),
        }
    }
}

type Colour = [f32; 3];

/// Samples along a pixel's side.
const SAMPLES: usize = 2;
/// Least difference in brightness between foreground and background.
const LEAST_CONTRAST: f32 = 0.2;

/// Training, validation and test part of a family; the classes take turns.
pub(super) fn draw(family: Family, options: &BuiltIn, side: usize) -> [Images; 3] {
    [(0, options.train), (1, options.validation), (2, options.test)].map(|(part, n)| {
        let shape = Shape::new(3, side, side);
        let classes = family.class_names().len();
        let mut pixels = vec![0; n * shape.elements()];
        pixels.par_chunks_exact_mut(shape.elements()).enumerate().for_each(|(i, out)| {
            let purpose = match family {
                Family::Textures => Purpose::Texture,
                Family::Glyphs => Purpose::Glyph,
            };
            paint(family, i % classes, side, &mut stream(options.seed, purpose, (part, i as u64)), out);
        });
        Images::new(shape, pixels, (0..n).map(|i| i % classes).collect())
    })
}

/// One picture, (channel, row, column).
fn paint(family: Family, class: usize, side: usize, rng: &mut impl RngCore, out: &mut [u8]) {
    let (back, front) = colours(rng);
    let cover = family.cover(class, rng);
    let (slope_x, slope_y) = (uniform(rng, -0.25, 0.25), uniform(rng, -0.25, 0.25));
    let noise = uniform(rng, 0.01, 0.09);
    let step = 1.0 / (side * SAMPLES) as f32;
    for row in 0..side {
        for column in 0..side {
            let mut share = 0.0;
            for sample in 0..SAMPLES * SAMPLES {
                let x = ((column * SAMPLES + sample % SAMPLES) as f32 + 0.5) * step;
                let y = ((row * SAMPLES + sample / SAMPLES) as f32 + 0.5) * step;
                share += cover(x, y) / (SAMPLES * SAMPLES) as f32;
            }
            let at = |place: usize| place as f32 / side as f32 - 0.5;
            let light = 1.0 + slope_x * at(column) + slope_y * at(row);
            for channel in 0..3 {
                let value = light * (back[channel] + (front[channel] - back[channel]) * share);
                let value = value + noise * (uniform(rng, -1.0, 1.0) + uniform(rng, -1.0, 1.0));
                out[(channel * side + row) * side + column] = (value * 255.0 + 0.5).clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// Background and foreground; in a third of the pictures grey.
fn colours(rng: &mut impl RngCore) -> (Colour, Colour) {
    let brightness = |c: Colour| 0.3 * c[0] + 0.59 * c[1] + 0.11 * c[2];
    let is_grey = chance(rng, 0.33);
    loop {
        let mut colour = || {
            let grey = uniform(rng, 0.05, 0.95);
            if is_grey { [grey; 3] } else { [0; 3].map(|_| uniform(rng, 0.05, 0.95)) }
        };
        let (back, front) = (colour(), colour());
        if (brightness(back) - brightness(front)).abs() >= LEAST_CONTRAST {
            return (back, front);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::data::Dataset;

    const SMALL: BuiltIn = BuiltIn { seed: 3, train: 96, validation: 32, test: 32 };

    #[test]
    fn families_are_the_same_everywhere_and_for_ever() {
        let digest = |family| Dataset::procedural(family, &SMALL, 24).digest[..16].to_string();
        // A change here changes the data sets that shipped models learned from.
        assert_eq!(Family::ALL.map(digest), ["a86d8a44761d7978", "fe6fee8cae6bdb47"]);
    }

    #[test]
    fn classes_are_balanced_and_no_picture_is_drawn_twice() {
        for family in Family::ALL {
            let set = Dataset::procedural(family, &SMALL, 16);
            assert_eq!(set.classes, family.class_names());
            assert!(set.classes.is_sorted() && set.classes.len() == 16);
            assert!((0..16).all(|class| set.train.labels().iter().filter(|l| **l == class).count() == 6));
            let parts = [&set.train, &set.validation, &set.test];
            let different: HashSet<&[u8]> = parts.iter().flat_map(|p| (0..p.len()).map(|i| p.pixels(i))).collect();
            assert_eq!(different.len(), 160);
        }
    }

    #[test]
    fn names_read_back() {
        assert!(Family::ALL.iter().all(|family| Family::named(family.name()) == Some(*family)));
        assert_eq!(Family::named("parts"), None);
    }
}
