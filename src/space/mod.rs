//! Search spaces: genotypes, sampling, mutation, crossover, and the two pictures of a genotype: the [`Dag`] that a
//! predictor sees and the `Graph` that runs. Nothing else makes either of them from a genotype.

mod dag;
mod genotype;
mod macro_space;

pub use dag::Dag;
pub use genotype::Genotype;
pub use macro_space::{LayerConfig, MacroConfig, MacroSpace, PartMemo};

/// What a space refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// Parameters of a space that make no networks.
    #[error("space `{space}`: {reason}")]
    Config {
        /// The space.
        space: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A text that is no genotype.
    #[error("`{text}` is not a genotype: {reason}\nhint: write it like `{example}`")]
    Genotype {
        /// The text.
        text: String,
        /// What is wrong.
        reason: String,
        /// A genotype of the space.
        example: String,
    },
    /// A `Dag` that no genotype has.
    #[error("the graph is not a network of space `{space}`")]
    Dag {
        /// The space.
        space: &'static str,
    },
}
