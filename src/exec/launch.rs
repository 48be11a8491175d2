//! `dojo launch`: a process confines itself and becomes the program.
//!
//! No code of the executor runs between its `fork` and `execve`, so `pre_exec` and `unsafe` are not needed: everything
//! that has to be done in the child is done by this process, which then replaces itself.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use serde::{Deserialize, Serialize};

use crate::api::{NetworkMode, SandboxMode};

use super::confine;

/// How a process confines itself, and what it becomes.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// Directories and files that may be read and executed.
    pub read: Vec<PathBuf>,
    /// Directories that may be changed.
    pub write: Vec<PathBuf>,
    /// Device files that may be used.
    pub devices: Vec<PathBuf>,
    /// What may be reached.
    pub network: NetworkMode,
    /// Whether a layer of the documented minimum may be missing.
    pub sandbox: SandboxMode,
    /// A directory that is mounted over another one, for this program only.
    pub bind: Option<(PathBuf, PathBuf)>,
    /// Directory that must be out of reach afterwards. Where it is given nothing is started: the layers are put on,
    /// proven and printed as JSON.
    pub prove: Option<PathBuf>,
}

/// What `dojo launch --prove` prints.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Report {
    /// Layers that are on and proven.
    pub layers: Vec<String>,
    /// What of the documented minimum is missing, and why.
    pub below_minimum: Option<String>,
}

/// Confines this process and becomes `program`, its first element being a path. Comes back only with the exit code of a
/// failure, whose reason is written to what was standard input: the executor hears of it there, and hears of success by
/// its closing.
pub fn launch(wanted: &Confinement, program: &[OsString]) -> ExitCode {
    let mut news = match take_standard_input() {
        Ok(fd) => fs::File::from(fd),
        Err(error) => {
            eprintln!("dojo launch: standard input must be the executor's pipe: {error}");
            return ExitCode::from(2);
        }
    };
    let reason = match attempt(wanted, program) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(reason) => reason,
    };
    // The executor is gone when this cannot be written, and with it whoever could act on it.
    let _ = news.write_all(reason.as_bytes());
    ExitCode::FAILURE
}

fn attempt(wanted: &Confinement, program: &[OsString]) -> Result<(), String> {
    let applied = confine::apply(wanted).map_err(|error| error.to_string())?;
    if wanted.prove.is_none()
        && wanted.sandbox == SandboxMode::Required
        && let Some(missing) = applied.below_minimum()
    {
        return Err(missing);
    }
    if let Some(forbidden) = &wanted.prove {
        confine::prove(&applied, forbidden, wanted.network).map_err(|error| error.to_string())?;
        let report = Report {
            below_minimum: applied.below_minimum(),
            layers: applied.layers,
        };
        return serde_json::to_writer(io::stdout(), &report)
            .map_err(|error| format!("cannot write the report: {error}"));
    }
    let (path, args) = program.split_first().ok_or("no program is given")?;
    let error = Command::new(path).args(args).exec();
    Err(format!(
        "{} cannot be started inside the sandbox: {error}",
        path.display()
    ))
}

/// Takes the executor's pipe from standard input, puts `/dev/null` there, and closes everything else that this process
/// was born with.
fn take_standard_input() -> io::Result<OwnedFd> {
    let pipe = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = OpenOptions::new().read(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(null.as_fd())?;
    drop(null);
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for stray in open.into_iter().filter(|fd| *fd > 2 && *fd != pipe.as_raw_fd()) {
        // The directory's own is closed already.
        let _ = nix::unistd::close(stray);
    }
    Ok(pipe)
}
