//! The parts and their shapes: outline and engraving, about 1 in size, around the origin.

use rand::RngCore;

use super::outline::{Point, disc, hexagon, line, rectangle, ring, turns, zigzag};
use crate::data::stream::{chance, uniform};

/// A class of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bearing,
    Bolt,
    BracketL,
    BracketU,
    BracketZ,
    CrossScrew,
    GearCoarse,
    GearFine,
    HexNut,
    Rivet,
    SlottedScrew,
    SnapRing,
    Spring,
    SquareNut,
    TPiece,
    Washer,
}

impl Kind {
    /// All classes in the order of their names.
    pub const ALL: [Kind; 16] = [
        Kind::Bearing,
        Kind::Bolt,
        Kind::BracketL,
        Kind::BracketU,
        Kind::BracketZ,
        Kind::CrossScrew,
        Kind::GearCoarse,
        Kind::GearFine,
        Kind::HexNut,
        Kind::Rivet,
        Kind::SlottedScrew,
        Kind::SnapRing,
        Kind::Spring,
        Kind::SquareNut,
        Kind::TPiece,
        Kind::Washer,
    ];

    /// Name of the class.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bearing => "bearing",
            Kind::Bolt => "bolt",
            Kind::BracketL => "bracket L",
            Kind::BracketU => "bracket U",
            Kind::BracketZ => "bracket Z",
            Kind::CrossScrew => "cross screw",
            Kind::GearCoarse => "gear, coarse",
            Kind::GearFine => "gear, fine",
            Kind::HexNut => "hex nut",
            Kind::Rivet => "rivet",
            Kind::SlottedScrew => "slotted screw",
            Kind::SnapRing => "snap ring",
            Kind::Spring => "spring",
            Kind::SquareNut => "square nut",
            Kind::TPiece => "t-piece",
            Kind::Washer => "washer",
        }
    }
}

/// One part: its class and what varies within the class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    kind: Kind,
    /// Width of a ring, an arm or a wire, from thin (0) to thick (1).
    width: f32,
    /// Other proportions, 0..1.
    ratio: f32,
    /// A small step of a count: teeth, coils, balls.
    count: f32,
    /// Whether arms have holes at their ends.
    holes: bool,
}

/// Where a point lies: signed distances to the outline and to what is engraved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surface {
    pub body: f32,
    pub engraving: f32,
}

/// No engraving is near.
const PLAIN: f32 = 9.0;

impl Part {
    /// A part of a class.
    pub fn draw(kind: Kind, rng: &mut impl RngCore) -> Self {
        let (width, ratio) = (uniform(rng, 0.0, 1.0), uniform(rng, 0.0, 1.0));
        Part { kind, width, ratio, count: uniform(rng, 0.0, 3.0).floor(), holes: chance(rng, 0.5) }
    }

    /// Where a point lies.
    pub fn surface(&self, p: Point) -> Surface {
        let plain = |body| Surface { body, engraving: PLAIN };
        match self.kind {
            Kind::Bearing => self.bearing(p),
            Kind::Bolt => self.bolt(p, true),
            Kind::Rivet => self.bolt(p, false),
            Kind::BracketL => self.arms(p, &[(-0.8, -0.8, -0.8, 0.7), (-0.8, 0.7, self.mix(0.4, 0.85), 0.7)]),
            Kind::TPiece => self.arms(p, &[(-0.85, -0.6, 0.85, -0.6), (0.0, -0.6, 0.0, self.mix(0.5, 0.85))]),
            Kind::BracketU => self.bracket(p, 1.0),
            Kind::BracketZ => self.bracket(p, -1.0),
            Kind::CrossScrew => self.screw(p, true),
            Kind::SlottedScrew => self.screw(p, false),
            Kind::GearCoarse => self.gear(p, 8.0 + self.count),
            Kind::GearFine => self.gear(p, 13.0 + self.count),
            Kind::HexNut => plain(hexagon(p, 0.86).max(-disc(p, self.hole()))),
            Kind::SquareNut => {
                plain(rectangle(p, Point::new(-0.78, -0.78), Point::new(0.78, 0.78)).max(-disc(p, self.hole())))
            }
            Kind::SnapRing => {
                let gap =
                    rectangle(p, Point::new(0.0, -0.14 - 0.16 * self.ratio), Point::new(2.0, 0.14 + 0.16 * self.ratio));
                plain(ring(p, self.hole() + 0.12, 0.92).max(-gap))
            }
            Kind::Spring => plain(self.spring(p)),
            Kind::Washer => plain(ring(p, self.hole() + 0.06 * self.ratio, 0.92)),
        }
    }

    fn mix(&self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.ratio
    }

    /// Radius of a hole.
    fn hole(&self) -> f32 {
        0.58 - 0.2 * self.width
    }

    /// Two rings with balls between.
    fn bearing(&self, p: Point) -> Surface {
        let (inner, middle) = (0.3 + 0.08 * self.ratio, 0.64);
        let balls = 7.0 + self.count;
        let across = zigzag(turns(p) * balls + 0.5);
        // Around the middle circle a ball is a disc: half a period of the zigzag is π·middle / balls long.
        let beside = (1.0 - across) / 2.0 * std::f32::consts::PI * middle / balls;
        let ball = Point::new(beside, p.length() - middle).length() - 0.115;
        Surface { body: ring(p, inner, 0.95), engraving: ring(p, middle - 0.13, middle + 0.13).max(-ball) }
    }

    /// A head and a shaft, with a thread on the shaft or without.
    fn bolt(&self, p: Point, thread: bool) -> Surface {
        let (half, neck) = (0.17 + 0.08 * self.width, -0.55);
        let head = rectangle(p, Point::new(-0.95, -0.42), Point::new(neck, 0.42));
        let start = neck + 0.1 + 0.3 * self.ratio;
        let turns = (p.x - start + 0.35 * p.y) * (3.4 + 0.4 * self.count);
        let notch = if thread && p.x > start { 0.05 * (1.0 - zigzag(turns)) } else { 0.03 };
        let shaft = rectangle(p, Point::new(neck - 0.1, -half - 0.03), Point::new(0.95, half + 0.03)) + notch;
        let groove = (zigzag(turns) + 0.45) * 0.09;
        let engraving = if thread { groove.max(start - p.x).max(p.y.abs() - half) } else { PLAIN };
        Surface { body: head.min(shaft), engraving }
    }

    /// Straight arms from (x, y) to (x, y).
    fn arms(&self, p: Point, arms: &[(f32, f32, f32, f32)]) -> Surface {
        let thickness = 0.3 + 0.16 * self.width;
        let (mut body, mut engraving) = (PLAIN, PLAIN);
        for (x0, y0, x1, y1) in arms {
            body = body.min(line(p, Point::new(*x0, *y0), Point::new(*x1, *y1), thickness));
            if self.holes {
                engraving = engraving.min(disc(p.minus(Point::new(*x1, *y1)), 0.1));
            }
        }
        Surface { body, engraving }
    }

    /// A long arm with a short one at each end, both on one side (1) or on opposite sides (-1). Any small piece of one is
    /// found in the other as well.
    fn bracket(&self, p: Point, side: f32) -> Surface {
        let reach = self.mix(0.5, 0.75);
        // The two bent arms of the U lie around the middle, as those of the Z do.
        let y = if side > 0.0 { -reach / 2.0 } else { 0.0 };
        let end = |side: f32| y + side * reach;
        self.arms(p, &[(-0.72, y, 0.72, y), (-0.72, y, -0.72, end(1.0)), (0.72, y, 0.72, end(side))])
    }

    fn screw(&self, p: Point, cross: bool) -> Surface {
        let (long, half) = (0.55 + 0.2 * self.ratio, 0.1 + 0.04 * self.width);
        let slot = rectangle(p, Point::new(-long, -half), Point::new(long, half));
        let second = rectangle(p, Point::new(-half, -long), Point::new(half, long));
        Surface { body: disc(p, 0.9), engraving: if cross { slot.min(second) } else { slot } }
    }

    fn gear(&self, p: Point, teeth: f32) -> Surface {
        let tooth = (1.6 * zigzag(turns(p) * teeth)).clamp(-1.0, 1.0);
        // The outline is steep at a tooth's flank: the difference of radii is too long for a distance there.
        let outline = 0.7 * (p.length() - 0.82 - 0.12 * tooth);
        Surface { body: outline.max(-disc(p, self.hole() - 0.2)), engraving: PLAIN }
    }

    fn spring(&self, p: Point) -> f32 {
        let coils = 3.0 + self.count;
        let height = 0.32 + 0.14 * self.ratio;
        let slope = 4.0 * height * coils / 1.8;
        let wave = p.y - height * zigzag((p.x + 0.9) / 1.8 * coils);
        let wire = wave.abs() / (1.0 + slope * slope).sqrt() - 0.075 - 0.03 * self.width;
        wire.max(p.x.abs() - 0.92)
    }
}
