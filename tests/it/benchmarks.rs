//! Published benchmarks against what their official packages answer: NAS-Bench-101 on small files in its formats, NATS-Bench
//! on genuine files where they are.

use std::fs;
use std::path::{Path, PathBuf};

use netwright::space::{NasBench101 as Space101, NasBench101Config};
use netwright::tabular::{NasBench101, NatsBench, NatsCache, NatsSeed};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};
use tempfile::tempdir;

use crate::program::{netwright, stderr, stdout};
use crate::shared::shared;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(name)
}

fn json_fixture(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(name)).expect("the fixture is there")).expect("the fixture is JSON")
}

fn space_101() -> Space101 {
    Space101::new(NasBench101Config::default()).expect("the published space is valid")
}

/// Text of a matrix and operations as JSON.
fn cell_text(matrix: &Value, ops: &Value) -> String {
    let row = |row: &Value| row.as_array().unwrap().iter().map(Value::to_string).collect::<String>();
    let rows: Vec<String> = matrix.as_array().unwrap().iter().map(row).collect();
    let ops: Vec<&str> = ops.as_array().unwrap().iter().map(|op| op.as_str().unwrap()).collect();
    format!("{}:{}", rows.join("/"), ops.join(","))
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Cells, parameters and metrics of the fixture, and an imported benchmark made from one of its files.
fn imported(file: &str) -> (tempfile::TempDir, NasBench101, Value) {
    let folder = tempdir().expect("a temporary folder");
    let path = folder.path().join("imported.table");
    NasBench101::import(&fixture(file), &path).unwrap_or_else(|e| panic!("{e}"));
    let bench = NasBench101::open(&path).unwrap_or_else(|e| panic!("{e}"));
    (folder, bench, json_fixture("nas_bench_101.json"))
}

#[test]
fn cells_are_pruned_and_hashed_as_the_published_package_does() {
    let expected = json_fixture("nas_bench_101.json");
    let space = space_101();
    for raw in expected["raw"].as_array().unwrap() {
        let genotype = space.parse(&cell_text(&raw["matrix"], &raw["ops"])).unwrap_or_else(|e| panic!("{e}"));
        let hash = hex(&space.hash(&genotype));
        assert_eq!(hash, raw["hash"]);
        let pruned = &expected["cells"][&hash];
        let same = space.parse(&cell_text(&pruned["matrix"], &pruned["ops"])).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(space.canonical(&same), space.canonical(&genotype));
    }
}

#[test]
fn every_training_of_a_tfrecord_is_answered_under_the_official_names() {
    let (_folder, bench, expected) = imported("nas_bench_101.tfrecord");
    let cells = expected["cells"].as_object().unwrap();
    assert_eq!((bench.networks(), bench.epochs()), (cells.len(), vec![4, 12, 36, 108]));
    let (space, mut rng) = (space_101(), ChaCha8Rng::seed_from_u64(1));
    let (mut time, mut epochs_spent) = (0.0, 0);
    for cell in cells.values() {
        let genotype = space.parse(&cell_text(&cell["matrix"], &cell["ops"])).unwrap();
        for epochs in bench.epochs() {
            for repeat in 0..3 {
                for (point, halfway) in [(0, true), (1, false)] {
                    let metrics = &cell["metrics"][epochs.to_string()][repeat][point];
                    let answer = bench.query(&genotype, epochs, halfway, Some(repeat), &mut rng).unwrap().json();
                    let names = ["training_time", "train_accuracy", "validation_accuracy", "test_accuracy"];
                    names.iter().enumerate().for_each(|(at, name)| assert_eq!(answer[name], metrics[at], "{name}"));
                    assert_eq!(answer["trainable_parameters"], cell["params"]);
                    assert_eq!(
                        (&answer["module_adjacency"], &answer["module_operations"]),
                        (&cell["matrix"], &cell["ops"])
                    );
                    time += metrics[0].as_f64().unwrap();
                    epochs_spent += u64::from(if halfway { epochs / 2 } else { epochs });
                }
            }
        }
    }
    assert_eq!(bench.budget_counters(), (time, epochs_spent));
    bench.reset_budget_counters();
    assert_eq!(bench.budget_counters(), (0.0, 0));
}

#[test]
fn the_file_of_108_epochs_alone_and_the_hdf5_copy_are_read_too() {
    let (_folder, only108, _) = imported("nas_bench_101_only108.tfrecord");
    assert_eq!(only108.epochs(), [108]);
    let (_folder, full, _) = imported("nas_bench_101.tfrecord");
    let (_folder, hdf5, _) = imported("nas_bench_101.hdf5");
    assert_eq!(hdf5.epochs(), full.epochs());
    assert!(full.hashes().eq(hdf5.hashes()) && full.hashes().eq(only108.hashes()));
    for row in 0..full.networks() {
        assert_eq!(full.genotype(row).unwrap(), hdf5.genotype(row).unwrap());
        for repeat in 0..3 {
            let exact = full.metrics(row, 108, repeat, false).unwrap().unwrap();
            assert_eq!(only108.metrics(row, 108, repeat, false).unwrap(), Some(exact));
            // The copy is single precision.
            assert_eq!(
                hdf5.metrics(row, 108, repeat, false).unwrap(),
                Some(exact.map(|value| f64::from(value as f32)))
            );
        }
        assert_eq!(only108.metrics(row, 36, 0, false).unwrap(), None);
    }
}

#[test]
fn a_broken_tfrecord_names_record_and_reason_and_leaves_nothing_behind() {
    let whole = fs::read(fixture("nas_bench_101_only108.tfrecord")).expect("the fixture is there");
    let folder = tempdir().expect("a temporary folder");
    let (file, target) = (folder.path().join("broken.tfrecord"), folder.path().join("cache/imported.table"));
    let error = |bytes: &[u8]| {
        fs::write(&file, bytes).expect("it is writable");
        let error = NasBench101::import(&file, &target).expect_err("it is broken").to_string();
        assert!(!target.exists() && error.contains("broken.tfrecord"), "{error}");
        error
    };
    let first = 12 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize + 4;
    assert!(error(&whole[..first + 5]).contains("record 2: the file is cut off in the length"));
    assert!(error(&whole[..first + 300]).contains("record 2: the file is cut off after"));
    let mut flipped = whole.clone();
    flipped[first + 40] ^= 1;
    assert!(error(&flipped).contains("record 2: the CRC of the record's bytes is wrong"));
    assert!(error(b"").contains("no records"));
    assert!(error(b"[not a record file]").contains("record 1: the CRC"));
}

#[test]
fn every_answer_of_the_official_package_to_the_genuine_files_of_nats_bench_is_ours() {
    let Some(tss) = shared("nats-bench/NATS-tss-v1_0-3ffb9-simple") else { return };
    let Some(sss) = shared("nats-bench/NATS-sss-v1_0-50262-simple") else { return };
    let mut tss = NatsBench::open(&tss).unwrap();
    let mut sss = NatsBench::open(&sss).unwrap();
    assert_eq!((tss.architectures().len(), sss.architectures().len()), (15_625, 32_768));
    let expected = json_fixture("nats_bench.json");
    for case in expected["answers"].as_array().expect("answers") {
        let bench = if case["kind"] == "tss" { &mut tss } else { &mut sss };
        let (index, hp) = (case["index"].as_u64().unwrap() as usize, case["hp"].as_str().unwrap());
        let dataset = case["dataset"].as_str().unwrap();
        let answer = match case["call"] == "cost" {
            true => bench.cost_info(index, dataset, hp),
            false => {
                let seed = case["seed"].as_u64().map_or(NatsSeed::Mean, |seed| NatsSeed::One(seed as u32));
                bench.more_info(index, dataset, hp, case["epoch"].as_u64().map(|epoch| epoch as usize), seed)
            }
        };
        match case["answer"].as_object() {
            Some(expected) => assert_close(&answer.unwrap_or_else(|e| panic!("{case}: {e}")), expected, case),
            // The package fails where the validation of `cifar10-valid` was not recorded, or there is no such epoch.
            None => assert!(answer.is_err() || !answer.unwrap().contains_key("valid-accuracy"), "{case}"),
        }
    }
}

/// The same names with the same values, but for the order in which Python sums.
fn assert_close(answer: &Map<String, Value>, expected: &Map<String, Value>, case: &Value) {
    let mut answer = answer.clone();
    answer.remove("comment");
    assert!(answer.keys().eq(expected.keys()), "{case}\n{answer:?}");
    for (name, value) in expected {
        match (answer[name].as_f64(), value.as_f64()) {
            (Some(own), Some(value)) => assert!((own - value).abs() <= 1e-12 * value.abs(), "{name} of {case}: {own}"),
            (own, value) => assert_eq!(own, value, "{name} of {case}"),
        }
    }
}

#[test]
fn the_last_epoch_trap_of_nats_bench_is_unavailable_not_wrong() {
    let Some(folder) = shared("nats-bench/NATS-tss-v1_0-3ffb9-simple") else { return };
    let mut bench = NatsBench::open(&folder).unwrap();
    let early = bench.more_info(11, "cifar100", "200", Some(11), NatsSeed::One(777)).unwrap();
    assert!(early.contains_key("train-accuracy") && !early.contains_key("test-accuracy"), "{early:?}");
    let last = bench.more_info(11, "cifar100", "200", None, NatsSeed::One(777)).unwrap();
    assert!(last.contains_key("test-accuracy"));
    let error = bench.more_info(11, "cifar100", "200", Some(200), NatsSeed::Mean).unwrap_err().to_string();
    assert!(error.contains("no epoch 200 of 200"), "{error}");
    let error = bench.more_info(11, "cifar100", "12", None, NatsSeed::One(777)).unwrap_err().to_string();
    assert!(error.contains("has no seed 777, it has 111"), "{error}");
    let error = bench.more_info(1, "cifar100", "12", None, NatsSeed::Mean).unwrap_err().to_string();
    assert!(error.contains("000001.pickle.pbz2"), "{error}");
}

#[test]
fn a_simulated_training_costs_its_training_and_one_validation() {
    let Some(folder) = shared("nats-bench/NATS-tss-v1_0-3ffb9-simple") else { return };
    let mut bench = NatsBench::open(&folder).unwrap();
    let info = bench.more_info(11, "cifar10-valid", "12", None, NatsSeed::One(777)).unwrap();
    let number = |name: &str| info[name].as_f64().unwrap();
    let simulated = bench.simulate_train_eval(11, "cifar10", "12", None, NatsSeed::One(777)).unwrap();
    assert_eq!(simulated.accuracy, number("valid-accuracy"));
    assert_eq!(simulated.time, number("train-all-time") + number("valid-per-time"));
    assert_eq!(simulated.latency, Some(0.016163252947623268));
    let again = bench.simulate_train_eval(11, "cifar10", "12", None, NatsSeed::One(111)).unwrap();
    assert_eq!((again.used_time, bench.used_time()), (simulated.time + again.time, simulated.time + again.time));
    let (best, accuracy) = bench.find_best([0, 11].into_iter(), "cifar10", "test", "200", (None, None)).unwrap();
    // The package's mean over three seeds.
    assert!(best == 11 && (accuracy - 91.58333333333333).abs() < 1e-9, "{best} {accuracy}");
    let (cheap, _) = bench.find_best([0, 11].into_iter(), "cifar10", "test", "200", (Some(100.0), None)).unwrap();
    assert_eq!(cheap, 0);
}

#[test]
fn an_imported_nats_bench_answers_as_its_files_do() {
    let Some(folder) = shared("nats-bench/NATS-tss-v1_0-3ffb9-simple") else { return };
    let cache = tempdir().expect("a temporary folder");
    let path = cache.path().join("nats.table");
    assert_eq!(NatsCache::import(&folder, &path).unwrap(), 2);
    let (mut bench, cache) = (NatsBench::open(&folder).unwrap(), NatsCache::open(&path).unwrap());
    let column = |name: &str| cache.column(name).unwrap_or_else(|| panic!("{name}"));
    for index in [0, 11] {
        let info = bench.more_info(index, "cifar10", "200", None, NatsSeed::One(888)).unwrap();
        for (name, value) in info.iter().filter(|(_, value)| value.is_number()) {
            let own = cache.number(column(&format!("200/cifar10/888/{name}")), index as u32).unwrap();
            assert_eq!(own, value.as_f64(), "{name}");
        }
    }
    assert_eq!(cache.number(column("12/cifar10/flops"), 1).unwrap(), None, "it was not imported");
}

#[test]
fn query_answers_for_nas_bench_101_with_the_official_names_and_refuses_with_reasons() {
    let expected = json_fixture("nas_bench_101.json");
    let cell = expected["cells"].as_object().unwrap().values().next().unwrap().clone();
    let text = cell_text(&cell["matrix"], &cell["ops"]);
    let (rows, ops) = text.split_once(':').unwrap();
    let file = fixture("nas_bench_101.tfrecord").display().to_string();
    let matrix = cell["matrix"].to_string();
    for form in [rows, &matrix] {
        let args = ["query", "nas-bench-101", "--path", &file, "--matrix", form, "--ops", ops];
        let args = [&args[..], &["--epochs", "36", "--repeat", "2", "--json"]].concat();
        let answer: Value = serde_json::from_str(&stdout(&args, 0)).expect("JSON");
        assert_eq!(answer["test_accuracy"], cell["metrics"]["36"][2][1][3]);
        assert_eq!(answer.as_object().unwrap().len(), 7);
    }
    let refused = |matrix: &str, ops: &str, epochs: &str| {
        let args = ["query", "nas-bench-101", "--path", &file, "--matrix", matrix, "--ops", ops, "--epochs", epochs];
        let output = netwright(&args).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    assert!(refused("010/100/000", "input,maxpool3x3,output", "108").contains("no cycles"));
    assert!(refused("010/001/000", "input,conv7x7,output", "108").contains("no operation `conv7x7`"));
    assert!(refused("010/000/000", "input,maxpool3x3,output", "108").contains("does not depend on the input"));
    assert!(refused(rows, ops, "100").contains("for 4, 12, 36, 108"));
}

#[test]
fn query_answers_for_nats_bench_and_tables_from_the_command_line() {
    let Some(folder) = shared("nats-bench/NATS-tss-v1_0-3ffb9-simple") else { return };
    let folder = folder.display().to_string();
    let by_index = ["query", "nats-tss", "--path", &folder, "--index", "11", "--hp", "200", "--seed", "777", "--json"];
    let by_index: Value = serde_json::from_str(&stdout(&by_index, 0)).expect("JSON");
    let arch = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|";
    let by_text = ["query", "nats-tss", "--path", &folder, "--arch", arch, "--hp", "200", "--seed", "777", "--json"];
    assert_eq!(by_index, serde_json::from_str::<Value>(&stdout(&by_text, 0)).expect("JSON"));
    assert_eq!((&by_index["arch"], &by_index["flops"]), (&arch.into(), &113.95137.into()));
    let Some(tables) = shared("nas-bench-201").and_then(|path| path.parent().map(Path::to_path_buf)) else { return };
    let tables = tables.display().to_string();
    let table = ["query", "table", "--table", "nas-bench-201", "--path", &tables, "--arch", arch, "--json"];
    let table: Value = serde_json::from_str(&stdout(&table, 0)).expect("JSON");
    assert_eq!(table["row"], 11);
    let same = ["query", "table", "--table", "nas-bench-201", "--data", &tables, "--arch", arch, "--json"];
    assert_eq!(table, serde_json::from_str::<Value>(&stdout(&same, 0)).expect("JSON"));
    let missing = ["query", "nats-tss", "--path", &folder, "--arch", "|none~0|"];
    assert_eq!(netwright(&missing).output().expect("the program starts").status.code(), Some(2));
}

#[test]
fn query_finds_the_best_through_its_cache_and_simulates_a_training() {
    let Some(folder) = shared("nats-bench/NATS-tss-v1_0-3ffb9-simple") else { return };
    let mut bench = NatsBench::open(&folder).unwrap();
    let (here, kept) = (tempdir().expect("a temporary folder"), folder.display().to_string());
    let cache = here.path().join("nats.table").display().to_string();
    let best = |more: &[&str]| -> Value {
        let args = [&["query", "nats-tss", "--data", &kept, "--hp", "200", "--cache", &cache, "--json"], more].concat();
        serde_json::from_str(&stdout(&args, 0)).expect("JSON")
    };
    for (dataset, set) in [("cifar10", "test"), ("cifar10", "valid"), ("cifar100", "test"), ("ImageNet16-120", "valid")]
    {
        let (index, accuracy) = bench.find_best([0, 11].into_iter(), dataset, set, "200", (None, None)).unwrap();
        let found = best(&["--dataset", dataset, "--best", set]);
        assert_eq!(found["index"].as_u64(), Some(index as u64), "{dataset} {set}");
        assert!((found["highest_accuracy"].as_f64().unwrap() - accuracy).abs() < 1e-9, "{dataset} {set}");
    }
    assert_eq!(best(&["--best", "--most-flops", "100"])["index"], 0, "the test set if none is named");
    let simulate = ["query", "nats-tss", "--path", &kept, "--index", "11", "--seed", "777", "--simulate", "--json"];
    let found: Value = serde_json::from_str(&stdout(&simulate, 0)).expect("JSON");
    let simulated = bench.simulate_train_eval(11, "cifar10", "12", None, NatsSeed::One(777)).unwrap();
    assert_eq!(found["validation_accuracy"].as_f64(), Some(simulated.accuracy));
    assert_eq!(found["current_total_time_cost"].as_f64(), Some(simulated.used_time));
    // What is no cache is not written over.
    fs::write(&cache, "a letter").unwrap();
    let args = ["query", "nats-tss", "--path", &kept, "--best", "--cache", &cache];
    assert_eq!(netwright(&args).output().expect("the program starts").status.code(), Some(2));
    assert_eq!(fs::read_to_string(&cache).unwrap(), "a letter");
}

#[test]
fn a_hostile_pickle_is_refused_by_what_it_asks_for() {
    use std::io::Write;
    let folder = tempdir().expect("a temporary folder");
    let file = folder.path().join("meta.pickle.pbz2");
    let mut encoder = bzip2::write::BzEncoder::new(fs::File::create(&file).unwrap(), bzip2::Compression::fast());
    encoder.write_all(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.").unwrap();
    encoder.finish().unwrap();
    let args = ["query", "nats-tss", "--path", &folder.path().display().to_string(), "--index", "0"];
    let output = netwright(&args).output().expect("the program starts");
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(told.contains("meta.pickle.pbz2") && told.contains("`posix.system` is not allowed"), "{told}");
}
