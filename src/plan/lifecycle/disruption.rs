//! Who ended a pod before its agent had ended: the cluster, for the sake of somebody else, or the pod's own excess.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ContainerStateTerminated;

use super::fate::Fate;
use super::harvest::{Harvest, or_nothing};

/// What the kubelet says of a pod that used more disk than it may: that is not the node's trouble.
pub(super) fn own_limit(pod: Harvest<'_>) -> Option<&str> {
    const SENTENCES: &[&str] = &[
        "exceeds the total limit of containers",
        "exceeded its local ephemeral storage limit",
        "exceeds the limit",
    ];
    let message = pod.message();
    (pod.reason() == Some("Evicted") && SENTENCES.iter().any(|sentence| message.contains(sentence)))
        .then_some(message)
}

/// Who took the pod away, unless its agent had ended before.
pub(super) fn disruption(pod: Harvest<'_>) -> Option<Fate> {
    let deleted = pod.deleted_at();
    let target = pod.condition("DisruptionTarget", true);
    let by = target.and_then(|target| target.reason.as_deref());
    // The other reasons announce a deletion, and one that did not come to pass has disturbed nobody.
    let node_did = matches!(by, Some("TerminationByKubelet" | "DeletionByPodGC"));
    let evicted = pod.reason() == Some("Evicted");
    if deleted.is_none() && !node_did && !evicted {
        return None;
    }
    let announced = target.and_then(|target| target.last_transition_time.as_ref());
    if let Some(at) = deleted.or_else(|| announced.map(|time| time.0))
        && ended_before(pod.agent_end(), at)
    {
        return None;
    }
    if let Some(kueue) = pod.condition("TerminationTarget", true) {
        let reason = kueue.reason.as_deref().unwrap_or("no reason given");
        let message = or_nothing(kueue.message.as_deref().unwrap_or_default());
        return Some(Fate::infrastructure(
            "EvictedByKueue",
            format!("Kueue took the pod's quota back ({reason}): {message}"),
        ));
    }
    let said = target
        .and_then(|target| target.message.as_deref())
        .filter(|message| !message.is_empty())
        .unwrap_or_else(|| pod.message());
    let said = or_nothing(said);
    Some(match by {
        Some("PreemptionByScheduler") => Fate::infrastructure(
            "Preempted",
            format!("a pod of higher priority took its place: {said}"),
        ),
        Some("DeletionByTaintManager") => Fate::infrastructure(
            "EvictedByTaint",
            format!("the node got a taint that the pod does not tolerate: {said}"),
        ),
        Some("EvictionByEvictionAPI") => {
            Fate::infrastructure("Evicted", format!("the node is drained: {said}"))
        }
        Some("DeletionByPodGC") => {
            Fate::infrastructure("NodeLost", format!("the pod's node is gone: {said}"))
        }
        _ if evicted => Fate::infrastructure("Evicted", said),
        Some("TerminationByKubelet") => Fate::infrastructure("NodeShutdown", said),
        _ => Fate::infrastructure("PodDeleted", "somebody deleted the pod while it was at work"),
    })
}

/// Whether the agent ended before. Times have whole seconds: in the same second it may be the one that was interrupted.
pub(super) fn ended_before(agent: Option<&ContainerStateTerminated>, at: Timestamp) -> bool {
    agent
        .filter(|agent| !unknown(agent))
        .and_then(|agent| agent.finished_at.as_ref())
        .is_some_and(|ended| ended.0 < at)
}

/// The kubelet does not know how the container ended.
pub(super) fn unknown(ended: &ContainerStateTerminated) -> bool {
    matches!(
        ended.reason.as_deref(),
        Some("ContainerStatusUnknown" | "Unknown")
    )
}
