//! Claims about netwright as a whole, one file for each.

mod published_networks;
mod shared;
