//! Tells the operator how the episode stands: the latest result, and trajectory and logs as they grow.
//!
//! It lives in a thread of its own, so that neither a slow server nor the encryption slows a step: a step only leaves its
//! result in a place from which the latest is taken. What cannot be told stays where it is: the result in the termination
//! message, the files on the disk.
//!
//! | module | holds |
//! |---|---|
//! | `client` | one request: TLS, token, what the answer means |
//! | `results` | the latest result, one at a time |
//! | `files` | what the server lacks of each file |
//! | `pause` | how long to wait after a failure |

mod client;
mod files;
mod pause;
mod results;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use super::RelayError;
use crate::wire::report;
use crate::wire::result::EpisodeResult;
use client::Client;
use files::Files;
use results::Results;

/// Time for the last reports when the relay ends. A pod gives its containers 30 s, and an operator that is being replaced
/// is away for some of them.
const LAST_FLUSH: Duration = Duration::from_secs(15);
/// Between two tries of the last reports.
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// Where a relay reports to.
#[derive(Clone, Debug)]
pub struct ReportTarget {
    /// Base URL of the report server.
    pub url: String,
    /// Certificates (PEM) of the authorities that it may be signed by; no others are trusted.
    pub authorities: PathBuf,
    /// Token of the pod; read anew for each request, since the kubelet exchanges it.
    pub token: PathBuf,
    /// Namespace of the Episode.
    pub namespace: String,
    /// Number of the attempt.
    pub attempt: u32,
}

/// The latest result and whether the relay goes on, as the reporter's thread sees them.
#[derive(Clone, Debug)]
struct News {
    results: watch::Receiver<Option<EpisodeResult>>,
    ending: watch::Receiver<bool>,
}

impl News {
    /// Comes back when the relay ends, also by a defect of its main thread.
    async fn end(&mut self) {
        let _ = self.ending.wait_for(|ending| *ending).await;
    }

    /// Runs `work` unless the relay ends before it is done.
    async fn unless_ending<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.end() => None,
            done = work => Some(done),
        }
    }
}

/// A reporter that works.
#[derive(Debug)]
pub(super) struct Reporter {
    results: watch::Sender<Option<EpisodeResult>>,
    ending: watch::Sender<bool>,
    ended: mpsc::Receiver<()>,
}

impl Reporter {
    /// Starts to report on `episode`, whose files are in `state`.
    pub(super) fn start(target: &ReportTarget, episode: &str, state: &Path) -> Result<Self, RelayError> {
        let path = report::attempt_path(&target.namespace, episode, target.attempt);
        let client = Client::new(target, &path)?;
        let (results, receiver) = watch::channel(None);
        let (ending, end) = watch::channel(false);
        let (tell, ended) = mpsc::channel::<()>();
        let news = News {
            results: receiver,
            ending: end,
        };
        let state = state.to_owned();
        let failed =
            |error: std::io::Error| RelayError::Failed(format!("cannot start the reporter: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        thread::Builder::new()
            .name("report".into())
            .spawn(move || {
                runtime.block_on(report(&client, news, &state));
                drop(tell);
            })
            .map_err(failed)?;
        tracing::info!(url = %target.url, attempt = target.attempt, "reporting to the operator");
        Ok(Self {
            results,
            ending,
            ended,
        })
    }

    /// Where a step leaves its result.
    pub(super) fn results(&self) -> watch::Sender<Option<EpisodeResult>> {
        self.results.clone()
    }

    /// Tells the reporter to send what is left. [`Reporter::wait`] waits for it.
    pub(super) fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Waits for the last reports, for a bounded time.
    pub(super) fn wait(self) {
        // The thread says nothing; its end closes the channel.
        if let Err(mpsc::RecvTimeoutError::Timeout) = self.ended.recv_timeout(LAST_FLUSH) {
            tracing::warn!("the last reports did not reach the operator in time");
        }
    }
}

/// Reports until the relay ends, and then what is left.
async fn report(client: &Client, news: News, state: &Path) {
    let mut results = Results::new(client, news.clone());
    let mut files = Files::new(client, news, state);
    tokio::join!(results.follow(), files.follow());
    let last = async {
        while !(files.flush().await && results.last().await) {
            tokio::time::sleep(LAST_PAUSE).await;
        }
    };
    // Who waits for it has the same limit.
    let _ = tokio::time::timeout(LAST_FLUSH, last).await;
}
