//! `netwright completions` and `netwright man`: what a shell and a reader of manuals want to know.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Exit, print};

#[derive(Args)]
#[command(after_help = COMPLETIONS)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

const COMPLETIONS: &str = "\
Examples:
  netwright completions bash > ~/.local/share/bash-completion/completions/netwright
  netwright completions zsh > ~/.zfunc/_netwright
  netwright completions fish > ~/.config/fish/completions/netwright.fish";

#[derive(Args)]
#[command(after_help = MAN)]
pub(super) struct ManArgs {
    /// Write a page for every verb into this folder, instead of the first page to standard output.
    #[arg(long)]
    out: Option<PathBuf>,
}

const MAN: &str = "\
Examples:
  netwright man | man -l -
  netwright man --out ~/.local/share/man/man1";

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "netwright", &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(Exit::Done)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<Exit> {
    let command = Cli::command();
    match &args.out {
        Some(folder) => {
            std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder)).map_err(|e| {
                anyhow::anyhow!(
                    "cannot write manual pages into `{}`: {e}\nhint: choose another folder with `--out`",
                    folder.display()
                )
            })?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            print(&String::from_utf8(page)?)?;
        }
    }
    Ok(Exit::Done)
}
