//! Search spaces: genotypes, sampling, mutation, crossover, and the two pictures of a genotype: the [`Dag`] that a
//! predictor sees and the `Graph` that runs. Nothing else makes either of them from a genotype.

mod any;
mod blocks;
mod cell_101;
mod chain;
mod choices;
mod codec;
mod dag;
mod enas6;
mod genotype;
mod macro_space;
mod mobilenet_v3;
mod nas_bench_101;
mod nas_bench_macro;
mod nats_cell;
mod nats_sss;
mod nats_tss;
mod task;

pub use any::Space;
pub use codec::{Codec, Edge};
pub use dag::Dag;
pub use enas6::{Enas6, Enas6Config};
pub use genotype::Genotype;
pub use macro_space::{LayerConfig, MacroConfig, MacroSpace, PartMemo};
pub use mobilenet_v3::{MobileNetV3, MobileNetV3Config};
pub use nas_bench_101::{NasBench101, NasBench101Config};
pub use nas_bench_macro::NasBenchMacro;
pub use nats_cell::NatsOperation;
pub use nats_sss::NatsSss;
pub use nats_tss::{NatsTss, NatsTssConfig};
pub use task::Task;

/// What a benchmark says a network costs, by the benchmark's own way of counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Operations, which the benchmarks call FLOPs; a multiply-accumulate is one.
    pub flops: u64,
    /// Trained parameters.
    pub params: u64,
}

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
    /// No space has this name.
    #[error("no search space `{name}`\nhint: spaces are {}", Space::NAMES.join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// The space has no decode direction.
    #[error(
        "networks of space `{space}` cannot be decoded from a latent space\nhint: spaces with a codec are {}",
        Codec::SPACES.join(", ")
    )]
    NoCodec {
        /// The space.
        space: &'static str,
    },
    /// A `Dag` that no genotype has.
    #[error("the graph is not a network of space `{space}`")]
    Dag {
        /// The space.
        space: &'static str,
    },
}
