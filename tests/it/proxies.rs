//! Zero-cost proxies agree with the published ones, and predictions for single networks with the tables they come from.

use netwright::experiment::{ProxyStudy, study_proxies};
use netwright::proxy::Proxy;
use netwright::tabular::Table;
use serde_json::Value;

use crate::program::{netwright, stderr, stdout};
use crate::shared::shared;

const ARCH: &str = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|";

fn folder() -> Option<String> {
    let tables = shared("nas-bench-201")?;
    Some(tables.parent().expect("it lies in a folder").display().to_string())
}

fn refused(args: &[&str]) -> String {
    let output = netwright(args).output().expect("the program starts");
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    told
}

/// With few networks and small batches of noise, where 300 networks and 64 real images reach .966 to .999.
#[test]
fn proxies_rank_networks_as_the_published_columns_do() {
    let Some(folder) = folder() else { return };
    let table = Table::open("nas-bench-201", Some(folder.as_ref())).expect("the published files are whole");
    let proxies = [Proxy::Synflow, Proxy::Nwot, Proxy::Zen];
    let study = ProxyStudy { proxies: &proxies, label: "val_accs", networks: 30, batch: 8, images: None, seed: 1 };
    let found = study_proxies(&table, &study, &mut |_, _| {}).expect("the table has this label");
    assert_eq!(found.networks, 30);
    for score in found.scores {
        let spearman = score.spearman_published.expect("it is published");
        assert!(spearman > 0.9 && score.without_value == 0, "{score:?}");
    }
}

#[test]
fn a_prediction_names_network_spread_rank_and_what_is_known() {
    let Some(folder) = folder() else { return };
    let from =
        ["predict", "--table", "nas-bench-201", "--data", &folder, "--label", "val_accs", "--train", "60", "--json"];
    let of = |more: &[&str]| -> Value { serde_json::from_str(&stdout(&[&from[..], more].concat(), 0)).expect("JSON") };
    let one = of(&["--arch", ARCH, "--predictor", "ridge"]);
    let network = &one["networks"][0];
    assert_eq!((&network["arch"], one["train"].as_u64(), one["ranked"].as_u64()), (&ARCH.into(), Some(60), Some(9445)));
    assert!(network["spread"].as_f64() > Some(0.0) && network["known"].as_f64() > Some(80.0), "{network}");
    let top = of(&["--top", "3", "--predictor", "ridge"]);
    let ranks: Vec<u64> = top["networks"].as_array().unwrap().iter().map(|n| n["rank"].as_u64().unwrap()).collect();
    assert!(ranks[0] == 1 && ranks.is_sorted() && ranks.len() == 3, "{ranks:?}");
}

#[test]
fn a_prediction_that_cannot_be_made_says_why() {
    let Some(folder) = folder() else { return };
    let from = ["predict", "--table", "nas-bench-201", "--data", &folder, "--label", "val_accs"];
    let told = |more: &[&str]| refused(&[&from[..], more].concat());
    assert!(told(&["--arch", "|conv~0|"]).contains("nodes"));
    assert!(told(&["--arch", ARCH, "--predictor", "oracle"]).contains("choose one of gnn"));
    assert!(told(&["--arch", ARCH, "--train", "99999"]).contains("leave nothing of 9445"));
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), format!("# two\n{ARCH}\nnonsense\n")).expect("it is writable");
    assert!(told(&["--archs", &file.path().display().to_string()]).contains("line 3"));
    assert!(refused(&["predict", "--run", "nowhere", "--arch", "1"]).contains("is not the folder of a run"));
    let proxies = ["predictor", "proxies", "--table", "nas-bench-201", "--data", &folder, "--proxies", "sinflow"];
    assert!(refused(&proxies).contains("choose from synflow"));
}
