//! NAS benchmarks as published, and tables of one's own: networks of a space with what was measured of them. Encodings of
//! networks that are a space's own, and hashes, belong to `space`.

mod cache;
mod encoding;
mod error;
mod hdf5;
mod metad2a;
mod nas_bench_101;
mod nats;
mod nats_cache;
mod nats_run;
mod pickle;
mod sheet;
mod table;
mod tfrecord;

pub use error::TabularError;
pub use metad2a::{CLASSES as METAD2A_CLASSES, MetaD2a, MetaD2aRecord};
pub use nas_bench_101::{Answer101, NasBench101};
pub use nats::{NatsBench, NatsSeed, Simulated};
pub use nats_cache::NatsCache;
pub use table::{Table, built_in_tables};
