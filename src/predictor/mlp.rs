//! A plain network on the columns of a sample: two hidden layers.

use candle_core::{D, Result, Tensor, Var};

use super::dense::{Dense, TapedDense};

/// Weights, layer after layer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mlp {
    layers: Vec<Dense>,
}

impl Mlp {
    /// Random weights for rows of `columns` values and two hidden layers of `width` units.
    pub(super) fn random(columns: usize, width: usize, rng: &mut impl rand::Rng) -> Mlp {
        let sizes = [columns, width, width, 1];
        Mlp { layers: sizes.windows(2).map(|size| Dense::random(size[0], size[1], size[0], rng)).collect() }
    }

    /// One output per row.
    pub(super) fn apply(&self, rows: &[f32]) -> Vec<f32> {
        let (last, first) = self.layers.split_last().expect("there are three layers");
        let hidden = first.iter().fold(rows.to_vec(), |rows, layer| {
            let mut values = layer.apply(&rows);
            values.iter_mut().for_each(|value| *value = value.max(0.0));
            values
        });
        last.apply(&hidden)
    }
}

/// The network with gradients.
pub(super) struct TapedMlp {
    layers: Vec<TapedDense>,
}

impl TapedMlp {
    pub(super) fn of(mlp: &Mlp) -> Result<TapedMlp> {
        Ok(TapedMlp { layers: mlp.layers.iter().map(TapedDense::of).collect::<Result<_>>()? })
    }

    pub(super) fn variables(&self) -> Vec<Var> {
        self.layers.iter().flat_map(|layer| layer.variables()).collect()
    }

    pub(super) fn plain(&self) -> Result<Mlp> {
        Ok(Mlp { layers: self.layers.iter().map(TapedDense::plain).collect::<Result<_>>()? })
    }

    /// (rows, columns) to (rows).
    pub(super) fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        let (last, first) = self.layers.split_last().expect("there are three layers");
        let hidden = first.iter().try_fold(rows.clone(), |rows, layer| layer.forward(&rows)?.relu())?;
        last.forward(&hidden)?.squeeze(D::Minus1)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn fast_inference_is_the_tape_s_forward() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mlp = Mlp::random(9, 16, &mut rng);
        let rows: Vec<f32> = (0..45).map(|_| rng.random_range(-1.0..1.0)).collect();
        let taped = TapedMlp::of(&mlp).unwrap();
        let taped = taped.forward(&Tensor::from_slice(&rows, (5, 9), &Device::Cpu).unwrap()).unwrap();
        let taped: Vec<f32> = taped.to_vec1().unwrap();
        assert!(mlp.apply(&rows).iter().zip(&taped).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
