//! Signs of a few strokes. Sixteen are fixed for ever; a picture shows one of them larger and whole, before strokes of
//! others.

use rand::RngCore;

use super::texture::direction;
use crate::data::stream::{Purpose, stream, uniform};

/// A stroke from one point to another.
type Stroke = [(f32, f32); 2];

/// A sign in the square from -1 to 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Glyph {
    strokes: Vec<Stroke>,
}

/// Points that strokes run between: a grid of three by three.
const PLACES: u32 = 9;

impl Glyph {
    /// Number of different signs.
    pub const KINDS: usize = 16;

    /// A sign: four strokes, each from where the last one ended to a place that is not there yet.
    fn of(kind: usize) -> Self {
        let mut rng = stream(0, Purpose::GlyphKind, (kind as u64, 0));
        let place = |number: u32| ((number % 3) as f32 - 1.0, (number / 3) as f32 - 1.0);
        let mut at = rng.next_u32() % PLACES;
        let mut strokes: Vec<Stroke> = Vec::new();
        while strokes.len() < 4 {
            let to = rng.next_u32() % PLACES;
            let stroke = [place(at), place(to)];
            let is_there = strokes.iter().any(|[a, b]| [*a, *b] == stroke || [*b, *a] == stroke);
            if to != at && !is_there {
                strokes.push(stroke);
                at = to;
            }
        }
        Glyph { strokes }
    }

    /// Distance from a point to the nearest stroke.
    fn distance(&self, x: f32, y: f32) -> f32 {
        let to = |[(ax, ay), (bx, by)]: &Stroke| {
            let (dx, dy) = (bx - ax, by - ay);
            let along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
            let (px, py) = (x - ax - along * dx, y - ay - along * dy);
            px * px + py * py
        };
        self.strokes.iter().map(to).fold(f32::MAX, f32::min).sqrt()
    }
}

/// A sign at its place in the unit square.
struct Placed {
    glyph: Glyph,
    centre: (f32, f32),
    /// From the picture to the sign: a turn of at most about 25 degrees, a size, a slant.
    axis: (f32, f32),
    size: f32,
    slant: f32,
    thickness: f32,
}

impl Placed {
    fn draw(kind: usize, shift: f32, size: f32, rng: &mut impl RngCore) -> Self {
        let tilt = uniform(rng, -0.45, 0.45);
        let length = (1.0 + tilt * tilt).sqrt();
        let (away_x, away_y) = direction(rng);
        Placed {
            glyph: Glyph::of(kind),
            centre: (0.5 + shift * away_x, 0.5 + shift * away_y),
            axis: (1.0 / length, tilt / length),
            size,
            slant: uniform(rng, -0.25, 0.25),
            thickness: uniform(rng, 0.1, 0.22),
        }
    }

    fn covers(&self, x: f32, y: f32) -> bool {
        let (x, y) = ((x - self.centre.0) / self.size, (y - self.centre.1) / self.size);
        let (x, y) = (x * self.axis.0 + y * self.axis.1, y * self.axis.0 - x * self.axis.1);
        self.glyph.distance(x + self.slant * y, y) < self.thickness
    }
}

/// A picture of a sign: the foreground's share at points of the unit square.
pub(super) fn scene(kind: usize, rng: &mut impl RngCore) -> Box<dyn Fn(f32, f32) -> f32> {
    let (shift, size) = (uniform(rng, 0.0, 0.1), uniform(rng, 0.24, 0.34));
    let main = Placed::draw(kind, shift, size, rng);
    let others: Vec<Placed> = (0..rng.next_u32() % 3)
        .map(|_| {
            let other = rng.next_u32() as usize % Glyph::KINDS;
            let (shift, size) = (uniform(rng, 0.5, 0.65), uniform(rng, 0.16, 0.26));
            Placed::draw(other, shift, size, rng)
        })
        .collect();
    Box::new(move |x, y| {
        if main.covers(x, y) {
            1.0
        } else if others.iter().any(|other| other.covers(x, y)) {
            0.7
        } else {
            0.0
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_different() {
        let all: Vec<Glyph> = (0..Glyph::KINDS).map(Glyph::of).collect();
        for (i, a) in all.iter().enumerate() {
            for b in &all[..i] {
                let grid = (0..400).map(|at| ((at % 20) as f32 / 10.0 - 1.0, (at / 20) as f32 / 10.0 - 1.0));
                let differ = grid.filter(|(x, y)| (a.distance(*x, *y) < 0.2) != (b.distance(*x, *y) < 0.2)).count();
                assert!(differ > 20, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_stroke_is_near_its_ends_and_its_middle() {
        let glyph = Glyph { strokes: vec![[(-1.0, 0.0), (1.0, 0.0)]] };
        assert_eq!(
            [(-1.0, 0.0), (0.0, 0.0), (0.5, 0.25), (1.0, 0.5)].map(|(x, y)| glyph.distance(x, y)),
            [0.0, 0.0, 0.25, 0.5]
        );
    }
}
