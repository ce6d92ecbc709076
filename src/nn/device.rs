//! Where networks train: on the CPU, or on an NVIDIA GPU in builds that can.

use std::str::FromStr;

use super::cuda::{Gpu, Precision};

/// What a user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// A GPU if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU, or nothing.
    Cuda,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            "cuda" => Ok(DeviceChoice::Cuda),
            other => Err(format!("no device `{other}`: it is `auto`, `cpu` or `cuda`")),
        }
    }
}

/// Where a network trains.
#[derive(Debug, Clone)]
pub enum Device {
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU. There is no such value in a build without the `cuda` feature.
    Cuda(Gpu),
}

/// Why there is no GPU to train on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The program was built without it.
    #[error("this build has no CUDA\nhint: `cargo build --release --features cuda`, or `--device cpu`")]
    NotBuilt,
    /// The machine lacks something.
    #[error("no GPU to train on: {reason}\nhint: `--device cpu`")]
    NotFound {
        /// What is missing, in one line.
        reason: String,
    },
}

impl DeviceError {
    /// The reason alone, in one line.
    pub fn reason(&self) -> String {
        match self {
            DeviceError::NotBuilt => "this build has no CUDA".to_string(),
            DeviceError::NotFound { reason } => reason.clone(),
        }
    }
}

impl Device {
    /// The device for a choice, and why `auto` fell back to the CPU if it did.
    ///
    /// # Errors
    /// If a GPU was asked for and there is none.
    pub fn choose(choice: DeviceChoice, precision: Precision) -> Result<(Device, Option<DeviceError>), DeviceError> {
        match choice {
            DeviceChoice::Cpu => Ok((Device::Cpu, None)),
            DeviceChoice::Cuda => gpu(precision).map(|gpu| (Device::Cuda(gpu), None)),
            DeviceChoice::Auto => match gpu(precision) {
                Ok(gpu) => Ok((Device::Cuda(gpu), None)),
                Err(reason) => Ok((Device::Cpu, Some(reason))),
            },
        }
    }
}

#[cfg(feature = "cuda")]
fn gpu(precision: Precision) -> Result<Gpu, DeviceError> {
    Gpu::open(precision).map_err(|reason| DeviceError::NotFound { reason })
}

#[cfg(not(feature = "cuda"))]
fn gpu(_: Precision) -> Result<Gpu, DeviceError> {
    Err(DeviceError::NotBuilt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_falls_back_to_the_cpu_for_the_reason_that_cuda_fails_with() {
        let auto = Device::choose(DeviceChoice::Auto, Precision::Tf32).expect("auto always finds a device");
        match (auto, Device::choose(DeviceChoice::Cuda, Precision::Tf32)) {
            ((Device::Cpu, Some(why)), Err(error)) => assert_eq!(why, error),
            ((Device::Cuda(_), None), Ok((Device::Cuda(_), None))) => {}
            other => panic!("{other:?}"),
        }
        assert!(matches!(Device::choose(DeviceChoice::Cpu, Precision::Tf32), Ok((Device::Cpu, None))));
    }

    #[test]
    fn every_reason_is_one_line_and_every_error_has_a_hint() {
        let missing = DeviceError::NotFound { reason: "libcuda.so.1 is not on this machine".to_string() };
        for error in [DeviceError::NotBuilt, missing] {
            assert!(!error.reason().contains('\n') && error.to_string().contains("\nhint: `"));
        }
    }
}
