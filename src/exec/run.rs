//! One run: a program in the workspace, or in a throw-away copy of it.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

use super::copy::{CopyError, copy};
use super::environment::Environment;
use super::options::Options;
use super::probe::{Place, Sandbox};
use super::python::Interpreter;
use super::removal;
use super::scratch::Scratch;
use super::submission;
use super::supervise::{End, Ended, Limits, Stop, Surroundings, end_all, stopped, supervise};
use super::syntax::{self, Checked};
use super::workspace::Workspace;
use crate::api::NetworkMode;
use crate::wire::channel::{
    Captured, FromExec, OutputCaps, RunExit, RunFinished, RunKind, RunRequest, RunUsage, SubmissionFound,
};
use crate::wire::frame::Frame;

/// Name of the throw-away copy in the scratch directory.
const COPY: &std::ffi::CStr = c"validation";

/// Everything that runs need.
#[derive(Debug)]
pub(super) struct Executor {
    pub options: Options,
    pub python: Interpreter,
    pub sandbox: Sandbox,
    pub scratch: Scratch,
    pub workspace: Workspace,
    /// Threads of numeric libraries.
    pub cpus: u32,
}

/// A run that is under way, as its parts see it.
struct Job<'a> {
    request: &'a RunRequest,
    network: NetworkMode,
    frames: &'a mpsc::Sender<Frame>,
    stop: watch::Receiver<Option<Stop>>,
    began: Instant,
}

impl Job<'_> {
    /// When the run is asked to end. Everything counts that it waits for: the copy, the check of the syntax, the program.
    fn deadline(&self) -> Instant {
        self.began + Duration::from_millis(self.request.timeout_ms)
    }
}

impl Executor {
    /// Performs a run to its end. Output, and a submission, are sent on the way.
    pub(super) async fn perform(
        self: &Arc<Self>,
        request: &RunRequest,
        frames: &mpsc::Sender<Frame>,
        stop: watch::Receiver<Option<Stop>>,
    ) -> RunFinished {
        let began = seconds_since_1970();
        let outcome = match self.sandbox.network(request.network) {
            Ok(network) => {
                self.attempt(&Job {
                    request,
                    network,
                    frames,
                    stop,
                    began: Instant::now(),
                })
                .await
            }
            Err(reason) => Err(reason),
        };
        self.scratch.wipe(began);
        outcome.unwrap_or_else(|message| finished(request, RunExit::Sandbox { message }))
    }

    async fn attempt(self: &Arc<Self>, job: &Job<'_>) -> Result<RunFinished, String> {
        let workspace = |error: io::Error| format!("the workspace cannot be used: {error}");
        self.workspace
            .restore()
            .map_err(|error| workspace(error.into()))?;
        match job.request.kind {
            RunKind::Execute => {
                if let Some(submission) = &job.request.submission {
                    // What an earlier step left is not this one's.
                    self.workspace
                        .remove(&submission.file)
                        .map_err(|error| workspace(error.into()))?;
                }
                let place = Place {
                    dir: self.options.workspace.clone(),
                    write: self.writable(self.options.workspace.clone()),
                    read: Vec::new(),
                    bind: None,
                };
                let mut finished = self.run_in(&self.workspace, &place, job).await?;
                if let (RunExit::Exited { code: 0 }, Some(request)) =
                    (&finished.exit, &job.request.submission)
                {
                    self.workspace
                        .restore()
                        .map_err(|error| workspace(error.into()))?;
                    finished.submission =
                        submission::hand_over(&self.workspace, job.request.run, request, job.frames).await;
                }
                Ok(finished)
            }
            RunKind::Validate => {
                let outcome = self.validate(job).await;
                if let Err(error) = self.remove_copy() {
                    tracing::warn!(%error, "the throw-away copy of the workspace is left");
                }
                outcome
            }
        }
    }

    /// Runs in a copy. Where programs can have their own mounts the copy lies at the workspace's path, so that absolute
    /// paths in a program lead into it; elsewhere the workspace itself can only be read.
    async fn validate(self: &Arc<Self>, job: &Job<'_>) -> Result<RunFinished, String> {
        let path = match self.make_copy(job.stop.clone(), job.deadline()).await {
            Ok(path) => path,
            Err(CopyError::Cancelled) => return Ok(finished(job.request, RunExit::Cancelled)),
            Err(CopyError::TimedOut) => {
                return Ok(RunFinished {
                    usage: RunUsage {
                        wall_seconds: job.began.elapsed().as_secs_f64(),
                        ..RunUsage::default()
                    },
                    ..finished(job.request, RunExit::TimedOut { killed: false })
                });
            }
            Err(error) => return Err(error.to_string()),
        };
        let copy = Workspace::open(&path)
            .map_err(|error| format!("the copy of the workspace cannot be used: {error}"))?;
        let original = self.options.workspace.clone();
        let place = if self.sandbox.namespaces {
            Place {
                dir: original.clone(),
                write: self.writable(path.clone()),
                read: Vec::new(),
                bind: Some((path, original)),
            }
        } else {
            let mut write = self.writable(path.clone());
            write.retain(|dir| !original.starts_with(dir));
            Place {
                dir: path,
                write,
                read: vec![original],
                bind: None,
            }
        };
        self.run_in(&copy, &place, job).await
    }

    async fn make_copy(
        self: &Arc<Self>,
        mut stop: watch::Receiver<Option<Stop>>,
        deadline: Instant,
    ) -> Result<PathBuf, CopyError> {
        self.remove_copy()?;
        let path = self.options.scratch.join(COPY.to_str().unwrap_or_default());
        let cancelled = Arc::new(AtomicBool::new(false));
        let mut copying = tokio::task::spawn_blocking({
            let (executor, path, cancelled) = (Arc::clone(self), path.clone(), Arc::clone(&cancelled));
            move || {
                mkdirat(
                    CWD,
                    &path,
                    Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH,
                )?;
                let to = openat(
                    CWD,
                    &path,
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    Mode::empty(),
                )?;
                copy(executor.workspace.dir(), to, &cancelled)
            }
        });
        let done = tokio::select! {
            done = &mut copying => done,
            _ = stopped(&mut stop) => {
                cancelled.store(true, Ordering::Relaxed);
                copying.await
            }
            () = sleep_until(deadline.into()) => {
                cancelled.store(true, Ordering::Relaxed);
                // Whatever became of it: what is left is removed, and there is no time to run anything.
                drop(copying.await);
                return Err(CopyError::TimedOut);
            }
        };
        done.map_err(io::Error::from)?.map(|()| path)
    }

    pub(super) fn remove_copy(&self) -> rustix::io::Result<()> {
        let scratch = openat(
            CWD,
            &self.options.scratch,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        removal::remove(scratch, COPY)
    }

    fn writable(&self, dir: PathBuf) -> Vec<PathBuf> {
        self.scratch.writable().into_iter().chain([dir]).collect()
    }

    /// Checks the program's syntax, then runs it. `files` is the directory that it works in, `place` how it sees it.
    async fn run_in(&self, files: &Workspace, place: &Place, job: &Job<'_>) -> Result<RunFinished, String> {
        let request = job.request;
        files
            .write(&request.file_name, request.code.as_bytes())
            .map_err(|error| format!("cannot write the program {}: {error}", request.file_name))?;
        let file = place.dir.join(&request.file_name);
        let limits = Limits {
            deadline: job.deadline(),
            grace: Duration::from_millis(request.grace_ms),
            memory: self.options.memory,
            memory_dirs: self.scratch.memory.clone(),
        };
        let mut check = self.command(place, job);
        check.args(syntax::arguments(&file, &request.file_name));
        let checked = self.supervise(check, &limits, syntax::OUTPUT, None, job).await?;
        match syntax::outcome(checked) {
            Checked::Passed => {}
            Checked::Failed(message) => return Ok(finished(request, RunExit::Syntax { message })),
            Checked::Ended(end) => return exit(end).map(|exit| finished(request, exit)),
        }
        let mut program = self.command(place, job);
        program.arg(&file);
        let started =
            serde_json::to_vec(&FromExec::Started { run: request.run }).map_err(|error| error.to_string())?;
        let ended = self
            .supervise(
                program,
                &limits,
                request.output,
                Some(Frame::Control(started)),
                job,
            )
            .await?;
        Ok(RunFinished {
            exit: exit(ended.end)?,
            stdout: ended.stdout,
            stderr: ended.stderr,
            usage: ended.usage,
            ..finished(request, RunExit::Cancelled)
        })
    }

    /// The interpreter, confined; its arguments are still to be added.
    fn command(&self, place: &Place, job: &Job<'_>) -> Command {
        let environment = Environment {
            python: &self.python,
            read: &self.sandbox.layout.read,
            inherited: &self.options.inherited,
            cpus: self.cpus,
            temporary: &self.scratch.name,
        };
        let mut command = self.sandbox.command(place, job.network);
        command
            .env_clear()
            .envs(environment.of(&place.dir, &job.request.env));
        command.arg("--").arg(&self.python.path);
        command
    }

    async fn supervise(
        &self,
        command: Command,
        limits: &Limits,
        output: OutputCaps,
        started: Option<Frame>,
        job: &Job<'_>,
    ) -> Result<Ended, String> {
        let surroundings = Surroundings {
            run: job.request.run,
            output,
            started,
            frames: job.frames.clone(),
            alone: self.sandbox.alone,
        };
        match supervise(command, limits, surroundings, job.stop.clone()).await {
            Ok(ended) => Ok(ended),
            Err(error) => {
                end_all(self.sandbox.alone).await;
                Err(format!("the program cannot be started or watched: {error}"))
            }
        }
    }
}

/// How the relay hears of an end; what is the sandbox's fault comes as an error.
fn exit(end: End) -> Result<RunExit, String> {
    Ok(match end {
        End::NotStarted(reason) => return Err(format!("the program cannot be started: {reason}")),
        End::Unkillable => {
            return Err("processes of the program hang in the kernel and cannot be killed".into());
        }
        End::Exited(code) => RunExit::Exited { code },
        End::Signaled(signal) => RunExit::Signaled { signal },
        End::TimedOut { killed } => RunExit::TimedOut { killed },
        End::Stopped(_) => RunExit::Cancelled,
        End::Resource(message) => RunExit::Resource { message },
    })
}

/// A run that ended so, without output; for a submission is looked only when a program ended well.
fn finished(request: &RunRequest, exit: RunExit) -> RunFinished {
    RunFinished {
        run: request.run,
        exit,
        submission: SubmissionFound::NotLooked,
        stdout: Captured::default(),
        stderr: Captured::default(),
        usage: RunUsage::default(),
    }
}

fn seconds_since_1970() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
