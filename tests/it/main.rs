//! Claims about netwright as a whole, one file for each.

mod cli;
#[cfg(feature = "train")]
mod compile;
mod layers;
mod program;
mod published_networks;
#[cfg(feature = "train")]
mod resume;
mod shared;
#[cfg(feature = "train")]
mod small_run;
#[cfg(feature = "train")]
mod table_search;
