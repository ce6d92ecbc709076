//! Networks that no other beats in everything: the Pareto front of accuracy against costs.

/// What is weighed of a network: an accuracy that is to be high, costs that are to be low.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighed {
    /// Accuracy, of the same kind for all networks that are compared.
    pub accuracy: f64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Peak activation RAM.
    pub peak_ram_bytes: u64,
    /// Latency, where it is known; what is not a number is not known.
    pub latency_ms: Option<f64>,
}

impl Weighed {
    /// Whether this network is at least as good in everything and better in something. An unknown latency counts as longer
    /// than any other, so that dominance stays transitive: not being known is no merit.
    pub fn dominates(&self, other: &Weighed) -> bool {
        let (own, its) = (self.losses(), other.losses());
        own.iter().zip(&its).all(|(own, its)| own <= its) && own != its
    }

    /// Numbers that are all to be low.
    fn losses(&self) -> [f64; 4] {
        let latency = self.latency_ms.filter(|ms| !ms.is_nan()).unwrap_or(f64::INFINITY);
        [-self.accuracy, self.macs as f64, self.peak_ram_bytes as f64, latency]
    }
}

/// Places of the networks that no other dominates, in their order; networks that are equal in everything are all there. One
/// whose accuracy is not a number is not.
pub fn pareto_front(networks: &[Weighed]) -> Vec<usize> {
    let is_known = |network: &&Weighed| !network.accuracy.is_nan();
    let is_best = |network: &Weighed| !networks.iter().filter(is_known).any(|other| other.dominates(network));
    let places = networks.iter().enumerate().filter(|(_, network)| is_known(network) && is_best(network));
    places.map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(accuracy: f64, macs: u64, peak_ram_bytes: u64, latency_ms: Option<f64>) -> Weighed {
        Weighed { accuracy, macs, peak_ram_bytes, latency_ms }
    }

    #[test]
    fn a_network_stays_if_it_is_best_in_some_trade() {
        let networks = [
            network(0.5, 10, 10, Some(1.0)),
            network(0.6, 20, 10, Some(2.0)), // more accurate, slower
            network(0.6, 20, 10, Some(3.0)), // slower than the one before, otherwise equal
            network(0.4, 20, 5, Some(9.0)),  // least memory
            network(0.4, 9, 20, Some(9.0)),  // fewest MACs
            network(0.5, 11, 11, Some(1.0)), // worse than the first
            network(0.1, 99, 99, Some(0.5)), // fastest
        ];
        assert_eq!(pareto_front(&networks), [0, 1, 3, 4, 6]);
    }

    #[test]
    fn equals_stay_together() {
        let twin = network(0.5, 10, 10, None);
        assert_eq!(pareto_front(&[twin, twin, network(0.4, 10, 10, None)]), [0, 1]);
        assert_eq!(pareto_front(&[]), [0; 0]);
    }

    #[test]
    fn an_unknown_latency_is_no_merit_and_no_reason_to_go() {
        let known = network(0.5, 10, 10, Some(5.0));
        assert!(known.dominates(&network(0.5, 10, 10, None)));
        // Better in all else, but perhaps slower: both stay.
        let unknown = network(0.6, 9, 9, None);
        assert!(!unknown.dominates(&known) && !known.dominates(&unknown));
        assert_eq!(pareto_front(&[known, network(0.5, 10, 10, Some(f64::NAN))]), [0]);
    }

    #[test]
    fn an_accuracy_that_is_no_number_beats_nothing() {
        assert_eq!(pareto_front(&[network(f64::NAN, 1, 1, Some(0.1)), network(0.5, 10, 10, Some(5.0))]), [1]);
    }

    /// By the definition, on many random networks with many ties: none on the front is dominated, and every other one is
    /// dominated by one on the front.
    #[test]
    fn what_is_not_on_the_front_is_beaten_by_what_is() {
        use rand::Rng;
        let mut rng = crate::seed::stream(1, "front", 0);
        let networks: Vec<Weighed> = (0..300)
            .map(|_| {
                let latency = rng.random_bool(0.8).then(|| f64::from(rng.random_range(0..6)));
                let accuracy = f64::from(rng.random_range(0..6)) / 10.0;
                network(accuracy, rng.random_range(0..6), rng.random_range(0..6), latency)
            })
            .collect();
        let front = pareto_front(&networks);
        assert!((2..200).contains(&front.len()), "{}", front.len());
        for (place, network) in networks.iter().enumerate() {
            let is_beaten = front.iter().any(|best| networks[*best].dominates(network));
            assert_eq!(is_beaten, !front.contains(&place), "{place}");
        }
    }
}
