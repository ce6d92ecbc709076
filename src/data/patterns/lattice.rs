//! Random numbers at the knots of a square grid: soft noise and the cells around jittered points.

use rand::RngCore;

use crate::data::stream::uniform;

/// Knots along a side; the grid repeats beyond.
const KNOTS: i32 = 16;

/// Two random numbers at every knot, 0 to 1.
#[derive(Debug, Clone)]
pub(super) struct Lattice {
    values: Vec<(f32, f32)>,
}

/// The cell that a point lies in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    /// Distance to its point, in knots.
    pub distance: f32,
    /// Distance to the point of the next cell, less that.
    pub to_border: f32,
    /// A random number of the cell, 0 to 1.
    pub number: f32,
}

impl Lattice {
    pub fn draw(rng: &mut impl RngCore) -> Self {
        let mut number = || uniform(rng, 0.0, 1.0);
        Lattice { values: (0..KNOTS * KNOTS).map(|_| (number(), number())).collect() }
    }

    fn knot(&self, column: i32, row: i32) -> (f32, f32) {
        self.values[(row.rem_euclid(KNOTS) * KNOTS + column.rem_euclid(KNOTS)) as usize]
    }

    /// Soft noise from 0 to 1, a knot at every whole number.
    pub fn noise(&self, x: f32, y: f32) -> f32 {
        let (column, row) = (x.floor(), y.floor());
        let soft = |t: f32| t * t * (3.0 - 2.0 * t);
        let (u, v) = (soft(x - column), soft(y - row));
        let value = |dx: i32, dy: i32| self.knot(column as i32 + dx, row as i32 + dy).0;
        let upper = value(0, 0) + (value(1, 0) - value(0, 0)) * u;
        let lower = value(0, 1) + (value(1, 1) - value(0, 1)) * u;
        upper + (lower - upper) * v
    }

    /// The cell of a point: each knot has a point somewhere in the square after it (Worley, 1996).
    pub fn cell(&self, x: f32, y: f32) -> Cell {
        let (column, row) = (x.floor() as i32, y.floor() as i32);
        let (mut nearest, mut next, mut number) = (f32::MAX, f32::MAX, 0.0);
        for (dx, dy) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy))) {
            let (jitter_x, jitter_y) = self.knot(column + dx, row + dy);
            let (to_x, to_y) = ((column + dx) as f32 + jitter_x - x, (row + dy) as f32 + jitter_y - y);
            let distance = (to_x * to_x + to_y * to_y).sqrt();
            if distance < nearest {
                (next, nearest) = (nearest, distance);
                number = (jitter_x * 7.0 + jitter_y * 13.0) % 1.0;
            } else if distance < next {
                next = distance;
            }
        }
        Cell { distance: nearest, to_border: next - nearest, number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::stream::{Purpose, stream};

    #[test]
    fn noise_passes_through_its_knots_and_stays_between_them() {
        let lattice = Lattice::draw(&mut stream(1, Purpose::Texture, (0, 0)));
        assert_eq!(lattice.noise(3.0, 5.0), lattice.knot(3, 5).0);
        assert_eq!(lattice.noise(3.0, 5.0), lattice.noise(3.0 + KNOTS as f32, 5.0 - KNOTS as f32));
        let values: Vec<f32> = (0..1000).map(|i| lattice.noise(i as f32 * 0.137, i as f32 * 0.071)).collect();
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
    }

    #[test]
    fn a_cell_is_that_of_the_nearest_point() {
        let lattice = Lattice::draw(&mut stream(2, Purpose::Texture, (0, 0)));
        let (jitter_x, jitter_y) = lattice.knot(4, 4);
        let cell = lattice.cell(4.0 + jitter_x, 4.0 + jitter_y);
        assert!(cell.distance < 1e-5 && cell.to_border > 0.0, "{cell:?}");
    }
}
