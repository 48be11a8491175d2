//! What an executor is told when it starts.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::api::SandboxMode;

/// What an executor is told when it starts. Paths are absolute.
#[derive(Clone, Debug)]
pub struct Options {
    /// UNIX socket of the relay.
    pub socket: PathBuf,
    /// Workspace of the executed code.
    pub workspace: PathBuf,
    /// Public data, read-only.
    pub public: PathBuf,
    /// The executor's own state, out of reach of executed code.
    pub state: PathBuf,
    /// Temporary files of executed code and throw-away copies.
    pub scratch: PathBuf,
    /// Python interpreter: a virtual environment's or a plain one.
    pub python: PathBuf,
    /// Further directories or files that executed code may read.
    pub read_paths: Vec<PathBuf>,
    /// Directories that stay out of reach although they lie below one that executed code may read. What is named inside
    /// them (public data, interpreter, read paths, workspace) is in reach.
    pub hidden: Vec<PathBuf>,
    /// Device files that executed code may use.
    pub devices: Vec<PathBuf>,
    /// What happens where a layer of the documented minimum is missing.
    pub sandbox: SandboxMode,
    /// User and group that an executor started as root changes to.
    pub user: Option<(u32, u32)>,
    /// Memory in bytes that one program may use with all its processes. Unset: what the machine has.
    pub memory: Option<u64>,
    /// Threads that numeric libraries start. Unset: as many as there are CPUs.
    pub cpus: Option<u32>,
    /// Whether a private root directory is used where the kernel allows it.
    pub private_root: bool,
    /// Whether the end of standard input ends the executor.
    pub watch_stdin: bool,
    /// The command line without program name and stage, with which the executor starts itself anew.
    pub args: Vec<OsString>,
    /// What is kept of the environment that the executor was started in.
    pub inherited: Inherited,
}

/// What is kept of the environment that the executor was started in: the image's settings.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    /// `PATH`.
    pub path: Option<OsString>,
    /// `LD_LIBRARY_PATH`.
    pub library_path: Option<OsString>,
    /// Variables that are passed on as they are.
    pub others: Vec<(String, String)>,
}

impl Inherited {
    /// Names of the variables that are passed on as they are: the time zone and what a GPU device plug-in sets.
    pub const OTHERS: [&'static str; 4] = [
        "TZ",
        "CUDA_VISIBLE_DEVICES",
        "NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_DRIVER_CAPABILITIES",
    ];
}
