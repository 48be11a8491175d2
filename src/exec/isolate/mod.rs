//! The stages in which an executor gets its own user, mounts and process numbers, before it connects to anything.
//!
//! ```text
//!   Entry ----- tries in a child whether a private root directory can be had: Trial -> TrialInit
//!     |
//!     | execve            (one thread again, whatever the command line had started)
//!     v
//!   Outer ----- unshare; passes signals on, ends with Init
//!     | spawn
//!     v
//!   Init ------ process 1 of its own numbers: mounts, pivot_root
//!     | execve            (without root, without capabilities)
//!     v
//!   Private --- the executor                      Plain: the executor where no private root can be had
//! ```
//!
//! As root the namespaces are made directly. Without root they are made in a user namespace, which many systems allow.

mod namespaces;
mod ownership;
mod root;
mod supervisor;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::geteuid;

use super::layout;
use super::options::Options;
use super::python;
use super::session;

pub(super) use root::{MEMORY_TEMPORARY, TEMPORARY};

/// This program, also where its path cannot be reached.
pub(super) const SELF: &str = "/proc/self/exe";
/// Where the executor's own directories are in a private root: the relay's socket, state, scratch. At their own paths
/// they could lie below a directory that executed code may write to, such as `/tmp`.
const RELAY: &str = "/run/dojo/relay";
const STATE: &str = "/run/dojo/state";
const SCRATCH: &str = "/run/dojo/scratch";

/// A stage of the executor's start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// As it was started.
    Entry,
    /// Tries what `Outer` does.
    Trial,
    /// Makes the namespaces and supervises what runs in them.
    Outer,
    /// Tries what `Init` does.
    TrialInit,
    /// Makes the private root.
    Init,
    /// The executor in its private root.
    Private,
    /// The executor without one.
    Plain,
}

impl Stage {
    const ALL: [(&str, Self); 7] = [
        ("entry", Self::Entry),
        ("trial", Self::Trial),
        ("outer", Self::Outer),
        ("trial-init", Self::TrialInit),
        ("init", Self::Init),
        ("private", Self::Private),
        ("plain", Self::Plain),
    ];

    /// The stage of this name.
    pub fn named(name: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .find_map(|(known, stage)| (*known == name).then_some(*stage))
            .ok_or_else(|| format!("there is no stage {name:?}"))
    }

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find_map(|(name, stage)| (*stage == self).then_some(*name))
            .unwrap_or("entry")
    }
}

/// Runs one stage of an executor. Exit codes: 0 after SIGTERM, 1 failure, 2 unusable options.
pub fn main(stage: Stage, options: &Options) -> ExitCode {
    let done = match stage {
        Stage::Entry => entry(options),
        Stage::Trial => {
            namespaces::enter().and_then(|()| supervisor::trial(&mut again(options, Stage::TrialInit)))
        }
        Stage::Outer => namespaces::enter()
            .and_then(|()| supervisor::run(&mut again(options, Stage::Init), options.watch_stdin)),
        Stage::TrialInit => make_root(options).map(|()| ExitCode::SUCCESS),
        Stage::Init => make_root(options).and_then(|()| become_user(options, Stage::Private)),
        Stage::Private => Ok(session::main(&inside(options), true)),
        Stage::Plain => Ok(session::main(options, false)),
    };
    done.unwrap_or_else(|error| {
        // Before there is a log; a trial's last line is the reason that its parent reports.
        eprintln!("dojo exec: {error}");
        if stage == Stage::Entry {
            ExitCode::from(2)
        } else {
            ExitCode::FAILURE
        }
    })
}

/// Checks the options, hands the directories to the user, and goes on in another stage.
fn entry(options: &Options) -> Result<ExitCode, String> {
    let root = geteuid().is_root();
    if let Some((uid, _)) = options.user
        && !root
        && uid != geteuid().as_raw()
    {
        return Err(format!(
            "--user {uid} needs root, and this is user {}",
            geteuid().as_raw()
        ));
    }
    for dir in [
        &options.workspace,
        &options.state,
        &options.scratch,
        &temporary(options),
    ] {
        fs::create_dir_all(dir).map_err(|error| format!("cannot make {dir:?}: {error}"))?;
    }
    if !options.public.is_dir() {
        return Err(format!(
            "there is no directory of public data at {:?}",
            options.public
        ));
    }
    for path in options.read_paths.iter().chain(&options.devices) {
        if !path.exists() {
            return Err(format!(
                "there is nothing at {path:?}, which executed code is to reach"
            ));
        }
    }
    python::inspect(&options.python, &data(options))?;
    if let Some((uid, gid)) = options.user.filter(|_| root) {
        for dir in [&options.workspace, &options.state, &options.scratch] {
            ownership::give(dir, uid, gid)
                .map_err(|error| format!("cannot give {dir:?} to user {uid}: {error}"))?;
        }
    }
    if options.private_root {
        match try_private_root(options) {
            Ok(()) => return Err(replace(&mut again(options, Stage::Outer))),
            Err(reason) => tracing::warn!(
                "no private root directory here, Landlock and seccomp alone keep code in: {reason}"
            ),
        }
    }
    become_user(options, Stage::Plain)
}

/// Directories that hold an episode's data.
pub(super) fn data(options: &Options) -> [&Path; 4] {
    [
        &options.public,
        &options.workspace,
        &options.state,
        &options.scratch,
    ]
    .map(PathBuf::as_path)
}

/// Where temporary files of executed code are on disk.
pub(super) fn temporary(options: &Options) -> PathBuf {
    options.scratch.join("tmp")
}

/// The options as they are in a private root.
fn inside(options: &Options) -> Options {
    Options {
        socket: Path::new(RELAY).join(options.socket.file_name().unwrap_or_default()),
        state: STATE.into(),
        scratch: SCRATCH.into(),
        ..options.clone()
    }
}

/// Goes through all of it in a child, since a process cannot leave a namespace that turns out to be of no use.
fn try_private_root(options: &Options) -> Result<(), String> {
    let output = again(options, Stage::Trial)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start this program anew: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said
        .lines()
        .last()
        .unwrap_or("it ended without a word")
        .to_owned())
}

fn make_root(options: &Options) -> Result<(), String> {
    let python = python::inspect(&options.python, &data(options))?;
    root::enter(options, &layout::of(options, &python))
}

/// Becomes the executor, as the user that it is to be.
fn become_user(options: &Options, stage: Stage) -> Result<ExitCode, String> {
    namespaces::give_up_capabilities()?;
    let mut command = again(options, stage);
    if let Some((uid, gid)) = options.user.filter(|_| geteuid().is_root()) {
        command.uid(uid).gid(gid);
    }
    Err(replace(&mut command))
}

/// This program anew, in another stage.
fn again(options: &Options, stage: Stage) -> Command {
    let mut command = Command::new(SELF);
    command.args(&options.args).arg("--stage").arg(stage.name());
    // What is supervised ends with its supervisor; what replaces a process inherits its standard input.
    if options.watch_stdin || matches!(stage, Stage::Init | Stage::Private) {
        command.arg(OsString::from("--watch-stdin"));
    }
    command
}

/// Replaces this process; comes back with the reason only.
fn replace(command: &mut Command) -> String {
    let error: io::Error = command.exec();
    format!("cannot start this program anew: {error}")
}
