//! A run: all episodes of the documents, in parallel, each kept, continued or started anew.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;
use tokio::task::JoinSet;

use super::layout::RunDir;
use super::lock::{Lock, try_lock};
use super::machine;
use super::play::{Play, play};
use super::progress::Progress;
use super::python::{self, PythonError};
use super::read;
use super::record::digest;
use super::report::Report;
use super::resume::{Configuration, Decision, Existing, decide};
use super::seats::Seats;
use super::signals::Stop;
use super::sockets::SocketDir;
use super::unready::Unready;
use super::workshop::Workshop;
use crate::api::{Episode, FileSource, Task};
use crate::plan::{Checked, Problem, Sourced, name_of, namespace_of, validate};

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files and directories with the documents.
    pub paths: Vec<PathBuf>,
    /// Directory for the episodes.
    pub out: PathBuf,
    /// Episodes at one time. Unset: as many as CPUs and memory allow.
    pub parallel: Option<usize>,
    /// Start all episodes anew, finished ones too.
    pub fresh: bool,
    /// Python interpreter, by path or by name on PATH.
    pub python: OsString,
    /// Root of the cache.
    pub cache: PathBuf,
    /// This program's own executable.
    pub dojo: PathBuf,
}

/// Why a run does not start.
#[derive(Debug, Error)]
pub enum RunError {
    /// The documents are not right.
    #[error("{} problem(s) in what is to be run", .0.len())]
    Documents(Vec<Problem>),
    /// What is to be run does not fit to what is there; one line for each episode.
    #[error("{}", .0.join("\n"))]
    Conflicts(Vec<String>),
    /// There is nothing to run.
    #[error("there is no Episode in {0}")]
    NoEpisode(String),
    /// Another run works in the same directory.
    #[error(
        "process {holder} runs episodes in {out}: wait for its end, or choose another directory by --out"
    )]
    Busy {
        /// Its process id.
        holder: String,
        /// The directory.
        out: String,
    },
    /// What the user picked is not there: a Task, or a directory with its data.
    #[error("{0}")]
    Selection(String),
    /// The data of a Task cannot be made.
    #[error("{}: {}{}", .0.reason, .0.message, .0.log.as_ref().map_or_else(String::new, |log| format!("\nlog: {}", log.display())))]
    Unready(Unready),
    /// The user stopped it.
    #[error("stopped")]
    Interrupted,
    /// There is no Python.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// The machine does not do what it should.
    #[error("cannot {doing}: {error}")]
    Machine {
        /// What could not be done.
        doing: String,
        /// Why not.
        error: io::Error,
    },
}

impl RunError {
    /// Exit code: 2 for what the user wrote, 130 after an interrupt, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Documents(_) | Self::Conflicts(_) | Self::NoEpisode(_) | Self::Selection(_) => 2,
            Self::Interrupted => 130,
            Self::Busy { .. } | Self::Python(_) | Self::Machine { .. } | Self::Unready(_) => 1,
        }
    }
}

/// Names what the machine did not do.
pub(super) fn machine(doing: impl Into<String>) -> impl FnOnce(io::Error) -> RunError {
    let doing = doing.into();
    move |error| RunError::Machine { doing, error }
}

/// What all episodes of a run share.
#[derive(Debug)]
pub struct Shared {
    /// The valid documents.
    pub checked: Checked,
    /// Environments and data.
    pub workshop: Workshop,
    /// Directory of the run.
    pub run: RunDir,
    /// Places for episodes.
    pub seats: Seats,
    /// Directory for sockets, whose paths must be short.
    pub sockets: SocketDir,
    /// Whether executed code runs under other users.
    pub is_root: bool,
    /// Hardware, for the record.
    pub hardware: String,
    /// Host name, for the record.
    pub host: String,
}

/// Runs all episodes. Comes back when each has ended, or when the run was interrupted and everything is stopped.
pub fn run(options: &Options) -> Result<Report, RunError> {
    // A single thread: whoever starts a process here stays alive as long as the run.
    runtime()?.block_on(run_all(options))
}

/// The runtime of everything that the runner does.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, RunError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(machine("start the runtime"))
}

async fn run_all(options: &Options) -> Result<Report, RunError> {
    let stop = Stop::listen().map_err(machine("listen to signals"))?;
    let documents = read::documents(&options.paths).map_err(RunError::Documents)?;
    let checked = validate(&documents).map_err(RunError::Documents)?;
    if checked.episodes.is_empty() {
        let paths: Vec<String> = options
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(RunError::NoEpisode(paths.join(", ")));
    }
    let is_root = machine::is_root();
    if is_root {
        // Executed code runs under another user and must be able to read what is meant for it.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    }
    let run = RunDir::create(&options.out).map_err(machine(format!("use {}", options.out.display())))?;
    let _lock = lock(&run)?;
    let decided = decide_all(&checked, &run, options.fresh)?;

    let cache = real_cache(&options.cache)?;
    let python = python::inspect(&options.python).await?;
    let cpus = machine::cpus();
    let names: Vec<&str> = checked
        .episodes
        .iter()
        .map(|episode| name_of(&episode.resource))
        .collect();
    let shared = Arc::new(Shared {
        workshop: Workshop::new(
            options.dojo.clone(),
            cache,
            python,
            run.own(),
            stop.clone(),
            Progress::new(names.iter().copied()),
        )
        .await?,
        run,
        seats: Seats::new(options.parallel, cpus, machine::memory()),
        sockets: SocketDir::create(Path::new("/tmp")).map_err(machine("create a directory in /tmp"))?,
        is_root,
        hardware: machine::hardware(),
        host: machine::host_name(),
        checked,
    });
    for ignored in &shared.checked.ignored {
        shared
            .workshop
            .progress
            .say(&format!("{ignored} is for a cluster: left alone"));
    }
    let mut playing = JoinSet::new();
    let mut plays: Vec<Option<Play>> = Vec::new();
    for (number, (decision, configuration)) in decided.into_iter().enumerate() {
        plays.push(None);
        let shared = Arc::clone(&shared);
        playing.spawn(async move {
            let played = play(&shared, number, decision, configuration).await;
            (number, played)
        });
    }
    while let Some(joined) = playing.join_next().await {
        let (number, played) = joined.map_err(|error| machine("run an episode")(io::Error::other(error)))?;
        plays[number] = Some(played);
    }
    shared.workshop.progress.finish();
    let plays: Vec<Play> = plays.into_iter().flatten().collect();
    Ok(Report {
        interrupted: stop.requested() && plays.iter().any(|play| play.interrupted),
        remarks: plays.iter().filter_map(|play| play.remark.clone()).collect(),
        episodes: plays.into_iter().map(|play| play.episode).collect(),
        at: Timestamp::now(),
    })
}

/// The cache by its real path: executed code sees nothing of the way there.
pub(super) fn real_cache(cache: &Path) -> Result<PathBuf, RunError> {
    fs::create_dir_all(cache)
        .and_then(|()| fs::canonicalize(cache))
        .map_err(machine(format!("use the cache {}", cache.display())))
}

fn lock(run: &RunDir) -> Result<Lock, RunError> {
    try_lock(&run.lock())
        .map_err(machine(format!("lock {}", run.lock().display())))?
        .map_err(|holder| RunError::Busy {
            holder,
            out: run.root().display().to_string(),
        })
}

/// What becomes of each episode, or all that stands against it. Nothing was touched yet.
fn decide_all(
    checked: &Checked,
    run: &RunDir,
    fresh: bool,
) -> Result<Vec<(Decision, Configuration)>, RunError> {
    let mut decided = Vec::new();
    let mut conflicts = Vec::new();
    for Sourced {
        resource: episode,
        file,
    } in &checked.episodes
    {
        let dir = run.episode(&episode.metadata);
        let existing = Existing::read(&dir).map_err(machine(format!("read {}", dir.root().display())))?;
        let task = checked.task_of(episode).ok_or_else(|| {
            // Validation has seen to it.
            RunError::Conflicts(vec![format!(
                "{file}: there is no Task {}",
                episode.spec.task_ref.name
            )])
        })?;
        let configuration = configuration(checked, &task.resource, episode)
            .map_err(|error| machine("describe an episode")(io::Error::other(error)))?;
        match decide(existing, &configuration, fresh) {
            Ok(decision) => decided.push((decision, configuration)),
            Err(reasons) => conflicts.push(format!(
                "{} cannot be gone on with: {}. Run into another directory by --out DIR, or start all episodes of this \
                 run anew by --fresh, which removes what they have",
                dir.root().display(),
                reasons.join("; ")
            )),
        }
    }
    if conflicts.is_empty() {
        Ok(decided)
    } else {
        Err(RunError::Conflicts(conflicts))
    }
}

fn configuration(checked: &Checked, task: &Task, episode: &Episode) -> serde_json::Result<Configuration> {
    let sources: [(&str, Option<&FileSource>); 2] = [
        (namespace_of(task), task.spec.data.prepare.as_ref()),
        (namespace_of(episode), episode.spec.agent.replay.as_ref()),
    ];
    let mut files = BTreeMap::new();
    for (namespace, source) in sources {
        let Some(key) = source.map(|source| &source.config_map_key_ref) else {
            continue;
        };
        if let Some(content) = checked.file(namespace, key) {
            files.insert(format!("{}/{}", key.name, key.key), digest(content));
        }
    }
    Configuration::new(task, episode, files)
}
