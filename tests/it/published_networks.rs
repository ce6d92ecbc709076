//! The macro space is exactly the first seed's.

use netwright::graph::Cost;
use netwright::space::{MacroConfig, MacroSpace};

use crate::shared::shared;

#[test]
fn all_300_published_networks_have_the_published_macs_and_parameters() {
    let Some(path) = shared("macro-cifar100/architectures_300.csv") else { return };
    let table = std::fs::read_to_string(path).expect("the table is readable");
    let space = MacroSpace::new(MacroConfig::default()).expect("the seed's space is valid");
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split(',').collect();
        let layers: Vec<String> = columns[1..31].chunks(6).map(|bits| bits.concat()).collect();
        let genotype = space.parse(&layers.join("-")).expect("the table has valid genotypes");
        let cost = Cost::of(&space.lower(&genotype));
        assert_eq!(format!("{:.6}", cost.macs as f64 / 1e6), format!("{:.6}", columns[31].parse::<f64>().unwrap()));
        assert_eq!(cost.params.to_string(), columns[32]);
        rows += 1;
    }
    assert_eq!(rows, 300);
}
