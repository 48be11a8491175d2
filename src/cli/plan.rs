//! `dojo plan`.

use std::process::ExitCode;

/// Arguments of `dojo plan`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `dojo plan`.
pub fn main(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
