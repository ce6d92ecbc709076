//! The space as a strategy meets it: with the target's limits, as far as they are known before training.

use rand_chacha::ChaCha8Rng;

use super::closer::CloserLook;
use crate::graph::{Cost, Graph, deployable};
use crate::predictor::{PredictorError, Prior, Sample};
use crate::search::{Site, second_opinion};
use crate::space::{Genotype, MacroSpace, PartMemo};
use crate::target::{Latency, LatencyModel, Provenance, Target, Verdict};
use crate::units::Millis;

/// A space within a target's limits; costs are computed once for each layer.
pub struct SpaceSite<'a> {
    space: &'a MacroSpace,
    target: &'a Target,
    latency: Option<&'a LatencyModel>,
    costs: PartMemo<Cost>,
    times: PartMemo<Option<f64>>,
    supported: PartMemo<bool>,
    closer: Option<CloserLook>,
    prior: Option<Prior>,
}

impl<'a> SpaceSite<'a> {
    /// The space as deployed on the target.
    pub fn new(space: &'a MacroSpace, target: &'a Target, latency: Option<&'a LatencyModel>) -> Self {
        SpaceSite {
            space,
            target,
            latency,
            costs: PartMemo::default(),
            times: PartMemo::default(),
            supported: PartMemo::default(),
            closer: None,
            prior: None,
        }
    }

    /// The same, where candidates about to be trained get a closer look.
    pub fn looking_closer(self, closer: CloserLook) -> Self {
        SpaceSite { closer: Some(closer), ..self }
    }

    /// The same, where the last column of what predictors see is an expectation from elsewhere.
    pub fn expecting(self, prior: Prior) -> Self {
        SpaceSite { prior: Some(prior), ..self }
    }

    /// The space.
    pub fn space(&self) -> &'a MacroSpace {
        self.space
    }

    /// The target.
    pub fn target(&self) -> &'a Target {
        self.target
    }

    /// Times of operators, where they were measured.
    pub fn operator_times(&self) -> Option<&'a LatencyModel> {
        self.latency
    }

    /// A network against the limits, as far as that is known before training.
    pub fn verdict(&mut self, genotype: &Genotype) -> Verdict {
        let cost = self.cost(genotype);
        let time = self.latency(genotype);
        self.target.verdict(&cost, time.map(|time| Latency { time, provenance: Provenance::Predicted }))
    }

    /// Cost of a network.
    pub fn cost(&mut self, genotype: &Genotype) -> Cost {
        self.space.cost(genotype, &mut self.costs)
    }

    /// Latency that is expected: by the operators' times if there are any and they know all of the network's, else by the
    /// target's own model.
    pub fn latency(&mut self, genotype: &Genotype) -> Option<Millis> {
        let Some(model) = self.latency else {
            let cost = self.cost(genotype);
            return self.target.estimated(&cost);
        };
        let time = |part: &Graph| model.sum_ms(&deployable(part).graph);
        let times = self.space.parts(genotype, &mut self.times, time);
        let sum: Option<f64> = times.into_iter().sum();
        sum.map(|ms| Millis((model.offset_ms + model.scale * ms).max(0.0)))
    }

    /// Whether the target's runtime has every operator of the network.
    fn is_supported(&mut self, genotype: &Genotype) -> bool {
        let (space, target) = (self.space, self.target);
        let has_all = |part: &Graph| target.unsupported(&deployable(part).graph).is_none();
        target.operators.is_none() || space.parts(genotype, &mut self.supported, has_all).into_iter().all(|has| has)
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
        let expected = self.latency(genotype);
        self.target.lets_in(&cost, expected) && self.is_supported(genotype)
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
        let mut features = self.space.features(genotype, &cost);
        features.extend(self.prior.as_mut().map(|prior| prior.expect(genotype)));
        Sample { dag: self.space.dag(genotype), features }
    }

    fn looked_at_per_training(&self) -> usize {
        if self.closer.is_some() { CloserLook::SHORTLISTED } else { 1 }
    }

    fn look_closer(
        &mut self,
        trained: &[(&Genotype, f64)],
        candidates: Vec<(Genotype, f64)>,
        seed: u64,
    ) -> Result<Vec<(Genotype, f64)>, PredictorError> {
        let Some(mut closer) = self.closer.take() else { return Ok(candidates) };
        let (known, accuracies): (Vec<_>, Vec<f64>) = trained
            .iter()
            .map(|(genotype, accuracy)| (closer.look(genotype, self.describe(genotype)), *accuracy))
            .unzip();
        let (shortlist, predicted): (Vec<_>, Vec<f64>) =
            candidates.iter().map(|(genotype, of)| (closer.look(genotype, self.describe(genotype)), *of)).unzip();
        self.closer = Some(closer);
        let second = second_opinion(&known, &accuracies, &shortlist, &predicted, seed)?;
        let mut ranked: Vec<(Genotype, f64)> =
            candidates.into_iter().map(|(genotype, _)| genotype).zip(second).collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Ok(ranked)
    }
}
