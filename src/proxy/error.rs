//! Why a proxy was not computed.

use super::Proxy;
use crate::graph::Shape;

/// Why a proxy was not computed.
#[derive(Debug, thiserror::Error)]
// The messages name the fields.
#[allow(missing_docs)]
pub enum ProxyError {
    /// The name of no proxy.
    #[error("`{name}` is not a proxy\nhint: choose from {}", Proxy::ALL.map(Proxy::name).join(", "))]
    Unknown { name: String },
    /// Correlations need two images.
    #[error("a batch of {0} is too small for proxies\nhint: take 16 images or more")]
    TooFew(usize),
    /// Images of another shape than the network sees.
    #[error("the network takes images of {expected}, the batch has {found}")]
    Shape { expected: Shape, found: Shape },
    /// A label that the network cannot answer.
    #[error("the network tells {classes} classes apart, the batch has an image of class {label}, counted from 0")]
    Label { classes: usize, label: usize },
}
