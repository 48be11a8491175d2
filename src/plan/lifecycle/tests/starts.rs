//! What a pod waits for before it runs.

use super::kit::{Scene, message, summary, task};
use crate::plan::NodeFacts;

/// Reason and message of the condition `PodReady`; an episode whose pod has no node is pending.
fn check(scene: &Scene, expected: &str, message_part: &str) {
    let decision = scene.decide();
    let phase = match expected {
        "Unschedulable" | "SchedulingGated" | "NoNodeOffers" => "Pending",
        _ => "Starting",
    };
    assert_eq!(summary(scene, &decision), format!("{phase} {expected}"));
    let message = message(scene, &decision);
    assert!(message.contains(message_part), "{message}");
}

#[test]
fn the_condition_names_what_a_pod_waits_for() {
    for (pod, reason, message) in [
        ("base: new", "Scheduling", ""),
        (
            "base: new, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/2 nodes are \
             available: 2 Insufficient cpu.'}]",
            "Unschedulable",
            "0/2 nodes are available: 2 Insufficient cpu; `kubectl describe pod demo-1` has",
        ),
        ("base: new, node: node1", "PreparingData", ""),
        ("base: preparing", "PreparingData", ""),
        ("base: started", "ContainerCreating", ""),
        (
            "base: started, containers: {agent: {state: {waiting: {reason: ErrImagePull, message: dial tcp}}}}",
            "ImageNotPulled",
            "image dojo:1 of container `agent`",
        ),
    ] {
        check(&Scene::with_pod(pod), reason, message);
    }
}

#[test]
fn a_gate_is_named_and_so_is_the_queue_behind_it() {
    for (gate, expected) in [
        (
            "kueue.x-k8s.io/admission",
            "Kueue has not admitted the pod to queue `evals` yet",
        ),
        ("example.com/quota", "scheduling gates example.com/quota"),
    ] {
        let mut scene = Scene::with_pod(
            "base: new, conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated}]",
        );
        let pod = &mut scene.pods[0];
        let labels = pod.metadata.labels.as_mut().unwrap();
        labels.insert("kueue.x-k8s.io/queue-name".into(), "evals".into());
        let spec = pod.spec.as_mut().unwrap();
        spec.scheduling_gates = Some(vec![k8s_openapi::api::core::v1::PodSchedulingGate {
            name: gate.into(),
        }]);
        check(&scene, "SchedulingGated", expected);
    }
}

#[test]
fn a_message_that_changes_with_every_node_is_written_once() {
    let unschedulable = |nodes: u32| {
        format!(
            "base: new, conditions: [{{type: PodScheduled, status: 'False', reason: Unschedulable, message: '0/{nodes} nodes \
             are available'}}]"
        )
    };
    let mut scene = Scene::with_pod(&unschedulable(2));
    scene.round();
    for nodes in 3..10 {
        scene.pods = vec![scene.pod(1, &unschedulable(nodes))];
        scene.round();
    }
    assert_eq!(scene.writes.len(), 1);
    let pulling = |reason: &str, message: &str| {
        format!(
            "base: started, containers: {{agent: {{state: {{waiting: {{reason: {reason}, message: {message}}}}}}}}}"
        )
    };
    let mut scene = Scene::with_pod(&pulling("ErrImagePull", "dial tcp"));
    scene.round();
    for (reason, message) in [
        ("ImagePullBackOff", "back-off 10s"),
        ("ErrImagePull", "dial tcp again"),
    ] {
        scene.pods = vec![scene.pod(1, &pulling(reason, message))];
        scene.round();
    }
    assert_eq!(scene.writes.len(), 1);
}

fn node(name: &str, gpus: &str) -> NodeFacts {
    let facts = format!(
        "{{labels: {{nvidia.com/gpu.product: Tesla-T4, kubernetes.io/arch: amd64}}, allocatable: {{nvidia.com/gpu: '{gpus}', \
         cpu: '8', memory: 32Gi}}}}"
    );
    let facts: serde_json::Value = serde_saphyr::from_str(&facts).unwrap();
    NodeFacts {
        name: name.into(),
        labels: serde_json::from_value(facts["labels"].clone()).unwrap(),
        allocatable: serde_json::from_value(facts["allocatable"].clone()).unwrap(),
        usable: true,
    }
}

#[test]
fn gpus_that_no_node_will_ever_offer_are_explained_and_the_pod_is_made_all_the_same() {
    let mut scene = Scene::new();
    scene.task = Some(task("{image: python, gpu: {count: 4}}"));
    scene.nodes = Some(vec![node("node1", "2")]);
    scene.settle();
    assert_eq!(scene.made, ["demo-1"], "an autoscaler may bring a node");
    check(
        &scene,
        "NoNodeOffers",
        "4x nvidia.com/gpu; what they offer: node1: 2x nvidia.com/gpu Tesla-T4",
    );
    scene.nodes = Some(vec![node("node1", "2"), node("node2", "4")]);
    check(&scene, "Scheduling", "");
    scene.nodes = None;
    check(&scene, "Scheduling", "");
}

#[test]
fn node_device_and_machine_are_recorded_and_stay_when_the_node_goes() {
    let mut scene = Scene::new();
    scene.task = Some(task("{image: python, gpu: {count: 2}}"));
    scene.nodes = Some(vec![node("node1", "2")]);
    scene.settle();
    scene.pods = vec![scene.pod(1, "base: running")];
    scene.settle();
    let check = |scene: &Scene| {
        let status = scene.status();
        assert_eq!(status.node.as_deref(), Some("node1"));
        assert_eq!(status.gpu.as_deref(), Some("2x Tesla-T4"));
        let provenance = status.provenance.unwrap();
        assert_eq!(
            provenance.hardware.as_deref(),
            Some("amd64, 8 CPUs, 32Gi of memory")
        );
        assert_eq!(
            (provenance.task_generation, provenance.task_digest.as_str()),
            (Some(3), "abc")
        );
        assert_eq!(provenance.image_digest.as_deref(), Some("sha256:0123"));
    };
    check(&scene);
    scene.nodes = Some(Vec::new());
    scene.task = None;
    scene.settle();
    check(&scene);
    scene.pods = vec![{
        let mut with_task = scene.clone();
        with_task.task = Some(task("{image: python, gpu: {count: 2}}"));
        with_task.pod(1, "base: ended")
    }];
    scene.settle();
    check(&scene);
    let trajectory = scene.status().trajectory.unwrap();
    assert_eq!(trajectory.uri, "file:///archive/lab/demo/e-1/1/trajectory.jsonl");
}

#[test]
fn a_node_that_does_not_begin_is_asked_about() {
    let mut scene = Scene::with_pod("base: new, node: node1");
    let decision = scene.decide();
    assert_eq!(decision.look_again, Some(2 + 300 - 100));
    scene.now = 2 + 300;
    check(&scene, "StartDelayed", "`kubectl describe pod demo-1` says so");
    scene.now = 2 + 600;
    assert_eq!(
        summary(&scene, &scene.decide()),
        "Pending Retrying PodNotStarted",
        "twice the patience"
    );
    // With its network up the pod has begun.
    scene.pods = vec![scene.pod(
        1,
        "base: new, node: node1, conditions: [{type: PodReadyToStartContainers, status: 'True'}]",
    )];
    check(&scene, "PreparingData", "");
}
