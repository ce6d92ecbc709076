//! The `netwright` program: see `netwright --help` and the crate's documentation.

fn main() -> std::process::ExitCode {
    netwright::cli::main()
}
