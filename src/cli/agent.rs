//! `dojo agent`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::agent::{AgentError, replay, wrap};

/// Arguments of `dojo agent`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    agent: Agent,
}

#[derive(Debug, Subcommand)]
enum Agent {
    /// Do the actions of a file, one after the other
    Replay {
        /// File with address and token of the relay
        #[arg(long, value_name = "FILE")]
        connection: PathBuf,
        /// YAML list of `{action, params}`, or the trajectory.jsonl of an earlier episode
        #[arg(long, value_name = "FILE")]
        actions: PathBuf,
    },
    /// Run any command as the agent
    ///
    /// The command finds the relay by DOJO_URL and DOJO_TOKEN, or by the file DOJO_CONNECTION, which is written anew
    /// when the relay comes back at another address. DOJO_SEED is the episode's seed.
    Exec {
        /// File with address and token of the relay
        #[arg(long, value_name = "FILE")]
        connection: PathBuf,
        /// Seed of the episode
        #[arg(long)]
        seed: Option<u64>,
        /// Program and arguments
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
}

/// Runs `dojo agent`. Exit codes of `replay`: 0 done, 1 failure, 2 wrong input; of `exec`: the command's own, 128 and
/// the signal's number when one ended it, 0 when a budget ended the episode.
pub fn main(args: Args) -> ExitCode {
    super::log();
    let ended = match args.agent {
        Agent::Replay { connection, actions } => {
            replay::run(&replay::Options { connection, actions }).map(|()| 0)
        }
        Agent::Exec {
            connection,
            seed,
            command,
        } => wrap::run(&wrap::Options {
            connection,
            seed,
            command,
            withheld: own_variables(),
        }),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let code = AgentError::exit_code(&error);
            tracing::error!("{error}");
            ExitCode::from(code)
        }
    }
}

/// Variables that configure `dojo` itself.
fn own_variables() -> Vec<OsString> {
    let set_for_the_command = ["DOJO_URL", "DOJO_TOKEN", "DOJO_CONNECTION", "DOJO_SEED"];
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| {
            name.to_str()
                .is_some_and(|name| name.starts_with("DOJO_") && !set_for_the_command.contains(&name))
        })
        .collect()
}
