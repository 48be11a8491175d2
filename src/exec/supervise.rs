//! One program from its start to the end of the last process that descends from it.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::process::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};
use wait4::Wait4;

use super::pump::{Stream, carry};
use super::tree::{self, Use};
use crate::wire::channel::{Captured, OutputCaps, RunUsage};
use crate::wire::frame::Frame;

/// Time between two looks at memory and number of processes.
const LOOK: Duration = Duration::from_millis(100);
/// Time between two looks at processes that were told to end.
const ENDING_LOOK: Duration = Duration::from_millis(5);
/// Processes that one program may have at a time.
const MAX_PROCESSES: usize = 4096;
/// Time after which processes that do not die of SIGKILL are given up: they hang in the kernel.
const UNKILLABLE: Duration = Duration::from_secs(20);

/// Time for the end of what nobody supervises any more.
const LAST: Duration = Duration::from_secs(1);

/// Why a run is to end before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stop {
    /// It is cancelled: first asked to end, then killed.
    Cancel,
    /// Nobody waits for it any more: it is killed.
    AtOnce,
}

/// What a program may use.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// When it is asked to end.
    pub deadline: Instant,
    /// Time after that until it is killed.
    pub grace: Duration,
    /// Memory of all its processes in bytes.
    pub memory: Option<u64>,
    /// File systems in memory, whose files count as its memory.
    pub memory_dirs: Vec<PathBuf>,
}

/// What surrounds a program.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// Number of the run.
    pub run: u64,
    /// What is kept of its output.
    pub output: OutputCaps,
    /// Sent when it has started.
    pub started: Option<Frame>,
    /// Where its output goes.
    pub frames: mpsc::Sender<Frame>,
    /// Whether the executor has process numbers of its own.
    pub alone: bool,
}

/// How a program ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// It never became the program.
    NotStarted(String),
    /// By exiting.
    Exited(i32),
    /// By a signal that is not from here.
    Signaled(i32),
    /// By the time limit; whether SIGTERM was not enough.
    TimedOut { killed: bool },
    /// By a [`Stop`].
    Stopped(Stop),
    /// By a limit.
    Resource(String),
    /// It has not: it hangs in the kernel.
    Unkillable,
}

/// A program that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub end: End,
    pub stdout: Captured,
    pub stderr: Captured,
    pub usage: RunUsage,
}

/// Why a program is to end, or has.
enum Cause {
    Itself,
    Deadline,
    Stop(Stop),
    Resource(String),
    NotStarted(String),
}

/// Runs `command`, a `dojo launch`, to its end. When this returns nothing of it lives.
pub(super) async fn supervise(
    mut command: Command,
    limits: &Limits,
    surroundings: Surroundings,
    mut stop: watch::Receiver<Option<Stop>>,
) -> io::Result<Ended> {
    let Surroundings {
        run,
        output,
        started,
        frames,
        alone,
    } = surroundings;
    // Before the start, so that no end is missed.
    let children = signal(SignalKind::child())?;
    let began = Instant::now();
    let cpu_before = cpu_of_children();
    let (news, news_of_launch) = io::pipe()?;
    let mut child = command
        .stdin(news_of_launch)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // With it goes this side's copy of the launcher's end of the pipe.
    drop(command);
    let mut program = Program::new(&child, children, alone)?;
    let news = Receiver::from_owned_fd(news.into())?;
    let pipes = [
        child.stdout.take().map(Into::into),
        child.stderr.take().map(Into::into),
    ];
    let [stdout, stderr] = pipes.map(|pipe| pipe.map(Receiver::from_owned_fd));
    let (tell_end, ended) = watch::channel(false);

    let cause = tokio::select! {
        cause = launched(news, started, &frames) => cause,
        () = sleep_until(limits.deadline.into()) => Some(Cause::Deadline),
        stop = stopped(&mut stop) => Some(Cause::Stop(stop)),
    };
    let pump = |pipe, stream| tokio::spawn(carry(pipe, (run, stream), output, frames.clone(), ended.clone()));
    let stdout = pump(stdout.ok_or(io::ErrorKind::BrokenPipe)??, Stream::Stdout);
    let stderr = pump(stderr.ok_or(io::ErrorKind::BrokenPipe)??, Stream::Stderr);
    let cause = match cause {
        Some(cause) => cause,
        None => program.watch(limits, &mut stop).await,
    };
    let asked = matches!(cause, Cause::Deadline | Cause::Stop(Stop::Cancel));
    let wall = began.elapsed();
    let killed = if asked {
        program.ask_to_end(limits.grace, &mut stop).await
    } else {
        false
    };
    let status = program.finish(&mut child).await?;
    let wall = if asked { began.elapsed() } else { wall };
    let _ = tell_end.send(true);
    Ok(Ended {
        end: end(cause, killed, status),
        stdout: stdout.await?,
        stderr: stderr.await?,
        usage: RunUsage {
            wall_seconds: wall.as_secs_f64(),
            cpu_seconds: cpu_of_children().saturating_sub(cpu_before).as_secs_f64(),
            peak_memory_bytes: program.peak,
        },
    })
}

/// Waits until the launcher has become the program; gives the cause when it could not.
async fn launched(mut news: Receiver, started: Option<Frame>, frames: &mpsc::Sender<Frame>) -> Option<Cause> {
    let mut reason = Vec::new();
    if let Err(error) = news.read_to_end(&mut reason).await {
        return Some(Cause::NotStarted(format!("the launcher's pipe broke: {error}")));
    }
    if !reason.is_empty() {
        return Some(Cause::NotStarted(String::from_utf8_lossy(&reason).into_owned()));
    }
    if let Some(started) = started {
        // The connection is gone; a stop follows.
        let _ = frames.send(started).await;
    }
    None
}

/// Waits for a stop. A run whose session is gone is stopped too.
pub(super) async fn stopped(stop: &mut watch::Receiver<Option<Stop>>) -> Stop {
    match stop.wait_for(Option::is_some).await {
        Ok(stop) => stop.unwrap_or(Stop::AtOnce),
        Err(_) => Stop::AtOnce,
    }
}

/// Waits until nobody waits for the run any more.
async fn at_once(stop: &mut watch::Receiver<Option<Stop>>) {
    // A sender that is gone means the same.
    drop(stop.wait_for(|stop| *stop == Some(Stop::AtOnce)).await);
}

fn end(cause: Cause, killed: bool, status: Option<ExitStatus>) -> End {
    use std::os::unix::process::ExitStatusExt;
    let Some(status) = status else {
        return End::Unkillable;
    };
    match cause {
        Cause::NotStarted(reason) => End::NotStarted(reason),
        Cause::Deadline => End::TimedOut { killed },
        Cause::Stop(stop) => End::Stopped(stop),
        Cause::Resource(message) => End::Resource(message),
        Cause::Itself => match status.signal() {
            Some(signal) => End::Signaled(signal),
            None => End::Exited(status.code().unwrap_or(-1)),
        },
    }
}

/// A program and its processes.
struct Program {
    /// Also the number of its process group.
    pid: Pid,
    children: Signal,
    alone: bool,
    /// Greatest resident memory of one process so far, in bytes.
    peak: u64,
}

impl Program {
    fn new(child: &Child, children: Signal, alone: bool) -> io::Result<Self> {
        let pid = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            pid,
            children,
            alone,
            peak: 0,
        })
    }

    /// Watches until the program has ended or has to.
    async fn watch(&mut self, limits: &Limits, stop: &mut watch::Receiver<Option<Stop>>) -> Cause {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !tree::has_ended(self.pid) {
            tokio::select! {
                _ = self.children.recv() => {}
                _ = look.tick() => {
                    tree::reap_orphans(Some(self.pid));
                    let used = tree::measure();
                    self.peak = self.peak.max(used.peak);
                    if let Some(message) = over(&used, limits) {
                        return Cause::Resource(message);
                    }
                }
                () = sleep_until(limits.deadline.into()) => return Cause::Deadline,
                stop = stopped(stop) => return Cause::Stop(stop),
            }
        }
        Cause::Itself
    }

    /// Asks all processes to end and waits for it; whether some did not.
    async fn ask_to_end(&mut self, grace: Duration, stop: &mut watch::Receiver<Option<Stop>>) -> bool {
        tree::terminate();
        let until = Instant::now() + grace;
        loop {
            tree::reap_orphans(Some(self.pid));
            if tree::has_ended(self.pid) && tree::descendants().iter().all(|pid| *pid == self.pid) {
                return false;
            }
            tokio::select! {
                _ = self.children.recv() => {}
                () = sleep(ENDING_LOOK) => {}
                () = at_once(stop) => return true,
            }
            if Instant::now() >= until {
                return true;
            }
        }
    }

    /// Kills whatever lives, reaps all of it, and gives the program's own status: none when it cannot be killed.
    async fn finish(&mut self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let began = Instant::now();
        let mut status = None;
        // Once, while the program is not reaped and its number therefore nobody else's.
        let mut group = Some(self.pid);
        while began.elapsed() < UNKILLABLE {
            tree::kill(self.alone, group.take());
            if status.is_none() && tree::has_ended(self.pid) {
                let ended = child.wait4()?;
                self.peak = self.peak.max(ended.rusage.maxrss);
                status = Some(ended.status);
            }
            tree::reap_orphans(status.is_none().then_some(self.pid));
            if status.is_some() && tree::is_empty() {
                return Ok(status);
            }
            tokio::select! {
                _ = self.children.recv() => {}
                () = sleep(ENDING_LOOK) => {}
            }
        }
        tracing::error!(left = ?tree::descendants(), "processes do not die of SIGKILL");
        Ok(None)
    }
}

/// Kills all descendants whose supervisor is gone, as far as they die in time.
pub(super) async fn end_all(alone: bool) {
    let until = Instant::now() + LAST;
    while !tree::is_empty() && Instant::now() < until {
        tree::kill(alone, None);
        tree::reap_orphans(None);
        sleep(ENDING_LOOK).await;
    }
}

/// Which limit is exceeded.
fn over(used: &Use, limits: &Limits) -> Option<String> {
    if used.processes > MAX_PROCESSES {
        return Some(format!(
            "{} processes, over the limit of {MAX_PROCESSES}",
            used.processes
        ));
    }
    let limit = limits.memory?;
    let files: u64 = limits.memory_dirs.iter().map(|dir| used_by_files(dir)).sum();
    if used.memory.anonymous + used.memory.shared + files <= limit {
        return None;
    }
    let exactly = tree::memory();
    // Files in shared memory that are mapped are in both numbers.
    let total = exactly.anonymous + exactly.shared.max(files);
    (total > limit).then(|| {
        format!(
            "{} of memory, over the limit of {}",
            mebibytes(total),
            mebibytes(limit)
        )
    })
}

fn used_by_files(dir: &std::path::Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(0, |found| (found.f_blocks - found.f_bfree) * found.f_frsize)
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
}

/// CPU time of all children that were reaped, and theirs.
fn cpu_of_children() -> Duration {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(Duration::ZERO, |usage| {
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::tree::Memory;

    #[test]
    fn a_limit_that_is_exceeded_is_named_with_its_value() {
        let limits = Limits {
            deadline: Instant::now(),
            grace: Duration::ZERO,
            memory: None,
            memory_dirs: Vec::new(),
        };
        let used = Use {
            processes: MAX_PROCESSES + 1,
            memory: Memory::default(),
            peak: 0,
        };
        assert!(over(&used, &limits).unwrap().contains("over the limit of 4096"));
        assert_eq!(over(&Use::default(), &limits), None);
    }
}
