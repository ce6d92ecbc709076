//! The published spaces against the published numbers of all their networks.

use std::path::{Path, PathBuf};

use netwright::graph::{Cost, Shape};
use netwright::space::{Genotype, MobileNetV3, MobileNetV3Config, Space, Task};
use netwright::stats::spearman;
use netwright::tabular::Table;

use crate::shared::shared;

fn folder(table: &str) -> Option<PathBuf> {
    shared(table).and_then(|path| path.parent().map(Path::to_path_buf))
}

fn table(name: &str, folder_name: &str) -> Option<Table> {
    folder(folder_name).map(|folder| Table::open(name, Some(&folder)).unwrap_or_else(|e| panic!("{e}")))
}

#[test]
fn all_4310_published_cells_of_nas_bench_101_have_their_published_parameters() {
    let Some(table) = table("nas-bench-101-energy", "nas-bench-101") else { return };
    let params = table.column("params").expect("a feature");
    assert_eq!(params.len(), 4_310);
    for (genotype, params) in table.genotypes().iter().zip(params) {
        let own = Cost::of(&table.space().lower(genotype)).params;
        assert_eq!(own as f64, *params, "{}", table.space().format(genotype));
    }
}

#[test]
fn hashes_of_all_published_cells_are_those_of_the_published_package() {
    use sha2::{Digest, Sha256};
    // SHA-256 of the hashes of all rows, one a line, by nasbench-pytorch 1.3.1.
    for (name, digest) in [
        ("nas-bench-101-energy", "8fec78017f22e5f67f3b5e6950a6ac87a416b91e2bf8df5a435a41e44fe79b94"),
        ("nas-bench-101-accuracies", "9ff38f4950a2f6e38126f6700d908541a566139d5cfc7c3cd0b37c997cd18e97"),
    ] {
        let Some(table) = table(name, "nas-bench-101") else { return };
        let Space::NasBench101(space) = table.space() else { panic!("the table's space") };
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let hashes: Vec<String> = table.genotypes().iter().map(|genotype| hex(&space.hash(genotype))).collect();
        assert_eq!(hex(&Sha256::digest(hashes.join("\n"))), digest, "{name}");
    }
}

#[test]
fn nas_bench_101_cells_have_one_canonical_form_for_one_hash() {
    let Some(energy) = table("nas-bench-101-energy", "nas-bench-101") else { return };
    let Some(accuracies) = table("nas-bench-101-accuracies", "nas-bench-101") else { return };
    let Space::NasBench101(space) = energy.space() else { panic!("the table's space") };
    assert_eq!(accuracies.genotypes().len(), 143);
    let mut by_hash = std::collections::HashMap::new();
    for genotype in energy.genotypes().iter().chain(accuracies.genotypes()) {
        let canonical = space.canonical(genotype);
        assert_eq!(space.hash(genotype), space.hash(&canonical));
        let first = by_hash.entry(space.hash(genotype)).or_insert_with(|| canonical.clone());
        assert_eq!(*first, canonical, "two forms of one hash");
        assert_eq!(space.genotype_of(&space.dag(genotype)).as_ref(), Ok(&canonical));
    }
    let forms: std::collections::HashSet<_> = by_hash.values().collect();
    assert_eq!(forms.len(), by_hash.len(), "two hashes of one form");
}

#[test]
fn all_networks_of_nas_bench_macro_have_their_published_cost() {
    let Some(table) = table("nas-bench-macro", "nas-bench-macro") else { return };
    assert_eq!(table.genotypes().len(), 6_561);
    let (params, flops) = (table.column("params").expect("a feature"), table.column("flops").expect("a feature"));
    for ((genotype, params), flops) in table.genotypes().iter().zip(params).zip(flops) {
        let cost = Cost::of(&table.space().lower(genotype));
        let text = table.space().format(genotype);
        assert_eq!((cost.params as f64, (cost.macs + cost.linear_macs) as f64), (*params, *flops), "{text}");
    }
    let best = table.space().parse("22212220").expect("it is a network");
    let accuracy = table.column("mean_acc").expect("a label")[table.find(&best).expect("it is in the table")];
    assert_eq!((accuracy * 1e4).round() / 1e4, 93.1267);
}

#[test]
fn all_structures_of_enas_are_read_and_drawn_back() {
    let Some(table) = table("enas6", "enas6") else { return };
    assert_eq!(table.genotypes().len(), 20_020);
    let accuracy = table.column("accuracy").expect("a label");
    let (least, most) = accuracy.iter().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
    assert_eq!((least, most), (0.702, 0.7502));
    for genotype in table.genotypes().iter().step_by(40) {
        assert_eq!(table.space().genotype_of(&table.space().dag(genotype)).as_ref(), Ok(genotype));
    }
}

/// A network of the published tables: kernels and expansions of 20 layers, depths of five stages.
fn published_mobile_network(space: &MobileNetV3, row: &[&str]) -> Genotype {
    let places = |cell: &str, of: [&str; 3]| -> Vec<u8> {
        cell.split(' ')
            .map(|value| of.iter().position(|known| *known == value).expect("a published value") as u8)
            .collect()
    };
    let (kernels, expansions) = (places(row[0], ["3", "5", "7"]), places(row[1], ["3", "4", "6"]));
    let layers = kernels.iter().zip(&expansions).flat_map(|(kernel, expansion)| [*kernel, *expansion]);
    space.assemble(&places(row[2], ["2", "3", "4"]).into_iter().chain(layers).collect::<Vec<u8>>())
}

#[test]
fn multiply_accumulates_of_mobilenet_v3_order_networks_by_their_published_latency() {
    let Some(path) = shared("mobile-spaces/ofa_mbv3_5000.csv") else { return };
    let text = std::fs::read_to_string(path).expect("the table is whole");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let latency = header.iter().position(|name| *name == "v100_64_ms").expect("a column");
    let (mut macs, mut latencies) = (Vec::new(), Vec::new());
    for line in lines.step_by(10) {
        let row: Vec<&str> = line.split(',').collect();
        let side: usize = row[3].parse().expect("a resolution");
        let task = Task { input: Shape::new(3, side, side), classes: 1000, ..Task::default() };
        let space = MobileNetV3::new(MobileNetV3Config { task, width: 1.0 }).expect("it suits");
        let genotype = published_mobile_network(&space, &row);
        assert_eq!(space.parse(&space.format(&genotype)).as_ref(), Ok(&genotype));
        macs.push(Cost::of(&space.lower(&genotype)).macs as f64);
        latencies.push(row[latency].parse::<f64>().expect("a latency"));
    }
    assert_eq!(macs.len(), 500);
    let agreement = spearman(&macs, &latencies);
    assert!(agreement > 0.95, "{agreement}");
}
