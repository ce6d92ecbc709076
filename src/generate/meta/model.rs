//! The meta-model: a data set goes in, ranked networks come out, nothing is trained on the data set.

use std::collections::HashSet;

use rand::Rng;
use rand::seq::IndexedRandom;
use rayon::prelude::*;

use super::config::MetaConfig;
use super::generator::Generator;
use super::predictor::{Pairs, Predictor};
use super::set::ClassKind;
use super::task::{Candidate, Classes, TaskView};
use crate::generate::GenerateError;
use crate::generate::plan::Plan;
use crate::generate::tape::Tape;
use crate::generate::vae::Scale;
use crate::graph::Cost;
use crate::seed;
use crate::space::{Codec, Genotype, Space};
use crate::stats;

/// Networks that one task of work scores.
const TOGETHER: usize = 32;
/// Sizes of networks, in standard deviations from the mean, no further out than this.
const FARTHEST: f32 = 4.0;
/// Looks at a data set whose predictions are averaged: each takes other images.
const LOOKS: usize = 3;
/// Networks drawn at a time.
const DRAWN: usize = 128;
/// Draws for each network wanted before a space is taken to hold no more.
const TRIES: usize = 40;
/// Rounds in which the best networks have children, how many they are and how many they have.
const ROUNDS: usize = 6;
const PARENTS: usize = 30;
const CHILDREN: usize = 64;
/// How likely a child of one parent differs in a choice.
const MUTATION_RATE: f64 = 0.1;

/// A generator and predictors that were fitted to many data sets (Lee and others, "MetaD2A", 2021).
#[derive(Debug, Clone, PartialEq)]
pub struct MetaModel {
    pub(super) config: MetaConfig,
    pub(super) kind: ClassKind,
    /// The space as published: what columns and sizes of networks are told in.
    pub(super) space: Space,
    pub(super) plan: Plan,
    pub(super) generator: Generator,
    pub(super) members: Vec<Predictor>,
    /// Scale of the columns: the first is a logarithm of multiply-accumulates, the others are from 0 to 1 already.
    pub(super) size_scale: Scale,
    /// Smallest and largest descriptors among the tasks of the fit: nothing beyond was learned.
    pub(super) descriptor_range: Vec<(f32, f32)>,
}

/// The best first.
fn sort(scored: &mut [Scored]) {
    scored.sort_by(|a, b| b.score.total_cmp(&a.score));
}

/// Number of the columns that a space has for each network.
fn column_count(space: &Space) -> usize {
    let some = space.sample(&mut seed::stream(0, "meta columns", 0));
    space.features(&some, &Cost::of(&space.lower(&some))).len()
}

/// A network with its prediction.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The network.
    pub genotype: Genotype,
    /// How much better than others on the same data set, in standard deviations among random networks.
    pub score: f64,
    /// Standard deviation of the score among the members.
    pub spread: f64,
}

impl MetaModel {
    /// A model with random weights.
    pub(super) fn new(
        space: &Space,
        kind: ClassKind,
        config: MetaConfig,
        size_scale: Scale,
        descriptor_range: Vec<(f32, f32)>,
        seed: u64,
    ) -> Result<MetaModel, GenerateError> {
        let plan = Plan::of(Codec::of(space)?);
        let columns = column_count(space);
        let member = |index| Predictor::new(&plan, kind, columns, &config, seed::derive(seed, "meta member", index));
        Ok(MetaModel {
            members: (0..config.members as u64).map(member).collect(),
            generator: Generator::new(&plan, kind, &config, seed),
            space: space.clone(),
            kind,
            plan,
            config,
            size_scale,
            descriptor_range,
        })
    }

    /// Number of weights of a model of these sizes.
    ///
    /// # Errors
    /// If the space has no codec.
    pub(super) fn weights_of(space: &Space, kind: ClassKind, config: &MetaConfig) -> Result<usize, GenerateError> {
        let plan = Plan::of(Codec::of(space)?);
        let member = Predictor::without_weights(&plan, kind, column_count(space), config).layout.len();
        let generator = Generator::without_weights(&plan, kind, config).layout.len();
        Ok(config.members * member + generator)
    }

    /// The space of its networks, as published.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Sizes and schedule.
    pub fn config(&self) -> &MetaConfig {
        &self.config
    }

    /// What classes are known by.
    pub fn kind(&self) -> ClassKind {
        self.kind
    }

    /// Number of all weights.
    pub fn weight_count(&self) -> usize {
        self.generator.weights.len() + self.members.iter().map(|member| member.weights.len()).sum::<usize>()
    }

    /// Whether a view is of the kind that the model knows.
    ///
    /// # Errors
    /// If it is not, or has fewer than two classes.
    pub fn check(&self, view: &TaskView) -> Result<(), GenerateError> {
        if view.classes.len() < 2 {
            return Err(GenerateError::FewClasses { found: view.classes.len() });
        }
        let fits = match (&view.classes, self.kind) {
            (Classes::Images(classes), ClassKind::Features(features)) => {
                classes.iter().all(|class| !class.is_empty() && class.iter().all(|image| image.len() == features))
            }
            (Classes::Numbers(numbers), ClassKind::Numbers(most)) => numbers.iter().all(|number| *number < most),
            _ => false,
        };
        if fits { Ok(()) } else { Err(GenerateError::OtherClasses) }
    }

    /// A network as the model reads it.
    pub(super) fn candidate(&self, genotype: &Genotype) -> Candidate {
        let genotype = self.space.canonical(genotype);
        let cost = Cost::of(&self.space.lower(&genotype));
        let mut columns: Vec<f32> = self.space.features(&genotype, &cost).iter().map(|value| *value as f32).collect();
        // A cell that computes nothing is smaller than the smallest, not by orders of magnitude.
        let size = self.size_scale.down((cost.macs.max(1) as f64).ln()).clamp(-FARTHEST, FARTHEST);
        columns[0] = size;
        Candidate { dag: self.space.dag(&genotype), columns, size }
    }

    /// The view with descriptors no further out than those of the fit.
    pub(super) fn within_range(&self, view: &TaskView) -> TaskView {
        let descriptors = view.descriptors.iter().zip(&self.descriptor_range);
        let descriptors = descriptors.map(|(value, (least, most))| value.clamp(*least, *most)).collect();
        TaskView { descriptors, ..view.clone() }
    }

    /// Scores of some networks on a data set, with their spread, in their order.
    ///
    /// # Errors
    /// If the model does not know such classes.
    pub fn score(&self, view: &TaskView, genotypes: &[Genotype]) -> Result<Vec<Scored>, GenerateError> {
        self.check(view)?;
        let view = self.within_range(view);
        let candidates: Vec<Candidate> = genotypes.par_iter().map(|genotype| self.candidate(genotype)).collect();
        let scores = self.score_candidates(&view, &candidates);
        let scored =
            |(genotype, (score, spread)): (&Genotype, (f64, f64))| Scored { genotype: genotype.clone(), score, spread };
        Ok(genotypes.iter().zip(scores).map(scored).collect())
    }

    pub(super) fn score_candidates(&self, view: &TaskView, candidates: &[Candidate]) -> Vec<(f64, f64)> {
        let looks: Vec<Vec<Vec<f32>>> = self.members.iter().map(|member| self.looks(member, view)).collect();
        let score = |candidates: &[Candidate]| -> Vec<(f64, f64)> {
            let members = self.members.iter().zip(&looks);
            let by_member: Vec<Vec<f64>> =
                members.map(|(member, looks)| self.member_scores(member, view, looks, candidates)).collect();
            let of = |at: usize| {
                let all: Vec<f64> = by_member.iter().map(|scores| scores[at]).collect();
                (stats::mean(&all), if all.len() > 1 { stats::std_dev(&all) } else { 0.0 })
            };
            (0..candidates.len()).map(of).collect()
        };
        candidates.par_chunks(TOGETHER).flat_map_iter(score).collect()
    }

    /// The vectors of some looks at a data set, the same ones for all networks.
    fn looks(&self, member: &Predictor, view: &TaskView) -> Vec<Vec<f32>> {
        let look = |index: usize| {
            let mut rng = seed::stream(0, "meta look", index as u64);
            let mut tape = Tape::new(&member.weights);
            let vector = member.vectors(&mut tape, &[view], &self.config, &mut rng);
            tape.data(vector).to_vec()
        };
        (0..LOOKS).map(look).collect()
    }

    /// Mean scores of the looks.
    fn member_scores(
        &self,
        member: &Predictor,
        view: &TaskView,
        looks: &[Vec<f32>],
        candidates: &[Candidate],
    ) -> Vec<f64> {
        let networks: Vec<(usize, &Candidate)> = candidates.iter().map(|candidate| (0, candidate)).collect();
        let pairs = Pairs { views: &[view], networks: &networks };
        let mut tape = Tape::new(&member.weights);
        let codes = member.codes(&mut tape, &self.plan, &pairs);
        let mut sums = vec![0.0; candidates.len()];
        for look in looks {
            let vector = tape.leaf(self.config.set, look.clone());
            let scores = member.judge(&mut tape, &pairs, codes, vector, &self.config);
            sums.iter_mut().zip(tape.data(scores)).for_each(|(sum, score)| *sum += f64::from(*score) / LOOKS as f64);
        }
        sums
    }

    /// Networks for a data set, best scores first: at most `count` different ones of those that `fits` accepts. So many are
    /// drawn by the generator; then the best have children for some rounds, which replace the worst. `count` can be more than
    /// the wanted number: the more are drawn, the better the first ones. `normal` says which one of the networks that are
    /// equal to the caller is meant.
    ///
    /// # Errors
    /// If the model does not know such classes.
    pub fn propose(
        &self,
        view: &TaskView,
        count: usize,
        normal: &dyn Fn(Genotype) -> Genotype,
        fits: &mut dyn FnMut(&Genotype) -> bool,
        seed: u64,
    ) -> Result<Vec<Scored>, GenerateError> {
        self.check(view)?;
        let view = self.within_range(view);
        let mut rng = seed::stream(seed, "meta proposals", 0);
        let sizes = self.sizes_that_fit(normal, fits, &mut rng);
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        let mut left = count.saturating_mul(TRIES).max(DRAWN);
        while found.len() < count && left > 0 && !sizes.is_empty() {
            left = left.saturating_sub(DRAWN);
            for genotype in self.draw(&view, &sizes, &mut rng).into_iter().map(normal) {
                if found.len() < count && seen.insert(genotype.clone()) && fits(&genotype) {
                    found.push(genotype);
                }
            }
        }
        let mut scored = self.score(&view, &found)?;
        sort(&mut scored);
        for _ in 0..ROUNDS {
            let children = self.children(&scored, &mut seen, normal, fits, &mut rng);
            scored.extend(self.score(&view, &children)?);
            sort(&mut scored);
            scored.truncate(count);
        }
        Ok(scored)
    }

    /// New networks near the best ones: half from two parents, half from one.
    fn children(
        &self,
        scored: &[Scored],
        seen: &mut HashSet<Genotype>,
        normal: &dyn Fn(Genotype) -> Genotype,
        fits: &mut dyn FnMut(&Genotype) -> bool,
        rng: &mut impl Rng,
    ) -> Vec<Genotype> {
        let parents = &scored[..PARENTS.min(scored.len())];
        let mut children = Vec::new();
        for _ in 0..TRIES * CHILDREN {
            let Some(parent) = parents.choose(rng) else { break };
            let child = match rng.random() {
                true => self.space.cross(&parent.genotype, &parents.choose(rng).unwrap_or(parent).genotype, rng),
                false => self.space.mutate(&parent.genotype, MUTATION_RATE, rng),
            };
            let child = normal(self.space.canonical(&child));
            if seen.insert(child.clone()) && fits(&child) {
                children.push(child);
            }
            if children.len() == CHILDREN {
                break;
            }
        }
        children
    }

    /// Standardised sizes of networks at random that are accepted: what a generator can be asked for.
    fn sizes_that_fit(
        &self,
        normal: &dyn Fn(Genotype) -> Genotype,
        fits: &mut dyn FnMut(&Genotype) -> bool,
        rng: &mut impl Rng,
    ) -> Vec<f32> {
        const WANTED: usize = 64;
        const DRAWS: usize = 4000;
        let mut sizes = Vec::new();
        for _ in 0..DRAWS {
            let genotype = normal(self.space.canonical(&self.space.sample(rng)));
            if fits(&genotype) {
                sizes.push(self.candidate(&genotype).size);
            }
            if sizes.len() == WANTED {
                break;
            }
        }
        sizes
    }

    /// Networks from the generator, at sizes among those given.
    fn draw(&self, view: &TaskView, sizes: &[f32], rng: &mut impl Rng) -> Vec<Genotype> {
        let graphs: Vec<(usize, f32)> = (0..DRAWN).map(|_| (0, *sizes.choose(rng).expect("some size fits"))).collect();
        let mut tape = Tape::new(&self.generator.weights);
        let points = self.generator.points(&mut tape, &[view], &graphs, &self.config, rng);
        let dags = self.generator.decoder.decode(&mut tape, &self.plan, points.with_size, DRAWN, Some(rng));
        let genotype = |dag| self.space.genotype_of(&dag).ok().map(|genotype| self.space.canonical(&genotype));
        dags.into_iter().filter_map(genotype).collect()
    }
}
