//! What spaces share whose networks are a chain of layers with one choice each.

use rand::Rng;

use super::{Dag, Genotype, SpaceError};

/// Kinds of a [`Dag`]'s node: input, output, then the choices.
const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const FIRST_CHOICE: u8 = 2;

/// A chain of layers. A genotype has a symbol for each, less than its number of choices.
pub(super) struct Chain {
    pub space: &'static str,
    /// Number of choices of each layer, at least two.
    pub choices: Vec<u8>,
}

impl Chain {
    pub fn size(&self) -> f64 {
        self.choices.iter().map(|choices| f64::from(*choices)).product()
    }

    pub fn sample(&self, rng: &mut impl Rng) -> Genotype {
        self.choices.iter().map(|choices| rng.random_range(0..*choices)).collect::<Vec<u8>>().into()
    }

    /// Gives each layer another choice with probability `rate`, at least one.
    pub fn mutate(&self, genotype: &Genotype, rate: f64, rng: &mut impl Rng) -> Genotype {
        loop {
            let change = |(symbol, choices): (&u8, &u8)| match rng.random_bool(rate) {
                true => (symbol + rng.random_range(1..*choices)) % choices,
                false => *symbol,
            };
            let mutant: Vec<u8> = genotype.symbols().iter().zip(&self.choices).map(change).collect();
            if mutant != genotype.symbols() {
                return mutant.into();
            }
        }
    }

    pub fn vocabulary(&self) -> usize {
        usize::from(FIRST_CHOICE) + usize::from(self.choices.iter().copied().max().unwrap_or(0))
    }

    pub fn dag(&self, genotype: &Genotype) -> Dag {
        let layers = genotype.symbols().iter().map(|symbol| FIRST_CHOICE + symbol);
        let kinds: Vec<u8> = std::iter::once(INPUT).chain(layers).chain([OUTPUT]).collect();
        let edges = (1..kinds.len()).map(|at| (at - 1, at)).collect();
        Dag { kinds, edges }
    }

    pub fn genotype_of(&self, dag: &Dag) -> Result<Genotype, SpaceError> {
        let refused = SpaceError::Dag { space: self.space };
        let kinds = dag.kinds.get(1..=self.choices.len()).ok_or(refused.clone())?;
        let symbol = |(kind, choices): (&u8, &u8)| kind.checked_sub(FIRST_CHOICE).filter(|symbol| symbol < choices);
        let symbols: Option<Vec<u8>> = kinds.iter().zip(&self.choices).map(symbol).collect();
        symbols.map(Genotype::from).filter(|found| self.dag(found) == *dag).ok_or(refused)
    }
}

/// Takes each layer from one parent or the other.
pub(super) fn cross(a: &Genotype, b: &Genotype, rng: &mut impl Rng) -> Genotype {
    let pick = |(a, b): (&u8, &u8)| if rng.random_bool(0.5) { *a } else { *b };
    a.symbols().iter().zip(b.symbols()).map(pick).collect::<Vec<u8>>().into()
}
