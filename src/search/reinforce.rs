//! Reinforcement learning: a recurrent controller writes networks and is rewarded with their accuracy.

use std::collections::HashSet;

use super::controller::Controller;
use super::random::draw;
use super::{Origin, Proposal, SearchError, Site, Strategy};
use crate::seed;
use crate::space::Genotype;

/// How the controller learns.
#[derive(Debug, Clone, PartialEq)]
pub struct ReinforceConfig {
    /// Step size of Adam.
    pub learning_rate: f64,
    /// How much of the baseline stays when a reward arrives; the baseline is their moving mean.
    pub baseline: f64,
    /// Weight of the entropy of the distributions, so that the controller does not decide too early.
    pub entropy: f64,
}

impl Default for ReinforceConfig {
    /// Step size and baseline of the benchmark's own search (Dong and others, NATS-Bench, 2021).
    fn default() -> Self {
        ReinforceConfig { learning_rate: 0.01, baseline: 0.9, entropy: 0.01 }
    }
}

/// Networks written before a random one takes the place: a controller that is decided writes the same again and again.
const WRITTEN_AT_MOST: usize = 50;

/// The strategy.
pub struct Reinforce {
    config: ReinforceConfig,
    seed: u64,
    seen: HashSet<Genotype>,
    told: Vec<(Genotype, Option<f64>)>,
    /// Trainings that the controller has learned from.
    learned: usize,
    controller: Option<Controller>,
    /// Mean and mean square of the rewards, moving.
    moments: Option<(f64, f64)>,
}

impl Reinforce {
    /// A search with its seed.
    pub fn new(config: ReinforceConfig, seed: u64) -> Self {
        let (seen, told) = (HashSet::new(), Vec::new());
        Reinforce { config, seed, seen, told, learned: 0, controller: None, moments: None }
    }

    /// The controller, after it has learned from everything told. It learns from networks that it did not write too: a
    /// random one took the place of what it would have repeated.
    fn learn(&mut self, site: &mut dyn Site) -> Result<&Controller, SearchError> {
        let mut controller = match self.controller.take() {
            Some(controller) => controller,
            None => {
                let mut rng = seed::stream(self.seed, "controller", 0);
                Controller::new(&site.choices(), self.config.learning_rate, &mut rng)?
            }
        };
        while self.learned < self.told.len() {
            let (genotype, accuracy) = self.told[self.learned].clone();
            let advantage = self.advantage(accuracy.unwrap_or(0.0));
            controller.reinforce(&site.choices_of(&genotype), advantage, self.config.entropy)?;
            self.learned += 1;
        }
        Ok(self.controller.insert(controller))
    }

    /// How much better a reward is than those before, in their standard deviations: accuracies of one data set differ by
    /// tenths, those of another by thousandths.
    fn advantage(&mut self, reward: f64) -> f64 {
        let Some((mean, square)) = self.moments else {
            self.moments = Some((reward, reward * reward));
            return 0.0;
        };
        let kept = self.config.baseline;
        self.moments = Some((kept * mean + (1.0 - kept) * reward, kept * square + (1.0 - kept) * reward * reward));
        let deviation = (square - mean * mean).max(0.0).sqrt();
        if deviation > 0.0 { ((reward - mean) / deviation).clamp(-3.0, 3.0) } else { (reward - mean).signum() }
    }
}

impl Strategy for Reinforce {
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        if !pending.is_empty() {
            return Ok(None);
        }
        let index = self.told.len() as u64;
        let mut rng = seed::stream(self.seed, "write", index);
        self.learn(site)?;
        let controller = self.controller.as_ref().expect("it has just learned");
        for _ in 0..WRITTEN_AT_MOST {
            let genotype = site.assemble(&controller.write(&mut rng)?);
            let is_new = |g: &Genotype| !self.seen.contains(g) && site.is_feasible(g);
            if let Some(genotype) = genotype.filter(is_new) {
                return Ok(Some(Proposal { genotype, origin: Origin::Written, predicted: None }));
            }
        }
        Ok(Some(Proposal::random(draw(site, |g| self.seen.contains(g), self.seed, index)?)))
    }

    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>) {
        self.seen.insert(genotype.clone());
        self.told.push((genotype.clone(), accuracy));
    }
}
