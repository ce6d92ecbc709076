//! The shape of one value in a network, without the batch.

use std::fmt;

/// Channels, height and width of a feature map; a vector has height and width 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// A feature map.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Shape { channels, height, width }
    }

    /// A vector.
    pub const fn vector(channels: usize) -> Self {
        Shape::new(channels, 1, 1)
    }

    /// Number of values.
    pub const fn elements(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Number of values in one channel.
    pub const fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Whether it is a vector.
    pub const fn is_vector(&self) -> bool {
        self.height == 1 && self.width == 1
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.is_vector() {
            true => format!("{}", self.channels),
            false => format!("{}×{}×{}", self.channels, self.height, self.width),
        };
        f.pad(&text)
    }
}
