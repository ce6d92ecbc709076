//! The space as a strategy meets it: with the target's limits, as far as they are known before training.

use rand_chacha::ChaCha8Rng;

use crate::graph::{Cost, Graph, deployable};
use crate::predictor::Sample;
use crate::search::Site;
use crate::space::{Genotype, MacroSpace, PartMemo};
use crate::target::{Latency, LatencyModel, Provenance, Target};
use crate::units::Millis;

/// A space within a target's limits; costs are computed once for each layer.
pub struct SpaceSite<'a> {
    space: &'a MacroSpace,
    target: &'a Target,
    latency: Option<&'a LatencyModel>,
    costs: PartMemo<Cost>,
    times: PartMemo<Option<f64>>,
}

impl<'a> SpaceSite<'a> {
    /// The space as deployed on the target.
    pub fn new(space: &'a MacroSpace, target: &'a Target, latency: Option<&'a LatencyModel>) -> Self {
        SpaceSite { space, target, latency, costs: PartMemo::default(), times: PartMemo::default() }
    }

    /// The space.
    pub fn space(&self) -> &'a MacroSpace {
        self.space
    }

    /// The target.
    pub fn target(&self) -> &'a Target {
        self.target
    }

    /// Cost of a network.
    pub fn cost(&mut self, genotype: &Genotype) -> Cost {
        self.space.cost(genotype, &mut self.costs)
    }

    /// Latency that the model expects, if there is a model and it knows all operators.
    pub fn latency(&mut self, genotype: &Genotype) -> Option<Millis> {
        let model = self.latency?;
        let time = |part: &Graph| model.sum_ms(&deployable(part).graph);
        let times = self.space.parts(genotype, &mut self.times, time);
        let sum: Option<f64> = times.into_iter().sum();
        sum.map(|ms| Millis((model.offset_ms + model.scale * ms).max(0.0)))
    }
}

impl Site for SpaceSite<'_> {
    fn sample(&mut self, rng: &mut ChaCha8Rng) -> Genotype {
        self.space.sample(rng)
    }

    fn mutate(&mut self, genotype: &Genotype, rate: f64, rng: &mut ChaCha8Rng) -> Genotype {
        self.space.mutate(genotype, rate, rng)
    }

    fn cross(&mut self, a: &Genotype, b: &Genotype, rng: &mut ChaCha8Rng) -> Genotype {
        self.space.cross(a, b, rng)
    }

    fn is_feasible(&mut self, genotype: &Genotype) -> bool {
        let cost = self.cost(genotype);
        let expected = |time| Latency { time, provenance: Provenance::Predicted };
        let latency = self.latency(genotype).map(expected);
        self.target.verdict(&cost, latency).fits()
    }

    fn choices(&self) -> Vec<u8> {
        self.space.choices()
    }

    fn choices_of(&self, genotype: &Genotype) -> Vec<u8> {
        self.space.choices_of(genotype)
    }

    fn assemble(&mut self, options: &[u8]) -> Option<Genotype> {
        self.space.assemble(options)
    }

    fn describe(&mut self, genotype: &Genotype) -> Sample {
        let cost = self.cost(genotype);
        Sample { dag: self.space.dag(genotype), features: self.space.features(genotype, &cost) }
    }
}
