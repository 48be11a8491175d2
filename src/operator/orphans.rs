//! Pods whose Episode is gone: nobody waits for their result, so their finalizer goes, and with it the pod. Otherwise
//! neither they nor their namespace would ever end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use tracing::Instrument;

use super::call::{CallError, call_opt};
use super::children::release;
use super::context::Context;
use super::owned::owner;
use super::watch::{fingerprint, uid_of};
use crate::api::Episode;
use crate::plan::PodRef;
use crate::plan::document::{name_of, namespace_of};
use crate::plan::pod::RESULT_FINALIZER;

/// Kind in logs and metrics.
const KIND: &str = "Pod";
/// Next look at a pod whose Episode the API server has and the store has not yet.
const STORE_BEHIND: Duration = Duration::from_secs(10);

/// What of a pod's changes calls for a look.
pub(super) fn change(pod: &Pod) -> u64 {
    fingerprint((is_held(pod), pod.metadata.deletion_timestamp.is_some()))
}

/// Whether a pod waits for its result to be taken.
pub(super) fn is_held(pod: &Pod) -> bool {
    let finalizers = pod.metadata.finalizers.iter().flatten();
    finalizers
        .into_iter()
        .any(|finalizer| finalizer == RESULT_FINALIZER)
}

/// Looks at a pod.
pub(super) async fn reconcile(pod: Arc<Pod>, context: Arc<Context>) -> Result<Action, CallError> {
    if !is_held(&pod) || has_stored_owner(&pod, &context) {
        return Ok(Action::await_change());
    }
    let span = tracing::info_span!(
        parent: None,
        "reconcile",
        kind = KIND,
        namespace = namespace_of(&*pod),
        name = name_of(&*pod),
    );
    let started = Instant::now();
    let result = look(&pod, &context).instrument(span.clone()).await;
    let category = result.as_ref().map_or_else(CallError::category, |_| "ok");
    context.metrics.reconciled(KIND, category, started.elapsed());
    match &result {
        Ok(_) => context.backoff.succeeded(&uid_of(&*pod)),
        Err(error) => span.in_scope(|| tracing::warn!(category, %error, "the look at a pod failed")),
    }
    result
}

/// When to look again after a failure.
pub(super) fn retry(pod: &Pod, context: &Context) -> Action {
    Action::requeue(context.backoff.failed(&uid_of(pod)))
}

fn has_stored_owner(pod: &Pod, context: &Context) -> bool {
    owner(pod).is_some_and(|owner| {
        let episode = ObjectRef::<Episode>::new(&owner.name).within(namespace_of(pod));
        let stored = context.episodes.get(&episode);
        stored.is_some_and(|stored| stored.metadata.uid.as_ref() == Some(&owner.uid))
    })
}

async fn look(pod: &Pod, context: &Context) -> Result<Action, CallError> {
    // The store may be behind; the API server knows.
    if let Some(owner) = owner(pod) {
        let episodes = context.api::<Episode>(namespace_of(pod));
        let label = format!("Episode {}", owner.name);
        let found = call_opt("get", &label, episodes.get_metadata(&owner.name)).await?;
        if found.is_some_and(|found| found.metadata.uid.as_ref() == Some(&owner.uid)) {
            return Ok(Action::requeue(STORE_BEHIND));
        }
    }
    tracing::info!("the Episode of this pod is gone: the pod is let go");
    let pods = context.api::<Pod>(namespace_of(pod));
    let pod = PodRef {
        name: name_of(pod).to_owned(),
        uid: uid_of(pod),
    };
    release(&pods, &pod).await?;
    Ok(Action::await_change())
}
