//! `dojo install`: copies this program into a directory, for containers whose image does not have it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `dojo install`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory that gets the program, as `dojo`
    dir: PathBuf,
}

/// Runs `dojo install`.
pub fn main(Args { dir }: Args) -> ExitCode {
    match install(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "dojo install: failed to copy this program into {}: {error}",
                dir.display()
            );
            ExitCode::FAILURE
        }
    }
}

/// The copy has its name only when it is whole, so that a container that is started again cannot run half of it.
fn install(dir: &Path) -> io::Result<()> {
    let (program, half) = (std::env::current_exe()?, dir.join(".dojo.tmp"));
    fs::copy(program, &half)?;
    fs::rename(&half, dir.join("dojo"))
}
