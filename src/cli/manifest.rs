//! `dojo manifest`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::local::digest;

/// Arguments of `dojo manifest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory with the public data
    #[arg(value_name = "PUBLIC")]
    public: PathBuf,
    /// Directory with answers and leaderboards
    #[arg(value_name = "PRIVATE")]
    private: PathBuf,
    /// File to write the digest to
    #[arg(value_name = "OUT")]
    out: PathBuf,
}

/// Runs `dojo manifest`.
pub fn main(args: &Args) -> ExitCode {
    let Args { public, private, out } = args;
    let written = digest::of_data(public, private)
        .map_err(|error| {
            format!(
                "cannot read the data in {} and {}: {error}",
                public.display(),
                private.display()
            )
        })
        .and_then(|digest| {
            fs::write(out, digest).map_err(|error| format!("cannot write {}: {error}", out.display()))
        });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("dojo manifest: {message}");
            // Where a cluster looks for the reason of a failure, should it be there that the digest was to go.
            let _ = fs::write(out, message);
            ExitCode::FAILURE
        }
    }
}
