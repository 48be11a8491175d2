//! The relay's side of the executor: who may be it, what it was asked, and what comes back. The socket itself is
//! [`super::channel`]'s.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use super::output::{Follower, RunLog};
use super::receipt::{Ending, Receipt};
use super::secrets::{Secrets, same};
use crate::env::Loss;
use crate::metrics::RelayMetrics;
use crate::wire::channel::{CHANNEL_VERSION, RunRequest, ToExec};
use crate::wire::frame::Frame;

/// What an executor may need besides the program's own time: a copy of the workspace before, the submission after.
const MARGIN: Duration = Duration::from_secs(120);
/// Messages that may wait for an executor that does not read; there is one run and its cancellation at a time.
const WAITING: usize = 8;

/// The one executor of an episode.
#[derive(Debug)]
pub(super) struct Executor {
    state: Mutex<State>,
    logs: PathBuf,
    code: PathBuf,
    metrics: RelayMetrics,
}

#[derive(Debug)]
struct State {
    secrets: Secrets,
    /// Connections so far.
    connections: u64,
    link: Option<Link>,
    asked: Option<Pending>,
}

/// The live connection.
#[derive(Debug)]
struct Link {
    id: u64,
    send: mpsc::Sender<Outgoing>,
    close: Arc<Notify>,
    /// How it has ended: what ran on it is about to be given up.
    ended: Option<Loss>,
}

/// The request that goes on.
#[derive(Debug)]
struct Pending {
    receipt: Receipt,
    /// Whether all of the request went out: what did not cannot have been begun.
    sent: Arc<AtomicBool>,
    ended: oneshot::Sender<Ending>,
}

/// A frame for the executor.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The encoded frame.
    pub(super) bytes: Vec<u8>,
    /// To be set once all of it is written.
    pub(super) sent: Arc<AtomicBool>,
}

/// An accepted connection, as its task needs it.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Number of the connection.
    pub(super) id: u64,
    /// The resume secret, for the Welcome.
    pub(super) secret: String,
    /// Frames for the executor.
    pub(super) outgoing: mpsc::Receiver<Outgoing>,
    /// Told when the connection must end.
    pub(super) close: Arc<Notify>,
}

impl Executor {
    /// No executor yet. Logs and program texts go into the two directories, which exist.
    pub(super) fn new(secrets: Secrets, logs: PathBuf, code: PathBuf, metrics: RelayMetrics) -> Self {
        Self {
            state: Mutex::new(State {
                secrets,
                connections: 0,
                link: None,
                asked: None,
            }),
            logs,
            code,
            metrics,
        }
    }

    /// Held for moments only, never over an await. A panic while it was held leaves nothing half-done that matters.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an executor is connected now.
    pub(super) fn connected(&self) -> bool {
        self.state().connected()
    }

    /// Takes or refuses a connection by its Hello. One with the resume secret takes the place of the one before it,
    /// whose end may not have been noticed yet.
    pub(super) fn admit(&self, version: u32, resume: Option<&str>) -> Result<Admitted, String> {
        if version != CHANNEL_VERSION {
            return Err(format!(
                "the executor speaks version {version} of the channel and the relay version {CHANNEL_VERSION}: run \
                 both from the same binary"
            ));
        }
        let mut state = self.state();
        match resume {
            Some(secret) if same(secret, state.secrets.resume()) => {}
            Some(_) => return Err("the resume secret is wrong".into()),
            None if state.connected() => return Err("another executor is connected".into()),
            None if state.secrets.claimed() => {
                return Err("another executor worked here before, and this one has no resume secret".into());
            }
            None => {}
        }
        state.disconnect(Loss::Replaced);
        state.connections += 1;
        let (send, outgoing) = mpsc::channel(WAITING);
        let close = Arc::new(Notify::new());
        let id = state.connections;
        state.link = Some(Link {
            id,
            send,
            close: Arc::clone(&close),
            ended: None,
        });
        self.metrics.executor_connected.set(1);
        Ok(Admitted {
            id,
            secret: state.secrets.resume().to_owned(),
            outgoing,
            close,
        })
    }

    /// Takes a frame of connection `id`; an error says why the connection must end.
    pub(super) fn take(&self, id: u64, frame: Frame) -> Result<(), String> {
        let mut state = self.state();
        if !state.is_live(id) {
            return Err("another connection took its place".into());
        }
        let Some(pending) = &mut state.asked else {
            return Err("something came while nothing was asked for".into());
        };
        let ending = pending.receipt.take(frame)?;
        // Whoever answers has the request.
        pending.sent.store(true, Ordering::Relaxed);
        if let Some(ending) = ending
            && let Some(pending) = state.asked.take()
        {
            // Nobody waits any more only when the step was given up; then nobody misses it.
            let _ = pending.ended.send(ending);
        }
        Ok(())
    }

    /// Connection `id` has ended: nothing more is sent on it. What ran on it is given up by [`Executor::gone`].
    pub(super) fn ends(&self, id: u64, loss: Loss) {
        let mut state = self.state();
        if let Some(link) = state.link.as_mut().filter(|link| link.id == id) {
            link.ended = Some(loss);
            self.metrics.executor_connected.set(0);
        }
    }

    /// Connection `id` is gone, and with it what ran on it.
    pub(super) fn gone(&self, id: u64, loss: Loss) {
        let mut state = self.state();
        if state.is_live(id) {
            state.disconnect(loss);
            self.metrics.executor_connected.set(0);
        }
    }

    /// Runs a program. An error is this machine's (the program or its log cannot be kept): the step must be given up.
    pub(super) async fn run(&self, request: RunRequest) -> io::Result<Ending> {
        fs::write(self.code.join(&request.file_name), &request.code)?;
        let log_name = format!(
            "{}.log",
            request
                .file_name
                .strip_suffix(".py")
                .unwrap_or(&request.file_name)
        );
        // Both streams share the log, each with its own cap.
        let log = RunLog::create(&self.logs.join(log_name), request.output.log.saturating_mul(2))?;
        self.state().secrets.claim()?;
        let limit = Duration::from_millis(request.timeout_ms.saturating_add(request.grace_ms)) + MARGIN;
        let receipt = Receipt::run(&request, log);
        self.ask(&ToExec::Run(request), receipt, limit).await
    }

    /// Empties the workspace.
    pub(super) async fn reset(&self, run: u64) -> io::Result<Ending> {
        self.ask(&ToExec::Reset { run }, Receipt::reset(run), MARGIN)
            .await
    }

    async fn ask(&self, message: &ToExec, receipt: Receipt, limit: Duration) -> io::Result<Ending> {
        let sent = Arc::new(AtomicBool::new(false));
        let frame = Outgoing {
            bytes: encode(message)?,
            sent: Arc::clone(&sent),
        };
        let (ended, ending) = oneshot::channel();
        {
            let mut state = self.state();
            let queued = match &state.link {
                Some(link) if link.ended.is_none() => link.send.try_send(frame).is_ok(),
                _ => false,
            };
            if !queued {
                return Ok(Ending::Unsent);
            }
            state.asked = Some(Pending {
                receipt,
                sent: Arc::clone(&sent),
                ended,
            });
        }
        Ok(match tokio::time::timeout(limit, ending).await {
            Ok(Ok(ending)) => ending,
            Ok(Err(_)) => lost(&sent, Loss::Closed),
            Err(_) => {
                tracing::warn!(
                    seconds = limit.as_secs(),
                    "the executor does not answer and is given up"
                );
                self.state().disconnect(Loss::Silent);
                self.metrics.executor_connected.set(0);
                lost(&sent, Loss::Silent)
            }
        })
    }

    /// Stops the running program; says whether there was one.
    pub(super) fn cancel(&self) -> bool {
        let state = self.state();
        let (Some(link), Some(pending)) = (&state.link, &state.asked) else {
            return false;
        };
        if pending.receipt.log().is_none() {
            return false;
        }
        let run = pending.receipt.number();
        // A queue that is full holds a cancellation already.
        encode(&ToExec::Cancel { run }).is_ok_and(|bytes| {
            let sent = Arc::default();
            link.send.try_send(Outgoing { bytes, sent }).is_ok()
        })
    }

    /// Follows the output of the running program, from its beginning.
    pub(super) fn follow(&self) -> Option<Follower> {
        let state = self.state();
        state
            .asked
            .as_ref()
            .and_then(|pending| pending.receipt.log())
            .map(RunLog::follow)
    }
}

impl State {
    fn connected(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.ended.is_none())
    }

    fn is_live(&self, id: u64) -> bool {
        self.link.as_ref().is_some_and(|link| link.id == id)
    }

    /// Ends the live connection, and the request that it was busy with.
    fn disconnect(&mut self, mut loss: Loss) {
        if let Some(link) = self.link.take() {
            link.close.notify_one();
            // A connection that has ended by itself is not lost to the one that comes after it.
            loss = link.ended.unwrap_or(loss);
        }
        if let Some(pending) = self.asked.take() {
            let _ = pending.ended.send(lost(&pending.sent, loss));
        }
    }
}

/// The ending of a request whose executor is lost.
fn lost(sent: &AtomicBool, loss: Loss) -> Ending {
    if sent.load(Ordering::Relaxed) {
        Ending::Lost(loss)
    } else {
        Ending::Unsent
    }
}

/// A control frame.
pub(super) fn encode(message: &ToExec) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Frame::Control(serde_json::to_vec(message)?).encode(&mut bytes);
    Ok(bytes)
}
