//! What relays send.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::auth::{AttemptName, Standing, TokenPod, standing};
use super::problem::{Problem, json};
use super::{Server, archived, ask, canonical, drain, is_name, number, value};
use crate::api::Episode;
use crate::operator::archive::{Appended, FilePath, Sealed};
use crate::plan::lifecycle::{LiveUpdate, live, live_part};
use crate::wire::report::{
    Listing, MAX_CHUNK_BYTES, MAX_REPORT_BYTES, Size, TRAJECTORY, Taken, archive_path,
};
use crate::wire::result::EpisodeResult;

/// Field manager of the live fields.
const MANAGER: &str = "episode-report";
/// How often a write is tried that others get ahead of.
const TRIES: u32 = 3;
/// Seconds after which [`live`] holds no report back any more.
const PAUSE: i64 = 61;

/// `PUT …/result`.
pub(super) async fn result(
    State(server): State<Arc<Server>>,
    Path(path): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let last = value(query.as_deref(), "last") == Some("true");
    let (parts, body) = request.into_parts();
    match take_result(&server, path, &parts.headers, body, last).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn take_result(
    server: &Server,
    path: (String, String, String),
    headers: &HeaderMap,
    body: Body,
    last: bool,
) -> Result<Response, Problem> {
    let pod = server.gate.relay(&server.client, headers).await?;
    let name = attempt_name(path, &pod)?;
    let body = server.body(body, MAX_REPORT_BYTES).await?;
    let result: EpisodeResult = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("the body is no result of an episode: {error}")))?;
    if !result.is_plausible() {
        return Err(Problem::bad_request(
            "the result has numbers or lists that no relay writes".to_owned(),
        ));
    }
    let mut answer = None;
    for round in 0..TRIES {
        let (episode, _) = own_episode(server, &pod, &name, Standing::Own).await?;
        if last && round == 0 {
            seal(server, folder(&name, &episode), &result);
        }
        answer = note(server, &name, &episode, &result).await?;
        if answer.is_some() {
            break;
        }
    }
    answer.ok_or_else(|| Problem::later("the Episode was changed by others three times in a row"))
}

/// Takes a result into the status; unset: the Episode has changed in the meantime.
async fn note(
    server: &Server,
    name: &AttemptName,
    episode: &Episode,
    result: &EpisodeResult,
) -> Result<Option<Response>, Problem> {
    let previous = episode.status.clone().unwrap_or_default();
    let now = Timestamp::now();
    let written = last_write(episode).filter(|last| *last <= now);
    let uri = server
        .archive
        .as_ref()
        .map(|archive| archive.uri(&folder(name, episode), TRAJECTORY));
    let status = match live(&previous, result, uri, written, now) {
        LiveUpdate::Stale => {
            let stale = Problem::new(StatusCode::CONFLICT, "stale", "a later result is on record");
            return Ok(Some(stale.into_response()));
        }
        LiveUpdate::Hold => {
            let since = written.map_or(0, |last| now.as_second() - last.as_second());
            let again_in = Some(u64::try_from(PAUSE - since).unwrap_or(0).max(1));
            return Ok(Some(json(StatusCode::OK, &Taken { again_in })));
        }
        LiveUpdate::Write(status) => status,
    };
    // With the resourceVersion that was read, the write fails where anything has changed since: another replica's later
    // report, the end of the episode, a new attempt.
    let patch = json!({
        "apiVersion": Episode::api_version(&()),
        "kind": Episode::kind(&()),
        "metadata": {"name": name.episode, "resourceVersion": episode.resource_version()},
        "status": live_part(&status),
    });
    let episodes = server.episodes(&name.namespace);
    let params = PatchParams::apply(MANAGER).force();
    let written = async {
        match episodes
            .patch_status(&name.episode, &params, &Patch::Apply(patch))
            .await
        {
            Ok(_) => Ok(true),
            // 404: it was deleted, and the next look says so.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
            Err(error) => Err(error),
        }
    };
    let written = ask("write the status of the Episode", written).await?;
    Ok(written.then(|| json(StatusCode::OK, &Taken::default())))
}

/// When this field manager has last written. The API server keeps it with the object, so replicas agree on it.
fn last_write(episode: &Episode) -> Option<Timestamp> {
    let fields = episode.metadata.managed_fields.iter().flatten();
    fields
        .filter(|entry| {
            entry.manager.as_deref() == Some(MANAGER) && entry.subresource.as_deref() == Some("status")
        })
        .filter_map(|entry| Some(entry.time.as_ref()?.0))
        .max()
}

/// Makes one object of the trajectory, beside the answer.
fn seal(server: &Server, folder: String, result: &EpisodeResult) {
    let (Some(archive), Some(path)) = (server.archive.clone(), FilePath::parse(TRAJECTORY)) else {
        return;
    };
    let (size, sha256) = (result.trajectory_bytes, result.trajectory_sha256.clone());
    let places = Arc::clone(&server.seals);
    tokio::spawn(async move {
        let _place = places.acquire().await;
        match archive.seal(&folder, &path, size, &sha256).await {
            Ok(Sealed::Done) => tracing::debug!(%folder, size, "the trajectory is complete"),
            Ok(Sealed::Incomplete(found)) => {
                tracing::info!(%folder, size, found, "the trajectory has not arrived whole");
            }
            Err(error) => tracing::warn!(%error, %folder, "the trajectory cannot be made one object"),
        }
    });
}

/// `GET …/attempts/N/files`.
pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Path(path): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let listed = async {
        let (name, grant) = granted(&server, path, &headers).await?;
        let files = archived(server.archive()?.list(&grant.folder)).await?;
        let attempt = name.attempt;
        Ok::<_, Problem>(json(StatusCode::OK, &Listing { attempt, files }))
    };
    match listed.await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

/// `PUT …/files/PATH?offset=N`.
pub(super) async fn file(
    State(server): State<Arc<Server>>,
    Path((namespace, episode, attempt, path)): Path<(String, String, String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let checked = async {
        let (_, grant) = granted(&server, (namespace, episode, attempt), &parts.headers).await?;
        let archive = server.archive()?;
        let path = FilePath::parse(&path).ok_or_else(|| {
            Problem::bad_request(
                "a path has segments of letters, digits, `.`, `_` and `-`, none beginning with a dot",
            )
        })?;
        let offset = number(query.as_deref(), "offset")?
            .ok_or_else(|| Problem::bad_request("say where the bytes belong: ?offset=N"))?;
        let room = grant.room(&path, offset)?;
        Ok::<_, Problem>((archive, grant.folder, path, offset, room))
    };
    let (archive, folder, path, offset, room) = match checked.await {
        Ok(checked) => checked,
        Err(problem) => {
            drain(body, MAX_CHUNK_BYTES).await;
            return problem.into_response();
        }
    };
    let appended = async {
        let mut bytes = server.body(body, MAX_CHUNK_BYTES).await?;
        bytes.truncate(room);
        archived(archive.append(&folder, &path, offset, bytes)).await
    };
    match appended.await {
        Ok(Appended::Taken(size)) => json(StatusCode::OK, &Size { size }),
        Ok(Appended::Elsewhere(size)) => json(StatusCode::CONFLICT, &Size { size }),
        Err(problem) => problem.into_response(),
    }
}

/// What a relay may do with the files of its attempt.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    /// The attempt's folder in the archive.
    folder: String,
    /// Size of the trajectory that is on record of an attempt that is over; unset: it goes on.
    trajectory: Option<u64>,
}

impl Grant {
    fn new(name: &AttemptName, episode: &Episode, standing: Standing) -> Self {
        let size = || {
            let recorded = episode.status.as_ref()?.trajectory.as_ref()?;
            u64::try_from(recorded.size).ok()
        };
        Self {
            folder: folder(name, episode),
            trajectory: (standing == Standing::Over).then(|| size().unwrap_or(0)),
        }
    }

    /// How many bytes are taken of a file from `offset` on. After the end a trajectory gets what it still lacks and no more:
    /// whoever can make a token for the pod must not add to what is on record.
    fn room(&self, path: &FilePath, offset: u64) -> Result<usize, Problem> {
        match self.trajectory {
            Some(size) if path.as_str() == TRAJECTORY => {
                let left = size.checked_sub(offset).filter(|left| *left > 0);
                let left = left.ok_or_else(|| {
                    over(format!(
                        "the attempt is over, and its trajectory has {size} bytes on record"
                    ))
                })?;
                Ok(usize::try_from(left).unwrap_or(usize::MAX))
            }
            _ => Ok(usize::MAX),
        }
    }
}

/// The attempt that a path names, and its folder in the archive, for the relay whose attempt it is. Files are taken after the
/// end too: the last ones may come later than the pod's end is seen.
async fn granted(
    server: &Server,
    path: (String, String, String),
    headers: &HeaderMap,
) -> Result<(AttemptName, Grant), Problem> {
    let pod = server.gate.relay(&server.client, headers).await?;
    let name = attempt_name(path, &pod)?;
    let key = (name, pod.uid.clone());
    if let Some(grant) = server.grants.get(&key, Instant::now()) {
        return Ok((key.0, grant));
    }
    let (episode, standing) = own_episode(server, &pod, &key.0, Standing::Over).await?;
    let grant = Grant::new(&key.0, &episode, standing);
    server.grants.put(key.clone(), grant.clone(), Instant::now());
    Ok((key.0, grant))
}

/// The Episode, if the attempt is the pod's own and not further than `most`, and how far it is.
async fn own_episode(
    server: &Server,
    pod: &TokenPod,
    name: &AttemptName,
    most: Standing,
) -> Result<(Episode, Standing), Problem> {
    let episode = server.episode(&name.namespace, &name.episode).await?;
    match (standing(pod, name, episode.as_ref()), episode) {
        (own @ Standing::Own, Some(episode)) => Ok((episode, own)),
        (over @ Standing::Over, Some(episode)) if most == Standing::Over => Ok((episode, over)),
        (Standing::Over, _) => Err(over("the attempt is over")),
        (Standing::Early, _) => Err(Problem::later("the pod is not on record yet")),
        _ => Err(foreign()),
    }
}

/// The attempt of a path. A pod of another namespace learns nothing.
fn attempt_name(
    (namespace, episode, attempt): (String, String, String),
    pod: &TokenPod,
) -> Result<AttemptName, Problem> {
    match canonical(&attempt).and_then(|attempt| u32::try_from(attempt).ok()) {
        Some(attempt) if pod.namespace == namespace && is_name(&namespace) && is_name(&episode) => {
            Ok(AttemptName {
                namespace,
                episode,
                attempt,
            })
        }
        _ => Err(foreign()),
    }
}

fn over(message: impl Into<String>) -> Problem {
    Problem::new(StatusCode::GONE, "over", message)
}

fn foreign() -> Problem {
    Problem::forbidden("this attempt is not the one of the token's pod")
}

fn folder(name: &AttemptName, episode: &Episode) -> String {
    let uid = episode.uid().unwrap_or_default();
    archive_path(&name.namespace, &name.episode, &uid, name.attempt)
}
