//! Tables of measured networks: the published ones read as they are described, and one's own with its faults named.

use std::fs;
use std::path::Path;

use netwright::space::Space;
use netwright::tabular::{Table, TabularError};

use crate::shared::shared;

/// Folder of the published tables.
fn folder() -> Option<std::path::PathBuf> {
    shared("nas-bench-201").and_then(|path| path.parent().map(Path::to_path_buf))
}

fn best(column: &[f64]) -> (usize, f64) {
    let best = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (column.iter().position(|value| *value == best).expect("the column has rows"), best)
}

#[test]
fn nas_bench_201_has_its_published_optima_and_latencies() {
    let Some(folder) = folder() else { return };
    let table = Table::open("nas-bench-201", Some(&folder)).expect("the table is whole");
    assert_eq!(table.genotypes().len(), 15_625);
    let column = |name: &str| table.column(name).unwrap_or_else(|| panic!("{name}"));
    // Rounded to the digits of the paper's tables: 94.37, 73.51, 47.31.
    for (name, row, accuracy) in
        [("c10_test200", 6111, 94.37), ("c100_test200", 9930, 73.51), ("im16_test200", 857, 47.31)]
    {
        let (found, best) = best(column(name));
        assert_eq!((found, (best * 100.0).round() / 100.0), (row, accuracy), "{name}");
    }
    assert_eq!((column("help_raspi4_ms")[0], column("help_pixel3_ms")[0]), (10.481977, 3.60585));
    // Two carriers of the same measurement name networks in different ways.
    for (a, b) in [("help_raspi4_ms", "raspi4_latency"), ("help_fpga_ms", "fpga_latency")] {
        let worst = column(a).iter().zip(column(b)).map(|(a, b)| (a - b).abs() / b).fold(0.0, f64::max);
        assert!(worst < 1e-3, "{a} and {b} differ by {worst}");
    }
    let fpga = column("fpga_latency").iter().zip(column("fpga_energy"));
    assert!(fpga.into_iter().all(|(ms, mj)| (mj / ms - 7.0).abs() < 1e-6), "7 W");
    assert_eq!(table.labels().len() + table.features().len() + table.latencies().len(), 13 + 13 + 38);
}

#[test]
fn a_network_with_dead_edges_has_the_proxies_of_its_canonical_form() {
    let Some(folder) = folder() else { return };
    let table = Table::open("nas-bench-201", Some(&folder)).expect("the table is whole");
    let Space::NatsTss(space) = table.space() else { panic!("the table's space") };
    let params = table.column("params").expect("a feature");
    assert!(params.iter().all(|params| !params.is_nan()), "the proxies' 9,445 cells are all canonical forms");
    for (genotype, params) in table.genotypes().iter().zip(params) {
        let own = space.published(&space.canonical(genotype)).params;
        assert_eq!(own, (params * 1e6).round() as u64, "{}", space.format(genotype));
    }
}

#[test]
fn every_row_is_found_as_it_is_written_and_by_its_canonical_form() {
    let Some(folder) = folder() else { return };
    let table = Table::open("nas-bench-201", Some(&folder)).expect("the table is whole");
    for (row, genotype) in table.genotypes().iter().enumerate() {
        assert_eq!(table.find(genotype), Some(row));
        let text = table.space().format(genotype);
        assert_eq!(table.space().parse(&text).as_ref(), Ok(genotype));
    }
    let canonical = table.space().canonical(&table.genotypes()[11]);
    assert!(table.find(&canonical).is_some());
}

#[test]
fn the_macro_table_is_that_of_the_first_seed() {
    let Some(folder) = shared("macro-cifar100").and_then(|p| p.parent().map(Path::to_path_buf)) else { return };
    let table = Table::open("macro-cifar100", Some(&folder)).expect("the table is whole");
    assert_eq!((table.genotypes().len(), table.space().name()), (300, "macro"));
    let (accuracy, macs) = (table.column("val_acc").unwrap(), table.column("macs_m").unwrap());
    assert_eq!(((accuracy[286] * 1e4).round(), macs[286]), (5778.0, 13.384832));
    for (genotype, macs) in table.genotypes().iter().zip(macs) {
        let own = netwright::graph::Cost::of(&table.space().lower(genotype)).macs;
        assert_eq!(own, (macs * 1e6).round() as u64);
    }
}

const OWN: &str = "\
space: nats-tss
csv: own.csv
key: cell
encoding: text
labels: [accuracy]
latencies: [board_ms]
";
const CELL: &str = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|";

/// A folder with a description and its table.
fn own(description: &str, csv: &str) -> (tempfile::TempDir, Result<Table, TabularError>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("my.yaml"), description).expect("it is writable");
    fs::write(folder.path().join("own.csv"), csv).expect("it is writable");
    let table = Table::open(&folder.path().join("my.yaml").display().to_string(), None);
    (folder, table)
}

#[test]
fn a_table_of_ones_own_is_read_from_beside_its_description() {
    let (_folder, table) = own(OWN, &format!("cell,accuracy,board_ms\n{CELL},91.5,\n"));
    let table = table.expect("it is valid");
    assert_eq!(table.column("accuracy"), Some([91.5].as_slice()));
    assert!(table.column("board_ms").expect("a latency")[0].is_nan(), "a missing value");
    assert_eq!((table.labels(), table.latencies()), (&["accuracy".to_string()][..], &["board_ms".to_string()][..]));
    assert_eq!(table.find(&table.space().parse(CELL).unwrap()), Some(0));
}

#[test]
fn a_broken_table_names_file_record_and_reason() {
    let error = |description: &str, csv: &str| own(description, csv).1.expect_err("it is broken").to_string();
    let missing = error(OWN, "cell,accuracy\n");
    assert!(missing.contains("own.csv") && missing.contains("no column `board_ms`"), "{missing}");
    let number = error(OWN, &format!("cell,accuracy,board_ms\n{CELL},91.5,1\n{CELL},high,1\n"));
    assert!(number.contains("own.csv`, record 2: `high` in column `accuracy`"), "{number}");
    let cell = error(OWN, "cell,accuracy,board_ms\n|what~0|,1,1\n");
    assert!(cell.contains("record 1: `|what~0|` is not a genotype"), "{cell}");
    let ragged = error(OWN, &format!("cell,accuracy,board_ms\n{CELL},91.5\n"));
    assert!(ragged.contains("record 1"), "{ragged}");
    let strange = error(&OWN.replace("encoding: text", "encoding: macro-bits"), "cell,accuracy,board_ms\n");
    assert!(strange.contains("does not write networks of `nats-tss`"), "{strange}");
    let field = error(&format!("{OWN}lables: [x]\n"), "");
    assert!(field.contains("lables"), "{field}");
    let space = error(&OWN.replace("nats-tss", "nats"), "");
    assert!(space.contains("no search space `nats`"), "{space}");
}

#[test]
fn a_table_that_does_not_exist_names_those_that_do() {
    let error = Table::open("nas-bench-999", None).expect_err("there is none").to_string();
    assert!(error.contains("nas-bench-201"), "{error}");
    let error = Table::open("nas-bench-201", None).expect_err("its files are not built in").to_string();
    assert!(error.contains("--data"), "{error}");
}
