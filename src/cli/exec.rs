//! `dojo exec`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
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
    /// Python interpreter: a virtual environment's or a plain one, not a shim; a name without a slash is looked for on
    /// PATH
    #[arg(long, value_name = "PATH", value_parser = interpreter)]
    python: PathBuf,
    /// A further directory or file that executed code may read; can be repeated
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    read_path: Vec<PathBuf>,
    /// A directory that stays out of reach although it lies below one that executed code may read, a system directory
    /// or a Python installation among them; what another option names inside it is in reach. Can be repeated
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    hide: Vec<PathBuf>,
    /// A device file that executed code may use; can be repeated
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    device: Vec<PathBuf>,
    /// What happens where a layer of the documented minimum (Landlock ABI 4, seccomp) is missing
    #[arg(long, value_enum, default_value = "required")]
    sandbox: Strength,
    /// Started as root: the user and group to change to. They should be this executor's alone: what they have in shared
    /// memory is removed after each run
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
    // The other stages are short, and the last line of a trial is the reason that is reported.
    if matches!(args.stage, Stage::Entry | Stage::Private | Stage::Plain) {
        super::log();
    }
    let (before, own) = command_line(&args.python);
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
            hidden: args.hide,
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

/// The command line before and after the name of the subcommand. What the executor adds for itself is left out, and
/// `python` is named by its path: a later stage may see less of PATH.
fn command_line(python: &Path) -> (Vec<OsString>, Vec<OsString>) {
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
    (before.to_vec(), with_python(given, python))
}

fn with_python<'a>(given: impl Iterator<Item = &'a OsString>, python: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    for argument in given {
        if args.last().is_some_and(|last| last == "--python") {
            args.push(python.into());
        } else if argument.as_bytes().starts_with(b"--python=") {
            args.extend(["--python".into(), python.into()]);
        } else {
            args.push(argument.clone());
        }
    }
    args
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

/// An absolute path, or a name that is looked for on PATH. Links are kept: a virtual environment is known by the path
/// that its Python is started by.
fn interpreter(text: &str) -> Result<PathBuf, String> {
    if text.contains('/') {
        return absolute(text);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    on_path(text, &path).ok_or_else(|| {
        format!("there is no program {text} on PATH ({path:?}); give the path of an interpreter")
    })
}

/// The first executable regular file of this name. Relative directories are passed over.
fn on_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(name))
        .find(|file| {
            file.metadata()
                .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
}

fn user(text: &str) -> Result<(u32, u32), String> {
    text.split_once(':')
        .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)))
        .ok_or_else(|| "write it as two numbers, such as 65534:65534".into())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_name_is_the_first_executable_file_on_the_path_with_its_links_kept() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["plain", "directory/py", "venv", "base"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("plain/py"), "").unwrap();
        fs::set_permissions(dir.path().join("plain/py"), Permissions::from_mode(0o644)).unwrap();
        fs::write(dir.path().join("base/py3"), "").unwrap();
        fs::set_permissions(dir.path().join("base/py3"), Permissions::from_mode(0o755)).unwrap();
        symlink("../base/py3", dir.path().join("venv/py")).unwrap();
        let dirs = ["plain", "directory", "venv"].map(|name| dir.path().join(name));
        let path = std::env::join_paths(["relative".into()].iter().chain(&dirs)).unwrap();
        assert_eq!(on_path("py", &path), Some(dir.path().join("venv/py")));
        assert_eq!(on_path("py4", &path), None);
    }

    #[test]
    fn later_stages_are_given_the_path_that_was_found() {
        for given in [
            &["--python", "py", "--cpus", "1"][..],
            &["--python=py", "--cpus", "1"],
        ] {
            let given: Vec<OsString> = given.iter().map(OsString::from).collect();
            assert_eq!(
                with_python(given.iter(), Path::new("/venv/bin/py")),
                ["--python", "/venv/bin/py", "--cpus", "1"]
            );
        }
    }
}
