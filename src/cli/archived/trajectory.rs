//! `dojo trajectory`.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{Failure, Source, Which, run};
use crate::api::EpisodeStatus;
use crate::wire::report::TRAJECTORY;

/// Arguments of `dojo trajectory`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// File to write to [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs `dojo trajectory`.
pub fn main(args: &Args) -> ExitCode {
    run(fetch(args))
}

async fn fetch(args: &Args) -> Result<(), Failure> {
    let source = Source::open(&args.which).await?;
    let listing = source.list(args.which.attempt).await?;
    let attempt = listing.attempt;
    if !listing.files.iter().any(|file| file.path == TRAJECTORY) {
        return Err(Failure::Told(format!(
            "no trajectory is archived yet of attempt {attempt} at Episode {}",
            args.which.episode
        )));
    }
    // Asked for before the transfer: what the relay wrote by then is what has to come.
    let status = source.episode().await?.status.unwrap_or_default();
    let end = match &args.output {
        None => {
            source
                .copy(TRAJECTORY, attempt, 0, &mut std::io::stdout().lock())
                .await?
        }
        Some(path) => {
            let mut file =
                File::create(path).map_err(|error| format!("cannot create {}: {error}", path.display()))?;
            source.copy(TRAJECTORY, attempt, 0, &mut file).await?
        }
    };
    match whole(&status, attempt) {
        Some(size) if end < size => Err(Failure::Told(format!(
            "the trajectory of attempt {attempt} is incomplete: its relay wrote {size} bytes, and {end} of them had reached \
             the operator when it ended"
        ))),
        _ => Ok(()),
    }
}

/// Size of the trajectory as its episode has ended with it; unset: the attempt goes on, or is another one.
fn whole(status: &EpisodeStatus, attempt: u32) -> Option<u64> {
    let latest = status.attempt.and_then(|latest| u32::try_from(latest).ok());
    let recorded = status
        .trajectory
        .as_ref()
        .filter(|_| status.phase.is_final() && latest == Some(attempt))?;
    u64::try_from(recorded.size).ok()
}
