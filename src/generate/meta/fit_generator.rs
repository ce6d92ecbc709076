//! Fitting the generator: it learns the networks that were best on a task, and those of a random pool that the predictors
//! take to be the best of their size.

use rand::Rng;
use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::fit::{FitStep, Known, Labelled, PIECE, Step};
use super::model::MetaModel;
use super::task::{Candidate, TaskView};
use crate::generate::GenerateError;
use crate::generate::adam::Adam;
use crate::generate::plan::{Batch, Record};
use crate::generate::tape::Tape;
use crate::generate::training::{Losses, divergence};
use crate::seed;
use crate::space::Genotype;

/// Random networks of which the predictors choose for each task, and how many they choose, of different sizes.
const POOL: usize = 160;
const CHOSEN: usize = 10;
/// Best networks of a task by its labels that the generator learns, too.
const BEST: usize = 2;

impl MetaModel {
    pub(super) fn fit_generator(
        &mut self,
        known: &[Known],
        seed: u64,
        watch: &mut dyn FnMut(FitStep),
    ) -> Result<(), GenerateError> {
        let config = self.config.clone();
        // What it would learn from takes longer to choose than predictors take to fit.
        if config.generator_epochs == 0 {
            return Ok(());
        }
        let good: Vec<Vec<(Record, f32)>> = known
            .iter()
            .enumerate()
            .map(|(at, task)| self.good_networks(task, seed::derive(seed, "pool", at as u64)))
            .collect();
        let mut order: Vec<usize> = (0..known.len()).collect();
        let steps = config.generator_epochs * known.len().div_ceil(config.batch);
        let mut optimiser = Adam::new(&self.generator.layout, config.learning_rate, config.weight_decay, steps);
        for epoch in 0..config.generator_epochs {
            order.shuffle(&mut seed::stream(seed, "generator order", epoch as u64));
            let (mut loss, mut graphs) = (0.0, 0.0);
            for (step, chosen) in order.chunks(config.batch).enumerate() {
                let step_seed = seed::derive(seed, "generator step", (epoch * known.len() + step) as u64);
                let piece = |(index, tasks): (usize, &[usize])| {
                    let tasks: Vec<(&TaskView, &[(Record, f32)])> =
                        tasks.iter().map(|at| (&known[*at].view, good[*at].as_slice())).collect();
                    self.generator_piece(&tasks, &mut seed::stream(step_seed, "piece", index as u64))
                };
                let pieces: Vec<Step> = chosen.par_chunks(PIECE).enumerate().map(piece).collect();
                let of_step = Step::mean(pieces);
                (loss, graphs) = (loss + of_step.error, graphs + of_step.weight);
                optimiser.step(&mut self.generator.weights, of_step.gradient);
            }
            let loss = loss / f64::max(graphs, 1.0);
            if !loss.is_finite() {
                return Err(GenerateError::Diverged { epoch: epoch + 1 });
            }
            watch(FitStep::Generator { epoch: epoch + 1, loss });
        }
        Ok(())
    }

    /// What the generator learns for a task: graphs with their sizes.
    fn good_networks(&self, task: &Known, seed: u64) -> Vec<(Record, f32)> {
        let mut rng = seed::stream(seed, "random pool", 0);
        let pool: Vec<Genotype> = (0..POOL).map(|_| self.space.canonical(&self.space.sample(&mut rng))).collect();
        let pool: Vec<Candidate> = pool.par_iter().map(|genotype| self.candidate(genotype)).collect();
        let scores = self.score_candidates(&task.view, &pool);
        let mut by_size: Vec<usize> = (0..pool.len()).collect();
        by_size.sort_by(|a, b| pool[*a].size.total_cmp(&pool[*b].size));
        let best = |band: &[usize]| band.iter().copied().max_by(|a, b| scores[*a].0.total_cmp(&scores[*b].0));
        let chosen = by_size.chunks(POOL / CHOSEN).filter_map(best).map(|at| &pool[at]);
        let mut labelled: Vec<&Labelled> = task.networks.iter().collect();
        labelled.sort_by(|a, b| b.target.total_cmp(&a.target));
        let labelled = labelled.into_iter().take(BEST).map(|known| &known.candidate);
        chosen.chain(labelled).map(|candidate| (self.plan.record(&candidate.dag), candidate.size)).collect()
    }

    fn generator_piece(&self, tasks: &[(&TaskView, &[(Record, f32)])], rng: &mut impl Rng) -> Step {
        let views: Vec<&TaskView> = tasks.iter().map(|(view, _)| *view).collect();
        let all = tasks.iter().enumerate().flat_map(|(at, (_, good))| good.iter().map(move |good| (at, good)));
        let (graphs, records): (Vec<(usize, f32)>, Vec<&Record>) =
            all.map(|(at, (record, size))| ((at, *size), record)).unzip();
        let mut tape = Tape::new(&self.generator.weights);
        let points = self.generator.points(&mut tape, &views, &graphs, &self.config, rng);
        let batch = Batch::of(&records, self.plan.nodes());
        let mut losses = Losses::default();
        let decoder = &self.generator.decoder;
        let mut seeds = decoder.reconstruction(&mut tape, &self.plan, &batch, &records, points.with_size, &mut losses);
        // A task's divergence counts once for each of its networks, as their losses do.
        let weight = self.config.divergence as f32 * records.len() as f32 / views.len() as f32;
        seeds.extend(divergence(&tape, (points.mean, points.log_variance), weight, &mut losses));
        let gradient = tape.backward(seeds).of_weights;
        Step { gradient, error: losses.reconstruction, weight: records.len() as f64 }
    }
}
