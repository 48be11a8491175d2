//! The report server: relays tell it how their episodes stand and bring it their files, users fetch these from it.
//! [`crate::wire::report`] has the protocol. Every replica serves; none keeps anything that another one needs.
//!
//! | module | holds |
//! |---|---|
//! | `authority`, `tls` | what it is known by, and client certificates |
//! | `connections` | the listener |
//! | `auth`, `recent` | who asks and what he may |
//! | `reports` | what relays send |
//! | `reading` | what users fetch |
//! | `problem` | refusals |

mod auth;
mod authority;
mod connections;
mod problem;
mod reading;
mod recent;
mod reports;
mod tls;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::routing::{get, put};
use http_body_util::{BodyExt, Limited};
use kube::{Api, Client};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::archive::{Archive, ArchiveError};
use crate::api::Episode;
pub use authority::{Authority, AuthorityError, CERTIFICATES_KEY};
use problem::Problem;
use recent::Recent;

/// Time for one request to the API server.
const CALL_TIME: Duration = Duration::from_secs(5);
/// Time for the archive to take a piece; the relay waits for 10 s in all.
const ARCHIVE_TIME: Duration = Duration::from_secs(8);
/// Time for the body of a request.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Bodies that are read at one time; further ones wait.
const BODIES: usize = 32;
/// How long it is believed that a pod may send files of an attempt.
const GRANT_TIME: Duration = Duration::from_secs(10);
/// Such beliefs at one time.
const GRANTS: usize = 4096;
/// Files that are made one object at one time.
const SEALS: usize = 4;

/// What the server works with.
#[derive(Clone)]
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What it is known by.
    pub authority: Authority,
    /// Where files go. Unset: nowhere.
    pub archive: Option<Archive>,
}

/// What the routes share.
struct Server {
    client: Client,
    archive: Option<Archive>,
    gate: auth::Gate,
    bodies: Semaphore,
    /// What the pod of that UID may do with the files of an attempt.
    grants: Recent<(auth::AttemptName, String), reports::Grant>,
    seals: Arc<Semaphore>,
}

/// Serves reports on `listener` and keeps the authority current, for ever.
pub async fn serve(listener: TcpListener, context: Context) {
    let Context {
        client,
        authority,
        archive,
    } = context;
    let router = router(Arc::new(Server {
        client,
        archive,
        gate: auth::Gate::new(),
        bodies: Semaphore::new(BODIES),
        grants: Recent::new(GRANT_TIME, GRANTS),
        seals: Arc::new(Semaphore::new(SEALS)),
    }));
    tokio::join!(connections::serve(listener, &authority, router), authority.keep());
}

fn router(server: Arc<Server>) -> Router {
    const EPISODE: &str = "/v1/namespaces/{namespace}/episodes/{episode}";
    Router::new()
        .route(
            &format!("{EPISODE}/attempts/{{attempt}}/result"),
            put(reports::result),
        )
        .route(
            &format!("{EPISODE}/attempts/{{attempt}}/files"),
            get(reports::list),
        )
        .route(
            &format!("{EPISODE}/attempts/{{attempt}}/files/{{*path}}"),
            put(reports::file),
        )
        .route(&format!("{EPISODE}/files"), get(reading::list))
        .route(&format!("{EPISODE}/files/{{*path}}"), get(reading::file))
        .fallback(async || Problem::not_found("there is no such path"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path takes another method",
            )
        })
        .with_state(server)
}

impl Server {
    fn episodes(&self, namespace: &str) -> Api<Episode> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The Episode as the API server has it now.
    async fn episode(&self, namespace: &str, name: &str) -> Result<Option<Episode>, Problem> {
        ask("read the Episode", self.episodes(namespace).get_opt(name)).await
    }

    fn archive(&self) -> Result<&Archive, Problem> {
        self.archive.as_ref().ok_or_else(Problem::no_archive)
    }

    /// The body of a request whose sender is known.
    async fn body(&self, body: Body, most: usize) -> Result<Bytes, Problem> {
        let read = async {
            // The semaphore is never closed.
            let _place = self.bodies.acquire().await;
            Limited::new(body, most).collect().await
        };
        match tokio::time::timeout(BODY_TIME, read).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("the body is larger than {most} bytes"),
            )),
            Ok(Err(error)) => Err(Problem::bad_request(format!("the body broke off: {error}"))),
            Err(_) => Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                format!("the body did not come within {} s", BODY_TIME.as_secs()),
            )),
        }
    }
}

/// Reads and drops the body of a refused request, so that its sender gets to read the answer. Nothing of it is kept: whoever
/// is refused may be anybody, on all connections at once.
async fn drain(body: Body, most: usize) {
    let mut body = Limited::new(body, most);
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(BODY_TIME, read).await;
}

/// Asks the API server. A failure is not the asker's; he may come again.
async fn ask<T>(what: &'static str, call: impl Future<Output = kube::Result<T>>) -> Result<T, Problem> {
    let later = || {
        Problem::later(format!(
            "cannot {what}: the API server does not answer as it should"
        ))
    };
    match tokio::time::timeout(CALL_TIME, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the report server cannot {what}");
            Err(later())
        }
        Err(_) => {
            tracing::warn!("the report server cannot {what}: the API server does not answer");
            Err(later())
        }
    }
}

/// Asks the archive, for a bounded time.
async fn archived<T>(work: impl Future<Output = Result<T, ArchiveError>>) -> Result<T, Problem> {
    match tokio::time::timeout(ARCHIVE_TIME, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(ArchiveError::Full(why))) => Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "full", why)),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the archive failed");
            Err(Problem::later("the archive failed; the operator's log says why"))
        }
        Err(_) => {
            tracing::warn!("the archive does not answer in time");
            Err(Problem::later("the archive does not answer in time"))
        }
    }
}

/// Whether a namespace or a name is one that the API server takes. Nothing else may get into the path of a request to it.
fn is_name(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    bytes.len() <= 253 && bytes.iter().all(plain) && edge(bytes.first()) && edge(bytes.last())
}

/// The number that a query gives to `key`; unset: it gives none.
fn number(query: Option<&str>, key: &str) -> Result<Option<u64>, Problem> {
    let Some(value) = value(query, key) else {
        return Ok(None);
    };
    match canonical(value) {
        None => Err(Problem::bad_request(format!("{key} is a number, not {value:?}"))),
        number => Ok(number),
    }
}

/// A number as it is written here: `1`, but neither `01` nor `+1`, so that one thing has one name.
fn canonical(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|number: &u64| number.to_string() == text)
}

/// What a query gives to `key`.
fn value<'a>(query: Option<&'a str>, key: &str) -> Option<&'a str> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_get_into_a_path() {
        for name in ["a", "team-a", "ep.1", "0"] {
            assert!(is_name(name), "{name}");
        }
        let long = "a".repeat(254);
        for name in [
            "", "..", "a/b", "a?b", "A", "-a", "a-", ".", "a%2f", "ä", "a b", &long,
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn numbers_are_read_from_a_query() {
        assert_eq!(number(Some("attempt=2&offset=17"), "offset").unwrap(), Some(17));
        assert_eq!(number(Some("attempt=2"), "offset").unwrap(), None);
        assert_eq!(number(None, "offset").unwrap(), None);
        for wrong in [
            "offset=",
            "offset=-1",
            "offset=1e3",
            "offset=01",
            "offset=+1",
            "offset=99999999999999999999",
        ] {
            assert!(number(Some(wrong), "offset").is_err(), "{wrong}");
        }
        assert_eq!(value(Some("last=true"), "last"), Some("true"));
    }
}
