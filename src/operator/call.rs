//! Requests to the API server: a time limit for each, and what went wrong in words and as a category.

use std::future::Future;
use std::time::Duration;

use kube::core::Status;
use thiserror::Error;

/// Time for one request, repetitions by the client included. A stuck one must not hold its place for ever.
const CALL_TIME: Duration = Duration::from_secs(10);

/// A request that failed.
#[derive(Debug, Error)]
pub(super) enum CallError {
    /// No answer in time.
    #[error("cannot {verb} {object}: no answer within {time:?}")]
    Timeout {
        /// What was to be done.
        verb: &'static str,
        /// With what.
        object: String,
        /// How long it was waited for.
        time: Duration,
    },
    /// The API server refused it, or could not be reached.
    #[error("cannot {verb} {object}: {}", words(source))]
    Failed {
        /// What was to be done.
        verb: &'static str,
        /// With what.
        object: String,
        /// Why it was not.
        source: Box<kube::Error>,
    },
}

impl CallError {
    /// The answer of the API server, where there was one.
    pub(super) fn status(&self) -> Option<&Status> {
        match self {
            Self::Failed { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Timeout { .. } => None,
        }
    }

    /// Whether there is no such object.
    pub(super) fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }

    /// Whether the object has changed in the meantime, or is another one.
    pub(super) fn is_conflict(&self) -> bool {
        self.status().is_some_and(Status::is_conflict)
    }

    /// Whether this operator lacks a right, or a quota or an admission rule forbids it.
    pub(super) fn is_forbidden(&self) -> bool {
        self.status().is_some_and(Status::is_forbidden)
    }

    /// Category for metrics: one of a closed set.
    pub(super) fn category(&self) -> &'static str {
        match self.status().map(|status| status.code) {
            None if matches!(self, Self::Timeout { .. }) => "timeout",
            None => "connection",
            Some(401 | 403) => "forbidden",
            Some(404) => "not-found",
            Some(409) => "conflict",
            Some(400 | 422) => "invalid",
            Some(429) => "throttled",
            Some(500..) => "server",
            Some(_) => "request",
        }
    }
}

/// Runs a request with a time limit. `verb` and `object` say in an error what it was for.
pub(super) async fn call<T>(
    verb: &'static str,
    object: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, CallError> {
    call_within(CALL_TIME, verb, object, request).await
}

async fn call_within<T>(
    time: Duration,
    verb: &'static str,
    object: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(time, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(CallError::Failed {
            verb,
            object: object.to_owned(),
            source: Box::new(source),
        }),
        Err(_) => Err(CallError::Timeout {
            verb,
            object: object.to_owned(),
            time,
        }),
    }
}

/// As [`call`]; an object that is not there is `None`.
pub(super) async fn call_opt<T>(
    verb: &'static str,
    object: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<Option<T>, CallError> {
    match call(verb, object, request).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// An error of the client in words; its own form repeats the whole answer.
pub(super) fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        kube::Error::Api(status) => format!("{} ({})", status.reason, status.code),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(code: u16, reason: &str) -> CallError {
        let status = Status::failure("pods \"a\" is no good", reason).with_code(code);
        call("create", "Pod a", async move {
            kube::Result::<()>::Err(kube::Error::Api(status.boxed()))
        })
        .await
        .unwrap_err()
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_servers_own_words() {
        let error = refused(422, "Invalid").await;
        assert_eq!(error.to_string(), "cannot create Pod a: pods \"a\" is no good");
        assert_eq!(error.category(), "invalid");
        assert!(refused(404, "NotFound").await.is_not_found());
        assert!(refused(409, "Conflict").await.is_conflict());
        assert_eq!(refused(503, "ServiceUnavailable").await.category(), "server");
    }

    #[tokio::test]
    async fn a_request_without_an_answer_ends() {
        let never = std::future::pending::<kube::Result<()>>();
        let error = call_within(Duration::from_millis(10), "get", "Pod a", never)
            .await
            .unwrap_err();
        assert_eq!(error.category(), "timeout");
        assert_eq!(error.to_string(), "cannot get Pod a: no answer within 10ms");
    }
}
