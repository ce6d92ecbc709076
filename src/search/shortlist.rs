//! A closer look at the few candidates that are about to be trained: zero-cost proxies take a fraction of a second each, too
//! much for the thousands that a search scores, little beside a training.

use crate::predictor::{Kind, PredictorError, Sample, fit};
use crate::stats;

/// What is known of a network without training it.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    /// What the search's own predictor sees.
    pub sample: Sample,
    /// Its proxies, always the same ones in the same order; none where a proxy has no value.
    pub proxies: Vec<Option<f64>>,
}

/// Of networks on a shortlist, expected accuracies that also heed their proxies: the mean of `predicted`, which the
/// search's own predictor gave, and of what a ridge regression says that sees the proxies by their rank among all networks
/// here, trained or not.
///
/// # Errors
/// If there are fewer than four trained networks.
pub fn second_opinion(
    trained: &[Looked],
    accuracies: &[f64],
    shortlist: &[Looked],
    predicted: &[f64],
    seed: u64,
) -> Result<Vec<f64>, PredictorError> {
    let samples = with_ranks(&trained.iter().chain(shortlist).collect::<Vec<_>>());
    let (known, unknown) = samples.split_at(trained.len());
    let fitted = fit(Kind::Ridge, known, accuracies, seed)?;
    let second = fitted.predict(unknown);
    Ok(predicted.iter().zip(second).map(|(first, second)| (first + second.mean) / 2.0).collect())
}

/// Samples with a further column for each proxy: the normal score of its rank. A network without a value ranks last.
fn with_ranks(networks: &[&Looked]) -> Vec<Sample> {
    let mut samples: Vec<Sample> = networks.iter().map(|network| network.sample.clone()).collect();
    let proxies = networks.first().map_or(0, |network| network.proxies.len());
    for proxy in 0..proxies {
        let values: Vec<f64> =
            networks.iter().map(|network| network.proxies[proxy].unwrap_or(f64::NEG_INFINITY)).collect();
        for (sample, rank) in samples.iter_mut().zip(stats::ranks(&values)) {
            sample.features.push(stats::normal_quantile((rank - 0.5) / values.len() as f64));
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;
    use crate::seed;
    use crate::space::Dag;

    /// Networks that nothing but their proxy tells apart, and accuracies that follow it.
    fn alike(count: usize, seed: u64) -> (Vec<Looked>, Vec<f64>) {
        let mut rng = seed::stream(seed, "test", 0);
        let one = |quality: f64| Looked {
            sample: Sample { dag: Dag { kinds: vec![0, 1], edges: vec![(0, 1)] }, features: vec![6.0, 1.0] },
            proxies: vec![Some(quality.exp())],
        };
        let qualities: Vec<f64> = (0..count).map(|_| rng.random_range(0.0..1.0)).collect();
        (qualities.iter().map(|quality| one(*quality)).collect(), qualities.iter().map(|q| 0.5 + 0.1 * q).collect())
    }

    #[test]
    fn what_only_a_proxy_knows_changes_the_order() {
        let (trained, accuracies) = alike(20, 1);
        let (shortlist, truth) = alike(10, 2);
        let found = second_opinion(&trained, &accuracies, &shortlist, &[0.55; 10], 0).unwrap();
        assert!(stats::spearman(&found, &truth) > 0.95, "{found:?} {truth:?}");
    }

    #[test]
    fn a_network_without_a_value_ranks_last() {
        let (mut networks, _) = alike(3, 1);
        networks[1].proxies[0] = None;
        let samples = with_ranks(&networks.iter().collect::<Vec<_>>());
        let column: Vec<f64> = samples.iter().map(|sample| *sample.features.last().unwrap()).collect();
        assert!(column[1] < column[0] && column[1] < column[2] && column[1].is_finite(), "{column:?}");
    }
}
