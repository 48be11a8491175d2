//! An API server for tests: it gives prepared answers in their order, for orderings that a real one does not produce on
//! demand.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kube::Client;
use serde_json::{Value, json};

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Value,
}

/// Everything that was asked for, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Asked>>>);

impl Log {
    pub(super) fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }

    /// Method and last part of the path of each request.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |asked: &Asked| {
            let last = asked.path.rsplit('/').next().unwrap_or_default();
            format!("{} {last}", asked.method)
        };
        self.all().iter().map(line).collect()
    }
}

/// A client of a server that gives these answers.
pub(super) fn server(answers: Vec<(u16, Value)>) -> (Client, Log) {
    let answers = Mutex::new(answers.into_iter());
    server_with(move |asked| {
        let answer = answers.lock().unwrap().next();
        answer.unwrap_or_else(|| panic!("one request too many: {asked:?}"))
    })
}

/// A client of a server that answers so. Events are taken and not told of: they come when they come.
pub(super) fn server_with(answer: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> (Client, Log) {
    let asked = Log::default();
    let (log, answer) = (asked.clone(), Arc::new(answer));
    let router = Router::new().fallback(move |request: Request| {
        let (log, answer) = (log.clone(), Arc::clone(&answer));
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let asked = Asked {
                method: parts.method,
                path: parts.uri.path().to_owned(),
                body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            };
            if asked.path.ends_with("/events") {
                return respond(201, &asked.body);
            }
            let (code, body) = answer(&asked);
            log.0.lock().unwrap().push(asked);
            respond(code, &body)
        }
    });
    (Client::new(router, "lab"), asked)
}

fn respond(code: u16, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::from_u16(code).unwrap(), kind, body.to_string()).into_response()
}

/// An answer that refuses.
pub(super) fn refusal(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
    });
    (code, status)
}
