//! A search over a table of trainings done before: the other oracle beside real training.

use std::collections::HashMap;

use netwright::run::{SpaceSite, TableOracle, search};
use netwright::search::Random;
use netwright::space::{Genotype, LayerConfig, MacroConfig, MacroSpace};
use netwright::target::Target;

#[test]
fn a_search_over_a_table_tries_no_network_twice_and_ends_when_all_are_tried() {
    let layers = vec![LayerConfig { channels: 16, stride: 1 }];
    let space = MacroSpace::new(MacroConfig { layers, ..MacroConfig::default() }).expect("one layer is a space");
    let target = Target::parse("name: free\nlimits: {}\n", "free").expect("a profile without limits is valid");
    let table: HashMap<Genotype, f64> = (1..64).map(|s| (Genotype::from(vec![s]), f64::from(s) / 100.0)).collect();
    let mut oracle = TableOracle::new(space.clone(), table);
    let mut site = SpaceSite::new(&space, &target, None);
    let mut recorded = 0;
    let mut record = |_: &_| {
        recorded += 1;
        Ok(())
    };
    let found = search(&mut site, &mut Random::new(1), &mut oracle, 100, &[], &mut record).expect("the table is whole");
    let mut genotypes: Vec<&str> = found.iter().map(|t| t.genotype.as_str()).collect();
    genotypes.sort_unstable();
    genotypes.dedup();
    assert_eq!((genotypes.len(), recorded), (63, 63), "all networks of one layer, each once");
    let best = found.iter().max_by(|a, b| a.validation_accuracy.partial_cmp(&b.validation_accuracy).unwrap()).unwrap();
    assert_eq!(best.genotype, "111111");
}
