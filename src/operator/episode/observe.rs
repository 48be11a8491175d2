//! What bears on an Episode: its pods, its Task, the nodes, the settings.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;

use super::super::call::{CallError, call};
use super::super::context::Context;
use super::super::owned::owner;
use super::super::watch::uid_of;
use crate::api::{Episode, Task};
use crate::plan::document::{name_of, namespace_of};
use crate::plan::pod::EPISODE_LABEL;
use crate::plan::{NodeFacts, Settings, World};

/// What was seen.
pub(super) struct Seen {
    task: Option<Arc<Task>>,
    pods: Vec<Pod>,
    nodes: Option<Arc<Vec<NodeFacts>>>,
    settings: Settings,
}

impl Seen {
    /// As [`crate::plan::lifecycle::decide`] takes it.
    pub(super) fn world<'a>(&'a self, episode: &'a Episode, now: Timestamp) -> World<'a> {
        World {
            episode,
            task: self.task.as_deref(),
            pods: &self.pods,
            nodes: self.nodes.as_ref().map(|nodes| nodes.as_slice()),
            settings: &self.settings,
            now,
        }
    }
}

/// Looks around. `made`: pods that earlier rounds of this look have made; the store may not have them yet.
pub(super) async fn observe(context: &Context, episode: &Episode, made: &[Pod]) -> Result<Seen, CallError> {
    let uid = uid_of(episode);
    let stored = context.owned.of(namespace_of(episode), &uid, &context.pods);
    let mut pods: Vec<Pod> = stored.iter().map(|pod| pod.as_ref().clone()).collect();
    for pod in made {
        if pods.iter().all(|known| known.metadata.uid != pod.metadata.uid) {
            pods.push(pod.clone());
        }
    }
    // A pod that is on record and not in the store is gone, or the store is behind. A pod is lost once, so it is asked for.
    if recorded_pod_is_missing(episode, &pods) {
        pods = list(context, episode, &uid).await?;
    }
    Ok(Seen {
        task: context.task_of(episode),
        pods,
        nodes: context.node_facts(),
        settings: context.settings(),
    })
}

fn recorded_pod_is_missing(episode: &Episode, pods: &[Pod]) -> bool {
    let Some(status) = &episode.status else {
        return false;
    };
    let recorded = status.pod.as_ref().filter(|_| !status.phase.is_final());
    recorded.is_some_and(|recorded| {
        pods.iter()
            .all(|pod| pod.metadata.uid.as_deref() != Some(&recorded.uid))
    })
}

async fn list(context: &Context, episode: &Episode, uid: &str) -> Result<Vec<Pod>, CallError> {
    let params = ListParams::default().labels(&format!("{EPISODE_LABEL}={}", name_of(episode)));
    let api = context.api::<Pod>(namespace_of(episode));
    let listed = call("list", "the pods of this Episode", api.list(&params)).await?;
    let mut pods = listed.items;
    pods.retain(|pod| owner(pod).is_some_and(|owner| owner.uid == uid));
    Ok(pods)
}
