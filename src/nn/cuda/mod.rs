//! Training on an NVIDIA GPU. A graph becomes a list of commands (`lowering`, `forward`, `backward`, `step`) over buffers
//! that share one piece of memory (`arena`); a [`Session`] records them once and replays them for every step of an epoch,
//! without a word from the host. Kernels are CUDA C++ in `kernels.cu`, compiled on the machine they run on; matrix products
//! are cuBLAS's. All but the driver calls in `gpu` is independent of CUDA, and tests run it with emulated kernels.

#[cfg(not(feature = "cuda"))]
mod absent;
mod arena;
mod backend;
mod backward;
mod check;
mod check_graphs;
mod command;
mod dense;
#[cfg(test)]
mod emulated;
mod form;
mod forward;
#[cfg(feature = "cuda")]
mod gpu;
mod lowering;
mod session;
mod step;
mod tile;

#[cfg(not(feature = "cuda"))]
pub use absent::{Gpu, Lane};
pub use backend::{Backend, BackendError};
pub use check::{Check, check};
pub use check_graphs::{every_operator_together, operator_graphs};
#[cfg(test)]
pub use emulated::Emulated;
#[cfg(feature = "cuda")]
pub use gpu::{Gpu, Lane};
pub use session::{DeviceImages, Epoch, EpochSums, Session, State, logits_on};
pub use step::StepSettings;

/// The kernels' source.
#[cfg(any(feature = "cuda", test))]
const KERNELS_SOURCE: &str = include_str!("kernels.cu");

/// How maps are kept and multiplied on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Floats throughout: slow matrix products, to check the others against.
    F32,
    /// Floats; matrix products round their factors to 10 bits of mantissa (TF32).
    #[default]
    Tf32,
    /// bfloat16 maps with float sums, parameters and optimiser.
    Bf16,
}

/// Names of the kernels in the source.
#[cfg(any(feature = "cuda", test))]
fn kernel_names() -> Vec<String> {
    let name = |rest: &str| rest.split('(').next().unwrap_or_default().to_string();
    let plain = KERNELS_SOURCE.split("__global__ void ").skip(1).map(name).filter(|name| !name.contains('#'));
    let tiled = KERNELS_SOURCE.lines().filter_map(|line| line.strip_prefix("DEPTHWISE("));
    let tiled = tiled.flat_map(|sizes| {
        let sizes: Vec<&str> = sizes.split(", ").collect();
        ["depthwise", "depthwise_weight"].map(|name| format!("{name}_{}_{}", sizes[0], sizes[1]))
    });
    plain.chain(tiled).collect()
}
