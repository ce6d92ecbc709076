//! How well each predictor ranks the 300 trained architectures of the first seed, and how fast. Run
//! `cargo test --release --lib predictor::study::ranking -- --exact --ignored --nocapture` (or `::speed`).
//!
//! Schedules and penalties were chosen on the 150 development rows alone. Here every test row is one of the other 150,
//! whatever the predictors were fitted to.

use std::time::Instant;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::*;

/// Seed of the order whose first half are the development rows.
const DEVELOPMENT_SEED: u64 = 99;

/// Number of samples to fit, number to test, number of random splits.
const CASES: [(usize, usize, usize); 3] = [(24, 100, 12), (50, 100, 12), (250, 50, 10)];

/// Splits on which the schedule of the seed is tried, which takes minutes to fit.
const SPLITS_OF_SEED: usize = 4;

/// Predictors that are fitted once per split, the slowest last.
const FITTED: [&str; 6] = ["macs", "ridge, bits only", "ridge", "mlp", "gnn", "gnn, schedule of the seed"];

/// What is reported: a predictor, or the mean of several.
const ROWS: [(&str, &[usize]); 9] = [
    ("macs", &[0]),
    ("ridge, bits only", &[1]),
    ("ridge", &[2]),
    ("mlp", &[3]),
    ("gnn", &[4]),
    ("blend: gnn, ridge", &[4, 2]),
    ("mlp, ridge", &[3, 2]),
    ("gnn, mlp, ridge", &[4, 3, 2]),
    (FITTED[5], &[5]),
];

fn fit_one(name: &str, samples: &[Sample], targets: &[f64], seed: u64) -> Fitted {
    match name {
        "ridge, bits only" => Fitted { kind: Kind::Ridge, model: Model::Ridge(bits_only(samples, targets)) },
        "gnn, schedule of the seed" => fit_gnn(&SEED_SCHEDULE, samples, targets, seed).unwrap(),
        kind => fit(kind.parse().unwrap(), samples, targets, seed).unwrap(),
    }
}

/// The ridge regression that macro-space results are usually compared with: it sees no size.
fn bits_only(samples: &[Sample], targets: &[f64]) -> Ridge {
    let rows: Vec<Vec<f64>> = samples.iter().map(|sample| sample.features[1..].to_vec()).collect();
    let mut ridge = Ridge::fit(&rows, targets, Lambda::LeaveOneOut);
    ridge.coefficients.splice(0..0, [0.0, 0.0]);
    ridge
}

#[test]
#[ignore = "a measurement of some minutes"]
fn ranking() {
    CASES.iter().for_each(|(fitted, tested, splits)| report(*fitted, *tested, *splits, FITTED.len() - 1));
}

#[test]
#[ignore = "a measurement of an hour"]
fn ranking_by_the_schedule_of_the_seed() {
    CASES.iter().for_each(|(fitted, tested, _)| report(*fitted, *tested, SPLITS_OF_SEED, FITTED.len()));
}

/// Prints the table of the first `tried` predictors.
fn report(fitted: usize, tested: usize, splits: usize, tried: usize) {
    let Some((samples, targets)) = fixture::trained_architectures() else { return };
    eprintln!("fitted to {fitted}, tested on {tested}, mean of {splits} random splits [95 % bootstrap interval]");
    let rows: Vec<_> = ROWS.iter().filter(|(_, parts)| parts.iter().all(|part| *part < tried)).collect();
    let predict = |split: u64| predictions_of_split(&samples, &targets, (fitted, tested), split, &FITTED[..tried]);
    let found: Vec<(Vec<Vec<f64>>, Vec<f64>)> = (0..splits as u64).into_par_iter().map(predict).collect();
    for (name, parts) in rows {
        let tau = |(predictions, truth): &(Vec<Vec<f64>>, Vec<f64>)| {
            let sum = |i: usize| parts.iter().map(|part| predictions[*part][i]).sum();
            stats::kendall_tau(&(0..truth.len()).map(sum).collect::<Vec<f64>>(), truth)
        };
        let taus: Vec<f64> = found.iter().map(tau).collect();
        let (low, high) = stats::bootstrap_interval(&taus, stats::mean, 0.95, 2000, 0);
        eprintln!("  {name:26} {:.3} [{low:.3}, {high:.3}]", stats::mean(&taus));
    }
}

/// What each predictor says of test samples drawn from the half that nothing was chosen on, and their accuracies.
fn predictions_of_split(
    samples: &[Sample],
    targets: &[f64],
    (fitted, tested): (usize, usize),
    split: u64,
    names: &[&str],
) -> (Vec<Vec<f64>>, Vec<f64>) {
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(DEVELOPMENT_SEED));
    let mut rng = ChaCha8Rng::seed_from_u64(split);
    order[samples.len() / 2..].shuffle(&mut rng);
    let test = order.split_off(samples.len() - tested);
    order.shuffle(&mut rng);
    let pick = |chosen: &[usize]| -> (Vec<Sample>, Vec<f64>) {
        chosen.iter().map(|i| (samples[*i].clone(), targets[*i])).unzip()
    };
    let (known, known_targets) = pick(&order[..fitted]);
    let (unseen, truth) = pick(&test);
    let predict = |name: &&str| {
        let predictions = fit_one(name, &known, &known_targets, split).predict(&unseen);
        predictions.iter().map(|prediction| prediction.mean).collect()
    };
    (names.iter().map(predict).collect(), truth)
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    let samples = fixture::random_samples(20_000, 1);
    for count in [24, 100] {
        let targets = fixture::made_up_accuracies(&samples[..count]);
        for kind in Kind::ALL {
            let start = Instant::now();
            let fitted = fit(kind, &samples[..count], &targets, 0).unwrap();
            let fitting = start.elapsed();
            let start = Instant::now();
            fitted.predict(&samples);
            eprintln!("{kind:6} fits {count} in {fitting:.2?}, scores 20,000 in {:.2?}", start.elapsed());
        }
    }
}
