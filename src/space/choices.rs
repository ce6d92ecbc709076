//! A genotype as a row of choices of equal standing, each with so many options: what a controller writes one after another,
//! and what a local search changes one at a time.

use super::cell_101::Cell101;
use super::{Genotype, MacroSpace, Space};

/// Operations of a layer of the macro space, each of which is in or out.
const BITS: u8 = 6;
/// Inner vertices of a cell of NAS-Bench-101, whose symbols begin at one; zero is a vertex that is not there.
const VERTICES_101: usize = 5;
const OPERATIONS_101: u8 = 3;
const EDGES_101: usize = 21;
const LAYERS_ENAS: usize = 6;
const EDGES_ENAS: usize = 15;

impl Space {
    /// Number of options of each choice.
    pub fn choices(&self) -> Vec<u8> {
        match self {
            Space::Macro(space) => space.choices(),
            Space::NasBench101(_) => [vec![OPERATIONS_101; VERTICES_101], vec![2; EDGES_101]].concat(),
            Space::NasBenchMacro(_) => vec![3; 8],
            Space::NatsSss(_) => vec![8; 5],
            Space::NatsTss(_) => vec![5; 6],
            Space::Enas6(_) => [vec![6; LAYERS_ENAS], vec![2; EDGES_ENAS]].concat(),
            Space::MobileNetV3(space) => space.choices(),
        }
    }

    /// The options that were chosen in a genotype. A vertex of NAS-Bench-101 that is not there counts as its first
    /// operation, without edges.
    pub fn choices_of(&self, genotype: &Genotype) -> Vec<u8> {
        match self {
            Space::Macro(space) => space.choices_of(genotype),
            Space::NasBench101(_) => {
                let (operations, edges) = genotype.symbols().split_at(VERTICES_101);
                operations.iter().map(|symbol| symbol.saturating_sub(1)).chain(edges.iter().copied()).collect()
            }
            Space::NasBenchMacro(_) | Space::NatsSss(_) | Space::NatsTss(_) | Space::Enas6(_) => {
                genotype.symbols().to_vec()
            }
            Space::MobileNetV3(space) => space.choices_of(genotype),
        }
    }

    /// The canonical genotype of these options, if they make a network that the space draws.
    ///
    /// # Panics
    /// If there are not as many options as choices.
    pub fn assemble(&self, options: &[u8]) -> Option<Genotype> {
        assert_eq!(options.len(), self.choices().len(), "one option for each choice");
        match self {
            Space::Macro(space) => space.assemble(options),
            Space::NasBench101(_) => {
                let (operations, edges) = options.split_at(VERTICES_101);
                let symbols: Vec<u8> =
                    operations.iter().map(|option| option + 1).chain(edges.iter().copied()).collect();
                let cell = Cell101::of_symbols(&symbols).pruned().filter(Cell101::keeps_limits)?;
                Some(cell.canonical().symbols().into())
            }
            Space::NatsTss(space) => {
                let genotype = Genotype::from(options.to_vec());
                space.is_connected(&genotype).then(|| space.canonical(&genotype))
            }
            Space::NasBenchMacro(space) => Some(space.canonical(&options.to_vec().into())),
            Space::NatsSss(_) | Space::Enas6(_) => Some(options.to_vec().into()),
            Space::MobileNetV3(space) => Some(space.assemble(options)),
        }
    }
}

impl MacroSpace {
    /// Number of options of each choice: every operation of every layer is in or out.
    pub fn choices(&self) -> Vec<u8> {
        vec![2; self.config().layers.len() * usize::from(BITS)]
    }

    /// Which operations a genotype has.
    pub fn choices_of(&self, genotype: &Genotype) -> Vec<u8> {
        genotype.symbols().iter().flat_map(|symbol| (0..BITS).map(move |bit| symbol >> bit & 1)).collect()
    }

    /// The genotype with these operations, if no layer is empty.
    pub fn assemble(&self, options: &[u8]) -> Option<Genotype> {
        let symbol = |bits: &[u8]| bits.iter().rev().fold(0, |symbol, bit| symbol << 1 | bit);
        let symbols: Vec<u8> = options.chunks(usize::from(BITS)).map(symbol).collect();
        (!symbols.contains(&0)).then(|| symbols.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    #[test]
    fn choices_of_every_space_assemble_to_the_genotype_that_they_are_of() {
        for name in Space::NAMES {
            let space = Space::named(name).unwrap();
            let mut rng = seed::stream(1, "test", 0);
            for _ in 0..50 {
                let genotype = space.sample(&mut rng);
                let options = space.choices_of(&genotype);
                assert!(options.iter().zip(space.choices()).all(|(option, choices)| *option < choices), "{name}");
                assert_eq!(space.assemble(&options), Some(genotype), "{name}");
            }
        }
    }

    #[test]
    fn options_that_make_no_network_assemble_to_nothing() {
        let space = |name| Space::named(name).unwrap();
        assert_eq!(space("nats-tss").assemble(&[0; 6]), None, "no edge");
        assert_eq!(space("macro").assemble(&[0; 30]), None, "empty layers");
        assert_eq!(space("nas-bench-101").assemble(&[[0; 5].as_slice(), &[1; 21]].concat()), None, "21 edges");
    }
}
