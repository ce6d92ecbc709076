//! How long does it take to generate, cost, check against all limits and score 20,000 candidates on one core?
//!
//! `cargo bench --bench search`. The predictor is the one that guides a search, fitted to 24 networks before the clock
//! starts; the latency model knows every operator of the space.

use std::collections::{BTreeMap, HashSet};

use netwright::graph::deployable;
use netwright::predictor::{Fitted, Kind, Sample, fit};
use netwright::run::SpaceSite;
use netwright::search::Site;
use netwright::seed;
use netwright::space::{Genotype, MacroConfig, MacroSpace};
use netwright::target::{LatencyModel, Target, signature};

const CANDIDATES: usize = 20_000;

fn main() {
    divan::main();
}

struct Ground {
    space: MacroSpace,
    target: Target,
    latency: LatencyModel,
    predictor: Fitted,
}

fn ground() -> Ground {
    let space = MacroSpace::new(MacroConfig::default()).expect("the seed's space is valid");
    let target = Target::open("host").expect("the host profile is built in");
    let mut operators_ms = BTreeMap::new();
    for graph in space.calibration_networks() {
        let graph = deployable(&graph).graph;
        operators_ms.extend((0..graph.nodes().len()).map(|id| (signature(&graph, id), 0.01)));
    }
    let latency = LatencyModel {
        schema_version: LatencyModel::SCHEMA_VERSION,
        runtime: "none".to_string(),
        host: "none".to_string(),
        threads: 1,
        offset_ms: 0.1,
        scale: 1.0,
        operators_ms,
        networks_measured: 0,
        median_relative_error: 0.0,
        spearman: 0.0,
    };
    let mut rng = seed::stream(1, "bench", 0);
    let mut site = SpaceSite::new(&space, &target, None);
    let samples: Vec<Sample> = (0..24).map(|_| space.sample(&mut rng)).map(|g| site.describe(&g)).collect();
    let accuracies: Vec<f64> = samples.iter().map(|s| s.features.iter().sum::<f64>() / 40.0).collect();
    let predictor = fit(Kind::Blend, &samples, &accuracies, 1).expect("24 samples are enough");
    Ground { space, target, latency, predictor }
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn twenty_thousand_candidates(bencher: divan::Bencher) {
    let ground = ground();
    bencher.bench_local(|| {
        let mut site = SpaceSite::new(&ground.space, &ground.target, Some(&ground.latency));
        let mut rng = seed::stream(2, "bench", 0);
        let mut seen: HashSet<Genotype> = HashSet::new();
        let mut feasible = Vec::new();
        while seen.len() < CANDIDATES {
            let genotype = site.sample(&mut rng);
            if seen.insert(genotype.clone()) && site.is_feasible(&genotype) {
                feasible.push(genotype);
            }
        }
        // Candidates over a limit are not scored; their places are taken by scoring as many others again, so that 20,000
        // scores are in the time.
        let scored: Vec<Sample> = feasible.iter().cycle().take(CANDIDATES).map(|g| site.describe(g)).collect();
        ground.predictor.predict(&scored)
    });
}
