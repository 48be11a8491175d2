//! Answers of the agent API: a body that is ready to send, or a problem with its HTTP status.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::env::Refusal;
use crate::wire::agent::{ApiError, Budget};

/// A step's reply as JSON, or why there is none.
pub(super) type Answer = Result<Bytes, Problem>;

/// Seconds after which a client that came too early should ask again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request has no result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Problem {
    /// A problem of the given status, one-word code and text for people.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// The request is malformed.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// The executor is not there; nothing of the step was done.
    pub(super) fn not_ready() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            "the sandbox is not connected; nothing was counted, send the same request again in a second",
        )
    }

    /// The journal cannot be written.
    pub(super) fn journal(error: &std::io::Error) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "journal_failed",
            format!(
                "the step could not be recorded ({error}), so it does not count; make room on the disk of the run \
                 directory and send the same request again"
            ),
        )
    }

    /// The step was given up for another reason of this machine.
    pub(super) fn failed(what: &str) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "step_failed",
            format!("the step was given up and does not count: {what}; the relay's log has more"),
        )
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Busy => Self::new(
                StatusCode::CONFLICT,
                "busy",
                "another step runs; wait for its reply, or stop its program with POST /v1/cancel",
            ),
            Refusal::IdempotencyConflict { step } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_conflict",
                format!(
                    "this Idempotency-Key belongs to {} with another body; use a new key for a new request",
                    step.map_or_else(|| "the running step".to_owned(), |step| format!("step {step}"))
                ),
            ),
            Refusal::EpisodeOver(budget) => Self::new(
                StatusCode::GONE,
                "episode_over",
                format!(
                    "the budget of {} is spent; no further step is accepted",
                    match budget {
                        Budget::Steps => "steps",
                        Budget::WallClock => "wall clock",
                    }
                ),
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&ApiError {
            code: self.code.to_owned(),
            message: self.message,
        });
        let mut response = json(body.unwrap_or_default().into());
        *response.status_mut() = self.status;
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

/// 200 with a JSON body.
pub(super) fn json(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
