//! `dojo uninstall-hook`.

use std::process::ExitCode;

use crate::operator::{UninstallOptions, uninstall};

/// Arguments of `dojo uninstall-hook`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Namespace of the operator
    #[arg(long, value_name = "NAMESPACE")]
    namespace: String,
    /// Name of the operator's Deployment
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The only namespace whose Episodes it ran [default: all]
    #[arg(long, value_name = "NAMESPACE")]
    watch_namespace: Option<String>,
}

/// Runs `dojo uninstall-hook`. Exit codes: 0 done, 1 failure, 2 wrong input.
pub fn main(args: Args) -> ExitCode {
    super::log();
    let Args {
        namespace,
        name,
        watch_namespace,
    } = args;
    let options = UninstallOptions {
        namespace,
        name,
        watch_namespace,
    };
    match uninstall(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}
