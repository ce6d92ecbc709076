//! `netwright targets`: what devices there are, what is known of one, and profiles of one's own.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, print, print_json};
use crate::report::{target_json, target_text, targets_text};
use crate::target::{Target, TargetError, built_in_names, built_in_text, template};

#[derive(Args)]
pub(super) struct TargetsArgs {
    #[command(subcommand)]
    verb: TargetsVerb,
}

#[derive(Subcommand)]
enum TargetsVerb {
    /// All targets that are part of the program.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Everything that is known of a target, and where that comes from.
    Show {
        /// A built-in target or the path of a profile.
        target: String,
        /// Print JSON.
        #[arg(long, conflicts_with = "yaml")]
        json: bool,
        /// Print the profile itself, to start one of your own from it.
        #[arg(long)]
        yaml: bool,
    },
    /// Check profiles and report everything that is wrong with them.
    Validate {
        /// Profiles, or names of built-in targets.
        #[arg(required = true)]
        profiles: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a commented profile to fill in; a file that exists is never overwritten.
    New {
        /// Name of the target; the file is `NAME.yaml`.
        name: String,
        /// A built-in target to start from.
        #[arg(long)]
        from: Option<String>,
        /// Another file.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

pub(super) fn targets(args: &TargetsArgs) -> anyhow::Result<Exit> {
    match &args.verb {
        TargetsVerb::List { json } => list(*json),
        TargetsVerb::Show { target, json, yaml } => show(target, *json, *yaml),
        TargetsVerb::Validate { profiles, json } => validate(profiles, *json),
        TargetsVerb::New { name, from, out } => new(name, from.as_deref(), out.as_deref()),
    }
}

fn list(as_json: bool) -> anyhow::Result<Exit> {
    let targets: Result<Vec<Target>, TargetError> = built_in_names().into_iter().map(Target::open).collect();
    let targets = targets?;
    match as_json {
        true => {
            let targets: Vec<_> = targets.iter().map(target_json).collect();
            print_json(&json!({ "schema_version": 1, "targets": targets }))?;
        }
        false => {
            print(&format!("{}\n", targets_text(&targets)))?;
            eprintln!(
                "`netwright targets show NAME` says more; `netwright targets new NAME` writes a profile of your own"
            );
        }
    }
    Ok(Exit::Done)
}

fn show(target: &str, as_json: bool, as_yaml: bool) -> anyhow::Result<Exit> {
    let opened = Target::open(target)?;
    match (as_json, as_yaml) {
        (true, _) => print_json(&target_json(&opened))?,
        (_, true) => print(&built_in_text(target).map_or_else(|| opened.to_yaml(), str::to_string))?,
        _ => print(&target_text(&opened))?,
    }
    Ok(Exit::Done)
}

fn validate(profiles: &[String], as_json: bool) -> anyhow::Result<Exit> {
    let check = |profile: &String| Target::open(profile).and_then(|target| target.operator_times());
    let results: Vec<(&String, Option<String>)> =
        profiles.iter().map(|profile| (profile, check(profile).err().map(|error| error.to_string()))).collect();
    if as_json {
        let of = |(profile, error): &(&String, Option<String>)| json!({ "profile": profile, "valid": error.is_none(), "error": error });
        let results: Vec<_> = results.iter().map(of).collect();
        print_json(&json!({ "schema_version": 1, "profiles": results }))?;
    } else {
        for (profile, error) in &results {
            match error {
                None => print(&format!("`{profile}` is valid\n"))?,
                Some(error) => eprintln!("error: {error}"),
            }
        }
    }
    Ok(if results.iter().any(|(_, error)| error.is_some()) { Exit::Failed } else { Exit::Done })
}

fn new(name: &str, from: Option<&str>, out: Option<&Path>) -> anyhow::Result<Exit> {
    let text = match from {
        None => template(name),
        Some(from) => {
            let text = built_in_text(from).ok_or_else(|| TargetError::Unknown { name: from.to_string() })?;
            text.replace(&format!("\nname: {from}\n"), &format!("\nname: {name}\n"))
        }
    };
    let path = out.map_or_else(|| PathBuf::from(format!("{name}.yaml")), Path::to_path_buf);
    // A name that is no name is found before anything is written.
    Target::parse(&text, &path.display().to_string())?;
    write_new(&path, &text)?;
    eprintln!(
        "wrote `{0}`\nnow edit it, then `netwright targets validate {0}` and `netwright compile --target {0}`",
        path.display()
    );
    Ok(Exit::Done)
}

/// Writes a file that does not exist yet; a half-written one does not stay.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = match std::fs::File::create_new(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            anyhow::bail!("`{}` exists already\nhint: `--out` names another file", path.display());
        }
        Err(error) => anyhow::bail!("cannot write `{}`: {error}", path.display()),
    };
    let written = file.write_all(text.as_bytes());
    if written.is_err() {
        // If it cannot be removed either, the message below says what is wrong.
        let _ = std::fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write `{}`", path.display()))
}
