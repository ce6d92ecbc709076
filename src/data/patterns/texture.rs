//! Sixteen textures. Each is turned, scaled and shifted at random, so that only its kind tells it.

use rand::RngCore;

use super::lattice::Lattice;
use crate::data::stream::uniform;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texture {
    Bricks,
    Cells,
    Checks,
    Clouds,
    Cracks,
    Dots,
    Grain,
    Lattice,
    Pebbles,
    Plaid,
    Rings,
    Scales,
    Stripes,
    Triangles,
    Waves,
    Zigzag,
}

use Texture::*;

impl Texture {
    /// By name.
    pub const ALL: [Texture; 16] = [
        Bricks, Cells, Checks, Clouds, Cracks, Dots, Grain, Lattice, Pebbles, Plaid, Rings, Scales, Stripes, Triangles,
        Waves, Zigzag,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Bricks => "bricks",
            Cells => "cells",
            Checks => "checks",
            Clouds => "clouds",
            Cracks => "cracks",
            Dots => "dots",
            Grain => "grain",
            Lattice => "lattice",
            Pebbles => "pebbles",
            Plaid => "plaid",
            Rings => "rings",
            Scales => "scales",
            Stripes => "stripes",
            Triangles => "triangles",
            Waves => "waves",
            Zigzag => "zigzag",
        }
    }

    /// The foreground's share at points of the unit square.
    pub fn draw(self, rng: &mut impl RngCore) -> Box<dyn Fn(f32, f32) -> f32> {
        let frame = Frame::draw(rng);
        let noise = super::lattice::Lattice::draw(rng);
        Box::new(move |x, y| {
            let (u, v) = frame.at(x, y);
            self.at(u, v, &noise)
        })
    }

    /// The share at a point, in periods of the texture.
    fn at(self, u: f32, v: f32, noise: &Lattice) -> f32 {
        let wave = |t: f32| 4.0 * (t - t.floor() - 0.5).abs() - 1.0;
        let inside = |t: f32| f32::from(t > 0.0);
        let fraction = |t: f32| t - t.floor();
        let disc = |u: f32, v: f32, radius: f32| {
            let (a, b) = (fraction(u) - 0.5, fraction(v) - 0.5);
            inside(radius * radius - a * a - b * b)
        };
        match self {
            Bricks => {
                let shift = if v.floor() as i32 % 2 == 0 { 0.0 } else { 0.5 };
                inside((fraction(u / 2.0 + shift) - 0.06).min(fraction(v) - 0.12))
            }
            Cells => noise.cell(u, v).number,
            Checks => inside(wave(u / 2.0) * wave(v / 2.0)),
            Clouds => noise.noise(u, v),
            Cracks => inside(0.12 - noise.cell(u, v).to_border),
            Dots => disc(u, v, 0.3),
            Grain => noise.noise(u * 6.0, v * 6.0),
            Lattice => inside((0.16 - fraction(u)).max(0.16 - fraction(v))),
            Pebbles => (1.0 - noise.cell(u, v).distance * 1.4).max(0.0),
            Plaid => 0.5 * inside(wave(u)) + 0.5 * inside(wave(v)),
            Rings => {
                let (a, b) = (fraction(u / 2.0) - 0.5, fraction(v / 2.0) - 0.5);
                inside(wave(6.0 * (a * a + b * b).sqrt()))
            }
            Scales => {
                let shift = if v.floor() as i32 % 2 == 0 { 0.0 } else { 0.5 };
                let (a, b) = (fraction(u + shift) - 0.5, fraction(v));
                1.0 - ((a * a + b * b).sqrt() / 0.75).min(1.0)
            }
            Stripes => inside(wave(u)),
            Triangles => inside(wave(u / 1.5) + wave(v / 1.5) + wave((u + v) / 1.5)),
            Waves => inside(wave(u + 1.2 * noise.noise(u / 2.0, v / 2.0))),
            Zigzag => inside(wave(u + 0.4 * wave(v))),
        }
    }
}

/// Turn, period and place of a texture.
#[derive(Debug, Clone, Copy)]
struct Frame {
    axis: (f32, f32),
    /// Periods in the picture, along both axes.
    periods: (f32, f32),
    place: (f32, f32),
}

impl Frame {
    fn draw(rng: &mut impl RngCore) -> Self {
        let axis = direction(rng);
        let periods = uniform(rng, 2.5, 5.5);
        let stretch = uniform(rng, 0.85, 1.15);
        let place = (uniform(rng, 20.0, 30.0), uniform(rng, 20.0, 30.0));
        Frame { axis, periods: (periods, periods * stretch), place }
    }

    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        let (a, b) = self.axis;
        ((x * a + y * b) * self.periods.0 + self.place.0, (y * a - x * b) * self.periods.1 + self.place.1)
    }
}

/// A direction at random, by rejection: no sine.
pub(super) fn direction(rng: &mut impl RngCore) -> (f32, f32) {
    loop {
        let (x, y) = (uniform(rng, -1.0, 1.0), uniform(rng, -1.0, 1.0));
        let length = (x * x + y * y).sqrt();
        if (0.1..=1.0).contains(&length) {
            return (x / length, y / length);
        }
    }
}
