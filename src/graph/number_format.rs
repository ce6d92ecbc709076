//! How numbers are stored on the device.

use std::fmt;

/// Format of activations and weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberFormat {
    /// 32-bit floating point.
    #[default]
    F32,
    /// 8-bit integers with a scale for each output channel; biases stay 32 bits wide.
    Int8,
}

impl NumberFormat {
    /// Bytes of one activation.
    pub fn activation_bytes(self) -> u64 {
        match self {
            NumberFormat::F32 => 4,
            NumberFormat::Int8 => 1,
        }
    }

    /// Bytes of stored weights: `weights` kernel values, `biases` per-channel values, `channels` quantised channels.
    pub fn stored_bytes(self, weights: u64, biases: u64, channels: u64) -> u64 {
        match self {
            NumberFormat::F32 => 4 * (weights + biases),
            NumberFormat::Int8 => weights + 4 * biases + 4 * channels,
        }
    }
}

impl fmt::Display for NumberFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            NumberFormat::F32 => "f32",
            NumberFormat::Int8 => "int8",
        })
    }
}
