//! The connection to the relay, and what comes over it.

use std::fs;
use std::io;
use std::num::NonZero;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{
    DumpableBehavior, Signal, geteuid, set_dumpable_behavior, set_parent_process_death_signal,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::isolate::{data, temporary};
use super::layout;
use super::options::Options;
use super::probe::Sandbox;
use super::python::{self, Interpreter};
use super::run::Executor;
use super::scratch::Scratch;
use super::shutdown::Shutdown;
use super::supervise::{Stop, end_all};
use super::tree;
use super::workspace::Workspace;
use crate::wire::channel::{
    CHANNEL_VERSION, Captured, FromExec, RunExit, RunFinished, RunRequest, RunUsage, SubmissionFound, ToExec,
};
use crate::wire::frame::{Decoder, Frame};

/// First and longest pause between two attempts to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// Time for the relay's answer to a Hello.
const WELCOME: Duration = Duration::from_secs(10);
/// Frames that wait for the relay. Few, so that a slow relay slows the program down instead of filling memory.
const WAITING_FRAMES: usize = 8;
/// Bytes read at once.
const READ: usize = 64 * 1024;

/// Runs the executor until it is told to end; exit code 0 then, 1 if the relay refuses it or it cannot work.
pub(super) fn main(options: &Options, private: bool) -> ExitCode {
    let ended = prepare(options, private).and_then(|(executor, shutdown)| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed("start"))?;
        let ended = runtime.block_on(async {
            tokio::select! {
                ended = connect_for_ever(&executor) => ended,
                ended = shutdown.wait() => ended.map_err(failed("wait for signals")),
            }
        });
        // The task that would have ended what runs goes with the runtime.
        runtime.block_on(end_all(executor.sandbox.alone));
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            tracing::error!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> String {
    move |error| format!("cannot {what}: {error}")
}

/// Makes everything ready before anything foreign runs.
fn prepare(options: &Options, private: bool) -> Result<(Arc<Executor>, Shutdown), String> {
    if private {
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| failed("bind to the supervisor")(error.into()))?;
    }
    let shutdown = Shutdown::block(options.watch_stdin).map_err(failed("take signals"))?;
    // Executed code may be of the same user: it is not to look into the executor's memory where Landlock is missing.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| failed("protect memory")(error.into()))?;
    tree::become_reaper().map_err(|error| failed("become the reaper of orphans")(error.into()))?;
    let python = python::inspect(&options.python, &data(options)).unwrap_or_else(|reason| {
        // Root could reach it. The relay hears of it with the first run.
        tracing::warn!("{reason}");
        Interpreter::unreachable(&options.python)
    });
    let layout = layout::of(options, &python);
    let own_user = options
        .user
        .is_some_and(|(uid, _)| uid != 0 && uid == geteuid().as_raw());
    let scratch = Scratch::new(temporary(options), private, own_user);
    let sandbox = Sandbox::find(options, layout, &python, &scratch, private);
    if let Some(reason) = &sandbox.refusal {
        tracing::error!("{reason}");
    }
    tracing::info!(layers = ?sandbox.layers, "sandbox");
    let workspace = Workspace::open(&options.workspace)
        .map_err(|error| format!("cannot open {:?}: {error}", options.workspace))?;
    let all = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let cpus = options
        .cpus
        .unwrap_or_else(|| u32::try_from(all()).unwrap_or(u32::MAX));
    let executor = Executor {
        options: options.clone(),
        python,
        sandbox,
        scratch,
        workspace,
        cpus,
    };
    // An executor that was killed may have left them.
    executor
        .remove_copy()
        .map_err(|error| failed("clear the scratch directory")(error.into()))?;
    executor.scratch.wipe(i64::MAX);
    Ok((Arc::new(executor), shutdown))
}

/// Connects, works, and connects again when the connection drops. Comes back when the relay refuses this executor.
async fn connect_for_ever(executor: &Arc<Executor>) -> Result<(), String> {
    let state = executor.options.state.join("resume");
    let mut secret = fs::read_to_string(&state).ok();
    let mut pause = PAUSE.0;
    loop {
        match greet(executor, secret.as_deref()).await {
            Ok(Greeting::Welcome(connection, given)) => {
                if secret.as_ref() != Some(&given) {
                    keep(&state, &given).map_err(failed("keep the resume secret"))?;
                    secret = Some(given);
                }
                tracing::info!("connected to the relay");
                pause = PAUSE.0;
                serve(executor, connection).await;
                tracing::warn!("the connection to the relay dropped");
            }
            Ok(Greeting::Refused(reason)) => {
                return Err(format!("the relay refuses this executor: {reason}"));
            }
            Err(error) => tracing::debug!(%error, "no connection to the relay yet"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Writes the secret so that it is there whole or not at all.
fn keep(path: &Path, secret: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    // A file that an interrupted call left may have other permissions.
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    io::Write::write_all(&mut file, secret.as_bytes())?;
    fs::rename(new, path)
}

struct Connection {
    incoming: Incoming,
    outgoing: OwnedWriteHalf,
}

enum Greeting {
    Welcome(Connection, String),
    Refused(String),
}

/// Connects and says Hello.
async fn greet(executor: &Executor, secret: Option<&str>) -> io::Result<Greeting> {
    let (read, mut outgoing) = UnixStream::connect(&executor.options.socket).await?.into_split();
    let hello = FromExec::Hello {
        version: CHANNEL_VERSION,
        resume: secret.map(str::to_owned),
        layers: executor.sandbox.layers.clone(),
    };
    outgoing.write_all(&encoded(&control(&hello)?)).await?;
    let mut incoming = Incoming {
        read,
        decoder: Decoder::default(),
        buffer: vec![0; READ],
    };
    match timeout(WELCOME, incoming.next())
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??
    {
        Some(ToExec::Welcome { secret }) => Ok(Greeting::Welcome(Connection { incoming, outgoing }, secret)),
        Some(ToExec::Refused { reason }) => Ok(Greeting::Refused(reason)),
        Some(_) => Err(io::Error::other("the relay's first message is no Welcome")),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Messages of the relay.
struct Incoming {
    read: OwnedReadHalf,
    decoder: Decoder,
    buffer: Vec<u8>,
}

impl Incoming {
    /// The next message; none at the end of the connection. Can be dropped while it waits.
    async fn next(&mut self) -> io::Result<Option<ToExec>> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(io::Error::other)? {
                let Frame::Control(message) = frame else {
                    return Err(io::Error::other("the relay sends bulk data"));
                };
                return Ok(Some(serde_json::from_slice(&message)?));
            }
            match self.read.read(&mut self.buffer).await? {
                0 => return Ok(None),
                count => self.decoder.push(&self.buffer[..count]),
            }
        }
    }
}

fn control(message: &FromExec) -> io::Result<Frame> {
    Ok(Frame::Control(serde_json::to_vec(message)?))
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

/// Sends frames until the connection breaks or nobody sends any more.
async fn send(mut outgoing: OwnedWriteHalf, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        if let Err(error) = outgoing.write_all(&encoded(&frame)).await {
            tracing::debug!(%error, "the relay does not read any more");
            return;
        }
    }
}

/// What the executor is at.
struct Work {
    run: u64,
    stop: watch::Sender<Option<Stop>>,
    /// Gives the message that tells of its end.
    task: JoinHandle<FromExec>,
    /// Submission that it may leave behind.
    submission: Option<String>,
}

/// Works for the relay until the connection ends. Then nothing runs any more.
async fn serve(executor: &Arc<Executor>, mut connection: Connection) {
    let (frames, waiting) = mpsc::channel(WAITING_FRAMES);
    let mut sender = tokio::spawn(send(connection.outgoing, waiting));
    let mut work: Option<Work> = None;
    loop {
        let message = tokio::select! {
            message = connection.incoming.next() => message,
            told = done(&mut work) => {
                // The relay may answer the message with the next run at once.
                work = None;
                let Some(told) = told else { break };
                tell(&frames, &told).await;
                continue;
            }
            // The relay is gone although its side can still be read.
            _ = &mut sender => break,
        };
        match message {
            Ok(Some(message)) => take(executor, &mut work, message, &frames),
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "what the relay sends is no message");
                break;
            }
        }
    }
    // First the queue, so that nothing waits for its place in it; then what runs.
    sender.abort();
    drop(sender.await);
    if let Some(work) = work {
        let _ = work.stop.send(Some(Stop::AtOnce));
        if let Err(error) = work.task.await {
            tracing::error!(%error, "a run broke down");
        }
        if let Some(submission) = work.submission
            && let Err(error) = executor.workspace.remove(&submission)
        {
            tracing::warn!(%error, submission, "the submission of a lost run is left");
        }
    }
}

/// Waits for the end of what is under way, and gives the message that tells of it: none when it broke down, and with it
/// the connection has to, for the relay to hear of it.
async fn done(work: &mut Option<Work>) -> Option<FromExec> {
    let Some(work) = work else {
        return std::future::pending().await;
    };
    (&mut work.task)
        .await
        .inspect_err(|error| tracing::error!(%error, "a run broke down"))
        .ok()
}

/// Does what a message says. One thing runs at a time; the relay keeps to that.
fn take(executor: &Arc<Executor>, work: &mut Option<Work>, message: ToExec, frames: &mpsc::Sender<Frame>) {
    match message {
        ToExec::Run(request) if work.is_none() => *work = Some(start_run(executor, request, frames.clone())),
        ToExec::Reset { run } if work.is_none() => *work = Some(start_reset(executor, run)),
        ToExec::Run(request) => answer(frames, not_run(request.run, "another program runs")),
        ToExec::Reset { run } => {
            let error = Some("something runs in the workspace".into());
            answer(frames, FromExec::ResetDone { run, error });
        }
        ToExec::Cancel { run } => {
            if let Some(work) = work.as_ref().filter(|work| work.run == run) {
                let _ = work.stop.send(Some(Stop::Cancel));
            }
        }
        ToExec::Welcome { .. } | ToExec::Refused { .. } => tracing::warn!("the relay greets twice"),
    }
}

fn start_run(executor: &Arc<Executor>, request: RunRequest, frames: mpsc::Sender<Frame>) -> Work {
    let (stop, stopped) = watch::channel(None);
    let (run, executor) = (request.run, Arc::clone(executor));
    let submission = request
        .submission
        .as_ref()
        .map(|submission| submission.file.clone());
    tracing::info!(run, kind = ?request.kind, "run");
    let task = tokio::spawn(async move {
        let finished = executor.perform(&request, &frames, stopped).await;
        tracing::info!(run, exit = ?finished.exit, wall = finished.usage.wall_seconds, "run ended");
        FromExec::Finished(Box::new(finished))
    });
    Work {
        run,
        stop,
        task,
        submission,
    }
}

fn start_reset(executor: &Arc<Executor>, run: u64) -> Work {
    let (stop, _) = watch::channel(None);
    let executor = Arc::clone(executor);
    let task = tokio::spawn(async move {
        let emptied = tokio::task::spawn_blocking(move || executor.workspace.empty()).await;
        let error = match emptied {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("the workspace cannot be emptied: {error}")),
            Err(error) => Some(format!("emptying the workspace broke down: {error}")),
        };
        FromExec::ResetDone { run, error }
    });
    Work {
        run,
        stop,
        task,
        submission: None,
    }
}

async fn tell(frames: &mpsc::Sender<Frame>, message: &FromExec) {
    match control(message) {
        // A connection that is gone has nobody to tell.
        Ok(frame) => drop(frames.send(frame).await),
        Err(error) => tracing::error!(%error, "a message cannot be written"),
    }
}

/// Answers without waiting: what the relay must not do is not worth a queue.
fn answer(frames: &mpsc::Sender<Frame>, message: FromExec) {
    let frames = frames.clone();
    tokio::spawn(async move { tell(&frames, &message).await });
}

/// A run that could not be.
fn not_run(run: u64, reason: &str) -> FromExec {
    FromExec::Finished(Box::new(RunFinished {
        run,
        exit: RunExit::Sandbox {
            message: reason.to_owned(),
        },
        submission: SubmissionFound::NotLooked,
        stdout: Captured::default(),
        stderr: Captured::default(),
        usage: RunUsage::default(),
    }))
}
