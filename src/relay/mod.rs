//! The sidecar of one episode: the agent API in front, the executor behind, the engine in between.
//!
//! ```text
//!   agent --HTTP--> routes -> steps: begin -> perform -> advance … -> journal -> commit -> result file -> reply
//!                                        |        |
//!                          executor, channel    grading
//!                                 |
//!                             dojo exec
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `routes`, `serve`, `answer` | HTTP: paths, token, limits, problems |
//! | `steps`, `perform` | the way of a step, its effects |
//! | `journal`, `result`, `secrets`, `files` | what is on the disk |
//! | `executor`, `receipt`, `channel`, `strangers` | the executor: who it is, what it may answer, its socket, and who else connects there |
//! | `output` | logs of runs and their followers |
//! | `report` | what the operator is told while the episode runs |
//! | `grading`, `public` | the Task's private and public files |
//!
//! One thread runs everything but grading and `fsync`: a relay per episode must be small, and steps are not many.

mod answer;
mod channel;
mod executor;
mod files;
mod grading;
mod journal;
mod output;
mod perform;
mod public;
mod receipt;
mod report;
mod result;
mod routes;
mod secrets;
mod serve;
mod steps;
mod strangers;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};

use crate::env::Engine;
use crate::metrics::RelayMetrics;
use crate::wire::agent::Connection;
use crate::wire::config::RelayConfig;
use crate::wire::hex;
use crate::wire::journal::Header;
use executor::Executor;
use grading::Grading;
use journal::Journal;
use report::Reporter;
use result::ResultFile;
use secrets::Secrets;
use steps::{Episode, Parts};

pub use report::ReportTarget;

/// What is waited for the last sync of the journal when the relay is told to end.
const LAST_SYNC: Duration = Duration::from_millis(500);

/// Where a relay finds and leaves its things.
#[derive(Clone, Debug)]
pub struct Options {
    /// The episode's [`RelayConfig`] as JSON.
    pub config: PathBuf,
    /// Answers and leaderboards.
    pub private: PathBuf,
    /// Public data, for what `request_info` tells of them.
    pub public: PathBuf,
    /// Journal, logs, program texts; secrets in `.state/relay` below it.
    pub state: PathBuf,
    /// UNIX socket for the executor.
    pub socket: PathBuf,
    /// Address of the agent API. Port 0: the port of the last run where it is free, else any.
    pub listen: SocketAddr,
    /// File that tells agents address and token.
    pub connection: PathBuf,
    /// Address of health and metrics, without a token. Unset: not served.
    pub admin_listen: Option<SocketAddr>,
    /// Result file. Default: `result.json` in `state`.
    pub result: Option<PathBuf>,
    /// Where to report while the episode runs. Unset: nowhere.
    pub report: Option<ReportTarget>,
}

/// Why a relay ends.
#[derive(Debug, Error)]
pub enum RelayError {
    /// What it was given is wrong.
    #[error("{0}")]
    Config(String),
    /// The Task cannot grade. The result file says so too.
    #[error("{0}")]
    Task(String),
    /// This machine failed.
    #[error("{0}")]
    Failed(String),
}

impl RelayError {
    /// Exit code of the process: 1 failure, 2 wrong input, 3 broken Task.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Config(_) => 2,
            Self::Task(_) => 3,
        }
    }
}

/// Runs a relay until SIGTERM or SIGINT.
pub fn run(options: &Options) -> Result<(), RelayError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| RelayError::Failed(format!("cannot start the runtime: {error}")))?;
    let ended = runtime.block_on(relay(options));
    // Grading that runs now is not waited for: its step is not in the journal, and will be asked for again.
    runtime.shutdown_background();
    ended
}

async fn relay(options: &Options) -> Result<(), RelayError> {
    // Signals first, so that none that comes early ends the relay half-way.
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;

    let (config, digest) = read_config(&options.config)?;
    let secrets_dir = options.state.join(".state/relay");
    let (logs, code) = (options.state.join("logs"), options.state.join("code"));
    make_dirs(&secrets_dir, [&logs, &code])?;
    let mut secrets = Secrets::load(&secrets_dir)?;
    let public = public::facts(&options.public).map_err(|error| {
        RelayError::Config(format!(
            "cannot read the public data in {}: {error}",
            options.public.display()
        ))
    })?;

    let grading = Grading {
        evaluation: config.evaluation.clone(),
        private: options.private.clone(),
    };
    let reporter = options
        .report
        .as_ref()
        .map(|target| Reporter::start(target, &config.episode, &options.state))
        .transpose()?;
    let header = header(&config, digest);
    let mut engine = Engine::new(config, public);
    let journal = Journal::open(&options.state.join("trajectory.jsonl"), header, |record| {
        engine.commit(record);
    })?;
    let result = options
        .result
        .clone()
        .unwrap_or_else(|| options.state.join("result.json"));

    let agent_listener = listen_again(options.listen, secrets.port()).await?;
    let address = local_address(&agent_listener)?;
    secrets
        .set_port(address.port())
        .map_err(|error| RelayError::Failed(format!("cannot keep the port: {error}")))?;
    let token = secrets.token().to_owned();
    let metrics =
        RelayMetrics::new().map_err(|error| RelayError::Failed(format!("cannot set up metrics: {error}")))?;
    let episode = Arc::new(Episode::new(Parts {
        engine,
        journal,
        result: ResultFile::new(result, &options.state),
        executor: Executor::new(secrets, logs, code, metrics.clone()),
        grading,
        metrics: metrics.clone(),
        reports: reporter.as_ref().map(Reporter::results),
    }));
    let broken = episode.grading.check().err().map(|error| error.to_string());
    episode.write_first_result(broken.clone());
    if let Some(broken) = broken {
        end_reports(reporter);
        return Err(RelayError::Task(broken));
    }

    let socket = bind_socket(&options.socket)?;
    if let Some(admin) = options.admin_listen {
        let router = routes::admin(Arc::clone(&episode), metrics);
        tokio::spawn(serve::serve(listen(admin).await?, router, None));
    }
    tokio::spawn(Arc::clone(&episode).sync_journal());
    tokio::spawn(channel::serve(socket, Arc::clone(&episode)));
    tokio::spawn(serve::serve(
        agent_listener,
        routes::agent(Arc::clone(&episode), &token),
        Some(serve::AUTHORIZATION_TIME),
    ));
    // Last: whoever sees the file can connect.
    write_connection(&options.connection, address, &token)?;
    tracing::info!(%address, socket = %options.socket.display(), "relay is ready");

    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: the relay ends"),
        _ = interrupt.recv() => tracing::info!("SIGINT: the relay ends"),
    }
    if let Some(reporter) = &reporter {
        reporter.end();
    }
    let journal = episode.journal_file();
    let (tell, told) = mpsc::channel();
    // This thread waits, and with it every task: an executor that is told to end at the same time must not make a failed
    // step of one that is only interrupted.
    let syncing = thread::Builder::new().spawn(move || {
        let _ = tell.send(journal.sync_data());
    });
    if syncing.is_err() || told.recv_timeout(LAST_SYNC).is_err() {
        tracing::warn!("the journal is written, but the disk was too slow to sync it in time");
    }
    end_reports(reporter);
    Ok(())
}

/// Waits for the last reports.
fn end_reports(reporter: Option<Reporter>) {
    if let Some(reporter) = reporter {
        reporter.end();
        reporter.wait();
    }
}

fn handler(kind: SignalKind) -> Result<tokio::signal::unix::Signal, RelayError> {
    signal(kind).map_err(|error| RelayError::Failed(format!("cannot handle signals: {error}")))
}

/// The configuration and its digest, which does not depend on how the file is laid out.
fn read_config(path: &Path) -> Result<(RelayConfig, String), RelayError> {
    let wrong = |error: &dyn std::fmt::Display| {
        RelayError::Config(format!(
            "cannot read the configuration {}: {error}",
            path.display()
        ))
    };
    let bytes = fs::read(path).map_err(|error| wrong(&error))?;
    let config: RelayConfig = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
    let canonical = serde_json::to_vec(&config).map_err(|error| wrong(&error))?;
    Ok((config, hex(&Sha256::digest(canonical))))
}

fn header(config: &RelayConfig, config_digest: String) -> Header {
    Header {
        format: journal::FORMAT,
        episode: config.episode.clone(),
        task: config.task.name.clone(),
        config_digest,
        version: env!("CARGO_PKG_VERSION").into(),
        seed: config.seed,
        started_at: Timestamp::now(),
    }
}

fn make_dirs(secrets: &Path, others: [&Path; 2]) -> Result<(), RelayError> {
    let failed = |path: &Path, error: std::io::Error| {
        RelayError::Failed(format!("cannot create {}: {error}", path.display()))
    };
    for path in others {
        fs::create_dir_all(path).map_err(|error| failed(path, error))?;
    }
    files::private_dir(secrets).map_err(|error| failed(secrets, error))
}

/// Listens on the port of the last run, so that agents find the relay where it was; on another one where it is taken.
async fn listen_again(address: SocketAddr, last: Option<u16>) -> Result<TcpListener, RelayError> {
    if address.port() == 0
        && let Some(port) = last
    {
        match TcpListener::bind(SocketAddr::new(address.ip(), port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                tracing::warn!(%error, port, "the port of the last run is taken; taking another one");
            }
        }
    }
    listen(address).await
}

async fn listen(address: SocketAddr) -> Result<TcpListener, RelayError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| RelayError::Failed(format!("cannot listen on {address}: {error}")))
}

/// The address that a client on this machine connects to.
fn local_address(listener: &TcpListener) -> Result<SocketAddr, RelayError> {
    let mut address = listener
        .local_addr()
        .map_err(|error| RelayError::Failed(format!("cannot tell the address of the agent API: {error}")))?;
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    Ok(address)
}

fn bind_socket(path: &Path) -> Result<UnixListener, RelayError> {
    channel::bind(path).map_err(|error| {
        RelayError::Failed(format!(
            "cannot bind the executor's socket {}: {error} (its path may be at most 107 bytes long)",
            path.display()
        ))
    })
}

/// Tells agents where the relay is and what token it wants.
fn write_connection(path: &Path, address: SocketAddr, token: &str) -> Result<(), RelayError> {
    let connection = Connection {
        url: format!("http://{address}"),
        token: token.to_owned(),
    };
    serde_json::to_vec(&connection)
        .map_err(Into::into)
        .and_then(|bytes| files::replace(path, &bytes, 0o640))
        .map_err(|error| {
            RelayError::Failed(format!(
                "cannot write the connection file {}: {error}",
                path.display()
            ))
        })
}
