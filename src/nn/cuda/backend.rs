//! What the engine needs of a device: memory, copies, and a program that was recorded once and runs many times.

use super::command::{Call, MatrixProduct};

/// What a device fails with, in the driver's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{doing}: {reason}")]
pub struct BackendError {
    /// What was tried.
    pub doing: String,
    /// What the driver said.
    pub reason: String,
}

/// One command with all addresses known.
#[derive(Debug, Clone, PartialEq)]
pub enum Ready {
    /// A kernel and its arguments, eight bytes each, the value in the first ones.
    Kernel(Call, Vec<u64>),
    /// A matrix product and the addresses of its three matrices.
    Product(MatrixProduct, [u64; 3]),
}

/// A queue of work on a device. Work runs in the order in which it was queued; copies to the host wait for it.
pub trait Backend {
    /// Commands that were recorded.
    type Program;
    /// Bytes of one stored value of a map: 4, or 2 for bfloat16.
    fn stored_bytes(&self) -> usize;
    /// Memory filled with zeros; its address is a multiple of 256.
    fn allocate(&self, bytes: usize) -> Result<u64, BackendError>;
    /// Gives memory back after all queued work.
    fn free(&self, address: u64);
    /// Copies to the device.
    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), BackendError>;
    /// Copies from the device, after all queued work.
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), BackendError>;
    /// Records commands; they may run in the course of it, on whatever the memory holds.
    fn record(&self, commands: Vec<Ready>) -> Result<Self::Program, BackendError>;
    /// Queues one run of a program.
    fn run(&self, program: &Self::Program) -> Result<(), BackendError>;
    /// Whether all queued work is done.
    fn is_idle(&self) -> Result<bool, BackendError>;
    /// Waits for all queued work.
    fn wait(&self) -> Result<(), BackendError>;
}
