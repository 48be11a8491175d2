//! `dojo relay`.

use std::process::ExitCode;

/// Arguments of `dojo relay`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `dojo relay`.
pub fn main(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
