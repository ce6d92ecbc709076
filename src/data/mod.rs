//! Data sets: readers for class folders, IDX, CIFAR and NumPy files, a built-in procedural set, splits, augmentation and
//! batches; what is odd about a set; and fetching published ones, the only place that uses the network.
//!
//! Everything ends in a [`Dataset`] of three parts that share no image, with pixels as bytes in memory. Tensors belong to
//! the rooms that train.

mod augment;
mod batch;
mod cifar;
mod collection;
mod contact_sheet;
mod dataset;
mod decode;
mod error;
mod fetch;
mod folders;
mod format;
mod idx;
mod images;
mod inspection;
mod listing;
mod npy;
mod npz;
mod parts;
mod patterns;
mod raw;
mod resample;
mod shrink;
mod source;
mod split;
mod stream;
mod transform;

pub use augment::Augment;
pub use batch::{epoch_order, fill_batch};
pub use contact_sheet::contact_sheet;
pub use dataset::{Dataset, OpenOptions};
pub use error::DataError;
pub use fetch::{Fetching, Published, fetch};
pub use format::Format;
pub use images::Images;
pub use inspection::{ClassCounts, Inspection};
pub use parts::BuiltIn;
pub use patterns::Family;
pub use transform::Transform;
