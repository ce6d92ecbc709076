//! How well each predictor ranks the 300 trained architectures of the first seed, and how fast: run
//! `cargo test --release --lib predictor::study -- --ignored --nocapture --test-threads 1`.

use std::time::Instant;

use super::*;

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
