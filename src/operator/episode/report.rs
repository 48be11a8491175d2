//! Writes the status of an Episode where it differs, and tells of it.

use std::sync::Arc;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::super::call::{CallError, call, call_opt};
use super::super::context::Context;
use super::super::events;
use super::super::watch::uid_of;
use crate::api::{API_VERSION, Episode};
use crate::plan::document::{name_of, namespace_of};
use crate::plan::{Observed, lifecycle, status};

/// Field manager of everything but the live fields.
pub(super) const WRITER: &str = "episode-controller";
/// Field manager of the live fields.
pub(super) const LIVE_WRITER: &str = "episode-report";

/// What came of a report.
#[derive(Debug)]
pub(super) enum Reported {
    /// There was nothing new.
    Unchanged,
    /// It was written; this is the Episode with it.
    Written(Arc<Episode>),
    /// The Episode had changed since it was decided on; this is how it is now. Nothing was written.
    Overtaken(Arc<Episode>),
    /// The Episode is not there any more.
    Gone,
}

/// Writes the status, with the version of the Episode that it was decided on: what was decided on an old one is not written.
pub(super) async fn report(
    context: &Context,
    episode: &Arc<Episode>,
    observed: Option<&Observed>,
    now: Timestamp,
) -> Result<Reported, CallError> {
    let Some(observed) = observed else {
        return Ok(Reported::Unchanged);
    };
    let previous = episode.status.as_ref();
    let new = status(observed, previous, now);
    if lifecycle::same_controller_part(previous, &new) {
        return Ok(Reported::Unchanged);
    }
    let name = name_of(&**episode);
    let body = json!({
        "apiVersion": API_VERSION,
        "kind": "Episode",
        "metadata": {
            "name": name,
            "uid": episode.metadata.uid,
            "resourceVersion": episode.metadata.resource_version,
        },
        "status": lifecycle::controller_part(previous, &new),
    });
    let api = context.api::<Episode>(namespace_of(&**episode));
    let params = PatchParams::apply(WRITER).force();
    let patched = call(
        "write the status of",
        "this Episode",
        api.patch_status(name, &params, &Patch::Apply(body)),
    )
    .await;
    match patched {
        Ok(written) => {
            context.metrics.status_written(WRITER);
            tracing::info!(phase = ?new.phase, reason = new.reason.as_deref().unwrap_or_default(), "status");
            let written = Arc::new(written);
            context.memory.keep(&written, &context.episodes);
            events::publish(context, episode, lifecycle::notes(previous, &new));
            Ok(Reported::Written(written))
        }
        Err(error) if error.is_not_found() => Ok(Reported::Gone),
        Err(error) if error.is_conflict() => refreshed(context, episode).await,
        Err(error) => Err(error),
    }
}

/// The Episode as it is now.
async fn refreshed(context: &Context, episode: &Episode) -> Result<Reported, CallError> {
    let api = context.api::<Episode>(namespace_of(episode));
    let found = call_opt("get", "this Episode", api.get(name_of(episode))).await?;
    Ok(match found {
        Some(newer) if uid_of(&newer) == uid_of(episode) => {
            let newer = Arc::new(newer);
            context.memory.keep(&newer, &context.episodes);
            Reported::Overtaken(newer)
        }
        _ => Reported::Gone,
    })
}
