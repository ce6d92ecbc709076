//! Fitting a meta-model: first the predictors, which begin with the linear model that fits all tasks and, where accuracies are
//! compared within tasks, learn beside it from tasks drawn for each; then the generator.

use rand::Rng;
use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::config::MetaConfig;
use super::model::MetaModel;
use super::predictor::{Pairs, Predictor};
use super::set::ClassKind;
use super::task::{Candidate, MetaLabel, MetaTask, TaskView};
use crate::generate::GenerateError;
use crate::generate::adam::Adam;
use crate::generate::tape::Tape;
use crate::generate::vae::Scale;
use crate::graph::Cost;
use crate::regress::{Lambda, Ridge, moments};
use crate::seed;
use crate::space::{Genotype, Space};
use crate::stats;

/// Tasks that one piece of work computes: results do not depend on threads.
pub(super) const PIECE: usize = 4;
/// Fewest tasks that a fit makes sense with.
const FEWEST: usize = 8;
/// Weight of the level of a task's scores beside their differences. Accuracies are told as distances from the mean of the few
/// networks of their task: how good these were together nobody knows, and it ranks nothing.
const LEVEL: f32 = 0.1;

/// What a fit tells while it goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FitStep {
    /// Mean squared error of a member after a pass, both from 1.
    Predictor {
        /// The member.
        member: usize,
        /// The pass.
        epoch: usize,
        /// Weighted mean of the squared errors of standardised accuracies.
        error: f64,
    },
    /// Losses of the generator after a pass.
    Generator {
        /// The pass.
        epoch: usize,
        /// Mean negative logarithm of the probability of a network.
        loss: f64,
    },
}

/// A task whose labels are standardised.
pub(super) struct Known {
    pub view: TaskView,
    pub networks: Vec<Labelled>,
}

pub(super) struct Labelled {
    pub candidate: Candidate,
    /// Accuracy among networks on the task, in standard deviations.
    pub target: f32,
    /// Share of the differences within the task that is not chance of the images that it was measured on.
    weight: f32,
}

impl MetaModel {
    /// Fits a model of a space to tasks. `watch` is told every pass.
    ///
    /// # Errors
    /// If there are too few tasks, one has classes of another kind than `kind`, or the weights diverge.
    pub fn fit(
        space: &Space,
        kind: ClassKind,
        tasks: &[MetaTask],
        config: MetaConfig,
        seed: u64,
        watch: &mut dyn FnMut(FitStep),
    ) -> Result<MetaModel, GenerateError> {
        Self::check_count(tasks.len())?;
        let mut model = MetaModel::new(space, kind, config, size_scale(space, seed), descriptor_range(tasks), seed)?;
        for task in tasks {
            model.check(&task.view)?;
        }
        let of_all: Vec<f64> = tasks.iter().flat_map(|task| task.labels.iter().map(|label| label.accuracy)).collect();
        let of_all = Scale::of(&of_all);
        let known: Vec<Known> = tasks.par_iter().map(|task| model.known(task, of_all)).collect();
        let useful: Vec<&Known> = known.iter().filter(|task| !task.networks.is_empty()).collect();
        if useful.len() < FEWEST {
            return Err(GenerateError::AlikeTasks { found: useful.len(), of: tasks.len(), needed: FEWEST });
        }
        let linear = linear(&useful, model.config.within_tasks);
        for member in 0..model.members.len() {
            let tasks = tasks_of_member(&useful, &model.config, seed, member);
            model.fit_member(member, &tasks, &linear, seed, watch)?;
        }
        model.fit_generator(&known, seed, watch)?;
        Ok(model)
    }

    /// Whether a model can be fitted to so many tasks.
    ///
    /// # Errors
    /// If they are too few.
    pub fn check_count(tasks: usize) -> Result<(), GenerateError> {
        match tasks < FEWEST {
            true => Err(GenerateError::FewTasks { found: tasks, needed: FEWEST }),
            false => Ok(()),
        }
    }

    fn known(&self, task: &MetaTask, of_all: Scale) -> Known {
        let accuracies: Vec<f64> = task.labels.iter().map(|label| label.accuracy).collect();
        let (mean, deviation) = (stats::mean(&accuracies), stats::std_dev(&accuracies));
        let (scale, weight) = match self.config.within_tasks {
            true if deviation > 0.0 => (Scale { mean, deviation }, reliability(mean, deviation, task.tested_on)),
            // All the same: nothing to learn from.
            true => (of_all, 0.0),
            false => (of_all, 1.0),
        };
        let labelled = |label: &MetaLabel| Labelled {
            candidate: self.candidate(&label.genotype),
            target: scale.down(label.accuracy),
            weight: weight as f32,
        };
        let networks = if weight > 0.0 { task.labels.iter().map(labelled).collect() } else { Vec::new() };
        Known { view: self.within_range(&task.view), networks }
    }

    /// Fits a member to the targets, from the linear model on. Compared within tasks, accuracies are mostly chance and the
    /// linear model stays; compared over all tasks, members rank better if it moves along (measured on MetaD2A's database).
    fn fit_member(
        &mut self,
        member: usize,
        useful: &[&Known],
        linear: &Ridge,
        seed: u64,
        watch: &mut dyn FnMut(FitStep),
    ) -> Result<(), GenerateError> {
        let seed = seed::derive(seed, "meta member order", member as u64);
        let config = self.config.clone();
        let steps = config.epochs * useful.len().div_ceil(config.batch);
        let mut optimiser = Adam::new(&self.members[member].layout, config.learning_rate, config.weight_decay, steps);
        let mut order: Vec<usize> = (0..useful.len()).collect();
        self.members[member].stand_on(linear);
        for epoch in 0..config.epochs {
            order.shuffle(&mut seed::stream(seed, "order", epoch as u64));
            let (mut error, mut weights) = (0.0, 0.0);
            for (step, chosen) in order.chunks(config.batch).enumerate() {
                let tasks: Vec<&Known> = chosen.iter().map(|at| useful[*at]).collect();
                let step_seed = seed::derive(seed, "step", (epoch * useful.len() + step) as u64);
                let of_step = self.member_gradient(&self.members[member], &tasks, step_seed);
                (error, weights) = (error + of_step.error, weights + of_step.weight);
                optimiser.step(&mut self.members[member].weights, of_step.gradient);
                if config.within_tasks {
                    self.members[member].stand_on(linear);
                }
            }
            let error = error / f64::max(weights, f64::MIN_POSITIVE);
            if !error.is_finite() {
                return Err(GenerateError::Diverged { epoch: epoch + 1 });
            }
            watch(FitStep::Predictor { member: member + 1, epoch: epoch + 1, error });
        }
        Ok(())
    }

    fn member_gradient(&self, member: &Predictor, tasks: &[&Known], seed: u64) -> Step {
        let piece = |(index, tasks): (usize, &[&Known])| {
            self.member_piece(member, tasks, &mut seed::stream(seed, "piece", index as u64))
        };
        let pieces: Vec<Step> = tasks.par_chunks(PIECE).enumerate().map(piece).collect();
        Step::mean(pieces)
    }

    fn member_piece(&self, member: &Predictor, tasks: &[&Known], rng: &mut impl Rng) -> Step {
        let views: Vec<&TaskView> = tasks.iter().map(|task| &task.view).collect();
        let labelled: Vec<(usize, &Labelled)> = tasks
            .iter()
            .enumerate()
            .flat_map(|(at, task)| task.networks.iter().map(move |known| (at, known)))
            .collect();
        let networks: Vec<(usize, &Candidate)> = labelled.iter().map(|(at, known)| (*at, &known.candidate)).collect();
        let mut tape = Tape::new(&member.weights);
        let pairs = Pairs { views: &views, networks: &networks };
        let scores = member.apply(&mut tape, &self.plan, &pairs, &self.config, rng);
        let of_level = if self.config.within_tasks { LEVEL } else { 1.0 };
        let (mut error, mut weight, mut slopes) = (0.0, 0.0, Vec::with_capacity(labelled.len()));
        let mut scored = tape.data(scores).iter();
        for task in tasks {
            let wrong = |known: &Labelled, score: &f32| score - known.target;
            let wrong: Vec<f32> = task.networks.iter().zip(scored.by_ref()).map(|(k, s)| wrong(k, s)).collect();
            let level = wrong.iter().sum::<f32>() / wrong.len().max(1) as f32;
            for (known, wrong) in task.networks.iter().zip(wrong) {
                let own = wrong - level;
                error += f64::from(known.weight * (own * own + of_level * level * level));
                weight += f64::from(known.weight);
                slopes.push(2.0 * known.weight * (own + of_level * level));
            }
        }
        Step { gradient: tape.backward(vec![(scores, slopes)]).of_weights, error, weight }
    }
}

/// Sums over the networks of a step.
pub(super) struct Step {
    pub gradient: Vec<f32>,
    pub error: f64,
    pub weight: f64,
}

impl Step {
    /// The gradient becomes that of the mean.
    pub fn mean(pieces: Vec<Step>) -> Step {
        let mut pieces = pieces.into_iter();
        let mut sum = pieces.next().expect("a step has tasks");
        for piece in pieces {
            sum.gradient.iter_mut().zip(piece.gradient).for_each(|(sum, value)| *sum += value);
            (sum.error, sum.weight) = (sum.error + piece.error, sum.weight + piece.weight);
        }
        let share = 1.0 / sum.weight.max(1e-3) as f32;
        sum.gradient.iter_mut().for_each(|g| *g *= share);
        sum
    }
}

/// What a member learns from: as many tasks as there are, drawn with replacement, so that members differ where tasks do
/// (Breiman, "Bagging predictors", 1996). One that is alone has all of them, and so has each where accuracies are compared
/// over all tasks: leaving out a third of these costs more than it gains.
fn tasks_of_member<'a>(useful: &[&'a Known], config: &MetaConfig, seed: u64, member: usize) -> Vec<&'a Known> {
    if config.members == 1 || !config.within_tasks {
        return useful.to_vec();
    }
    let mut rng = seed::stream(seed, "meta member tasks", member as u64);
    (0..useful.len()).map(|_| useful[rng.random_range(0..useful.len())]).collect()
}

/// The linear model of the columns that fits all tasks best. If targets are distances from the mean of a task's networks
/// (`within_tasks`), then so are columns: how good these networks were together nobody knows.
fn linear(useful: &[&Known], within_tasks: bool) -> Ridge {
    let rows_of = |task: &&Known| -> Vec<Vec<f64>> {
        let row = |known: &Labelled| known.candidate.columns.iter().map(|value| f64::from(*value)).collect();
        task.networks.iter().map(row).collect()
    };
    let raw: Vec<Vec<f64>> = useful.iter().flat_map(rows_of).collect();
    let labelled = || useful.iter().flat_map(|task| &task.networks);
    let targets: Vec<f64> = labelled().map(|known| f64::from(known.target)).collect();
    let weights: Vec<f64> = labelled().map(|known| f64::from(known.weight)).collect();
    if !within_tasks {
        return Ridge::fit_rows(&raw, &targets, &weights, Lambda::LeaveOneOut);
    }
    let centred = |task: &&Known| -> Vec<Vec<f64>> {
        let rows = rows_of(task);
        let (means, _) = moments(&rows);
        rows.iter().map(|row| row.iter().zip(&means).map(|(value, mean)| value - mean).collect()).collect()
    };
    let rows: Vec<Vec<f64>> = useful.iter().flat_map(centred).collect();
    let slopes = Ridge::fit_rows(&rows, &targets, &weights, Lambda::LeaveOneOut);
    let of_mean: f64 = moments(&raw).0.iter().zip(&slopes.coefficients).map(|(mean, slope)| mean * slope).sum();
    Ridge { intercept: -of_mean, ..slopes }
}

/// Share of the variance of accuracies within a task that is not explained by the draw of the images they were measured
/// on, which is binomial.
fn reliability(mean: f64, deviation: f64, tested_on: usize) -> f64 {
    let by_chance = mean * (1.0 - mean) / tested_on.max(1) as f64;
    (1.0 - by_chance / deviation.powi(2).max(f64::MIN_POSITIVE)).max(0.0)
}

/// Scale of the logarithm of multiply-accumulates among random networks.
fn size_scale(space: &Space, seed: u64) -> Scale {
    const NETWORKS: usize = 400;
    let mut rng = seed::stream(seed, "meta sizes", 0);
    let genotypes: Vec<Genotype> = (0..NETWORKS).map(|_| space.sample(&mut rng)).collect();
    let size = |genotype: &Genotype| (Cost::of(&space.lower(genotype)).macs.max(1) as f64).ln();
    Scale::of(&genotypes.par_iter().map(size).collect::<Vec<f64>>())
}

fn descriptor_range(tasks: &[MetaTask]) -> Vec<(f32, f32)> {
    let numbers = tasks.iter().map(|task| task.view.descriptors.len()).min().unwrap_or(0);
    let range = |at: usize| {
        let all = tasks.iter().map(|task| task.view.descriptors[at]);
        all.fold((f32::MAX, f32::MIN), |(least, most), value| (least.min(value), most.max(value)))
    };
    (0..numbers).map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Classes;

    #[test]
    fn what_the_images_explain_counts_less() {
        assert_eq!(reliability(0.9, 0.0, 400), 0.0);
        assert!(reliability(0.9, 0.015, 400) < 0.01);
        assert!((reliability(0.9, 0.03, 400) - 0.75).abs() < 0.01);
    }

    /// Tasks of two kinds, told by their images: on one convolutions of 3×3 are good, on the other those of 1×1.
    fn tasks(space: &Space, n: usize) -> Vec<MetaTask> {
        let mut rng = seed::stream(5, "test", 0);
        let task = |at: usize| {
            let is_first = at.is_multiple_of(2);
            let mean = if is_first { 1.0 } else { -1.0 };
            let mut image = |_| vec![mean + rng.random_range(-0.5..0.5), rng.random_range(-1.0..1.0)];
            let classes = (0..3).map(|_| (0..4).map(&mut image).collect()).collect();
            let view = TaskView::of_images(classes, 100, 16, true);
            let label = |_| {
                let genotype = space.canonical(&space.sample(&mut rng));
                let accuracy = 0.5 + 0.05 * f64::from(favour(space, &genotype, is_first));
                MetaLabel { genotype, accuracy }
            };
            let labels = (0..8).map(label).collect();
            MetaTask { view, labels, tested_on: 100_000 }
        };
        (0..n).map(task).collect()
    }

    /// Operations that the kind of a task likes, less those that the other likes.
    fn favour(space: &Space, genotype: &Genotype, is_first: bool) -> i32 {
        let text = space.format(genotype);
        let (three, one) = (text.matches("nor_conv_3x3").count() as i32, text.matches("nor_conv_1x1").count() as i32);
        if is_first { three - one } else { one - three }
    }

    fn small() -> MetaConfig {
        MetaConfig {
            set: 8,
            heads: 2,
            hidden: 8,
            latent: 6,
            emitter: 16,
            head: 16,
            members: 2,
            epochs: 40,
            generator_epochs: 30,
            learning_rate: 1e-2,
            ..MetaConfig::default()
        }
    }

    #[test]
    fn a_model_learns_what_suits_which_data_and_proposes_it() {
        let space = Space::named("nats-tss").unwrap();
        let all = tasks(&space, 68);
        let (learned, held_out) = all.split_at(60);
        let mut last = f64::NAN;
        let model = MetaModel::fit(&space, ClassKind::Features(2), learned, small(), 1, &mut |step| {
            if let FitStep::Predictor { error, .. } = step {
                last = error;
            }
        })
        .unwrap();
        assert!(last < 0.3, "{last}");
        for (at, task) in held_out.iter().enumerate() {
            let genotypes: Vec<Genotype> = task.labels.iter().map(|label| label.genotype.clone()).collect();
            let scores: Vec<f64> = model.score(&task.view, &genotypes).unwrap().iter().map(|s| s.score).collect();
            let accuracies: Vec<f64> = task.labels.iter().map(|label| label.accuracy).collect();
            assert!(stats::spearman(&scores, &accuracies) > 0.7, "{scores:?} {accuracies:?}");
            let proposed = model.propose(&task.view, 60, &|g| g, &mut |_| true, 3).unwrap();
            assert!(proposed.is_sorted_by(|a, b| a.score >= b.score));
            let mean = |all: &[crate::generate::Scored]| {
                let each = all.iter().map(|s| f64::from(favour(&space, &s.genotype, at.is_multiple_of(2))));
                stats::mean(&each.collect::<Vec<f64>>())
            };
            assert!(
                mean(&proposed[..5]) > 1.5 && mean(&proposed) > 0.4,
                "{} {}",
                mean(&proposed[..5]),
                mean(&proposed)
            );
        }
    }

    #[test]
    fn tasks_without_differences_are_too_few_however_many() {
        let space = Space::named("nats-tss").unwrap();
        let fit = |tasks: &[MetaTask]| {
            MetaModel::fit(&space, ClassKind::Features(2), tasks, small(), 1, &mut |_| {}).unwrap_err()
        };
        let mut alike = tasks(&space, 12);
        alike.iter_mut().skip(3).flat_map(|task| &mut task.labels).for_each(|label| label.accuracy = 0.5);
        assert!(matches!(fit(&alike), GenerateError::AlikeTasks { found: 3, of: 12, .. }), "{}", fit(&alike));
        assert!(matches!(fit(&alike[..5]), GenerateError::FewTasks { found: 5, .. }));
    }

    #[test]
    fn the_same_seed_gives_the_same_model_and_limits_are_kept() {
        let space = Space::named("nats-tss").unwrap();
        let tasks = tasks(&space, 12);
        let config = MetaConfig { epochs: 2, generator_epochs: 2, ..small() };
        let fit = || MetaModel::fit(&space, ClassKind::Features(2), &tasks, config.clone(), 1, &mut |_| {}).unwrap();
        let model = fit();
        assert_eq!(fit(), model);
        let mut is_small = |genotype: &Genotype| Cost::of(&space.lower(genotype)).macs < 30_000_000;
        let proposed = model.propose(&tasks[0].view, 20, &|g| g, &mut is_small, 1).unwrap();
        assert!(!proposed.is_empty() && proposed.iter().all(|scored| is_small(&scored.genotype)));
        assert!(model.propose(&tasks[0].view, 20, &|g| g, &mut |_| false, 1).unwrap().is_empty());
    }

    #[test]
    fn what_the_model_does_not_know_is_refused() {
        let space = Space::named("nats-tss").unwrap();
        let few = MetaModel::fit(&space, ClassKind::Features(2), &tasks(&space, 3), small(), 1, &mut |_| {});
        assert!(few.unwrap_err().to_string().starts_with("3 tasks are too few"));
        let config = MetaConfig { epochs: 1, generator_epochs: 1, ..small() };
        let model = MetaModel::fit(&space, ClassKind::Features(2), &tasks(&space, 8), config, 1, &mut |_| {}).unwrap();
        let told = |classes| model.check(&TaskView { classes, descriptors: vec![0.0; 4] }).unwrap_err().to_string();
        assert!(told(Classes::Images(vec![vec![vec![0.0; 2]]])).starts_with("1 class"));
        assert!(told(Classes::Numbers(vec![1, 2])).contains("classes of another kind"));
        assert!(told(Classes::Images(vec![vec![vec![0.0; 3]]; 2])).contains("classes of another kind"));
    }
}
