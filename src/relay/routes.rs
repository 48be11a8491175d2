//! The agent API and the administrative routes, over HTTP.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame};
use tokio::sync::{Semaphore, mpsc};

use super::answer::{Problem, json};
use super::output::Follower;
use super::secrets::same;
use super::serve::Authorized;
use super::steps::Episode;
use crate::metrics::{self, RelayMetrics};
use crate::wire::agent::{IDEMPOTENCY_HEADER, StepRequest};
use crate::wire::config::MAX_BODY_BYTES;

/// Time for the body of a request.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Bodies that are collected at one time; further ones wait.
const BODIES: usize = 8;
/// What is left of a body over the limit is read and dropped up to this size, so that its sender gets to read the answer.
const DRAINED: usize = 64 * 1024 * 1024;
/// Longest idempotency key in bytes.
const MAX_KEY: usize = 128;

#[derive(Debug)]
struct Agent {
    episode: Arc<Episode>,
    /// The whole `Authorization` header.
    authorization: String,
    /// Places for bodies that are being collected.
    bodies: Semaphore,
}

/// The agent API. Everything but `/healthz` wants `token`.
pub(super) fn agent(episode: Arc<Episode>, token: &str) -> Router {
    let state = Arc::new(Agent {
        episode,
        authorization: format!("Bearer {token}"),
        bodies: Semaphore::new(BODIES),
    });
    Router::new()
        .route("/v1/step", post(step))
        .route("/v1/state", get(standing))
        .route("/v1/cancel", post(cancel))
        .route("/v1/output", get(output))
        .fallback(async || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such path; see /v1/step",
            )
        })
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path takes another method; /v1/step and /v1/cancel take POST, the others GET",
            )
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&state), authorize))
        .route("/healthz", get(healthz))
        .with_state(state)
}

/// Health and metrics, without a token: for a listener that only the cluster's own parts reach.
pub(super) fn admin(episode: Arc<Episode>, metrics: RelayMetrics) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route(
            "/readyz",
            get(async move || {
                if episode.executor.connected() {
                    "ready\n".into_response()
                } else {
                    Problem::not_ready().into_response()
                }
            }),
        )
        .route(
            "/metrics",
            get(async move || match metrics.text() {
                Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
                Err(error) => Problem::failed(&error.to_string()).into_response(),
            }),
        )
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn authorize(State(agent): State<Arc<Agent>>, request: Request, next: Next) -> Response {
    let shown = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if shown.is_some_and(|shown| same(shown, &agent.authorization)) {
        if let Some(connection) = request.extensions().get::<Authorized>() {
            connection.set();
        }
        next.run(request).await
    } else {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send the header `Authorization: Bearer TOKEN` with the token of this episode's connection file",
        )
        .into_response()
    }
}

async fn step(State(agent): State<Arc<Agent>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = async {
        let key = idempotency_key(&parts.headers)?;
        let body = read(body, &agent.bodies).await?;
        let request: StepRequest = serde_json::from_slice(&body).map_err(|error| {
            Problem::bad_request(format!(
                "the body is not a step such as {{\"action\": \"execute_code\", \"params\": {{\"code\": \"…\"}}}}: \
                 {error}"
            ))
        })?;
        agent.episode.step(request, key).await
    };
    match answer.await {
        Ok(reply) => json(reply),
        Err(problem) => problem.into_response(),
    }
}

async fn standing(State(agent): State<Arc<Agent>>) -> Response {
    match serde_json::to_vec(&agent.episode.state()) {
        Ok(body) => json(body.into()),
        Err(error) => Problem::failed(&error.to_string()).into_response(),
    }
}

async fn cancel(State(agent): State<Arc<Agent>>) -> Response {
    if agent.episode.executor.cancel() {
        StatusCode::ACCEPTED.into_response()
    } else {
        nothing_running().into_response()
    }
}

async fn output(State(agent): State<Arc<Agent>>) -> Response {
    match agent.episode.executor.follow() {
        Some(follower) => (
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            Body::new(Tail::of(follower)),
        )
            .into_response(),
        None => nothing_running().into_response(),
    }
}

fn nothing_running() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "nothing_running",
        "no program of this episode runs now",
    )
}

/// The key of a request, where it has one.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_HEADER).iter();
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    let key = key.as_bytes();
    if keys.next().is_some() || key.is_empty() || key.len() > MAX_KEY || !key.iter().all(u8::is_ascii_graphic)
    {
        return Err(Problem::bad_request(format!(
            "Idempotency-Key must be one header of 1 to {MAX_KEY} visible ASCII characters"
        )));
    }
    Ok(Some(String::from_utf8_lossy(key).into_owned()))
}

/// The body, within its limits of size and time. One that is too large is answered at once, before it has come.
async fn read(body: Body, places: &Semaphore) -> Result<Bytes, Problem> {
    if usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX) > MAX_BODY_BYTES {
        return Err(too_large(body));
    }
    // Never closed, so there is always a place in the end.
    let _place = places.acquire().await.ok();
    tokio::time::timeout(BODY_TIME, collect(body))
        .await
        .unwrap_or_else(|_| {
            Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "too_slow",
                format!("the body did not arrive within {} s", BODY_TIME.as_secs()),
            ))
        })
}

async fn collect(mut body: Body) -> Result<Bytes, Problem> {
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad_request(format!("the body broke off: {error}")))?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if collected.len() + piece.len() > MAX_BODY_BYTES {
            return Err(too_large(body));
        }
        collected.extend_from_slice(&piece);
    }
    Ok(collected.into())
}

/// The problem of a body over the limit, the rest of which is drained while its sender gets the answer: a connection
/// that is closed on a sender takes the answer with it.
fn too_large(rest: Body) -> Problem {
    tokio::spawn(tokio::time::timeout(BODY_TIME, drain(rest)));
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        format!("the body is larger than {MAX_BODY_BYTES} bytes"),
    )
}

async fn drain(mut rest: Body) {
    let mut drained = 0;
    while let Some(Ok(frame)) = rest.frame().await {
        drained += frame.data_ref().map_or(0, Bytes::len);
        if drained > DRAINED {
            break;
        }
    }
}

/// A body that grows with a log.
struct Tail(mpsc::Receiver<Vec<u8>>);

impl Tail {
    fn of(mut follower: Follower) -> Self {
        // One piece waits for the client and one for the queue: a slow client costs no more.
        let (send, pieces) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let piece = tokio::select! {
                    piece = follower.next() => piece,
                    // A program may be silent for hours after its follower left.
                    () = send.closed() => break,
                };
                let Some(piece) = piece else { break };
                if send.send(piece).await.is_err() {
                    break;
                }
            }
        });
        Self(pieces)
    }
}

impl hyper::body::Body for Tail {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(context)
            .map(|piece| piece.map(|piece| Ok(Frame::data(piece.into()))))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::super::output::RunLog;
    use super::*;

    fn key(values: &[&'static str]) -> Result<Option<String>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IDEMPOTENCY_HEADER, HeaderValue::from_static(value));
        }
        idempotency_key(&headers)
    }

    #[tokio::test]
    async fn a_follower_of_a_silent_program_ends_when_its_client_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let log = RunLog::create(&dir.path().join("execution_1.log"), 10).unwrap();
        let tail = Tail::of(log.follow());
        assert_eq!(log.followers(), 1);
        tokio::task::yield_now().await;
        drop(tail);
        tokio::time::timeout(BODY_TIME, async {
            while log.followers() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }

    #[test]
    fn an_idempotency_key_is_one_short_word() {
        let long: &'static str = Box::leak("k".repeat(MAX_KEY + 1).into_boxed_str());
        assert_eq!(key(&[]), Ok(None));
        assert_eq!(key(&["replay-1"]), Ok(Some("replay-1".into())));
        assert_eq!(key(&[&long[1..]]), Ok(Some(long[1..].into())));
        for wrong in [&[""][..], &["a b"], &[long], &["a", "b"]] {
            assert!(key(wrong).is_err(), "{wrong:?}");
        }
    }
}
