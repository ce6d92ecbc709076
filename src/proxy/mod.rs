//! Zero-cost proxies: numbers of an untrained [`Graph`] on one batch of images that go with the accuracy it would reach.
//!
//! Each follows the code by which the columns of NAS-Bench-Suite-Zero (Krishnakumar and others, 2022) were computed, which
//! goes back to "Zero-Cost Proxies for Lightweight NAS" (Abdelfattah and others, 2021). Weights start as PyTorch's layers do,
//! scales of normalisations at one, and normalisation is by the batch, as in training. Everything follows from graph, batch
//! and seed; on the CPU no bit depends on threads.
//!
//! Their agreement with the published columns is measured by `netwright predictor proxies`.

mod bare;
mod batch;
mod error;
mod kernels;
mod linearised;
mod saliency;
mod spectrum;
mod weights;
mod zen;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, Op, Weights};
use bare::Bare;
pub use batch::Batch;
pub use error::ProxyError;
use kernels::Activity;
use saliency::Saliency;

/// The proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proxy {
    /// Logarithm of the flow through all paths of absolute weights (Tanaka and others, 2020).
    Synflow,
    /// Log-determinant of how often each two images agree in their ReLUs (Mellor and others, 2021).
    Nwot,
    /// How little the gradients by each two images correlate (Mellor and others, 2020).
    Jacov,
    /// Sum of |weight · gradient| (Lee and others, 2019).
    Snip,
    /// Sum over layers of the norm of the gradient.
    GradNorm,
    /// How far a small change of the image moves the features, with what normalisation took away (Lin and others, 2021).
    Zen,
    /// Squared sum of activation · gradient of each channel (Theis and others, 2018).
    Fisher,
    /// Sum of weight · gradient.
    Plain,
    /// Sum over layers of the norm of the weights.
    L2Norm,
    /// How much the gradients by images of one class correlate (Lopes and others, 2021).
    EpeNas,
}

impl Proxy {
    /// All of them.
    pub const ALL: [Proxy; 10] = [
        Proxy::Synflow,
        Proxy::Nwot,
        Proxy::Jacov,
        Proxy::Snip,
        Proxy::GradNorm,
        Proxy::Zen,
        Proxy::Fisher,
        Proxy::Plain,
        Proxy::L2Norm,
        Proxy::EpeNas,
    ];

    /// Its name, which is that of its published column.
    pub fn name(self) -> &'static str {
        match self {
            Proxy::Synflow => "synflow",
            Proxy::Nwot => "nwot",
            Proxy::Jacov => "jacov",
            Proxy::Snip => "snip",
            Proxy::GradNorm => "grad_norm",
            Proxy::Zen => "zen",
            Proxy::Fisher => "fisher",
            Proxy::Plain => "plain",
            Proxy::L2Norm => "l2_norm",
            Proxy::EpeNas => "epe_nas",
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;
    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let named = Proxy::ALL.into_iter().find(|proxy| proxy.name() == text);
        named.ok_or_else(|| ProxyError::Unknown { name: text.to_string() })
    }
}

/// The values of `proxies`, in their order. A proxy has no value where its definition gives none: every image in the same
/// place, an infinite logarithm, a network without a convolution.
///
/// # Errors
/// If the batch does not suit the network.
pub fn measure(graph: &Graph, batch: &Batch, proxies: &[Proxy], seed: u64) -> Result<Vec<Option<f64>>, ProxyError> {
    batch.check(graph)?;
    if !graph.nodes().iter().any(|node| matches!(node.op, Op::Conv2d(_))) {
        return Ok(vec![None; proxies.len()]);
    }
    let bare = Bare::of(graph);
    let start = weights::published(&bare, seed);
    let wants = |some: &[Proxy]| some.iter().any(|proxy| proxies.contains(proxy));
    let activity = wants(&[Proxy::Nwot, Proxy::Jacov, Proxy::EpeNas])
        .then(|| Activity::of(&bare, &start, batch, wants(&[Proxy::Jacov, Proxy::EpeNas])));
    let saliency = wants(&[Proxy::Snip, Proxy::GradNorm, Proxy::Fisher, Proxy::Plain])
        .then(|| Saliency::of(&bare, &start, batch, wants(&[Proxy::Fisher])));
    let activity = || activity.as_ref().expect("it is computed for these proxies");
    let saliency = || saliency.as_ref().expect("it is computed for these proxies");
    let value = |proxy: &Proxy| match proxy {
        Proxy::Synflow => Some(linearised::synflow(&bare, &start)),
        Proxy::Nwot => Some(activity().nwot()),
        Proxy::Jacov => activity().jacov(),
        Proxy::EpeNas => activity().epe_nas(batch.labels()),
        Proxy::Snip => Some(saliency().snip),
        Proxy::GradNorm => Some(saliency().grad_norm),
        Proxy::Fisher => Some(saliency().fisher),
        Proxy::Plain => Some(saliency().plain),
        Proxy::Zen => Some(zen::zen(&bare, batch.len(), seed)),
        Proxy::L2Norm => Some(l2_norm(&bare, &start)),
    };
    Ok(proxies.iter().map(|proxy| value(proxy).filter(|value| value.is_finite())).collect())
}

fn l2_norm(bare: &Bare, weights: &Weights) -> f64 {
    bare.layers(&weights.layout).map(|spec| norm(weights.values(spec))).sum()
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;
    use crate::space::Space;

    fn network(index: u64) -> Graph {
        let space = Space::named("nats-tss").unwrap();
        space.lower(&space.sample(&mut seed::stream(5, "test", index)))
    }

    #[test]
    fn every_proxy_has_a_value_that_follows_from_the_seed() {
        let graph = network(0);
        let batch = Batch::random(&graph, 8, 1);
        let of = |seed| measure(&graph, &batch, &Proxy::ALL, seed).unwrap();
        let found = of(3);
        assert!(found.iter().all(Option::is_some), "{found:?}");
        assert_eq!(found, of(3));
        let other = of(4);
        assert!(found.iter().zip(&other).all(|(a, b)| a != b), "{found:?} {other:?}");
    }

    #[test]
    fn a_value_does_not_depend_on_what_else_is_asked_for_nor_on_threads() {
        let graph = network(1);
        let batch = Batch::random(&graph, 8, 1);
        let together = measure(&graph, &batch, &Proxy::ALL, 3).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        for (proxy, value) in Proxy::ALL.iter().zip(together) {
            let alone = pool.install(|| measure(&graph, &batch, &[*proxy], 3)).unwrap();
            assert_eq!(alone, [value], "{proxy}");
        }
    }

    #[test]
    fn every_space_and_any_image_will_do() {
        use crate::space::Task;
        let task = Task { input: crate::graph::Shape::new(1, 27, 21), classes: 3, mean: vec![0.5], std: vec![0.3] };
        for name in Space::NAMES {
            let space = Space::for_task(name, task.clone()).unwrap();
            let graph = space.lower(&space.sample(&mut seed::stream(2, "test", 0)));
            let found = measure(&graph, &Batch::random(&graph, 6, 1), &Proxy::ALL, 1).unwrap();
            assert!(found.iter().all(Option::is_some), "{name}: {found:?}");
        }
    }

    #[test]
    fn what_computes_nothing_has_no_value() {
        let space = Space::named("nats-tss").unwrap();
        let nothing = space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|").unwrap();
        let graph = space.lower(&nothing);
        let found = measure(&graph, &Batch::random(&graph, 4, 1), &Proxy::ALL, 1).unwrap();
        assert_eq!(found, [None; Proxy::ALL.len()]);
    }

    #[test]
    fn names_go_to_text_and_back() {
        for proxy in Proxy::ALL {
            assert_eq!(proxy.to_string().parse::<Proxy>().unwrap(), proxy);
        }
        assert!("sinflow".parse::<Proxy>().unwrap_err().to_string().contains("synflow, nwot"));
    }
}
