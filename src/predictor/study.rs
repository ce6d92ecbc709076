//! How well each predictor ranks the 300 trained architectures of the first seed, and how fast. Run
//! `cargo test --release --lib predictor::study -- --ignored --nocapture --test-threads 1`.
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
const CASES: [(usize, usize, usize); 3] = [(24, 100, 20), (50, 100, 20), (250, 50, 10)];

type Fit = fn(&[Sample], &[f64], u64) -> Vec<Fitted>;

/// What is measured: name and fit. Several predictors in one row are averaged.
const ROWS: [(&str, Fit); 8] = [
    ("macs", |s, t, seed| vec![fit(Kind::Macs, s, t, seed).unwrap()]),
    ("ridge, bits only", |s, t, _| vec![Fitted { kind: Kind::Ridge, model: Model::Ridge(bits_only(s, t)) }]),
    ("ridge", |s, t, seed| vec![fit(Kind::Ridge, s, t, seed).unwrap()]),
    ("mlp", |s, t, seed| vec![fit(Kind::Mlp, s, t, seed).unwrap()]),
    ("gnn, schedule of the seed", |s, t, seed| vec![fit_gnn(&SEED_SCHEDULE, s, t, seed).unwrap()]),
    ("gnn", |s, t, seed| vec![fit(Kind::Gnn, s, t, seed).unwrap()]),
    ("blend", |s, t, seed| vec![fit(Kind::Blend, s, t, seed).unwrap()]),
    ("blend and mlp", |s, t, seed| {
        [Kind::Blend, Kind::Blend, Kind::Mlp].map(|kind| fit(kind, s, t, seed).unwrap()).to_vec()
    }),
];

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
    let Some((samples, targets)) = fixture::trained_architectures() else { return };
    for (fitted, tested, splits) in CASES {
        eprintln!("fitted to {fitted}, tested on {tested}, mean of {splits} random splits [95 % bootstrap interval]");
        for (name, fit) in ROWS {
            let start = Instant::now();
            let tau = |split: u64| tau_of_split(fit, &samples, &targets, (fitted, tested), split);
            let taus: Vec<f64> = (0..splits as u64).into_par_iter().map(tau).collect();
            let (low, high) = stats::bootstrap_interval(&taus, stats::mean, 0.95, 2000, 0);
            let mean = stats::mean(&taus);
            eprintln!("  {name:26} tau {mean:.3} [{low:.3}, {high:.3}]  {:.1?}", start.elapsed());
        }
    }
}

/// Kendall tau on test rows drawn from the half that nothing was chosen on.
fn tau_of_split(fit: Fit, samples: &[Sample], targets: &[f64], (fitted, tested): (usize, usize), split: u64) -> f64 {
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(DEVELOPMENT_SEED));
    let mut rng = ChaCha8Rng::seed_from_u64(split);
    order[samples.len() / 2..].shuffle(&mut rng);
    let test = order.split_off(samples.len() - tested);
    order.shuffle(&mut rng);
    let pick = |chosen: &[usize]| -> (Vec<Sample>, Vec<f64>) {
        chosen.iter().map(|i| (samples[*i].clone(), targets[*i])).unzip()
    };
    let (fitted_samples, fitted_targets) = pick(&order[..fitted]);
    let (unseen, truth) = pick(&test);
    let mut sum = vec![0.0; unseen.len()];
    for predictor in fit(&fitted_samples, &fitted_targets, split) {
        sum.iter_mut().zip(predictor.predict(&unseen)).for_each(|(sum, prediction)| *sum += prediction.mean);
    }
    stats::kendall_tau(&sum, &truth)
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
