//! The experiment of the first seed, NAS_with_GNN_predictor (2020): networks of the macro space at random, trained; a graph
//! network and baselines that predict their accuracies; evolution over its predictions within a limit of MACs against the
//! best of the random networks; both trained in full.

use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::labels::{
    DataTask, Label, LabelError, Labels, Networks, Plan, Recipe, Sources, label, space_for, write_table,
};
use super::{Benchmark, EvaluationError, Population, Scores};
use crate::graph::Cost;
use crate::nn::Device;
use crate::predictor::{Kind, Sample};
use crate::search::{Guided, GuidedConfig, SearchError, Site, Strategy};
use crate::seed;
use crate::space::{Genotype, MacroSpace, PartMemo, Space};
use crate::tabular::{Table, TabularError};
use crate::train::{Schedule, TrainConfig};

/// Why the study ended early.
#[derive(Debug, thiserror::Error)]
pub enum GnnStudyError {
    /// Too little to divide into networks to fit and networks to test.
    #[error("{found} networks with an accuracy are too few\nhint: `--networks 12` or more")]
    TooFew {
        /// How many there are.
        found: usize,
    },
    /// No random network keeps the limit.
    #[error("none of the {networks} random networks has at most {limit} MACs\nhint: raise `--macs`, or `--networks`")]
    NoneWithin {
        /// How many there are.
        networks: usize,
        /// The limit.
        limit: u64,
    },
    /// A training or a journal.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// A predictor.
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// The search.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The table of the networks.
    #[error(transparent)]
    Table(#[from] TabularError),
}

/// What is repeated, and how much of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GnnStudy {
    /// The data set.
    pub task: DataTask,
    /// Random networks; the seed has 300.
    pub networks: usize,
    /// How each of them trains.
    pub recipe: Recipe,
    /// How the best of each search trains in the end.
    pub final_recipe: Recipe,
    /// Networks that predictors are fitted to; sizes that leave too few to test on are left out.
    pub sizes: Vec<usize>,
    /// Random splits for each size.
    pub splits: u64,
    /// What predicts.
    pub predictors: Vec<String>,
    /// Most MACs of a network; by default the seed's share of the largest network's.
    pub macs_limit: Option<u64>,
}

/// The seed's limit of 15 M MACs against the 18.8 M of its largest network.
const MACS_SHARE: f64 = 15.0 / 18.802688;
/// Fewest networks to fit a predictor to, and to test it on.
const FEWEST_FITTED: usize = 4;
const FEWEST_TESTED: usize = 4;
/// Fewest networks for the study.
const FEWEST_NETWORKS: usize = 10;

/// The seed's training, for as many epochs: its batch of 1,024 images, SGD at 0.1, a tenth of it after each 25 of 60 epochs,
/// label smoothing 0.1, crops out of four pixels more. Ours shortens long gradients and its momentum is Nesterov's.
pub fn gnn_study_training(epochs: usize, batch: usize) -> TrainConfig {
    TrainConfig {
        epochs,
        batch,
        learning_rate: 0.1,
        weight_decay: 4e-4,
        label_smoothing: 0.1,
        warm_up: 0.0,
        shift: 4,
        schedule: Schedule::Step,
        ..TrainConfig::default()
    }
}

/// A network and what was found of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Accuracy that the graph network predicted before it was trained.
    pub predicted: Option<f64>,
    /// Its training as all others.
    pub label: Label,
    /// Its training in the end.
    pub last: Option<Label>,
}

/// What the study showed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GnnFindings {
    /// The table of the random networks.
    pub table: PathBuf,
    /// The random networks' labels, in the order in which they were drawn.
    pub random: Vec<Label>,
    /// Predictors by the number of networks they were fitted to.
    pub scores: Vec<Scores>,
    /// Most MACs.
    pub macs_limit: u64,
    /// The network found by evolution over the graph network's predictions.
    pub evolved: Found,
    /// The best of the random networks within the limit.
    pub best_random: Found,
}

/// What the study tells while it goes on.
pub enum GnnProgress<'a> {
    /// A part begins.
    Stage(&'a str),
    /// A training is done: which, how many are, how many will be.
    Label(&'a Label, usize, usize),
    /// A predictor was evaluated.
    Scores(&'a Scores),
}

/// Repeats the experiment in a folder, whose journals hold every training: a study that was cut off goes on there.
///
/// # Errors
/// If data or journal cannot be read or written, or nothing can be compared.
pub fn gnn_study(
    study: &GnnStudy,
    device: &Device,
    folder: &Path,
    watch: &mut dyn FnMut(GnnProgress),
) -> Result<GnnFindings, GnnStudyError> {
    let mut labels = Labels::open(&folder.join("journal.jsonl"), &study.recipe)?;
    let networks = Networks::draw("macro", study.networks, study.recipe.seed)?;
    watch(GnnProgress::Stage("training random networks"));
    train(study, &study.recipe, device, &networks, &mut labels, watch)?;
    let random: Vec<Label> = of_networks(&labels, &networks);
    let known = random.iter().filter(|label| label.validation_accuracy.is_some()).count();
    if known < FEWEST_NETWORKS {
        return Err(GnnStudyError::TooFew { found: known });
    }
    let table = write_table(folder, &study.recipe, std::slice::from_ref(&study.task), &random)?;
    watch(GnnProgress::Stage("evaluating the predictors"));
    let scores = scores(study, &table, known, watch)?;

    watch(GnnProgress::Stage("evolving over predictions"));
    let space = macro_space(study)?;
    let mut site = WithinMacs::of(&space, study.macs_limit);
    let best_random = best_within(&random, site.limit)?;
    let (evolved, predicted) = evolve(study, &mut site, &random)?;
    let found = Networks { texts: vec![evolved] };
    train(study, &study.recipe, device, &found, &mut labels, watch)?;
    let evolved = of_networks(&labels, &found).remove(0);

    watch(GnnProgress::Stage("training both in full"));
    let both = Networks { texts: vec![evolved.network.clone(), best_random.network.clone()] };
    let mut last = Labels::open(&folder.join("final.jsonl"), &study.final_recipe)?;
    train(study, &study.final_recipe, device, &both, &mut last, watch)?;
    let last_of = |network: &str| last.all().iter().find(|label| label.network == network).cloned();
    let evolved = Found { predicted, last: last_of(&evolved.network), label: evolved };
    let best_random = Found { predicted: None, last: last_of(&best_random.network), label: best_random };
    Ok(GnnFindings { table, random, scores, macs_limit: site.limit, evolved, best_random })
}

fn train(
    study: &GnnStudy,
    recipe: &Recipe,
    device: &Device,
    networks: &Networks,
    labels: &mut Labels,
    watch: &mut dyn FnMut(GnnProgress),
) -> Result<(), LabelError> {
    let tasks = std::slice::from_ref(&study.task);
    let plan = Plan { networks, tasks, per_task: None, recipe, device, together: None };
    label(&plan, labels, &mut |label, done, of| watch(GnnProgress::Label(label, done, of)))
}

/// Labels of networks, in the networks' order.
fn of_networks(labels: &Labels, networks: &Networks) -> Vec<Label> {
    let label = |network: &String| labels.all().iter().find(|label| label.network == *network).cloned();
    networks.texts.iter().filter_map(label).collect()
}

fn scores(
    study: &GnnStudy,
    table: &Path,
    known: usize,
    watch: &mut dyn FnMut(GnnProgress),
) -> Result<Vec<Scores>, GnnStudyError> {
    let table = Table::open(&table.display().to_string(), None)?;
    let benchmark = Benchmark::of(&table, &study.task.name)?;
    let seeds: Vec<u64> = (1..=study.splits).collect();
    let mut found = Vec::new();
    for size in study.sizes.iter().filter(|size| **size >= FEWEST_FITTED && **size + FEWEST_TESTED <= known) {
        for name in &study.predictors {
            let scores = benchmark.evaluate(name, Population::Networks, *size, &seeds)?;
            watch(GnnProgress::Scores(&scores));
            found.push(scores);
        }
    }
    Ok(found)
}

fn macro_space(study: &GnnStudy) -> Result<MacroSpace, LabelError> {
    let dataset = Sources::default().dataset(&study.task)?;
    match space_for("macro", study.recipe.width, &dataset)? {
        Space::Macro(space) => Ok(space),
        other => unreachable!("`macro` is not `{}`", other.name()),
    }
}

fn best_within(random: &[Label], limit: u64) -> Result<Label, GnnStudyError> {
    let within = random.iter().filter(|label| label.macs <= limit && label.validation_accuracy.is_some());
    let best =
        within.reduce(|best, next| if next.validation_accuracy > best.validation_accuracy { next } else { best });
    best.cloned().ok_or(GnnStudyError::NoneWithin { networks: random.len(), limit })
}

/// The most promising network that was not trained yet, and what is expected of it: the graph network learns from all
/// random networks, then populations of 20 with ten parents evolve over its predictions.
fn evolve(study: &GnnStudy, site: &mut WithinMacs, random: &[Label]) -> Result<(String, Option<f64>), GnnStudyError> {
    let config = GuidedConfig { initial: random.len(), per_round: 1, predictor: Kind::Gnn };
    let mut strategy = Guided::new(config, seed::derive(study.recipe.seed, "evolution", 0));
    for label in random {
        strategy.tell(&site.space.parse(&label.network).map_err(LabelError::from)?, label.validation_accuracy);
    }
    let proposal = strategy.ask(site, &[])?.expect("nothing is pending that could be waited for");
    Ok((site.space.format(&proposal.genotype), proposal.predicted))
}

/// The macro space within a limit of MACs, which is all that the seed knows of a device.
struct WithinMacs<'a> {
    space: &'a MacroSpace,
    limit: u64,
    costs: PartMemo<Cost>,
}

impl<'a> WithinMacs<'a> {
    fn of(space: &'a MacroSpace, limit: Option<u64>) -> Self {
        let mut costs = PartMemo::default();
        let largest = space.cost(&space.largest(), &mut costs).macs;
        WithinMacs { space, limit: limit.unwrap_or((largest as f64 * MACS_SHARE) as u64), costs }
    }
}

impl Site for WithinMacs<'_> {
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
        self.space.cost(genotype, &mut self.costs).macs <= self.limit
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
        let cost = self.space.cost(genotype, &mut self.costs);
        Sample { dag: self.space.dag(genotype), features: self.space.features(genotype, &cost) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::MacroConfig;

    #[test]
    fn the_default_limit_is_that_of_the_seed() {
        let space = MacroSpace::new(MacroConfig::default()).unwrap();
        assert_eq!(WithinMacs::of(&space, None).limit, 15_000_000);
        let mut site = WithinMacs::of(&space, Some(14_461_696));
        let published = space.parse("111000-011101-111111-111111-011101").unwrap();
        assert!(site.is_feasible(&published) && !site.is_feasible(&space.largest()));
    }
}
