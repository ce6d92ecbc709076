//! Signed distances to outlines in the plane, negative inside. After Inigo Quilez, "2D distance functions"
//! (<https://iquilezles.org/articles/distfunctions2d/>), with additions, products, quotients and roots only.

use std::f32::consts::{FRAC_PI_2, PI};

/// A point, x to the right and y down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub x: f32,
    pub y: f32,
}

impl Point {
    pub const fn new(x: f32, y: f32) -> Self {
        Point { x, y }
    }

    pub fn length(self) -> f32 {
        (self.x * self.x + self.y * self.y).sqrt()
    }

    pub fn minus(self, other: Point) -> Self {
        Point::new(self.x - other.x, self.y - other.y)
    }
}

/// A disc around the origin.
pub(super) fn disc(p: Point, radius: f32) -> f32 {
    p.length() - radius
}

/// A ring around the origin between two radii.
pub(super) fn ring(p: Point, inner: f32, outer: f32) -> f32 {
    (p.length() - (inner + outer) / 2.0).abs() - (outer - inner) / 2.0
}

/// A rectangle from one corner to the opposite one.
pub(super) fn rectangle(p: Point, from: Point, to: Point) -> f32 {
    let x = (p.x - (from.x + to.x) / 2.0).abs() - (to.x - from.x) / 2.0;
    let y = (p.y - (from.y + to.y) / 2.0).abs() - (to.y - from.y) / 2.0;
    Point::new(x.max(0.0), y.max(0.0)).length() + x.max(y).min(0.0)
}

/// A line with round ends.
pub(super) fn line(p: Point, from: Point, to: Point, thickness: f32) -> f32 {
    let (p, along) = (p.minus(from), to.minus(from));
    let t = ((p.x * along.x + p.y * along.y) / (along.x * along.x + along.y * along.y)).clamp(0.0, 1.0);
    Point::new(p.x - t * along.x, p.y - t * along.y).length() - thickness / 2.0
}

/// A regular hexagon around the origin with the given distance from its middle to its sides.
pub(super) fn hexagon(p: Point, to_side: f32) -> f32 {
    const HALF_ROOT_3: f32 = 0.866_025_4;
    let (x, y) = (p.x.abs(), p.y.abs());
    y.max(HALF_ROOT_3 * x + 0.5 * y) - to_side
}

/// A wave of period 1 between -1 and 1, made of straight lines; -1 at whole numbers.
pub(super) fn zigzag(x: f32) -> f32 {
    1.0 - 4.0 * (x - x.floor() - 0.5).abs()
}

/// The direction of a point in turns, -0.5..0.5, to about 0.0003.
pub(super) fn turns(p: Point) -> f32 {
    let (x, y) = (p.x.abs(), p.y.abs());
    let ratio = x.min(y) / x.max(y).max(1e-9);
    // The arc tangent on 0..1 as a polynomial: Abramowitz and Stegun, 4.4.49 cut after the fifth power and refitted.
    let squared = ratio * ratio;
    let mut angle = ((-0.046_496_5 * squared + 0.159_314_22) * squared - 0.327_622_76) * squared * ratio + ratio;
    if y > x {
        angle = FRAC_PI_2 - angle;
    }
    if p.x < 0.0 {
        angle = PI - angle;
    }
    (if p.y < 0.0 { -angle } else { angle }) / (2.0 * PI)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_negative_inside_and_right_on_the_axes() {
        let at = |x| Point::new(x, 0.0);
        assert_eq!(disc(at(3.0), 1.0), 2.0);
        assert_eq!([ring(at(0.0), 1.0, 2.0), ring(at(1.5), 1.0, 2.0), ring(at(3.0), 1.0, 2.0)], [1.0, -0.5, 1.0]);
        let corners = (Point::new(-1.0, -2.0), Point::new(1.0, 2.0));
        assert_eq!([rectangle(at(0.0), corners.0, corners.1), rectangle(at(4.0), corners.0, corners.1)], [-1.0, 3.0]);
        assert_eq!(rectangle(Point::new(4.0, 6.0), corners.0, corners.1), 5.0);
        assert_eq!(line(at(4.0), at(0.0), at(2.0), 1.0), 1.5);
        assert!(hexagon(at(0.9), 1.0) < 0.0 && hexagon(at(1.2), 1.0) > 0.0);
        assert_eq!([zigzag(0.0), zigzag(0.25), zigzag(0.5), zigzag(-0.25)], [-1.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn turns_follow_the_arc_tangent() {
        for i in 0..1000 {
            let angle = (i as f32 - 499.5) / 1000.0;
            let (y, x) = (angle * 2.0 * PI).sin_cos();
            assert!((turns(Point::new(3.0 * x, 3.0 * y)) - angle).abs() < 5e-4, "{angle}");
        }
    }
}
