//! `dojo crds`.

use std::process::ExitCode;

/// Arguments of `dojo crds`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `dojo crds`.
pub fn main(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
