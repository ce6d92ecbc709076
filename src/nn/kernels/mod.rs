//! The arithmetic of training on a CPU: forward and backward of every operator over flat `f32` buffers in NCHW order.
//!
//! Every function takes one block of `n` consecutive images and runs on the calling thread; the executor spreads blocks
//! over threads. The instruction set is chosen at run time (`isa`). Results depend on the instruction set and on how
//! the batch was cut into blocks, never on threads. What is not here: memory planning, autograd, statistics across
//! blocks.

// The arguments of an operator are its geometry and its buffers; a struct per operator would only rename them.
#![allow(clippy::too_many_arguments)]
// Arrays that live in registers are walked by index: an iterator's closure would not be compiled with the vector
// instructions of the function it stands in.
#![allow(clippy::needless_range_loop)]

pub mod adamw;
pub mod batch_norm;
mod bundle;
pub mod dense;
pub mod depthwise;
mod destination;
pub mod elementwise;
pub mod isa;
pub mod linear;
pub mod matrix;
pub mod messages;
mod plan;
pub mod pointwise;
pub mod pool;
pub mod recurrent;
#[cfg(test)]
mod reference;
mod scratch;
pub mod sgd;
mod simd;
mod window;

pub use scratch::Scratch;
pub use window::Window;
