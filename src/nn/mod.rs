//! Where candle enters: a [`Net`] is a `Graph` made executable (planned forward and backward over flat buffers, one
//! candle custom operator), with its kernels, its optimiser and the settings of the runtime.

pub mod cuda;
mod device;
mod kept;
// Kernels name their arguments by their shapes.
#[allow(missing_docs, clippy::single_range_in_vec_init)]
pub mod kernels;
mod net;
mod network_op;
mod optimiser;
mod plan;
pub mod runtime;
mod state;
mod windows;

pub use device::{Device, DeviceChoice, DeviceError};
pub use net::{Net, Workspace};
pub use network_op::{NetworkOp, cross_entropy, soft_cross_entropy};
pub use optimiser::{Method, Optimiser};
