//! `dojo grade`.

use std::process::ExitCode;

/// Arguments of `dojo grade`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `dojo grade`.
pub fn main(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
