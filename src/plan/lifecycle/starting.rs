//! What a pod that does not run yet waits for.
//!
//! Texts hold still while nothing changes that a reader would act on: a message that follows the scheduler's or the
//! kubelet's wording would be written for each waiting pod whenever a node comes or goes.

use super::fate::unprepared;
use super::harvest::{Harvest, waits};
use super::trouble::{PULL_ERRORS, image_of};
use super::{NodeFacts, World};
use crate::api::conditions::ConditionType;
use crate::api::status::EpisodeStatus;
use crate::plan::gpu;

/// Waiting for the pod itself.
pub(super) const CREATING_POD: &str = "CreatingPod";
const SCHEDULING: &str = "Scheduling";
const GATED: &str = "SchedulingGated";
const UNSCHEDULABLE: &str = "Unschedulable";
const NO_NODE_OFFERS: &str = "NoNodeOffers";
const IMAGE_NOT_PULLED: &str = "ImageNotPulled";
const START_DELAYED: &str = "StartDelayed";
const PREPARING: &str = "PreparingData";
const CREATING: &str = "ContainerCreating";

/// Reasons of a pod that waits for a node: its episode is pending.
pub(super) const UNPLACED: &[&str] = &[GATED, UNSCHEDULABLE, NO_NODE_OFFERS];

/// Reasons that somebody can do something about: each is worth an Event.
pub(super) const TROUBLES: &[&str] = &[UNSCHEDULABLE, NO_NODE_OFFERS, IMAGE_NOT_PULLED, START_DELAYED];

/// Why the pod does not run yet, as reason and message; and seconds until time alone changes that.
pub(super) fn reason(world: &World<'_>, pod: Harvest<'_>) -> (String, String, Option<i64>) {
    let (reason, message, look_again) = if pod.node().is_none() {
        let (reason, message) = unscheduled(world, pod);
        (reason, message, None)
    } else if let Some(container) = pod.containers().find(|container| {
        waits(container)
            .and_then(|wait| wait.reason.as_deref())
            .is_some_and(|reason| PULL_ERRORS.contains(&reason))
    }) {
        let image = image_of(pod, &container.name);
        let message = format!(
            "image {image} of container `{}` cannot be pulled yet; {} has more",
            container.name,
            describe(pod)
        );
        (IMAGE_NOT_PULLED, message, None)
    } else {
        started_by_node(world, pod)
    };
    (reason.to_owned(), message, look_again)
}

fn unscheduled(world: &World<'_>, pod: Harvest<'_>) -> (&'static str, String) {
    let nodes: Option<&[NodeFacts]> = world.nodes;
    let impossible = world
        .task
        .zip(nodes)
        .and_then(|(task, nodes)| gpu::no_node_offers(&task.spec.environment, nodes));
    if let Some(message) = impossible {
        return (NO_NODE_OFFERS, message);
    }
    let refused = pod.condition("PodScheduled", false);
    match refused.and_then(|refused| refused.reason.as_deref()) {
        Some("SchedulingGated") => (GATED, gates(pod)),
        Some(reason @ "Unschedulable") => {
            let said = refused.and_then(|refused| refused.message.as_deref());
            let message = format!(
                "{}; {} has the scheduler's latest word",
                said.unwrap_or("no node takes the pod")
                    .trim_end_matches(['.', ' ']),
                describe(pod)
            );
            // The first word stays until something else is the matter.
            let recorded = world
                .episode
                .status
                .as_ref()
                .and_then(|status| recorded(status, reason));
            (UNSCHEDULABLE, recorded.unwrap_or(message))
        }
        _ => (SCHEDULING, String::new()),
    }
}

fn recorded(status: &EpisodeStatus, reason: &str) -> Option<String> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == ConditionType::PodReady.as_str() && condition.reason == reason)
        .map(|condition| condition.message.clone())
}

fn gates(pod: Harvest<'_>) -> String {
    let gates: Vec<&str> = pod
        .pod
        .spec
        .iter()
        .flat_map(|spec| spec.scheduling_gates.iter().flatten())
        .map(|gate| gate.name.as_str())
        .collect();
    if gates.iter().any(|gate| gate.starts_with("kueue.x-k8s.io/")) {
        let labels = pod.pod.metadata.labels.as_ref();
        let queue = labels.and_then(|labels| labels.get(crate::plan::pod::QUEUE_LABEL));
        let queue = queue.map_or("", |queue| queue);
        format!("Kueue has not admitted the pod to queue `{queue}` yet")
    } else {
        format!("the pod has the scheduling gates {}", gates.join(", "))
    }
}

/// The node has the pod: images are pulled, volumes mounted, containers started.
fn started_by_node(world: &World<'_>, pod: Harvest<'_>) -> (&'static str, String, Option<i64>) {
    if !pod.is_sandboxed()
        && let Some(since) = pod.last_progress()
    {
        let patience = world.settings.start_patience;
        let left = since.as_second() + patience - world.now.as_second();
        if left <= 0 {
            let message = format!(
                "the node has not made the pod's containers for {patience} s; where a volume names a ConfigMap or claim \
                 that is not there, {} says so",
                describe(pod)
            );
            return (START_DELAYED, message, None);
        }
        let (reason, message, _) = phase_of_start(pod);
        return (reason, message, Some(left));
    }
    phase_of_start(pod)
}

fn phase_of_start(pod: Harvest<'_>) -> (&'static str, String, Option<i64>) {
    if unprepared(pod) {
        (PREPARING, String::new(), None)
    } else {
        (CREATING, String::new(), None)
    }
}

fn describe(pod: Harvest<'_>) -> String {
    format!(
        "`kubectl describe pod {}`",
        pod.pod.metadata.name.as_deref().unwrap_or_default()
    )
}
