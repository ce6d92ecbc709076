//! Do two trainings side by side on all threads take less time than one after the other? Interleaved, five rounds; the
//! ratio decides how many networks a search trains at once (`run/oracle.rs`).
//!
//! `cargo bench --bench side_by_side`

use netwright::data::{BuiltIn, Dataset};
use netwright::graph::Graph;
use netwright::measure::Stopwatch;
use netwright::nn::runtime;
use netwright::seed;
use netwright::space::{MacroConfig, MacroSpace};
use netwright::stats;
use netwright::train::{TrainConfig, train};
use rayon::prelude::*;

const ROUNDS: usize = 5;
const IMAGES: usize = 640;

fn main() {
    runtime::init(None);
    let images = Dataset::built_in(&BuiltIn { seed: 1, train: IMAGES, validation: 16, test: 16 }).train;
    let space = MacroConfig { input: images.shape(), classes: 16, ..MacroConfig::default() };
    let space = MacroSpace::new(space.scaled(0.5)).expect("the default space is valid");
    let mut rng = seed::stream(1, "networks", 0);
    let networks: Vec<Graph> = (0..2).map(|_| space.lower(&space.sample(&mut rng))).collect();
    let config = TrainConfig { epochs: 1, ..TrainConfig::default() };
    let one = |graph: &Graph| drop(train(graph, &images, &config, 1, None, &mut |_| {}).expect("one epoch works"));
    let (mut in_turn, mut together) = (Vec::new(), Vec::new());
    for _ in 0..=ROUNDS {
        let clock = Stopwatch::start();
        networks.iter().for_each(one);
        in_turn.push(clock.seconds());
        let clock = Stopwatch::start();
        networks.par_iter().for_each(one);
        together.push(clock.seconds());
    }
    // The first round only warms up.
    let (in_turn, together) = (stats::median(&in_turn[1..]), stats::median(&together[1..]));
    let rate = |seconds: f64| 2.0 * IMAGES as f64 / seconds;
    println!("{} threads, two networks of width 0.5, batch {}", rayon::current_num_threads(), config.batch);
    println!("one after the other  {:.0} images/s", rate(in_turn));
    println!("side by side         {:.0} images/s, {:.2} times as fast", rate(together), in_turn / together);
}
