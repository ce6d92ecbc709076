//! A search over a table of trainings done before: the other oracle beside real training.

use std::collections::HashMap;

use netwright::predictor::Kind;
use netwright::run::{Oracle, Outcome, RunError, SpaceSite, TableOracle, TrialRecord, search};
use netwright::search::{Guided, GuidedConfig, Random, Strategy, StrategyName};
use netwright::space::{Genotype, LayerConfig, MacroConfig, MacroSpace};
use netwright::target::Target;

#[test]
fn a_search_over_a_table_tries_no_network_twice_and_ends_when_all_are_tried() {
    let (space, target) = (one_layer(), free());
    let mut oracle = TableOracle::new(space.clone(), accuracies());
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

fn one_layer() -> MacroSpace {
    let layers = vec![LayerConfig { channels: 16, stride: 1 }];
    MacroSpace::new(MacroConfig { layers, ..MacroConfig::default() }).expect("one layer is a space")
}

fn free() -> Target {
    Target::parse("name: free\nlimits: {}\n", "free").expect("a profile without limits is valid")
}

fn accuracies() -> HashMap<Genotype, f64> {
    (1..64).map(|s| (Genotype::from(vec![s]), f64::from(s) / 100.0)).collect()
}

/// An oracle that takes several networks at once.
struct Together {
    table: TableOracle,
    at_once: usize,
    most_seen: usize,
}

impl Oracle for Together {
    fn evaluate(&mut self, genotype: &Genotype, trial: usize) -> Result<Outcome, RunError> {
        self.table.evaluate(genotype, trial)
    }

    fn at_once(&mut self) -> Result<usize, RunError> {
        Ok(self.at_once)
    }

    fn evaluate_all(&mut self, trials: &[(Genotype, usize)]) -> Result<Vec<Outcome>, RunError> {
        self.most_seen = self.most_seen.max(trials.len());
        trials.iter().map(|(genotype, trial)| self.evaluate(genotype, *trial)).collect()
    }
}

#[test]
fn a_search_that_goes_on_from_its_journal_ends_as_one_that_was_not_interrupted() {
    let (space, target) = (one_layer(), free());
    let run = |name: StrategyName, past: &[TrialRecord]| {
        let mut oracle = TableOracle::new(space.clone(), accuracies());
        let mut site = SpaceSite::new(&space, &target, None);
        let mut strategy = name.start(30, 5);
        search(&mut site, strategy.as_mut(), &mut oracle, 30, past, &mut |_| Ok(())).expect("the table is whole")
    };
    let genotypes = |trials: &[TrialRecord]| trials.iter().map(|t| t.genotype.clone()).collect::<Vec<_>>();
    for name in StrategyName::ALL {
        let whole = run(name, &[]);
        for done in [1, 7, 17, 29] {
            assert_eq!(genotypes(&run(name, &whole[..done])), genotypes(&whole), "{name} after {done}");
        }
    }
}

#[test]
fn how_many_networks_are_trained_at_once_changes_no_search() {
    let (space, target) = (one_layer(), free());
    let run = |at_once: usize, strategy: &mut dyn Strategy| {
        let mut oracle = Together { table: TableOracle::new(space.clone(), accuracies()), at_once, most_seen: 0 };
        let mut site = SpaceSite::new(&space, &target, None);
        let found = search(&mut site, strategy, &mut oracle, 24, &[], &mut |_| Ok(())).expect("the table is whole");
        (found.into_iter().map(|t| (t.index, t.genotype, t.origin)).collect::<Vec<_>>(), oracle.most_seen)
    };
    let guided = || Guided::new(GuidedConfig { initial: 9, per_round: 4, predictor: Kind::Ridge }, 3);
    let (alone, together) = (run(1, &mut guided()), run(5, &mut guided()));
    assert_eq!((alone.1, together.1), (1, 5));
    assert_eq!(alone.0, together.0);
    for name in StrategyName::ALL {
        let start = || name.start(24, 3);
        let (alone, together) = (run(1, start().as_mut()), run(5, start().as_mut()));
        assert_eq!(alone.0, together.0, "{name}");
        assert_eq!(alone.0.len(), 24, "{name}");
    }
}
