//! What the sandbox of this machine is made of, found by putting it on.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rustix::process::{geteuid, getpid};

use super::environment::Environment;
use super::isolate::SELF;
use super::launch::Report;
use super::layout::Layout;
use super::options::Options;
use super::python::Interpreter;
use super::scratch::Scratch;
use crate::api::{NetworkMode, SandboxMode};

/// What surrounds every program, and what can be had.
#[derive(Debug)]
pub(super) struct Sandbox {
    /// Layers for the record.
    pub layers: Vec<String>,
    /// Why nothing is run here.
    pub refusal: Option<String>,
    /// Whether a program can have a network and mounts of its own.
    pub namespaces: bool,
    /// Whether the executor has process numbers of its own.
    pub alone: bool,
    pub layout: Layout,
    pub mode: SandboxMode,
}

/// Where a program works.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its working directory.
    pub dir: PathBuf,
    /// Directories that it may change.
    pub write: Vec<PathBuf>,
    /// What it may read besides.
    pub read: Vec<PathBuf>,
    /// A directory that is mounted over another one.
    pub bind: Option<(PathBuf, PathBuf)>,
}

impl Sandbox {
    /// Finds out, `private` being whether this is a private root directory.
    pub(super) fn find(
        options: &Options,
        layout: Layout,
        python: &Interpreter,
        scratch: &Scratch,
        private: bool,
    ) -> Self {
        let mut sandbox = Self {
            layers: Vec::new(),
            refusal: None,
            namespaces: false,
            alone: private && getpid().is_init(),
            layout,
            mode: options.sandbox,
        };
        let place = Place {
            dir: options.workspace.clone(),
            write: scratch
                .writable()
                .into_iter()
                .chain([options.workspace.clone()])
                .collect(),
            read: Vec::new(),
            bind: None,
        };
        let proof = |place: &Place, network| {
            let mut command = sandbox.command(place, network);
            command.arg("--prove").arg(&options.state);
            run(&mut command).and_then(|output| {
                serde_json::from_slice::<Report>(&output.stdout)
                    .map_err(|error| format!("the launcher says no report: {error}"))
            })
        };
        let report = proof(&place, NetworkMode::None);
        // A mount of a directory over itself changes nothing and shows whether it could.
        let bound = Place {
            bind: Some((options.workspace.clone(), options.workspace.clone())),
            ..place.clone()
        };
        let namespaces = proof(&bound, NetworkMode::Loopback);
        sandbox.namespaces = namespaces.is_ok();
        if let Err(reason) = namespaces {
            tracing::info!("no user namespaces for programs: {reason}");
        }
        let below = match report {
            Ok(report) => {
                sandbox.layers = report.layers;
                report.below_minimum
            }
            Err(reason) => Some(reason),
        };
        sandbox.name_own_layers(options, private);
        let environment = Environment {
            python,
            read: &sandbox.layout.read,
            inherited: &options.inherited,
            cpus: 1,
            temporary: &scratch.name,
        };
        let mut python_works = sandbox.command(&place, NetworkMode::None);
        python_works
            .envs(environment.of(&place.dir, &[]))
            .arg("--")
            .arg(&python.path)
            .args(["-I", "-S", "-c", ""]);
        sandbox.refusal = match below {
            Some(missing) if options.sandbox == SandboxMode::Required => Some(below_minimum(&missing)),
            _ => run(&mut python_works).err().map(|reason| {
                format!(
                    "Python does not start inside the sandbox as user {}: {reason}. If it lies in a directory that this user \
                     may not enter, use another interpreter; if it keeps files in further directories, name them with --read-path",
                    geteuid().as_raw()
                )
            }),
        };
        sandbox
    }

    fn name_own_layers(&mut self, options: &Options, private: bool) {
        let own = [
            (
                "uid-switch",
                options.user.is_some_and(|(uid, _)| uid == geteuid().as_raw()),
            ),
            ("private-root", private),
            ("pid-namespace", self.alone),
            ("program-namespaces", self.namespaces),
            ("memory-polling", options.memory.is_some()),
        ];
        self.layers.extend(
            own.iter()
                .filter(|(_, on)| *on)
                .map(|(name, _)| (*name).to_owned()),
        );
    }

    /// A `dojo launch` for a program at `place`; what it is to start, and with which variables, is still to be added.
    pub(super) fn command(&self, place: &Place, network: NetworkMode) -> Command {
        let mut command = Command::new(SELF);
        command
            .arg("launch")
            .env_clear()
            .current_dir(place.bind.as_ref().map_or(&place.dir, |(from, _)| from));
        let paths = |flag: &str, paths: &[PathBuf]| {
            paths
                .iter()
                .flat_map(|path| [OsString::from(flag), path.into()])
                .collect::<Vec<_>>()
        };
        command
            .args(paths("--read", &self.layout.read))
            .args(paths("--read", &place.read))
            .args(paths("--write", &place.write))
            .args(paths("--device", &self.layout.devices));
        command.args(match network {
            NetworkMode::None => ["--network", "none"],
            NetworkMode::Loopback => ["--network", "loopback"],
            NetworkMode::Allow => ["--network", "allow"],
        });
        command.args(match self.mode {
            SandboxMode::Required => ["--sandbox", "required"],
            SandboxMode::BestEffort => ["--sandbox", "best-effort"],
        });
        if let Some((from, to)) = &place.bind {
            command.arg("--bind").arg(from).arg(to);
        }
        command
    }

    /// The network that a program which asks for `network` gets; the reason where it cannot be run.
    pub(super) fn network(&self, network: NetworkMode) -> Result<NetworkMode, String> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        match (network, self.mode) {
            (NetworkMode::Loopback, SandboxMode::Required) if !self.namespaces => Err(
                "network: Loopback needs a network namespace, which this system does not allow without privileges; allow user \
                 namespaces, use network: None or Allow, or set sandbox: BestEffort to run with the machine's network"
                    .into(),
            ),
            (NetworkMode::Loopback, SandboxMode::BestEffort) if !self.namespaces => Ok(NetworkMode::Allow),
            (network, _) => Ok(network),
        }
    }
}

fn below_minimum(missing: &str) -> String {
    format!(
        "code is not run here: of the sandbox's minimum (Landlock ABI 4, seccomp, no_new_privs, no capabilities) there is \
         {missing}. Use Linux 6.7 or later with Landlock enabled, or set sandbox: BestEffort on the Task to run without \
         what is missing"
    )
}

/// Runs a launcher to its end; the reason when it failed.
fn run(command: &mut Command) -> Result<Output, String> {
    let mut started = || -> io::Result<(Output, String)> {
        let (mut news, of_launcher) = io::pipe()?;
        let child = command
            .stdin(of_launcher)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        command.stdin(Stdio::null());
        let output = child.wait_with_output()?;
        let mut reason = String::new();
        news.read_to_string(&mut reason)?;
        Ok((output, reason))
    };
    let (output, reason) = started().map_err(|error| format!("cannot start the launcher: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(match (reason.as_str(), said.trim()) {
        ("", "") => format!("it ended with {}", output.status),
        ("", said) => said.to_owned(),
        (reason, _) => reason.to_owned(),
    })
}
