//! A latent space of networks, from a table to networks found in it, by the program and by the library.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use insta::assert_snapshot;
use netwright::experiment::{Complexity, LatentData, Split};
use netwright::generate::{Proposer, VaeConfig};
use netwright::run::{LatentConfig, LatentSearch, Oracle, SpaceSite, TableOracle, search};
use netwright::space::{Genotype, LayerConfig, MacroConfig, MacroSpace, Space};
use netwright::tabular::Table;
use netwright::target::Target;
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{refused, stdout, transcript};
use crate::shared::shared;

/// Structures of `enas6` with a made-up accuracy that grows with separable convolutions and edges.
fn write_table(folder: &Path, networks: usize) {
    let space = Space::named("enas6").expect("it is a space");
    let mut rng = netwright::seed::stream(1, "test", 0);
    let mut lines = String::new();
    for _ in 0..networks {
        let genotype = space.sample(&mut rng);
        let dag = space.dag(&genotype);
        let separable = dag.kinds.iter().filter(|kind| [3, 5].contains(*kind)).count();
        let accuracy = 0.6 + 0.02 * separable as f64 + 0.005 * dag.edges.len() as f64;
        writeln!(lines, "{}, {accuracy:.4}", space.format(&genotype)).expect("a string takes all");
    }
    fs::write(folder.join("structures.txt"), lines).expect("it is writable");
    let description =
        "space: enas6\ncsv: structures.txt\nformat: structures\nkey: structure\nencoding: text\nlabels: [accuracy]\n";
    fs::write(folder.join("table.yaml"), description).expect("it is writable");
}

#[test]
fn a_table_becomes_a_model_that_is_searched_under_a_limit_and_drawn() {
    let folder = tempdir().expect("a temporary folder");
    write_table(folder.path(), 300);
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (table, model) = (file("table.yaml"), file("models/small.safetensors"));
    let small = ["--epochs", "12", "--hidden", "16", "--latent", "8", "--batch", "32"];
    let fit = [&["latent", "fit", "--table", &table, "--out", &model, "--json"], &small[..]].concat();
    let card: Value = serde_json::from_str(&stdout(&fit, 0)).expect("the output is JSON");
    let report = &card["report"];
    assert_eq!((&report["train"], &report["test"], &card["schema_version"]), (&270.into(), &30.into(), &1.into()));
    assert_eq!(report["sampling"]["validity"], 1.0, "every draw is a network");
    let rmse = |at: usize| report["performance"][at]["rmse"].as_f64().expect("a number");
    assert_eq!(report["performance"][1]["predictor"], "mean");
    assert!(rmse(0) < 0.7 * rmse(1), "twelve passes know more than the mean: {report}");
    let beside: Value =
        serde_json::from_str(&fs::read_to_string(file("models/small.json")).expect("the card")).expect("it is JSON");
    assert_eq!(beside, card);

    let again = file("models/again.safetensors");
    let other: Vec<&str> = fit.iter().map(|text| if *text == model { &again } else { *text }).collect();
    stdout(&other, 0);
    assert!(fs::read(&again).expect("a model") == fs::read(&model).expect("a model"), "the same seed, the same bytes");
    // The table lists few of the networks that a latent space knows: the others cannot be looked up.
    let few =
        ["--strategy", "latent", "--seeds", "2", "--queries", "12", "--latent-networks", "100", "--latent-epochs", "1"];
    stdout(&[&["search", "--table", &table], &few[..]].concat(), 0);

    let search = ["latent", "search", "--model", &model, "--table", &table, "--limit", "20 M", "--json"];
    let found: Value = serde_json::from_str(&stdout(&search, 0)).expect("the output is JSON");
    let networks = found["search"]["networks"].as_array().expect("a list");
    assert!(!networks.is_empty() && networks.len() <= 10);
    let space = Space::named("enas6").expect("it is a space");
    for network in networks {
        let genotype = space.parse(network["genotype"].as_str().expect("a text")).expect("it is a network");
        let macs = Complexity::Macs.exact(&space, &genotype);
        assert_eq!(network["complexity"].as_f64(), macs);
        assert!(macs <= Some(20e6), "no network over the limit is offered");
    }

    let (map, way) = (file("map.svg"), file("way.svg"));
    let genotype = |at: usize| networks[at]["genotype"].as_str().expect("a text").to_string();
    let (from, to) = (genotype(0), genotype(networks.len() - 1));
    stdout(
        &[
            "latent", "show", "--model", &model, "--table", &table, "--map", &map, "--way", &way, "--from", &from,
            "--to", &to,
        ],
        0,
    );
    assert_eq!(fs::read_to_string(map).expect("a map").matches("<circle").count(), 300);
    assert_eq!(fs::read_to_string(way).expect("a way").matches("100 %").count(), 1);
}

#[test]
fn what_no_latent_space_can_be_made_of_is_explained() {
    let folder = tempdir().expect("a temporary folder");
    write_table(folder.path(), 30);
    fs::write(folder.path().join("text.safetensors"), "this is no model").expect("it is writable");
    let calls: [&[&str]; 8] = [
        &["latent", "fit", "--space", "nats-sss"],
        &["latent", "fit", "--space", "resnet"],
        &["latent", "fit", "--table", "table.yaml"],
        &["latent", "fit", "--table", "table.yaml", "--label", "loss"],
        &["latent", "fit", "--table", "table.yaml", "--complexity", "energy"],
        &["latent", "fit", "--table", "table.yaml", "--learning-rate", "-1"],
        &["latent", "search", "--model", "absent.safetensors"],
        &["latent", "search", "--model", "text.safetensors"],
    ];
    assert_snapshot!("latent_faults", calls.map(|args| transcript(args, folder.path())).concat());
}

#[test]
fn the_published_split_has_the_published_sizes() {
    let Some(file) = shared("enas6/final_structures6.txt") else { return };
    let folder = file.parent().and_then(Path::parent).expect("it lies two folders deep");
    let table = Table::open("enas6", Some(folder)).expect("the table is whole");
    let data = LatentData::of_table(&table, "accuracy", &Complexity::Macs, Split::Published, 1).expect("it is enough");
    assert_eq!((data.train.len(), data.test.len(), data.left_out), (17_118, 1_902, 1_000));
    // Python: `rows = list(open(file))[1000:]; random.Random(0).shuffle(rows)`, the first and the last row.
    let text = |of: &(Genotype, netwright::generate::Example)| (table.space().format(&of.0), of.1.performance);
    assert_eq!(text(&data.train[0]), (FIRST.0.to_string(), FIRST.1));
    assert_eq!(text(data.test.last().expect("it is not empty")), (LAST.0.to_string(), LAST.1));
}

const FIRST: (&str, f64) = ("[[0], [0, 0], [1, 0, 0], [0, 0, 0, 0], [4, 0, 0, 0, 0], [3, 0, 0, 0, 0, 1]]", 0.737);
const LAST: (&str, f64) = ("[[5], [4, 1], [5, 1, 0], [0, 0, 1, 1], [2, 0, 1, 0, 1], [1, 0, 0, 1, 1, 1]]", 0.7092);

/// A space of 63² networks and a proposer that has seen a few hundred of them.
fn two_layers() -> (MacroSpace, Proposer) {
    let layer = |channels| LayerConfig { channels, stride: 1 };
    let config = MacroConfig { layers: vec![layer(8), layer(16)], head: 32, classes: 10, ..MacroConfig::default() };
    let macros = MacroSpace::new(config).expect("two layers are a space");
    let space = Space::Macro(macros.clone());
    let config =
        VaeConfig { hidden: 16, latent: 8, emitter: 16, head: 16, epochs: 6, batch: 32, ..VaeConfig::measured() };
    let macs = |genotype: &Genotype| Complexity::Macs.exact(&space, genotype).expect("MACs are computed");
    let proposer = Proposer::learn(&space, 400, config, &macs, 1, &mut |_, _| {}).expect("it can be learnt");
    (macros, proposer)
}

/// More operations are better, the second layer's more so.
fn accuracies(space: &MacroSpace) -> std::collections::HashMap<Genotype, f64> {
    let pairs = (1..64u8).flat_map(|a| (1..64u8).map(move |b| (a, b)));
    assert_eq!(space.config().layers.len(), 2);
    pairs.map(|(a, b)| (vec![a, b].into(), f64::from(a.count_ones() + 2 * b.count_ones()) / 18.0)).collect()
}

#[test]
fn a_latent_search_repeats_itself_and_finds_better_networks_than_it_began_with() {
    let (space, proposer) = two_layers();
    let proposer = Arc::new(proposer);
    let target = Target::parse("name: free\nlimits: {}\n", "free").expect("it is a profile");
    let run = |trials: usize| {
        let mut oracle = TableOracle::new(space.clone(), accuracies(&space));
        let mut site = SpaceSite::new(&space, &target, None);
        let mut strategy =
            LatentSearch::new(Arc::clone(&proposer), LatentConfig { initial: 10, ..LatentConfig::of(trials) }, 3);
        assert_eq!(oracle.at_once().expect("a table answers at once"), 1);
        let found =
            search(&mut site, &mut strategy, &mut oracle, trials, &[], &mut |_| Ok(())).expect("the table is whole");
        found.into_iter().map(|t| (t.genotype, t.validation_accuracy.expect("it is in the table"))).collect::<Vec<_>>()
    };
    let (once, again) = (run(40), run(40));
    assert_eq!(once, again);
    let best = |part: &[(String, f64)]| part.iter().map(|t| t.1).fold(0.0, f64::max);
    assert!(best(&once[10..]) > best(&once[..10]), "{once:?}");
    assert!(best(&once) > 0.9, "near the best there is: {}", best(&once));
    let distinct: std::collections::HashSet<&String> = once.iter().map(|t| &t.0).collect();
    assert_eq!(distinct.len(), 40);
}

#[test]
fn a_model_that_cannot_be_written_is_not_fitted() {
    let folder = tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let refused = |out: &str| {
        let told = refused(&["latent", "fit", "--space", "macro", "--networks", "50", "--epochs", "1", "--out", out]);
        assert!(!told.contains("pass 1") && told.contains("\nhint: "), "{told}");
        told
    };
    assert!(refused(&file("m.json")).contains("the model's card takes this name"));
    assert!(refused(&file("")).contains("is a folder, not a file"));
    fs::write(file("text"), "text").expect("it is writable");
    assert!(refused(&file("text/m.safetensors")).contains("its folder cannot be made"));
}
