//! Claims about netwright as a whole, one file for each.

#[cfg(feature = "train")]
mod all_spaces;
#[cfg(feature = "train")]
mod bad_input;
#[cfg(feature = "train")]
mod benchmarks;
mod cli;
#[cfg(feature = "train")]
mod compile;
#[cfg(feature = "train")]
mod data_sets;
#[cfg(feature = "train")]
mod device;
#[cfg(feature = "train")]
mod fuzz;
#[cfg(feature = "train")]
mod fuzz_entries;
#[cfg(feature = "train")]
mod generate;
#[cfg(feature = "train")]
mod gnn_study;
#[cfg(feature = "train")]
mod label;
#[cfg(feature = "train")]
mod latent;
mod layers;
#[cfg(feature = "train")]
mod pick;
#[cfg(feature = "train")]
mod predictors;
mod program;
#[cfg(feature = "train")]
mod proxies;
mod published_networks;
#[cfg(feature = "train")]
mod resume;
mod shared;
#[cfg(feature = "train")]
mod small_run;
#[cfg(feature = "train")]
mod space_search;
#[cfg(feature = "train")]
mod spaces;
#[cfg(feature = "train")]
mod table_search;
#[cfg(feature = "train")]
mod tables;
mod targets;
#[cfg(feature = "train")]
mod training_extras;
#[cfg(feature = "train")]
mod warm_start;
