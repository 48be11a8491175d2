//! `dojo tether`.

use std::process::ExitCode;

/// Arguments of `dojo tether`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Program and arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs `dojo tether`. Exit code: the program's own, 128 + N after signal N, 127 when it cannot be started.
pub fn main(args: &Args) -> ExitCode {
    let Some((program, rest)) = args.command.split_first() else {
        return ExitCode::from(2);
    };
    crate::local::lifeline::tether(program, rest).unwrap_or_else(|error| {
        eprintln!("cannot start {program}: {error}");
        ExitCode::from(127)
    })
}
