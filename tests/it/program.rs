//! The built program as a user calls it.

use std::path::Path;
use std::process::{Command, Output};

/// A call of `netwright`, with calibrations kept apart from the user's.
pub fn netwright(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netwright"));
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("calibrations");
    command.args(args).env("NETWRIGHT_CACHE", cache).env("COLUMNS", "100");
    command
}

/// What a call wrote to standard output, if it ended with this exit code.
pub fn stdout(args: &[&str], exit_code: i32) -> String {
    let output = netwright(args).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(exit_code), "{args:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("the output is text")
}

/// What a call wrote to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a call that is refused wrote to standard error.
#[track_caller]
pub fn refused(args: &[&str]) -> String {
    let output = netwright(args).output().expect("the program starts");
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
    assert!(!told.contains("panicked"), "{told}");
    told
}

/// A call as a person sees it: the command, what it wrote to both streams, its exit code. `folder` is shown as `DIR`.
#[track_caller]
pub fn transcript(args: &[&str], folder: &Path) -> String {
    let output = netwright(args).current_dir(folder).output().expect("the program starts");
    let told = stderr(&output);
    assert!(!told.contains("panicked"), "{told}");
    let code = output.status.code().expect("it ends by itself");
    let text = format!(
        "$ netwright {}\n{}{told}[exit code {code}]\n",
        args.join(" "),
        String::from_utf8_lossy(&output.stdout)
    );
    text.replace(&folder.display().to_string(), "DIR")
}
