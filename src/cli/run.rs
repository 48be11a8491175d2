//! `dojo run`.

use std::process::ExitCode;

/// Arguments of `dojo run`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `dojo run`.
pub fn main(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
