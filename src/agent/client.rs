//! The agent API as a client sees it.
//!
//! A relay may be killed and come back, at another address even. So a request that got no answer is sent again, the
//! connection file is read anew each time, and a step carries a key under which the relay gives the first answer again
//! instead of doing it twice.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::AgentError;
use crate::wire::agent::{ApiError, Connection, IDEMPOTENCY_HEADER, StateReply, StepReply, StepRequest};

/// First pause after an attempt that failed; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Time without a success after which a client gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest answer that is taken, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// What a step led to.
#[derive(Debug, PartialEq)]
pub(super) enum Stepped {
    /// The relay's reply.
    Done(Box<StepReply>),
    /// A budget was spent before: no step is accepted any more.
    Over(String),
}

/// A client of one relay.
pub(super) struct Client {
    file: PathBuf,
    open: Option<Open>,
    patience: Duration,
}

/// A connection that is kept for the next request.
struct Open {
    send: SendRequest<Full<Bytes>>,
    /// Authority of the relay's URL.
    host: String,
    authorization: String,
}

/// An attempt that may be repeated.
struct Again(String);

impl Client {
    /// A client that finds its relay by the connection file.
    pub(super) fn new(file: PathBuf) -> Self {
        Self {
            file,
            open: None,
            patience: PATIENCE,
        }
    }

    /// As [`Client::new`], and every request is tried once.
    pub(super) fn impatient(file: PathBuf) -> Self {
        Self {
            patience: Duration::ZERO,
            ..Self::new(file)
        }
    }

    /// Does a step, once however often it must be sent.
    pub(super) async fn step(&mut self, request: &StepRequest, key: &str) -> Result<Stepped, AgentError> {
        let body = serde_json::to_vec(request)
            .map_err(|error| AgentError::Failed(format!("cannot encode the step: {error}")))?;
        let (status, answer) = self
            .send(Method::POST, "/v1/step", Some(key), body.into())
            .await?;
        match status {
            StatusCode::OK => Ok(Stepped::Done(Box::new(understood(&answer)?))),
            StatusCode::GONE => Ok(Stepped::Over(explained(status, &answer))),
            _ => Err(AgentError::Relay(format!(
                "the relay refuses the step: {}",
                explained(status, &answer)
            ))),
        }
    }

    /// Where the episode stands.
    pub(super) async fn state(&mut self) -> Result<StateReply, AgentError> {
        match self.send(Method::GET, "/v1/state", None, Bytes::new()).await? {
            (StatusCode::OK, answer) => understood(&answer),
            (status, answer) => Err(AgentError::Relay(format!(
                "the relay does not tell its state: {}",
                explained(status, &answer)
            ))),
        }
    }

    /// Sends until there is an answer other than "not ready", or until patience is at its end.
    async fn send(
        &mut self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), AgentError> {
        let mut pause = FIRST_PAUSE;
        let mut failing_since = None;
        loop {
            let begun = Instant::now();
            let Again(why) = match self.attempt(&method, path, key, body.clone()).await {
                Ok((StatusCode::SERVICE_UNAVAILABLE, answer)) => {
                    Again(explained(StatusCode::SERVICE_UNAVAILABLE, &answer))
                }
                Ok(answer) => return Ok(answer),
                Err(again) => {
                    self.open = None;
                    // A connection that lived for long, in a step of hours, was a success until it broke.
                    if begun.elapsed() > self.patience {
                        failing_since = None;
                    }
                    again
                }
            };
            let since = *failing_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= self.patience {
                return Err(AgentError::Relay(format!(
                    "no answer from the relay for {} s: {why}",
                    self.patience.as_secs()
                )));
            }
            tracing::debug!(%why, "trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(
        &mut self,
        method: &Method,
        path: &str,
        key: Option<&str>,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Again> {
        if let Some(open) = &mut self.open
            && open.send.ready().await.is_err()
        {
            self.open = None;
        }
        let open = match &mut self.open {
            Some(open) => open,
            closed => closed.insert(self::open(&self.file).await?),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &open.host)
            .header(AUTHORIZATION, &open.authorization)
            .header(CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header(IDEMPOTENCY_HEADER, key);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| Again(format!("cannot make the request: {error}")))?;
        let answer = open
            .send
            .send_request(request)
            .await
            .map_err(|error| Again(format!("the connection broke: {error}")))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| Again(format!("the answer broke off: {error}")))?;
        Ok((status, body.to_bytes()))
    }
}

/// The relay's address and token, as they are now.
pub(super) fn connection(file: &std::path::Path) -> Result<Connection, String> {
    let bytes = std::fs::read(file)
        .map_err(|error| format!("cannot read the connection file {}: {error}", file.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        format!(
            "cannot understand the connection file {}: {error}",
            file.display()
        )
    })
}

async fn open(file: &std::path::Path) -> Result<Open, Again> {
    let Connection { url, token } = connection(file).map_err(Again)?;
    let host = url
        .strip_prefix("http://")
        .map(|rest| rest.trim_end_matches('/'))
        .ok_or_else(|| {
            Again(format!(
                "the connection file names `{url}`, which is no http:// address"
            ))
        })?;
    let stream = TcpStream::connect(host)
        .await
        .map_err(|error| Again(format!("cannot connect to {host}: {error}")))?;
    // A request is one small write; waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let (send, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Again(format!("cannot speak HTTP to {host}: {error}")))?;
    // Its end shows in `send`.
    tokio::spawn(connection);
    Ok(Open {
        send,
        host: host.to_owned(),
        authorization: format!("Bearer {token}"),
    })
}

fn understood<T: DeserializeOwned>(answer: &[u8]) -> Result<T, AgentError> {
    serde_json::from_slice(answer)
        .map_err(|error| AgentError::Relay(format!("cannot understand the relay's answer: {error}")))
}

/// An error of the relay as text, whatever form it came in.
fn explained(status: StatusCode, answer: &[u8]) -> String {
    match serde_json::from_slice::<ApiError>(answer) {
        Ok(error) => format!("{} ({})", error.message, error.code),
        Err(_) => format!("HTTP status {status}"),
    }
}
