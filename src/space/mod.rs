//! Search spaces: genotypes, sampling, mutation, crossover, and the two pictures of a genotype, [`Dag`] and `Graph`.

mod dag;

pub use dag::Dag;
