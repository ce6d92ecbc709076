//! Strategies that plan some networks at a time: what a round proposes follows from what had been told when it began.

use std::collections::HashSet;

use super::random::draw;
use super::{Proposal, SearchError, Site, Strategy};
use crate::space::Genotype;

/// Decides what a round proposes.
pub trait Planner {
    /// The most promising new networks after these trainings, best first; what is missing to a round is drawn at random.
    /// The first round is planned with nothing told.
    ///
    /// # Errors
    /// If what plans cannot be fitted.
    fn plan(&self, told: &[(Genotype, Option<f64>)], site: &mut dyn Site) -> Result<Vec<Proposal>, SearchError>;
}

/// A strategy in rounds: `initial` trainings, then `per_round` after each plan.
pub struct Rounds<P> {
    planner: P,
    initial: usize,
    per_round: usize,
    seed: u64,
    told: Vec<(Genotype, Option<f64>)>,
    seen: HashSet<Genotype>,
    /// Trainings told before the round that is planned, and its proposals.
    planned: Option<(usize, Vec<Proposal>)>,
}

impl<P: Planner> Rounds<P> {
    /// A search with its seed.
    pub fn new(planner: P, initial: usize, per_round: usize, seed: u64) -> Self {
        Rounds { planner, initial, per_round, seed, told: Vec::new(), seen: HashSet::new(), planned: None }
    }

    /// Where the round of a training began.
    fn start_of(&self, index: usize) -> usize {
        match index.checked_sub(self.initial) {
            None => 0,
            Some(after) => index - after % self.per_round,
        }
    }
}

impl<P: Planner> Strategy for Rounds<P> {
    fn ask(&mut self, site: &mut dyn Site, pending: &[Genotype]) -> Result<Option<Proposal>, SearchError> {
        let index = self.told.len() + pending.len();
        let start = self.start_of(index);
        if start > self.told.len() {
            return Ok(None);
        }
        let planned = match self.planned.take() {
            Some(planned) if planned.0 == start => planned,
            _ => (start, self.planner.plan(&self.told[..start], site)?),
        };
        let seen = |g: &Genotype| self.seen.contains(g) || pending.contains(g);
        let next = planned.1.iter().find(|proposal| !seen(&proposal.genotype)).cloned();
        self.planned = Some(planned);
        match next {
            Some(next) => Ok(Some(next)),
            None => Ok(Some(Proposal::random(draw(site, seen, self.seed, index as u64)?))),
        }
    }

    fn tell(&mut self, genotype: &Genotype, accuracy: Option<f64>) {
        self.seen.insert(genotype.clone());
        self.told.push((genotype.clone(), accuracy));
    }
}

/// The trainings that succeeded.
pub(super) fn successes(told: &[(Genotype, Option<f64>)]) -> Vec<(&Genotype, f64)> {
    told.iter().filter_map(|(genotype, accuracy)| accuracy.map(|accuracy| (genotype, accuracy))).collect()
}

/// The best trainings, best first.
pub(super) fn best_of(told: &[(Genotype, Option<f64>)], count: usize) -> Vec<Genotype> {
    let mut known = successes(told);
    known.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    known.into_iter().take(count).map(|(genotype, _)| genotype.clone()).collect()
}
