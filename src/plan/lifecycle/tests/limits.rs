//! What becomes of an attempt that goes beyond a limit: of disk, of deaths, of time.

use super::fates::check;
use super::kit::{Scene, message, summary};

#[test]
fn what_the_agent_does_to_its_own_pod_is_a_measurement() {
    let evicted = |message: &str, result: &str| {
        format!(
            "base: ended, phase: Failed, reason: Evicted, message: '{message}', containers: {{relay: {{state: {{terminated: \
             {{exitCode: 137, message: '{result}'}}}}}}, agent: {{state: {{terminated: {{exitCode: 137, finishedAt: \
             @80}}}}}}}}"
        )
    };
    const POD: &str = "Pod ephemeral local storage usage exceeds the total limit of containers 10Gi. ";
    const CONTAINER: &str = "Container sandbox exceeded its local ephemeral storage limit \"10Gi\". ";
    const VOLUME: &str = "Usage of EmptyDir volume \"workspace\" exceeds the limit \"10Gi\". ";
    check(&[
        ("too much disk", &evicted(POD, "RESULT"), "Completed AgentFailed"),
        (
            "in one container",
            &evicted(CONTAINER, "RESULT"),
            "Completed AgentFailed",
        ),
        (
            "in one volume",
            &evicted(VOLUME, "RESULT"),
            "Completed AgentFailed",
        ),
        (
            "and no result is left",
            &evicted(VOLUME, ""),
            "Pending Retrying NoResult",
        ),
        (
            "its executor keeps dying",
            "base: running, containers: {sandbox: {restartCount: 5, state: {waiting: {reason: CrashLoopBackOff}}, \
             lastState: {terminated: {exitCode: 137, finishedAt: @90}}}}",
            "Running +delete:demo-1",
        ),
        (
            "the pod is deleted for that",
            "base: running, deleted: @95, containers: {sandbox: {restartCount: 5, state: {waiting: {reason: \
             CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, finishedAt: @90}}}}",
            "Running",
        ),
        (
            "and that is its end",
            "base: ended, phase: Failed, deleted: @70, containers: {relay: {state: {terminated: {exitCode: 0, message: \
             RESULT}}}, sandbox: {restartCount: 5, state: {terminated: {exitCode: 137, finishedAt: @69}}}, agent: {state: \
             {terminated: {exitCode: 0, finishedAt: @72}}}}",
            "Completed AgentFailed",
        ),
        (
            "five deaths and a deletion are a deletion",
            "base: ended, phase: Failed, deleted: @70, containers: {relay: {state: {terminated: {exitCode: 0, message: \
             RESULT}}}, sandbox: {restartCount: 5, state: {terminated: {exitCode: 137, finishedAt: @71}}}, agent: {state: \
             {terminated: {exitCode: 143, finishedAt: @72}}}}",
            "Pending Retrying PodDeleted",
        ),
    ]);
}

#[test]
fn an_agent_that_hangs_loses_its_pod_after_the_wall_clock() {
    let mut scene = Scene::with_pod("base: running");
    // It started in second 8, may take an hour, and has 90 s more.
    let end = 8 + 3600 + 90;
    assert_eq!(scene.decide().look_again, Some(end - 100));
    scene.now = end - 1;
    assert_eq!(summary(&scene, &scene.decide()), "Running");
    scene.now = end;
    assert_eq!(summary(&scene, &scene.decide()), "Running +delete:demo-1");
    scene.round();
    assert!(!scene.round(), "it is deleted once");
    let ended = |relay: &str| {
        format!(
            "base: ended, phase: Failed, deleted: @{end}, containers: {{relay: {{state: {{terminated: {{exitCode: 0, \
             message: {relay}}}}}}}, agent: {{state: {{terminated: {{exitCode: 137, startedAt: @8, finishedAt: \
             @{}}}}}}}}}",
            end + 5
        )
    };
    scene.now = end + 10;
    for (relay, expected) in [
        (
            "RESULT outcome=WallClockExhausted",
            "Completed WallClockExhausted",
        ),
        ("RESULT", "Completed WallClockExhausted"),
        ("''", "Pending Retrying NoResult"),
    ] {
        scene.pods = vec![scene.pod(1, &ended(relay))];
        assert_eq!(summary(&scene, &scene.decide()), expected, "{relay}");
    }
}

#[test]
fn images_and_containers_are_waited_for_a_while() {
    const PULL: &str = "{state: {waiting: {reason: ImagePullBackOff, message: 'not found: python'}}}";
    const MAKE: &str = "{state: {waiting: {reason: CreateContainerConfigError, message: no ConfigMap}}}";
    // The last thing that happened in the pod: the node took it in second 2, `install` ended in second 3.
    for (containers, since, then) in [
        (
            format!("base: preparing, containers: {{prepare: {PULL}}}"),
            3,
            "Pending Retrying ImagePullFailed",
        ),
        (
            format!("base: started, containers: {{agent: {PULL}}}"),
            6,
            "Pending Retrying ImagePullFailed",
        ),
        (
            format!("base: new, node: node1, containers: {{install: {MAKE}}}"),
            2,
            "Failed Task CreateContainerConfigError",
        ),
    ] {
        let mut scene = Scene::with_pod(&containers);
        let decision = scene.decide();
        assert!(
            summary(&scene, &decision).starts_with("Starting "),
            "{containers}"
        );
        assert_eq!(decision.look_again, Some(since + 300 - 100), "{containers}");
        scene.now = since + 300;
        let decision = scene.decide();
        assert_eq!(summary(&scene, &decision), then, "{containers}");
        let message = message(&scene, &decision);
        if then.contains("Pull") {
            assert!(
                message.contains("image ") && message.contains("not found: python"),
                "{message}"
            );
        } else {
            assert!(
                message.contains("container `install`") && message.contains("no ConfigMap"),
                "{message}"
            );
        }
    }
}

#[test]
fn what_failed_is_told_with_the_last_words_of_who_failed() {
    let long = "x".repeat(3000) + " the last line";
    let pod = format!(
        "base: preparing, phase: Failed, containers: {{prepare: {{state: {{terminated: {{exitCode: 1, message: '{long}', \
         finishedAt: @50}}}}}}}}"
    );
    let scene = Scene::with_pod(&pod);
    let message = message(&scene, &scene.decide());
    assert!(
        message.starts_with("`prepare` of the Task ended with exit code 1: …xxx"),
        "{message}"
    );
    assert!(
        message.ends_with("the last line") && message.len() < 1100,
        "{message}"
    );
}
