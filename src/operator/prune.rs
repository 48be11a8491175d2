//! What of an object need not be kept. Memory follows the number of pods, and most of a pod is what nobody looks at.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, Node, NodeSpec, NodeStatus, Pod, PodSpec};
use kube::Resource;

/// Who manages which field is of no concern here.
pub(super) fn managed_fields<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

/// Leaves of a pod's spec where it runs, what waits before it, and its containers' names, images and resources.
pub(super) fn pod(pod: &mut Pod) {
    managed_fields(pod);
    let Some(spec) = pod.spec.take() else { return };
    pod.spec = Some(PodSpec {
        node_name: spec.node_name,
        scheduling_gates: spec.scheduling_gates,
        termination_grace_period_seconds: spec.termination_grace_period_seconds,
        init_containers: spec
            .init_containers
            .map(|containers| containers.into_iter().map(container).collect()),
        containers: spec.containers.into_iter().map(container).collect(),
        ..PodSpec::default()
    });
}

fn container(container: Container) -> Container {
    Container {
        name: container.name,
        image: container.image,
        resources: container.resources,
        restart_policy: container.restart_policy,
        ..Container::default()
    }
}

/// Leaves of a job's spec how often it is tried.
pub(super) fn job(job: &mut Job) {
    managed_fields(job);
    if let Some(spec) = &mut job.spec {
        spec.template.spec = None;
    }
}

/// Leaves of a node its labels, what pods can have of it, and whether it takes any.
pub(super) fn node(node: &mut Node) {
    managed_fields(node);
    node.metadata.annotations = None;
    node.spec = node.spec.take().map(|spec| NodeSpec {
        unschedulable: spec.unschedulable,
        ..NodeSpec::default()
    });
    node.status = node.status.take().map(|status| NodeStatus {
        allocatable: status.allocatable,
        conditions: status
            .conditions
            .map(|conditions| conditions.into_iter().filter(|c| c.type_ == "Ready").collect()),
        ..NodeStatus::default()
    });
}
