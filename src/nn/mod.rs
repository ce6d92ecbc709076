//! Where candle enters: a [`Net`] is a `Graph` made executable (planned forward and backward over flat buffers, one
//! candle custom operator), with its kernels, its optimiser and the settings of the runtime.

// Kernels name their arguments by their shapes; loops over fixed-size register blocks read best with indices.
#[allow(missing_docs, clippy::needless_range_loop, clippy::single_range_in_vec_init)]
pub mod kernels;
mod net;
mod network_op;
mod plan;
pub mod runtime;
mod sgd;
mod state;

pub use net::Net;
pub use network_op::{NetworkOp, cross_entropy};
pub use sgd::Sgd;
