//! A number predicted from a point of the latent space.

use super::tape::{Id, Tape};
use super::weights::{Block, WeightLayout};

/// Weights of a predictor: two layers of units, smooth because a search climbs along their gradient.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Head {
    first: (Block, Block),
    second: (Block, Block),
    output: (Block, Block),
}

impl Head {
    /// From so many inputs through two layers of so many units.
    pub fn new(layout: &mut WeightLayout, name: &str, inputs: usize, units: usize) -> Self {
        let mut layer = |part: &str, inputs: usize, outputs: usize| {
            let name = format!("{name}.{part}");
            (layout.map(&name, inputs, outputs), layout.bias(&format!("{name}_bias"), outputs))
        };
        Head {
            first: layer("first", inputs, units),
            second: layer("second", units, units),
            output: layer("output", units, 1),
        }
    }

    /// Predicts zero everywhere until it has learned.
    pub fn begin_at_zero(&self, weights: &mut [f32]) {
        self.output.0.of_mut(weights).fill(0.0);
    }

    /// (points, 1), standardised.
    pub fn apply(&self, tape: &mut Tape, points: Id) -> Id {
        let mut units = points;
        for (map, bias) in [self.first, self.second] {
            let sums = tape.linear(units, map, Some(bias), None);
            units = tape.tanh(sums);
        }
        tape.linear(units, self.output.0, Some(self.output.1), None)
    }
}
