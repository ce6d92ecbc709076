//! Small models on plain arrays: ridge regression, trees in forests and boosted, a Gaussian process. No tensors, no tape;
//! chance enters by a seed.

mod boosting;
mod cholesky;
mod design;
mod forest;
mod posterior;
mod process;
mod ridge;
mod tree;

pub use boosting::{Boosting, BoostingConfig};
pub use design::least_uncertain;
pub use forest::{Forest, ForestConfig, folds};
pub use posterior::{Kernel, Posterior};
pub use process::{Part, Process, Shape, Weights, moments, standardise};
pub use ridge::{Lambda, Ridge};
