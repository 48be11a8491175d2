//! `dojo launch`.

use std::process::ExitCode;

/// Arguments of `dojo launch`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `dojo launch`.
pub fn main(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
