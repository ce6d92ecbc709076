//! A GPU in a build without CUDA: a type of which there is no value, so that nobody else must ask how this was built.

use super::backend::{Backend, BackendError, Ready};

/// A GPU that this build cannot drive.
#[derive(Debug, Clone)]
pub enum Gpu {}

/// A queue of work on it.
#[derive(Debug)]
pub enum Lane {}

impl Gpu {
    /// The name of the card.
    pub fn name(&self) -> &str {
        match *self {}
    }

    /// Free and total memory in bytes.
    ///
    /// # Errors
    /// If the driver fails.
    pub fn memory(&self) -> Result<(usize, usize), BackendError> {
        match *self {}
    }

    /// A queue of its own.
    ///
    /// # Errors
    /// If the driver fails.
    pub fn lane(&self) -> Result<Lane, BackendError> {
        match *self {}
    }
}

impl Backend for Lane {
    type Program = ();

    fn stored_bytes(&self) -> usize {
        match *self {}
    }

    fn allocate(&self, _: usize) -> Result<u64, BackendError> {
        match *self {}
    }

    fn free(&self, _: u64) {
        match *self {}
    }

    fn write(&self, _: u64, _: &[u8]) -> Result<(), BackendError> {
        match *self {}
    }

    fn read(&self, _: u64, _: &mut [u8]) -> Result<(), BackendError> {
        match *self {}
    }

    fn record(&self, _: Vec<Ready>) -> Result<(), BackendError> {
        match *self {}
    }

    fn run(&self, (): &()) -> Result<(), BackendError> {
        match *self {}
    }

    fn is_idle(&self) -> Result<bool, BackendError> {
        match *self {}
    }

    fn wait(&self) -> Result<(), BackendError> {
        match *self {}
    }
}
