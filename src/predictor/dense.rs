//! A dense layer twice: as plain arrays, and on candle's tape for training.

use candle_core::{Device, Result, Tensor, Var};
use rand::Rng;

use crate::nn::kernels::matrix::{Matrix, multiply};

/// An affine map from `inputs` to `outputs` values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dense {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// (inputs, outputs), rows one after another.
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Dense {
    /// Weights and biases uniform within ±1/√`fan` (PyTorch's start of linear layers and recurrent cells).
    pub(super) fn random(inputs: usize, outputs: usize, fan: usize, rng: &mut impl Rng) -> Dense {
        let bound = 1.0 / (fan as f32).sqrt();
        let mut draw = |count: usize| (0..count).map(|_| rng.random_range(-bound..bound)).collect();
        Dense { inputs, outputs, weight: draw(inputs * outputs), bias: draw(outputs) }
    }

    /// Maps rows of `inputs` values, one after another, to rows of `outputs` values.
    pub(super) fn apply(&self, rows: &[f32]) -> Vec<f32> {
        let count = rows.len() / self.inputs;
        let mut results = self.bias.repeat(count);
        add_product(&mut results, rows, &self.weight, self.inputs, self.outputs);
        results
    }
}

/// results (rows, outputs) += rows (rows, inputs) · weight (inputs, outputs), on one thread.
pub(super) fn add_product(results: &mut [f32], rows: &[f32], weight: &[f32], inputs: usize, outputs: usize) {
    let count = rows.len() / inputs;
    assert_eq!((rows.len(), weight.len()), (count * inputs, inputs * outputs), "a product of matching matrices");
    assert_eq!(results.len(), count * outputs, "one result per row and output");
    let (left, right) = (Matrix::new(count, inputs), Matrix::new(inputs, outputs));
    multiply((left, rows), (right, weight), true, (Matrix::new(count, outputs), results));
}

/// A dense layer whose weights candle's gradients reach.
pub(super) struct TapedDense {
    weight: Var,
    bias: Var,
}

impl TapedDense {
    pub(super) fn of(dense: &Dense) -> Result<TapedDense> {
        let weight = Var::from_slice(&dense.weight, (dense.inputs, dense.outputs), &Device::Cpu)?;
        let bias = Var::from_slice(&dense.bias, dense.outputs, &Device::Cpu)?;
        Ok(TapedDense { weight, bias })
    }

    /// (rows, inputs) to (rows, outputs).
    pub(super) fn forward(&self, rows: &Tensor) -> Result<Tensor> {
        rows.matmul(&self.weight)?.broadcast_add(&self.bias)
    }

    pub(super) fn variables(&self) -> [Var; 2] {
        [self.weight.clone(), self.bias.clone()]
    }

    /// The layer as plain arrays.
    pub(super) fn plain(&self) -> Result<Dense> {
        let (inputs, outputs) = self.weight.dims2()?;
        let weight = self.weight.flatten_all()?.to_vec1()?;
        Ok(Dense { inputs, outputs, weight, bias: self.bias.to_vec1()? })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_plain_layer_is_the_taped_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let dense = Dense::random(7, 5, 7, &mut rng);
        let rows: Vec<f32> = (0..21).map(|_| rng.random_range(-1.0..1.0)).collect();
        let taped = TapedDense::of(&dense).unwrap();
        let expected = taped.forward(&Tensor::from_slice(&rows, (3, 7), &Device::Cpu).unwrap()).unwrap();
        let expected: Vec<f32> = expected.flatten_all().unwrap().to_vec1().unwrap();
        assert!(dense.apply(&rows).iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
        assert_eq!(taped.plain().unwrap(), dense);
    }
}
