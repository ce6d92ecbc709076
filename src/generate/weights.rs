//! The weights of a model: named matrices in one flat buffer, so that an optimiser step is one pass and a file one list.

use rand::Rng;

/// A matrix among the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub rows: usize,
    pub columns: usize,
    offset: usize,
}

impl Block {
    pub fn len(self) -> usize {
        self.rows * self.columns
    }

    pub fn of(self, values: &[f32]) -> &[f32] {
        &values[self.offset..][..self.len()]
    }

    pub fn of_mut(self, values: &mut [f32]) -> &mut [f32] {
        &mut values[self.offset..][..self.len()]
    }
}

/// Which matrices a model has, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct WeightLayout {
    named: Vec<(String, Block, Start)>,
    len: usize,
}

/// How a matrix begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Start {
    Zero,
    /// Uniform within ±√(3 / inputs): values keep their variance (LeCun and others, 1998).
    Uniform {
        inputs: usize,
    },
}

impl WeightLayout {
    /// A map from `rows` to `columns` values.
    pub fn map(&mut self, name: &str, rows: usize, columns: usize) -> Block {
        self.push(name, rows, columns, Start::Uniform { inputs: rows })
    }

    /// A row of `columns` values for each of `rows` names.
    pub fn table(&mut self, name: &str, rows: usize, columns: usize) -> Block {
        /// Rows are added to what maps give: they begin a good deal smaller.
        const QUIET: usize = 30;
        self.push(name, rows, columns, Start::Uniform { inputs: QUIET })
    }

    /// A row that begins at zero.
    pub fn bias(&mut self, name: &str, columns: usize) -> Block {
        self.push(name, 1, columns, Start::Zero)
    }

    fn push(&mut self, name: &str, rows: usize, columns: usize, start: Start) -> Block {
        let block = Block { rows, columns, offset: self.len };
        self.named.push((name.to_string(), block, start));
        self.len += block.len();
        block
    }

    /// Number of all weights.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn named(&self) -> impl Iterator<Item = (&str, Block)> {
        self.named.iter().map(|(name, block, _)| (name.as_str(), *block))
    }

    /// Where maps lie: what weight decay acts on.
    pub fn maps(&self) -> Vec<std::ops::Range<usize>> {
        let maps = self.named.iter().filter(|(_, block, _)| block.rows > 1);
        maps.map(|(_, block, _)| block.offset..block.offset + block.len()).collect()
    }

    /// Weights to begin with.
    pub fn random(&self, rng: &mut impl Rng) -> Vec<f32> {
        let mut weights = vec![0.0; self.len];
        for (_, block, start) in &self.named {
            if let Start::Uniform { inputs } = start {
                let bound = (3.0 / *inputs as f32).sqrt();
                block.of_mut(&mut weights).iter_mut().for_each(|w| *w = rng.random_range(-bound..bound));
            }
        }
        weights
    }
}
