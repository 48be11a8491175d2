//! `dojo exec`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::api::SandboxMode;
use crate::exec::{Inherited, Options, Stage};

/// Arguments of `dojo exec`. All paths are absolute.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// UNIX socket of the relay
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    socket: PathBuf,
    /// Workspace of the executed code
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    workspace: PathBuf,
    /// Public data, read-only for executed code
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    public: PathBuf,
    /// The executor's own state, out of reach of executed code
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    state: PathBuf,
    /// Temporary files of executed code, throw-away copies of the workspace
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    scratch: PathBuf,
    /// Python interpreter: a virtual environment's or a plain one, not a shim
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    python: PathBuf,
    /// A further directory or file that executed code may read; can be repeated
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    read_path: Vec<PathBuf>,
    /// A device file that executed code may use; can be repeated
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    device: Vec<PathBuf>,
    /// What happens where a layer of the documented minimum (Landlock ABI 4, seccomp) is missing
    #[arg(long, value_enum, default_value = "required")]
    sandbox: Strength,
    /// Started as root: the user and group to change to
    #[arg(long, value_name = "UID:GID", value_parser = user)]
    user: Option<(u32, u32)>,
    /// Bytes of memory that one program may use with all its processes [default: what the machine has]
    #[arg(long, value_name = "BYTES")]
    memory: Option<u64>,
    /// Threads that numeric libraries start [default: as many as there are CPUs]
    #[arg(long, value_name = "N")]
    cpus: Option<u32>,
    /// Use a root directory of one's own: where the kernel allows it, or not at all
    #[arg(long, value_enum, default_value = "auto", hide = true)]
    private_root: PrivateRoot,
    /// Which of the executor's stages this is (set by itself)
    #[arg(long, value_parser = Stage::named, default_value = "entry", hide = true)]
    stage: Stage,
    /// End with standard input (set by itself)
    #[arg(long, hide = true)]
    watch_stdin: bool,
}

/// How strictly the sandbox is required.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Strength {
    /// Refuse to run code
    Required,
    /// Use what the machine has and record it
    BestEffort,
}

impl From<Strength> for SandboxMode {
    fn from(strength: Strength) -> Self {
        match strength {
            Strength::Required => Self::Required,
            Strength::BestEffort => Self::BestEffort,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum PrivateRoot {
    Auto,
    Never,
}

/// Runs `dojo exec`.
pub fn main(args: Args) -> ExitCode {
    let (before, own) = command_line();
    crate::exec::main(
        args.stage,
        &Options {
            socket: args.socket,
            workspace: args.workspace,
            public: args.public,
            state: args.state,
            scratch: args.scratch,
            python: args.python,
            read_paths: args.read_path,
            devices: args.device,
            sandbox: args.sandbox.into(),
            user: args.user,
            memory: args.memory,
            cpus: args.cpus,
            private_root: args.private_root == PrivateRoot::Auto,
            // A thread that watches standard input would not survive the stages; the last one watches it itself.
            watch_stdin: args.watch_stdin || before.iter().any(|argument| argument == "--lifeline"),
            args: own,
            inherited: inherited(),
        },
    )
}

/// The command line before and after the name of the subcommand; what the executor adds for itself is left out.
fn command_line() -> (Vec<OsString>, Vec<OsString>) {
    let all: Vec<OsString> = std::env::args_os().skip(1).collect();
    let at = all
        .iter()
        .position(|argument| argument == "exec")
        .unwrap_or(all.len());
    let (before, own) = all.split_at(at);
    let end = own
        .iter()
        .position(|argument| argument == "--stage")
        .unwrap_or(own.len());
    let given = own[..end].iter().filter(|argument| *argument != "--watch-stdin");
    (before.to_vec(), given.cloned().collect())
}

fn inherited() -> Inherited {
    Inherited {
        path: std::env::var_os("PATH"),
        library_path: std::env::var_os("LD_LIBRARY_PATH"),
        others: Inherited::OTHERS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect(),
    }
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err("the path must be absolute".into())
    }
}

fn user(text: &str) -> Result<(u32, u32), String> {
    text.split_once(':')
        .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)))
        .ok_or_else(|| "write it as two numbers, such as 65534:65534".into())
}
