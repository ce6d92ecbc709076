//! An IDX file of images or labels; what is done with it stands in `tests/it/fuzz_entries.rs`, which the short check shares.
#![no_main]

#[allow(dead_code)] // each target uses one of the entries
#[path = "../../tests/it/fuzz_entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::idx(data));
