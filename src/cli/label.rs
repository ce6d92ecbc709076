//! `netwright label`: a list of networks trained on a list of data sets, into a table.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::device::DeviceArgs;
use super::training::TrainingArgs;
use super::{Exit, print, print_json};
use crate::experiment::{
    DataTask, Label, LabelPlan, Labels, Networks, Recipe, Sources, TaskList, TaskRanges, check_width, draw_tasks,
    is_built_in, label as label_networks, write_table,
};
use crate::nn::runtime;
use crate::report::{percent, plain_table};
use crate::space::Space;
use crate::stats;
use crate::train::TrainConfig;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = EXAMPLES)]
pub(super) struct LabelArgs {
    #[command(subcommand)]
    verb: Option<LabelVerb>,
    #[command(flatten)]
    labels: LabelsArgs,
}

const EXAMPLES: &str = "\
Examples:
  netwright label --random 20 --width 0.25 --data built-in --data photos --images 1000 --out labels
  netwright label --space nats-tss --networks cells.txt --tasks tasks.yaml --out labels     again: goes on where it stopped
  netwright label tasks --sources built-in --sources photos -n 300 --seed 1 > tasks.yaml
  netwright predictor eval --table labels/table.yaml --train 10";

#[derive(Subcommand)]
enum LabelVerb {
    /// Draw a list of different tasks from data sets: classes, number and size of images, grey, inverted, turned, blurred,
    /// jittered in colour.
    Tasks(TasksArgs),
}

#[derive(Args)]
struct LabelsArgs {
    /// The search space of the networks.
    #[arg(long, default_value = "macro", value_parser = Space::NAMES)]
    space: String,
    /// A file with a genotype on each line.
    #[arg(long, conflicts_with = "random")]
    networks: Option<PathBuf>,
    /// So many different networks at random instead.
    #[arg(long, required_unless_present = "networks", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    random: Option<u32>,
    /// A data set as a task: a folder, `built-in`, `built-in:textures` or `built-in:glyphs`; can be repeated.
    #[arg(long, required_unless_present = "tasks")]
    data: Vec<String>,
    /// More tasks, from a YAML file.
    #[arg(long)]
    tasks: Option<PathBuf>,
    /// Networks that each task draws from the list for itself; all by default.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    per_task: Option<u32>,
    /// Folder of journal and table; the same command with the same folder goes on.
    #[arg(long, required = true)]
    out: Option<PathBuf>,
    /// Epochs of a training.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// About so many steps of each training instead: tasks of few images go through them more often.
    #[arg(long, conflicts_with = "epochs", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
    /// Training images of each `--data`; all by default.
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    images: Option<u32>,
    /// Most images of each `--data` for validation, and for test.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    held_out: u32,
    /// Images in a training step.
    #[arg(long, default_value_t = TrainConfig::default().batch as u32, value_parser = clap::value_parser!(u32).range(2..))]
    batch: u32,
    /// Width multiplier of the networks.
    #[arg(long, default_value_t = 1.0)]
    width: f64,
    /// Seed of networks drawn and of trainings.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Networks that train at once; as many as pays by default. Labels do not depend on it.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    together: Option<u32>,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Threads; by default one for each core. Labels do not depend on them.
    #[arg(long)]
    threads: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct TasksArgs {
    /// A folder of images, `built-in`, `built-in:textures` or `built-in:glyphs`; can be repeated.
    #[arg(long, required = true)]
    sources: Vec<String>,
    /// Number of tasks.
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    number: u32,
    /// Fewest and most classes of a task.
    #[arg(long, value_delimiter = ',', num_args = 1, default_value = "2,10")]
    classes: Vec<usize>,
    /// Training images, one of these numbers.
    #[arg(long, value_delimiter = ',', default_value = "250,500,1000,2000")]
    images: Vec<usize>,
    /// Sides in pixels of images from folders, one of these numbers; their own by default.
    #[arg(long, value_delimiter = ',')]
    sides: Vec<usize>,
    /// Most images for validation, and for test.
    #[arg(long, default_value_t = 500)]
    held_out: usize,
    /// Seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) fn label(args: &LabelArgs) -> anyhow::Result<Exit> {
    match &args.verb {
        Some(LabelVerb::Tasks(args)) => tasks(args),
        None => labels(&args.labels),
    }
}

fn labels(args: &LabelsArgs) -> anyhow::Result<Exit> {
    runtime::init(args.threads);
    check_positive("width", args.width)?;
    let tasks = task_list(args)?;
    Sources::check(&tasks.tasks)?;
    check_width(&args.space, args.width)?;
    let networks = match (&args.networks, args.random) {
        (Some(path), _) => Networks::read(path, &args.space)?,
        (None, random) => Networks::draw(&args.space, random.unwrap_or(1) as usize, args.seed)?,
    };
    let train = TrainConfig { epochs: args.epochs as usize, batch: args.batch as usize, ..TrainConfig::default() };
    let train = args.training.applied_to(train);
    anyhow::ensure!(train.patience.is_none(), "labels are all trained for as long\nhint: leave out `--patience`");
    let steps = args.steps.map(|steps| steps as usize);
    let recipe = Recipe { space: args.space.clone(), width: args.width, train, steps, seed: args.seed };
    let device = args.device.choose()?;
    let folder = args.out.as_deref().expect("clap requires it");
    let mut labels = open(folder, &recipe)?;
    let plan = LabelPlan {
        networks: &networks,
        tasks: &tasks.tasks,
        per_task: args.per_task.map(|few| few as usize),
        recipe: &recipe,
        device: &device,
        together: args.together.map(|together| together as usize),
    };
    eprintln!(
        "space `{}`: networks {}, tasks {}, pairs {}, done {}; `{}`",
        args.space,
        networks.texts.len(),
        tasks.tasks.len(),
        plan.pairs(),
        plan.done(&labels),
        folder.display()
    );
    label_networks(&plan, &mut labels, &mut told)?;
    let table = write_table(folder, &recipe, &tasks.tasks, labels.all())?;
    match args.json {
        true => print_json(&json!({
            "table": table, "space": args.space, "recipe": recipe, "networks": networks.texts, "tasks": tasks.tasks,
            "labels": labels.all(),
        }))?,
        false => {
            print(&summary(&tasks.tasks, labels.all()))?;
            eprintln!("hint: `netwright predictor eval --table {} --train 10`", table.display());
        }
    }
    Ok(Exit::Done)
}

fn check_positive(option: &str, value: f64) -> anyhow::Result<()> {
    anyhow::ensure!(value.is_finite() && value > 0.0, "`--{option}` is {value}, expected a number above 0");
    Ok(())
}

/// The journal in a folder, which is made if it is not there.
pub(super) fn open(folder: &Path, recipe: &Recipe) -> anyhow::Result<Labels> {
    std::fs::create_dir_all(folder).map_err(|e| anyhow::anyhow!("cannot make `{}`: {e}", folder.display()))?;
    Ok(Labels::open(&folder.join("journal.jsonl"), recipe)?)
}

/// What a new label looks like while others are found.
pub(super) fn told(label: &Label, done: usize, of: usize) {
    let outcome = match (label.validation_accuracy, &label.failure) {
        (Some(accuracy), _) => percent(accuracy),
        (None, failure) => failure.clone().unwrap_or_default(),
    };
    eprintln!("  {done:>4}/{of} {} {} {outcome} ({:.1} s)", label.task, label.network, label.seconds);
}

/// The tasks of the file and those of `--data`.
fn task_list(args: &LabelsArgs) -> anyhow::Result<TaskList> {
    let mut list = match &args.tasks {
        Some(path) => TaskList::open(path)?,
        None => TaskList { tasks: Vec::new() },
    };
    for source in &args.data {
        list.tasks.push(DataTask {
            images: args.images.map(|images| images as usize),
            held_out: args.held_out as usize,
            ..DataTask::whole(&task_name(source), source)
        });
    }
    let faults = list.faults();
    anyhow::ensure!(faults.is_empty(), "these tasks do not go together:\n{}\n{TASK_NAMES}", faults.join("\n"));
    Ok(list)
}

/// What helps where two folders have one name.
const TASK_NAMES: &str = "hint: a folder names its task; a file of `--tasks` names them as you like";

/// A column's name from a folder's.
fn task_name(source: &str) -> String {
    let path = std::fs::canonicalize(source).unwrap_or_else(|_| PathBuf::from(source));
    let name = path.file_name().map_or_else(|| source.to_string(), |name| name.to_string_lossy().into_owned());
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

fn summary(tasks: &[DataTask], labels: &[Label]) -> String {
    let row = |task: &DataTask| {
        let own = || labels.iter().filter(|label| label.task == task.name);
        let accuracies: Vec<f64> = own().filter_map(|label| label.validation_accuracy).collect();
        let seconds: f64 = own().map(|label| label.seconds).sum();
        let best = accuracies.iter().copied().fold(f64::NAN, f64::max);
        let show = |accuracy: f64| if accuracies.is_empty() { "none".to_string() } else { percent(accuracy) };
        vec![
            task.name.clone(),
            own().count().to_string(),
            (own().count() - accuracies.len()).to_string(),
            show(best),
            show(stats::median(&accuracies)),
            match accuracies.len() {
                0 | 1 => String::new(),
                _ => format!("{:.1}", stats::std_dev(&accuracies) * 100.0),
            },
            format!("{seconds:.0} s"),
        ]
    };
    let heads = ["task", "networks", "diverged", "best", "median", "sd (points)", "time"];
    format!("{}\n", plain_table(&heads, tasks.iter().map(row).collect()))
}

fn tasks(args: &TasksArgs) -> anyhow::Result<Exit> {
    let [fewest, most] = match args.classes.as_slice() {
        [fewest, most] if 2 <= *fewest && fewest <= most => [*fewest, *most],
        _ => anyhow::bail!("`--classes` takes the fewest and the most, at least 2\nhint: `--classes 2,10`"),
    };
    let mut sources = Sources::default();
    let mut known = Vec::new();
    for source in &args.sources {
        let classes = sources.open(source, None)?.classes.clone();
        let path = match is_built_in(source) {
            true => source.clone(),
            false => std::path::absolute(source).map_or(source.clone(), |path| path.display().to_string()),
        };
        known.push((path, classes));
    }
    let ranges = TaskRanges {
        sources: known,
        classes: (fewest, most),
        images: args.images.clone(),
        sides: args.sides.clone(),
        held_out: args.held_out,
    };
    let list = TaskList { tasks: draw_tasks(&ranges, args.number as usize, args.seed) };
    let faults = list.faults();
    anyhow::ensure!(faults.is_empty(), "these are no tasks:\n{}", faults.join("\n"));
    print(&list.to_yaml())?;
    Ok(Exit::Done)
}
