//! `netwright study`: experiments across many trainings.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, print, print_json};
use crate::data::Dataset;
use crate::experiment::{compare_strategies, spread};
use crate::nn::runtime;
use crate::report::{percent, plain_table};
use crate::run::{BUILT_IN_IMAGES, DataConfig, Fidelity, Oracle, RunError, TrainingOracle, space_of};
use crate::space::MacroSpace;
use crate::target::Target;
use crate::train::TrainConfig;

#[derive(Args)]
pub(super) struct StudyArgs {
    #[command(subcommand)]
    study: Study,
}

#[derive(Subcommand)]
enum Study {
    /// How much networks differ on the data, against reseeded trainings of one network.
    Spread(SpreadArgs),
    /// Guided against random search with the same number of trainings, over several seeds.
    Strategies(StrategiesArgs),
}

#[derive(Args)]
struct SpreadArgs {
    /// Different networks.
    #[arg(long, default_value_t = 20)]
    networks: usize,
    /// Trainings of one network with other seeds.
    #[arg(long, default_value_t = 6)]
    reseeds: usize,
    #[command(flatten)]
    training: Training,
}

#[derive(Args)]
struct StrategiesArgs {
    /// Trainings of each search.
    #[arg(long, default_value_t = 24)]
    trials: usize,
    /// Seeds, from 1.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    #[command(flatten)]
    training: Training,
}

#[derive(Args)]
struct Training {
    /// A built-in target or the path of a profile.
    #[arg(long, default_value = "host")]
    target: String,
    /// A folder of images; built-in images if absent.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Epochs of a training.
    #[arg(long, default_value_t = 5)]
    epochs: usize,
    /// Training images.
    #[arg(long, default_value_t = 2000)]
    images: usize,
    /// Images in a training step.
    #[arg(long, default_value_t = TrainConfig::default().batch)]
    batch: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = TrainConfig::default().learning_rate)]
    learning_rate: f64,
    /// Width multiplier.
    #[arg(long, default_value_t = 0.25)]
    width: f64,
    /// Seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads; by default one for each core.
    #[arg(long)]
    threads: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

struct Ground {
    target: Target,
    dataset: Dataset,
    space: MacroSpace,
    fidelity: Fidelity,
}

impl Training {
    fn ground(&self) -> anyhow::Result<Ground> {
        runtime::init(self.threads);
        let data = DataConfig {
            path: self.data.clone(),
            seed: self.seed,
            side: None,
            format: None,
            built_in: BUILT_IN_IMAGES,
            digest: String::new(),
        };
        let dataset = data.open()?;
        let train = TrainConfig {
            epochs: self.epochs,
            batch: self.batch,
            learning_rate: self.learning_rate,
            ..TrainConfig::default()
        };
        let fidelity = Fidelity { width: self.width, images: self.images, train };
        let space = MacroSpace::new(space_of(&dataset))?;
        Ok(Ground { target: Target::open(&self.target)?, dataset, space, fidelity })
    }
}

pub(super) fn study(args: &StudyArgs) -> anyhow::Result<Exit> {
    match &args.study {
        Study::Spread(args) => study_spread(args),
        Study::Strategies(args) => study_strategies(args),
    }
}

fn study_spread(args: &SpreadArgs) -> anyhow::Result<Exit> {
    let training = &args.training;
    anyhow::ensure!(args.networks >= 3 && args.reseeds >= 2, "a spread needs 3 networks and 2 reseeded trainings");
    let ground = training.ground()?;
    let mut oracle = TrainingOracle::new(ground.space.config(), &ground.dataset, &ground.fidelity, training.seed)?;
    let mut step = |index: usize, accuracy: f64| eprintln!("  training {}: {}", index + 1, percent(accuracy));
    let found =
        spread(&ground.space, &ground.target, &mut oracle, args.networks, args.reseeds, training.seed, &mut step)?;
    match training.json {
        true => print_json(&json!(found))?,
        false => print(&format!(
            "standard deviation between {} networks {}, between {} reseeded trainings of the median one {}: ratio {:.1}\n",
            found.networks.len(),
            percent(found.between),
            found.reseeded.len(),
            percent(found.within),
            found.ratio
        ))?,
    }
    Ok(Exit::Done)
}

fn study_strategies(args: &StrategiesArgs) -> anyhow::Result<Exit> {
    let training = &args.training;
    anyhow::ensure!(args.trials >= 8 && args.seeds >= 2, "a comparison needs 8 trials and 2 seeds");
    let ground = training.ground()?;
    let mut oracle = |seed| -> Result<Box<dyn Oracle + '_>, RunError> {
        Ok(Box::new(TrainingOracle::new(ground.space.config(), &ground.dataset, &ground.fidelity, seed)?))
    };
    let seeds: Vec<u64> = (1..=args.seeds).collect();
    let mut step = |pair: crate::experiment::Pair| {
        eprintln!("  seed {}: guided {}, random {}", pair.seed, percent(pair.guided), percent(pair.random));
    };
    let found = compare_strategies(&ground.space, &ground.target, args.trials, &seeds, &mut oracle, &mut step)?;
    match training.json {
        true => print_json(&json!(found))?,
        false => {
            let rows = found.pairs.iter().map(|p| {
                vec![
                    p.seed.to_string(),
                    percent(p.guided),
                    percent(p.random),
                    format!("{:+.1}", (p.guided - p.random) * 100.0),
                ]
            });
            print(&format!(
                "{}\n\nguided less random: mean {:+.2} points, 95 % interval {:+.2} to {:+.2}, {} trainings each\n",
                plain_table(&["seed", "guided", "random", "difference"], rows.collect()),
                found.mean_difference * 100.0,
                found.interval.0 * 100.0,
                found.interval.1 * 100.0,
                args.trials
            ))?;
        }
    }
    Ok(Exit::Done)
}
