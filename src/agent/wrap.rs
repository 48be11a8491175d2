//! `dojo agent exec`: starts any command as the agent of an episode.
//!
//! The command learns where its relay is from its environment, never from its arguments, which every process of the
//! machine can read. When a budget is spent it gets some time to end by itself.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::AgentError;
use super::client::{Client, connection};
use crate::wire::agent::Connection;

/// Time for the connection file to appear: the relay reads the journal and checks the Task first.
const CONNECTION_TIME: Duration = Duration::from_secs(60);
/// Pause between two looks for it.
const LOOK: Duration = Duration::from_millis(50);
/// Pause between two questions for the state.
const POLL: Duration = Duration::from_secs(1);
/// Time that a command has by itself after a budget is spent.
const LEAVE: Duration = Duration::from_secs(10);
/// Time between SIGTERM and SIGKILL after that.
const GRACE: Duration = Duration::from_secs(5);
/// The same where this process itself is told to end: less than the 5 s after which it would be killed, and leave the
/// command behind.
const STOP: Duration = Duration::from_secs(4);

/// What is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// File that tells address and token of the relay.
    pub connection: PathBuf,
    /// Seed of the episode, for the command's `DOJO_SEED`.
    pub seed: Option<u64>,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// Variables of this process that are `dojo`'s own and not the command's.
    pub withheld: Vec<OsString>,
}

/// Runs the command to its end; gives the exit code for this process: the command's, 128 and the number of the signal
/// that ended it, or 0 where the episode ended by a budget.
pub fn run(options: &Options) -> Result<u8, AgentError> {
    super::runtime()?.block_on(wrap(options))
}

async fn wrap(options: &Options) -> Result<u8, AgentError> {
    let handler =
        |kind| signal(kind).map_err(|error| AgentError::Failed(format!("cannot handle signals: {error}")));
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    let connection = tokio::select! {
        connection = appeared(&options.connection) => connection?,
        _ = terminate.recv() => return Ok(code(Signal::TERM)),
        _ = interrupt.recv() => return Ok(code(Signal::INT)),
    };
    let mut child = start(options, &connection)?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let send = |signal| {
        if let Some(group) = group {
            // The group may be gone already.
            let _ = kill_process_group(group, signal);
        }
    };

    let mut budget_spent = std::pin::pin!(truncated(&options.connection));
    let mut kill_at = None;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            _ = terminate.recv() => {
                send(Signal::TERM);
                kill_at.get_or_insert_with(|| tokio::time::Instant::now() + STOP);
            }
            () = reached(kill_at) => {
                send(Signal::KILL);
                kill_at = None;
            }
            _ = interrupt.recv() => send(Signal::INT),
            () = &mut budget_spent => {
                finish(&mut child, &send).await?;
                return Ok(0);
            }
        }
    };
    // What the command left behind is not the agent any more.
    send(Signal::KILL);
    let status = status.map_err(|error| waiting_failed(&error))?;
    if !status.success() && over(&options.connection).await {
        // It ended because no step was accepted any more.
        return Ok(0);
    }
    Ok(exit_code(status))
}

/// Returns at that time; never without one.
async fn reached(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Waits for the connection file.
async fn appeared(file: &Path) -> Result<Connection, AgentError> {
    let begun = Instant::now();
    loop {
        match connection(file) {
            Ok(connection) => return Ok(connection),
            Err(why) if begun.elapsed() > CONNECTION_TIME => {
                return Err(AgentError::Relay(format!(
                    "no relay after {} s: {why}",
                    CONNECTION_TIME.as_secs()
                )));
            }
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

fn start(options: &Options, connection: &Connection) -> Result<Child, AgentError> {
    let Some((program, arguments)) = options.command.split_first() else {
        return Err(AgentError::Input("no command was given".into()));
    };
    let mut command = std::process::Command::new(program);
    command
        .args(arguments)
        .env("DOJO_URL", &connection.url)
        .env("DOJO_TOKEN", &connection.token)
        .env("DOJO_CONNECTION", &options.connection)
        .stdin(Stdio::null())
        // A group of its own, so that a signal reaches all of it and nothing else.
        .process_group(0);
    for variable in &options.withheld {
        command.env_remove(variable);
    }
    match options.seed {
        Some(seed) => command.env("DOJO_SEED", seed.to_string()),
        None => command.env_remove("DOJO_SEED"),
    };
    Command::from(command).spawn().map_err(|error| {
        AgentError::Input(format!(
            "cannot start the agent's command `{}`: {error}",
            program.to_string_lossy()
        ))
    })
}

/// Returns when a budget of the episode is spent.
async fn truncated(file: &Path) {
    let mut client = Client::impatient(file.to_owned());
    loop {
        tokio::time::sleep(POLL).await;
        // A relay that is away for a moment is asked again.
        if client.state().await.is_ok_and(|state| state.truncated) {
            return;
        }
    }
}

/// Whether a budget is spent now, as far as the relay can be asked.
async fn over(file: &Path) -> bool {
    Client::impatient(file.to_owned())
        .state()
        .await
        .is_ok_and(|state| state.truncated)
}

/// Gives the command time to end by itself, then asks, then ends it.
async fn finish(child: &mut Child, send: &impl Fn(Signal)) -> Result<(), AgentError> {
    for (time, signal) in [(LEAVE, Signal::TERM), (GRACE, Signal::KILL)] {
        match tokio::time::timeout(time, child.wait()).await {
            Ok(status) => {
                status.map_err(|error| waiting_failed(&error))?;
                break;
            }
            Err(_) => send(signal),
        }
    }
    child.wait().await.map_err(|error| waiting_failed(&error))?;
    send(Signal::KILL);
    Ok(())
}

fn waiting_failed(error: &std::io::Error) -> AgentError {
    AgentError::Failed(format!("cannot wait for the agent's command: {error}"))
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

fn code(signal: Signal) -> u8 {
    u8::try_from(128 + signal.as_raw()).unwrap_or(1)
}
