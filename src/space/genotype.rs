//! A point of a search space.

/// A point of a search space: one small symbol for each position, whose meaning the space knows. Genotypes made by a
/// space are canonical: equal networks have equal genotypes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Genotype(pub Box<[u8]>);

impl Genotype {
    /// Its first positions: the network of a space that has no more of them.
    pub fn first(&self, positions: usize) -> Genotype {
        Genotype(self.0[..positions.min(self.0.len())].into())
    }

    /// The symbols, one for each position.
    pub fn symbols(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Genotype {
    fn from(symbols: Vec<u8>) -> Self {
        Genotype(symbols.into())
    }
}
