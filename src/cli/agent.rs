//! `dojo agent`.

use std::process::ExitCode;

/// Arguments of `dojo agent`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `dojo agent`.
pub fn main(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
