//! `dojo trajectory`.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{Failure, Source, Which, run};
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
    match &args.output {
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
    Ok(())
}
