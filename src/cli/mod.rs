//! The command line: arguments → configurations → library; exit codes; the only printing.

mod bench;
mod calibrate;
#[cfg(feature = "train")]
mod compile;
#[cfg(feature = "train")]
mod data;
#[cfg(feature = "train")]
mod device;
mod doctor;
#[cfg(feature = "train")]
mod generate;
#[cfg(feature = "train")]
mod gnn_study;
mod inspect;
#[cfg(feature = "train")]
mod label;
#[cfg(feature = "train")]
mod latent;
#[cfg(feature = "train")]
mod predict;
#[cfg(feature = "train")]
mod predictor;
#[cfg(feature = "train")]
mod pretrain;
#[cfg(feature = "train")]
mod progress;
#[cfg(feature = "train")]
mod proxies;
#[cfg(feature = "train")]
mod query;
#[cfg(feature = "train")]
mod reproduce;
#[cfg(feature = "train")]
mod search;
mod shell;
#[cfg(feature = "train")]
mod study;
mod targets;
#[cfg(feature = "train")]
mod training;

#[cfg(feature = "train")]
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Neural networks made to measure for a device: search, train, export to ONNX, measure.
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  netwright compile                                 a network for this machine, from built-in images
  netwright compile --data photos --budget 30m      the same from class folders of PNG or JPEG
  netwright data inspect photos --sheet photos.png  what a data set holds, and what is odd about it
  netwright resume models/runs/run-1                go on after an interruption
  netwright bench models/runs/run-1/model.onnx      latency on this machine

Exit codes: 0 done; 1 done, but nothing fits or a check disagrees; 2 failed.";

#[derive(Subcommand)]
enum Verb {
    /// Search, train and export a network that fits a target, and prove that it does.
    #[cfg(feature = "train")]
    Compile(Box<compile::CompileArgs>),
    /// Go on with a run that was interrupted.
    #[cfg(feature = "train")]
    Resume(compile::ResumeArgs),
    /// Show what a data set holds, or fetch a published one.
    #[cfg(feature = "train")]
    Data(data::DataArgs),
    /// Show what a network costs: operators, MACs, parameters, peak RAM with its plan, flash.
    Inspect(inspect::InspectArgs),
    /// Measure latency and memory of an ONNX file on this machine, through tract.
    Bench(bench::BenchArgs),
    /// Measure the operators of the search space on this machine, for latency predictions.
    Calibrate(calibrate::CalibrateArgs),
    /// Devices: list and show them, check and write profiles.
    Targets(targets::TargetsArgs),
    /// Say what this build and this machine can do.
    Doctor(doctor::DoctorArgs),
    /// Ask a published NAS benchmark or a table of measured networks.
    #[cfg(feature = "train")]
    Query(query::QueryArgs),
    /// Train a list of networks on a list of data sets, into a table.
    #[cfg(feature = "train")]
    Label(Box<label::LabelArgs>),
    /// Predict the accuracy of networks, with a spread, from a table or from the trainings of a run.
    #[cfg(feature = "train")]
    Predict(predict::PredictArgs),
    /// Predictors of accuracy: how well each ranks the networks of a table.
    #[cfg(feature = "train")]
    Predictor(predictor::PredictorArgs),
    /// Search strategies on the table of a NAS benchmark: queries to the best network, regret, broken limits.
    #[cfg(feature = "train")]
    Search(Box<search::SearchArgs>),
    /// A latent space of networks: fitted to a table, searched along its slopes, shown.
    #[cfg(feature = "train")]
    Latent(Box<latent::LatentArgs>),
    /// Networks for a data set and a target, ranked by what was learned from other data sets; nothing is trained.
    #[cfg(feature = "train")]
    Generate(Box<generate::GenerateArgs>),
    /// Repeat a published study, on a table of trained networks or on networks trained for it.
    #[cfg(feature = "train")]
    Reproduce(reproduce::ReproduceArgs),
    /// Experiments across many runs.
    #[cfg(feature = "train")]
    Study(study::StudyArgs),
    /// Print the completions of a shell.
    Completions(shell::CompletionsArgs),
    /// Print the manual page, or write one for every verb.
    Man(shell::ManArgs),
}

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Exit {
    /// All is well.
    Done = 0,
    /// Done, but nothing fits or a check disagrees.
    #[cfg_attr(not(feature = "train"), allow(dead_code))]
    NotDeployable = 1,
    /// Failed.
    Failed = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        #[cfg(feature = "train")]
        Verb::Compile(args) => compile::compile(&args),
        #[cfg(feature = "train")]
        Verb::Resume(args) => compile::resume(&args),
        #[cfg(feature = "train")]
        Verb::Data(args) => data::data(&args),
        Verb::Inspect(args) => inspect::inspect(&args),
        Verb::Bench(args) => bench::bench(&args),
        Verb::Calibrate(args) => calibrate::calibrate(&args),
        Verb::Targets(args) => targets::targets(&args),
        Verb::Doctor(args) => doctor::doctor(&args),
        #[cfg(feature = "train")]
        Verb::Query(args) => query::query(&args),
        #[cfg(feature = "train")]
        Verb::Label(args) => label::label(&args),
        #[cfg(feature = "train")]
        Verb::Predict(args) => predict::predict(&args),
        #[cfg(feature = "train")]
        Verb::Predictor(args) => predictor::predictor(&args),
        #[cfg(feature = "train")]
        Verb::Latent(args) => latent::latent(&args),
        #[cfg(feature = "train")]
        Verb::Generate(args) => generate::generate(&args),
        #[cfg(feature = "train")]
        Verb::Reproduce(args) => reproduce::reproduce(&args),
        #[cfg(feature = "train")]
        Verb::Search(args) => search::search(&args),
        #[cfg(feature = "train")]
        Verb::Study(args) => study::study(&args),
        Verb::Completions(args) => shell::completions(&args),
        Verb::Man(args) => shell::man(&args),
    };
    match outcome {
        Ok(exit) => exit.into(),
        // A reader that closes the pipe early, as `head` does, has seen what it wanted.
        Err(error) if is_broken_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            eprintln!("error: {error}");
            exit_of(&error).into()
        }
    }
}

/// That nothing fits the target is an answer, not a failure.
#[cfg(feature = "train")]
fn exit_of(error: &anyhow::Error) -> Exit {
    use crate::run::RunError;
    use crate::search::SearchError;
    match error.downcast_ref() {
        Some(RunError::Search(SearchError::Exhausted { .. })) => Exit::NotDeployable,
        _ => Exit::Failed,
    }
}

#[cfg(not(feature = "train"))]
fn exit_of(_: &anyhow::Error) -> Exit {
    Exit::Failed
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Writes a result to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Writes a result for programs to standard output.
fn print_json(value: &serde_json::Value) -> anyhow::Result<()> {
    print(&format!("{value:#}\n"))
}

/// Refuses a path for a fitted model that cannot be written to, before hours go into the fit. Its folder is made if it is
/// not there.
#[cfg(feature = "train")]
fn check_out(path: &Path) -> anyhow::Result<()> {
    let wrong = |reason: &str| anyhow::anyhow!("`--out {}`: {reason}\nhint: `--out m.safetensors`", path.display());
    if path.extension().is_some_and(|extension| extension == "json") {
        return Err(wrong("the model's card takes this name"));
    }
    if path.is_dir() || path.file_name().is_none() {
        return Err(wrong("is a folder, not a file"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| wrong(&format!("its folder cannot be made: {e}")))?;
    let tried = path.with_extension("partial");
    let written = std::fs::write(&tried, []).and_then(|()| std::fs::remove_file(&tried));
    written.map_err(|e| wrong(&format!("nothing can be written there: {e}")))
}

/// Writes a fitted model into a folder, which is made if it is not there, and its card beside it as JSON; gives the card's
/// path.
#[cfg(feature = "train")]
fn write_with_card(path: &Path, bytes: &[u8], card: &serde_json::Value) -> anyhow::Result<PathBuf> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|e| anyhow::anyhow!("cannot make folder `{}`: {e}", folder.display()))?;
    }
    let beside = path.with_extension("json");
    crate::run::write_whole(path, bytes)?;
    crate::run::write_whole(&beside, format!("{card:#}\n").as_bytes())?;
    Ok(beside)
}

/// Bytes of a model file above which it is not read: protobuf, in which it is written, ends at 2 GiB.
const LARGEST_MODEL: u64 = 2 << 30;

/// Reads a model file.
fn read_model(path: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    let failed = |reason: String| {
        let hint = "give the path of an ONNX file; `netwright compile` writes `model.onnx` into the folder of its run";
        anyhow::anyhow!("cannot read `{}`: {reason}\nhint: {hint}", path.display())
    };
    let about = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?;
    match (about.is_file(), about.len()) {
        (false, _) => Err(failed("it is not a regular file".to_string())),
        (_, size) if size > LARGEST_MODEL => Err(failed(format!("it has {size} bytes, the limit is {LARGEST_MODEL}"))),
        _ => std::fs::read(path).map_err(|e| failed(e.to_string())),
    }
}
