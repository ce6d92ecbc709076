//! Readers of files from anywhere meet damaged ones: each answers or refuses, none panics. A short check of a minute's
//! worth of luck; `NETWRIGHT_FUZZ=1000000 cargo test --release --test it fuzz::` takes as many inputs for each reader, and
//! `fuzz/` has the same readers for cargo-fuzz.

use std::io::{Cursor, Write};

use netwright::graph::{Weights, deployable};
use netwright::space::{MacroConfig, MacroSpace};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::fuzz_entries;

/// Damages valid inputs, each differently, and hands them to a reader.
fn fuzz(read: fn(&[u8]), inputs: usize, seeds: &[Vec<u8>]) {
    let asked = std::env::var("NETWRIGHT_FUZZ").ok().and_then(|n| n.parse().ok());
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    seeds.iter().for_each(|seed| read(seed));
    for _ in 0..asked.unwrap_or(inputs) {
        let mut bytes = seeds[rng.random_range(0..seeds.len())].clone();
        for _ in 0..rng.random_range(1..5) {
            damage(&mut bytes, seeds, &mut rng);
        }
        read(&bytes);
    }
    if let (Some(_), Some((_, peak))) = (asked, netwright::measure::memory_bytes()) {
        assert!(peak < 1 << 30, "a long check took {peak} bytes of memory");
    }
}

/// One of the ways in which files break, or are made to.
fn damage(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..=bytes.len());
    let end = (at + rng.random_range(1..9)).min(bytes.len());
    match rng.random_range(0..8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => bytes[at..end].iter_mut().for_each(|byte| *byte = rng.random()),
        3 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 1 << rng.random_range(0..8)),
        // Sizes and counts at the ends of their ranges.
        4 => bytes[at..end].fill([0, 1, 0x7f, 0x80, 0xff][rng.random_range(0..5)]),
        5 => drop(bytes.splice(at..at, (0..rng.random_range(1..20)).map(|_| rng.random::<u8>()).collect::<Vec<_>>())),
        // What is there, once more: keys, records and fields that come twice.
        6 => {
            let again = bytes[at..(at + rng.random_range(1..200)).min(bytes.len())].to_vec();
            drop(bytes.splice(at..at, again));
        }
        _ => {
            let other = &seeds[rng.random_range(0..seeds.len())];
            bytes.truncate(at);
            bytes.extend_from_slice(&other[rng.random_range(0..=other.len())..]);
        }
    }
}

#[test]
fn damaged_profiles_are_refused() {
    let host = include_bytes!("../../targets/host.yaml").to_vec();
    let all = "name: all\nnumbers: int8\nlimits:\n  peak_ram: 320 KiB\n  weights_flash: 1 MiB\n  macs: 15 M\n  \
        latency: 50 ms\n  latency_percentile: 90\n";
    let anchors = "name: &a x\nlimits: &l {macs: 1 M}\ndescription: *a\n".to_string();
    fuzz(fuzz_entries::profile, 10_000, &[host, all.into(), anchors.into()]);
}

#[test]
fn damaged_idx_files_are_refused() {
    let images: Vec<u8> = [0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0, 5].into_iter().chain(0..120).collect();
    let labels = [0, 0, 8, 1, 0, 0, 0, 6, 1, 0, 1, 0, 1, 0];
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&images).expect("memory is writable");
    let packed = gz.finish().expect("memory is writable");
    let seeds = [[&[0], images.as_slice()].concat(), [&[0], packed.as_slice()].concat(), [&[1], &labels[..]].concat()];
    fuzz(fuzz_entries::idx, 20_000, &seeds);
}

#[test]
fn damaged_cifar_files_are_refused() {
    let records =
        |labels: usize| -> Vec<u8> { (0..6).flat_map(|i| [vec![i % 2; labels], vec![i * 3; 3072]].concat()).collect() };
    let names = b"\x02airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n".to_vec();
    let seeds = [[&[0], records(1).as_slice()].concat(), [&[1], records(2).as_slice()].concat(), names];
    fuzz(fuzz_entries::cifar, 5_000, &seeds);
}

#[test]
fn damaged_numpy_archives_are_refused() {
    let seeds = [
        archive(CompressionMethod::Stored, "|u1", &(0..48).collect::<Vec<u8>>(), "(6, 2, 4)"),
        archive(CompressionMethod::Deflated, "<f4", &[0; 4 * 72], "(6, 2, 2, 3)"),
        archive(CompressionMethod::Deflated, ">i2", &[0; 2 * 72], "(6, 3, 2, 2)"),
    ];
    fuzz(fuzz_entries::npz, 20_000, &seeds);
}

/// An archive with images of this type and these dimensions, and six labels.
fn archive(method: CompressionMethod, kind: &str, images: &[u8], dims: &str) -> Vec<u8> {
    let npy = |kind: &str, dims: &str, values: &[u8]| {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {dims}, }}\n");
        [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
    };
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in
        [("x_train.npy", npy(kind, dims, images)), ("y_train.npy", npy("|u1", "(6,)", &[0, 1, 0, 1, 0, 1]))]
    {
        let options = SimpleFileOptions::default().compression_method(method);
        archive.start_file(name, options).expect("memory is writable");
        archive.write_all(&array).expect("memory is writable");
    }
    archive.finish().expect("memory is writable").into_inner()
}

#[test]
fn damaged_models_are_refused() {
    let config = MacroConfig { width: 0.25, head: 32, classes: 4, ..MacroConfig::default() };
    let space = MacroSpace::new(config).expect("the space is valid");
    let model = |genotype| {
        let graph = space.lower(&space.parse(genotype).expect("it is a genotype"));
        let weights = Weights::init(&graph, &mut netwright::seed::stream(1, "weights", 0));
        let deployed = deployable(&graph);
        netwright::onnx::encode(&deployed.graph, &deployed.weights(&weights), &Default::default())
    };
    let seeds = [model("100000-100000-100000-100000-100000"), model("000001-010000-100000-000110-000001")];
    fuzz(fuzz_entries::model, 1_500, &seeds);
}
