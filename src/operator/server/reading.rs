//! What users fetch.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kube::ResourceExt;

use super::connections::Caller;
use super::problem::{Problem, json};
use super::{Server, archived, is_name, number};
use crate::operator::archive::FilePath;
use crate::wire::report::{Listing, archive_path};

/// `GET …/files?attempt=N`.
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Path((namespace, episode)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let listed = async {
        let wanted = number(query.as_deref(), "attempt")?;
        let (attempt, folder) = allowed(&server, &namespace, &episode, wanted, &caller, &headers).await?;
        let files = archived(server.archive()?.list(&folder)).await?;
        Ok::<_, Problem>(json(StatusCode::OK, &Listing { attempt, files }))
    };
    match listed.await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

/// `GET …/files/PATH?attempt=N&offset=N`.
pub(super) async fn file(
    State(server): State<Arc<Server>>,
    Path((namespace, episode, path)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let read = async {
        let wanted = number(query.as_deref(), "attempt")?;
        let offset = number(query.as_deref(), "offset")?.unwrap_or(0);
        let (attempt, folder) = allowed(&server, &namespace, &episode, wanted, &caller, &headers).await?;
        let missing = || Problem::not_found(format!("attempt {attempt} has no file {path:?} in the archive"));
        let plain = FilePath::parse(&path).ok_or_else(missing)?;
        let (length, bytes) = archived(server.archive()?.read(&folder, &plain, offset))
            .await?
            .ok_or_else(missing)?;
        let headers = [
            (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
            (header::CONTENT_LENGTH, length.to_string()),
        ];
        Ok::<_, Problem>((headers, Body::from_stream(bytes)).into_response())
    };
    match read.await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

/// The attempt and its folder in the archive, for a user who may get the Episode. Before that is known, nothing is said that
/// depends on whether there is one.
async fn allowed(
    server: &Server,
    namespace: &str,
    name: &str,
    wanted: Option<u64>,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<(u32, String), Problem> {
    if !is_name(namespace) || !is_name(name) {
        return Err(Problem::not_found(format!(
            "{namespace:?}/{name:?} can be no Episode"
        )));
    }
    server
        .gate
        .user(&server.client, headers, caller.0.as_ref(), namespace, name)
        .await?;
    let episode = server.episode(namespace, name).await?.ok_or_else(|| {
        Problem::not_found(format!("there is no Episode {name:?} in namespace {namespace:?}"))
    })?;
    let latest = episode
        .status
        .as_ref()
        .and_then(|status| u64::try_from(status.attempt?).ok());
    let attempt = wanted
        .or(latest)
        .and_then(|attempt| u32::try_from(attempt).ok())
        .ok_or_else(|| Problem::not_found(format!("Episode {name:?} has no such attempt yet")))?;
    let uid = episode.uid().unwrap_or_default();
    Ok((attempt, archive_path(namespace, name, &uid, attempt)))
}
