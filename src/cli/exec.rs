//! `dojo exec`.

use std::process::ExitCode;

/// Arguments of `dojo exec`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `dojo exec`.
pub fn main(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
