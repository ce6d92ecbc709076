//! Data sets: readers for class folders and IDX files, a built-in procedural set, splits, augmentation and batches.
//!
//! Everything ends in a [`Dataset`] of three parts that share no image, with pixels as bytes in memory. Tensors belong to
//! the rooms that train.

mod augment;
mod batch;
mod collection;
mod contact_sheet;
mod dataset;
mod decode;
mod error;
mod folders;
mod idx;
mod images;
mod listing;
mod parts;
mod shrink;
mod split;
mod stream;
mod transform;

pub use augment::Augment;
pub use batch::{epoch_order, fill_batch};
pub use contact_sheet::contact_sheet;
pub use dataset::{Dataset, OpenOptions};
pub use error::DataError;
pub use images::Images;
pub use parts::BuiltIn;
pub use transform::Transform;
