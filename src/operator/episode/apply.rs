//! Does what was decided.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use thiserror::Error;

use super::super::call::{CallError, call, call_opt};
use super::super::children::{self, Made, MakeError, make};
use super::super::context::Context;
use super::super::events;
use super::super::watch::uid_of;
use super::report::{LIVE_WRITER, WRITER};
use crate::api::{API_VERSION, Episode};
use crate::plan::document::{name_of, namespace_of};
use crate::plan::lifecycle::Note;
use crate::plan::pod::ATTEMPT_LABEL;
use crate::plan::{Actions, Plan};

/// What was done, as far as the rest of the look needs it.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// The Episode after a write.
    pub(super) episode: Option<Arc<Episode>>,
    /// The pod of the attempt, where it was asked for.
    pub(super) pod: Option<Pod>,
    /// The Episode is deleted.
    pub(super) deleted: bool,
}

/// Why something was not done.
#[derive(Debug, Error)]
pub(in crate::operator) enum ApplyError {
    /// An object of the attempt could not be made.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// A request failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl ApplyError {
    /// Category for metrics: one of a closed set.
    pub(super) fn category(&self) -> &'static str {
        match self {
            Self::Make(error) => error.category(),
            Self::Call(error) => error.category(),
        }
    }
}

/// Does everything that was decided. What was done already is no failure.
pub(super) async fn apply(
    context: &Context,
    episode: &Arc<Episode>,
    actions: &Actions,
) -> Result<Applied, ApplyError> {
    let Actions {
        create,
        delete,
        release,
        clear_live,
        delete_episode,
    } = actions;
    let mut applied = Applied::default();
    let pods = context.api::<Pod>(namespace_of(&**episode));
    if *clear_live {
        applied.episode = Some(clear(context, episode).await?);
    }
    if let Some(plan) = create {
        applied.pod = Some(attempt(context, episode, plan).await?);
    }
    for pod in delete {
        tracing::info!(pod = %pod.name, "the pod is ended");
        children::delete(&pods, &pod.name, &pod.uid).await?;
    }
    for pod in release {
        tracing::debug!(pod = %pod.name, "the pod is let go");
        children::release(&pods, pod).await?;
    }
    if *delete_episode {
        tracing::info!("the time after the end has passed: the Episode is deleted");
        let episodes = context.api::<Episode>(namespace_of(&**episode));
        children::delete(&episodes, name_of(&**episode), &uid_of(&**episode)).await?;
        applied.deleted = true;
    }
    Ok(applied)
}

/// Makes the objects of an attempt.
async fn attempt(context: &Context, episode: &Episode, plan: &Plan) -> Result<Pod, ApplyError> {
    match objects(context, episode, plan).await {
        Ok(Made::New(pod)) => {
            tracing::info!(pod = name_of(&pod), "the pod is made");
            if pod
                .metadata
                .labels
                .as_ref()
                .and_then(|labels| labels.get(ATTEMPT_LABEL))
                == Some(&"1".to_owned())
            {
                observe_delay(context, episode);
            }
            Ok(pod)
        }
        Ok(Made::Found(pod)) => Ok(pod),
        Err(error) => {
            if let Some(note) = complaint(&error) {
                events::publish(context, episode, vec![note]);
            }
            Err(error)
        }
    }
}

async fn objects(context: &Context, episode: &Episode, plan: &Plan) -> Result<Made<Pod>, ApplyError> {
    let Plan { config_map, pod } = plan;
    let namespace = namespace_of(episode);
    let (maps, pods) = (context.api::<ConfigMap>(namespace), context.api::<Pod>(namespace));
    if let Made::Found(found) = make(&maps, config_map, WRITER).await?
        && found.data != config_map.data
    {
        // Left by a look that ended between the two objects, and the Task or the certificates have changed since; unless
        // the pod is there: then it was made with this one.
        let name = name_of(pod);
        let label = format!("Pod {name}");
        if let Some(found) = call_opt("get", &label, pods.get(name)).await?
            && found.metadata.owner_references == pod.metadata.owner_references
        {
            return Ok(Made::Found(found));
        }
        children::delete(&maps, name_of(&found), &uid_of(&found)).await?;
        make(&maps, config_map, WRITER).await?;
    }
    Ok(make(&pods, pod, WRITER).await?)
}

/// Takes back what the report server wrote about an earlier attempt.
async fn clear(context: &Context, episode: &Arc<Episode>) -> Result<Arc<Episode>, CallError> {
    let name = name_of(&**episode);
    let body = json!({
        "apiVersion": API_VERSION,
        "kind": "Episode",
        "metadata": {
            "name": name,
            "uid": episode.metadata.uid,
            "resourceVersion": episode.metadata.resource_version,
        },
        "status": {},
    });
    let api = context.api::<Episode>(namespace_of(&**episode));
    let params = PatchParams::apply(LIVE_WRITER).force();
    let written = call(
        "clear the live status of",
        "this Episode",
        api.patch_status(name, &params, &Patch::Apply(body)),
    )
    .await?;
    context.metrics.status_written(LIVE_WRITER);
    let written = Arc::new(written);
    context.memory.keep(&written, &context.episodes);
    Ok(written)
}

fn observe_delay(context: &Context, episode: &Episode) {
    if let Some(created) = &episode.metadata.creation_timestamp {
        let delay = Timestamp::now().duration_since(created.0);
        context.metrics.pod_created(delay.as_secs_f64().max(0.0));
    }
}

/// What a person can do something about is said at the Episode.
fn complaint(error: &ApplyError) -> Option<Note> {
    let reason = match error {
        ApplyError::Make(MakeError::Taken { .. }) => "NameTaken",
        ApplyError::Make(MakeError::Refused { .. }) => "PodRefused",
        ApplyError::Make(MakeError::NamespaceGoes { .. } | MakeError::Call(_)) | ApplyError::Call(_) => {
            return None;
        }
    };
    Some(Note {
        warning: true,
        reason: reason.into(),
        action: "CreatePod".into(),
        message: error.to_string(),
    })
}
