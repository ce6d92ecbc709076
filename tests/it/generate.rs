//! Networks for a data set without training on it: from labelled tasks to a model, from a model to ranked networks within a
//! target's limits, and what is refused.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use netwright::search::{Given, Origin, Site, Strategy, StrategyName};
use netwright::space::{Genotype, MacroConfig, MacroSpace};
use netwright::tabular::MetaD2a;
use netwright::target::Target;
use serde_json::Value;
use tempfile::tempdir;

use crate::program::{netwright, stderr, stdout, transcript};
use crate::shared::shared;

/// Tasks of three procedural sources, few and small, and a handful of networks on each; and the first of these tasks alone.
fn label(folder: &Path) -> [String; 3] {
    let file = |name: &str| folder.join(name).display().to_string();
    let (tasks, first, labels) = (file("tasks.yaml"), file("first.yaml"), file("labels"));
    let sources = ["--sources", "built-in", "--sources", "built-in:textures", "--sources", "built-in:glyphs"];
    let drawn = ["--images", "60", "--sides", "12", "--held-out", "250", "--classes", "2,3", "--seed", "3"];
    for (list, number) in [(&tasks, "36"), (&first, "3")] {
        let drawn = [&["label", "tasks", "-n", number], &sources[..], &drawn[..]].concat();
        fs::write(list, stdout(&drawn, 0)).expect("it is writable");
    }
    let cheap = ["--random", "6", "--per-task", "3", "--width", "0.1", "--epochs", "4", "--batch", "16"];
    stdout(&[&["label", "--tasks", &tasks, "--out", &labels], &cheap[..]].concat(), 0);
    [labels, tasks, first]
}

#[test]
fn labelled_tasks_become_a_model_that_ranks_networks_within_limits() {
    let folder = tempdir().expect("a temporary folder");
    let [labels, tasks, first] = label(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let model = file("small.safetensors");
    let database = ["--labels", &labels, "--tasks", &tasks];
    let small = ["--feature-images", "4", "--feature-epochs", "1", "--epochs", "2", "--members", "2"];
    let few = [&["generate", "fit"], &database[..], &["--most-tasks", "5"]].concat();
    let refused = stderr(&netwright(&few).output().expect("the program runs"));
    assert!(
        refused.contains("error: 5 tasks are too few to learn from\nhint: label networks on 8 or more"),
        "{refused}"
    );
    assert!(!refused.contains("training the network"), "it is refused before anything is trained: {refused}");
    let held_out = ["--hold-out", "built-in:glyphs", "--out", &model, "--json"];
    let card = stdout(&[&["generate", "fit"], &database[..], &small[..], &held_out[..]].concat(), 0);
    let card: Value = serde_json::from_str(&card).expect("the output is JSON");
    assert_eq!(card["learned_from"]["sources"], serde_json::json!(["built-in", "built-in:textures"]));
    let rankings = card["report"]["rankings"].as_array().expect("a list");
    let names: Vec<&str> = rankings.iter().filter_map(|ranking| ranking["ranking"].as_str()).collect();
    assert_eq!(names[..3], ["meta-model", "the same without sight of data", "MACs"]);
    assert!(rankings.iter().all(|ranking| ranking["by_task"].as_array().is_some_and(|tasks| !tasks.is_empty())));

    let propose = ["generate", "--model", &model, "--target", "stm32f446re", "--numbers", "f32", "-n", "5", "--json"];
    let found: Value = serde_json::from_str(&stdout(&[&propose[..], &["--drawn", "40"]].concat(), 0)).expect("JSON");
    let networks = found["networks"].as_array().expect("a list");
    assert!(networks.len() == 5 && found["drawn"].as_u64() >= Some(5));
    let usable = Target::open("stm32f446re").expect("it is built in").memory.usable_ram().expect("it has RAM").0;
    assert!(networks.iter().all(|network| network["peak_ram_bytes"].as_u64() <= Some(usable)));
    assert!(networks.is_sorted_by(|a, b| a["score"].as_f64() >= b["score"].as_f64()));
    let again = stdout(&[&propose[..], &["--drawn", "40", "--threads", "1"]].concat(), 0);
    assert_eq!(serde_json::from_str::<Value>(&again).expect("JSON"), found, "on any number of threads");

    let tested = file("tested");
    let test = ["generate", "test", "--model", &model, "--labels", &labels, "--tasks", &first, "--out", &tested];
    let test = [&test[..], &["--trained", "1", "--drawn", "10"]].concat();
    let said = stdout(&test, 0);
    assert!(said.contains("best of 1 proposals less best of all random networks: "), "{said}");
    let lines = fs::read_to_string(folder.path().join("tested/journal.jsonl")).expect("a journal").lines().count();
    assert_eq!(stdout(&test, 0), said, "what was trained is not trained again");
    assert_eq!(fs::read_to_string(folder.path().join("tested/journal.jsonl")).expect("it").lines().count(), lines);
}

#[test]
fn what_cannot_be_generated_is_refused_with_a_hint() {
    let folder = tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name);
    fs::write(file("text.safetensors"), "text").expect("it is writable");
    for (set, classes, images) in [("one", 1, 20), ("few", 2, 2)] {
        for class in 0..classes {
            let class = file(&format!("{set}/train/class-{class}"));
            fs::create_dir_all(&class).expect("it is writable");
            for image in 0..images {
                let picture = image::RgbImage::from_fn(12, 12, |x, y| image::Rgb([(x * y + image) as u8, y as u8, 9]));
                picture.save(class.join(format!("{image}.png"))).expect("it is writable");
            }
        }
    }
    let asked: [&[&str]; 6] = [
        &["generate", "--data", "one"],
        &["generate", "--data", "few"],
        &["generate", "--model", "absent.safetensors"],
        &["generate", "--model", "text.safetensors"],
        &["generate", "fit", "--labels", "absent", "--tasks", "absent.yaml"],
        &["generate", "published", "--data", "absent"],
    ];
    assert_snapshot!("generate_faults", asked.map(|args| transcript(args, folder.path())).concat());
}

#[test]
fn given_networks_are_trained_first_and_count_among_the_trainings() {
    let space = MacroSpace::new(MacroConfig::default()).expect("the published space");
    let target = Target::open("host").expect("it is built in");
    let mut site = netwright::run::SpaceSite::new(&space, &target, None);
    let mut rng = netwright::seed::stream(1, "test", 0);
    let first: Vec<Genotype> = (0..3).map(|_| site.sample(&mut rng)).collect();
    let mut search = Given::new(first.clone(), StrategyName::Random.start(10, 1));
    let mut pending = Vec::new();
    for genotype in &first {
        let proposal = search.ask(&mut site, &pending).expect("it asks").expect("there is one");
        assert_eq!((&proposal.genotype, proposal.origin), (genotype, Origin::Meta));
        pending.push(proposal.genotype);
    }
    let next = search.ask(&mut site, &pending).expect("it asks").expect("there is one");
    assert!(next.origin == Origin::Random && !first.contains(&next.genotype));
    first.iter().for_each(|genotype| search.tell(genotype, Some(0.5)));
    assert_eq!(search.ask(&mut site, &[]).expect("it asks"), Some(next), "whatever is pending");
}

#[test]
fn the_published_database_of_metad2a_is_read_whole() {
    let Some(folder) = shared("metad2a") else { return };
    let database = MetaD2a::open(&folder).expect("the release reads");
    assert_eq!((database.records.len(), database.tasks.len()), (4630, 5000));
    assert!(database.tasks.iter().all(|task| task.len() == 20));
    let accuracies: Vec<f64> = database.records.iter().map(|record| 100.0 * record.accuracy).collect();
    let mean = netwright::stats::mean(&accuracies);
    assert!((mean - 71.59).abs() < 0.01, "as its description says: {mean}");
}
