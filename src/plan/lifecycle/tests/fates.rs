//! What becomes of an attempt, one line for each way: results, broken Tasks, and what cluster and machine do.

use super::kit::{Scene, message, summary};

pub(super) fn check(cases: &[(&str, &str, &str)]) {
    for (name, pod, expected) in cases {
        let scene = Scene::with_pod(pod);
        let decision = scene.decide();
        assert_eq!(
            summary(&scene, &decision),
            *expected,
            "{name}: {}",
            message(&scene, &decision)
        );
    }
}

#[test]
fn an_attempt_that_ends_by_itself_has_a_result() {
    check(&[
        ("the agent acts", "base: running", "Running"),
        (
            "the agent has ended, its pod not yet",
            "base: running, containers: {agent: {state: {terminated: {exitCode: 0, finishedAt: @80}}}}",
            "Running",
        ),
        ("it finished", "base: ended", "Completed AgentFinished"),
        (
            "it crashed",
            "base: ended, phase: Failed, containers: {agent: {state: {terminated: {exitCode: 1, finishedAt: @80}}}}",
            "Completed AgentFailed",
        ),
        (
            "its memory ran out",
            "base: ended, phase: Failed, containers: {agent: {state: {terminated: {exitCode: 137, reason: OOMKilled, \
             finishedAt: @80}}}}",
            "Completed AgentFailed",
        ),
        (
            "a budget is spent",
            "base: ended, containers: {relay: {state: {terminated: {exitCode: 0, message: RESULT outcome=StepsExhausted}}}}",
            "Completed StepsExhausted",
        ),
        (
            "the relay was restarted and told more before",
            "base: ended, containers: {relay: {restartCount: 1, state: {terminated: {exitCode: 0, message: RESULT \
             sequence=2}}, lastState: {terminated: {exitCode: 137, message: RESULT sequence=8 outcome=StepsExhausted}}}}",
            "Completed StepsExhausted",
        ),
        (
            "others leave what looks like a result",
            "base: ended, containers: {agent: {state: {terminated: {exitCode: 0, finishedAt: @80, message: RESULT \
             sequence=99 outcome=StepsExhausted}}}}",
            "Completed AgentFinished",
        ),
        (
            "no result was left",
            "base: ended, containers: {relay: {state: {terminated: {exitCode: 1}}}}",
            "Pending Retrying NoResult",
        ),
        (
            "what was left is no result",
            "base: ended, containers: {relay: {state: {terminated: {exitCode: 0, message: '{\"reward\": 1}'}}}}",
            "Pending Retrying NoResult",
        ),
    ]);
}

#[test]
fn a_broken_task_fails_at_once() {
    check(&[
        (
            "prepare failed",
            "base: preparing, phase: Failed, containers: {prepare: {state: {terminated: {exitCode: 1, message: boom, \
             finishedAt: @50}}}}",
            "Failed Task PrepareFailed",
        ),
        (
            "prepare had no memory left",
            "base: preparing, phase: Failed, containers: {prepare: {state: {terminated: {exitCode: 137, reason: OOMKilled, \
             finishedAt: @50}}}}",
            "Failed Task PrepareFailed",
        ),
        (
            "prepare filled the disk",
            "base: preparing, phase: Failed, reason: Evicted, message: 'Usage of EmptyDir volume \"public\" exceeds the \
             limit \"10Gi\".'",
            "Failed Task PrepareFailed",
        ),
        (
            "the relay says that it cannot grade",
            "base: started, containers: {relay: {restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: \
             {terminated: {exitCode: 3, message: RESULT task_error=no-answers}}}}",
            "Failed Task TaskBroken",
        ),
        (
            "the relay ended as it does then, and its words are lost",
            "base: started, containers: {relay: {state: {terminated: {exitCode: 3}}}}",
            "Failed Task TaskBroken",
        ),
        (
            "the relay says so at the end",
            "base: ended, containers: {relay: {state: {terminated: {exitCode: 0, message: RESULT task_error=no-board \
             outcome=StepsExhausted}}}}",
            "Failed Task TaskBroken",
        ),
        (
            "an image whose name is none",
            "base: preparing, containers: {prepare: {state: {waiting: {reason: InvalidImageName, message: bad}}}}",
            "Failed Task InvalidImageName",
        ),
        (
            "an image that may not be pulled",
            "base: started, containers: {agent: {state: {waiting: {reason: ErrImageNeverPull}}}}",
            "Failed Task ErrImageNeverPull",
        ),
        (
            "the agent's command is not there",
            "base: ended, phase: Failed, containers: {relay: {state: {terminated: {exitCode: 0, message: RESULT}}}, agent: \
             {state: {terminated: {exitCode: 128, reason: StartError, message: no such file, finishedAt: @80}}}}",
            "Failed Task StartError",
        ),
        (
            "a sandbox that cannot be started however often",
            "base: preparing, containers: {sandbox: {restartCount: 5, state: {waiting: {reason: CrashLoopBackOff}}, \
             lastState: {terminated: {exitCode: 128, reason: ContainerCannotRun, message: exec format error}}}}",
            "Failed Task ContainerCannotRun",
        ),
    ]);
}

#[test]
fn what_cluster_and_machine_do_is_tried_again() {
    check(&[
        (
            "the relay cannot read what it was given",
            "base: started, containers: {relay: {state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: \
             {exitCode: 2}}}}",
            "Pending Retrying RelayLost",
        ),
        (
            "the relay does not stay up",
            "base: running, containers: {relay: {restartCount: 5, state: {waiting: {reason: CrashLoopBackOff}}, lastState: \
             {terminated: {exitCode: 137, reason: OOMKilled}}}}",
            "Pending Retrying RelayLost",
        ),
        (
            "the relay was restarted and is up",
            "base: running, containers: {relay: {restartCount: 6, state: {running: {startedAt: @90}}, lastState: \
             {terminated: {exitCode: 137}}}}",
            "Running",
        ),
        (
            "the sandbox refuses the machine",
            "base: started, containers: {sandbox: {state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: \
             {exitCode: 2}}}}",
            "Pending Retrying SandboxRefused",
        ),
        (
            "no program ever ran",
            "base: ended, containers: {relay: {state: {terminated: {exitCode: 0, message: RESULT sandbox_error=no-seccomp \
             outcome=StepsExhausted}}}}",
            "Pending Retrying SandboxRefused",
        ),
        (
            "the executor was never ready",
            "base: started, containers: {sandbox: {restartCount: 5, state: {waiting: {reason: CrashLoopBackOff}}, \
             lastState: {terminated: {exitCode: 1}}}}",
            "Pending Retrying ExecutorNotStarted",
        ),
        (
            "the program could not be copied",
            "base: new, node: node1, phase: Failed, containers: {install: {state: {terminated: {exitCode: 1}}}}",
            "Pending Retrying InstallFailed",
        ),
        (
            "the node has too little memory",
            "base: ended, phase: Failed, reason: Evicted, message: 'The node was low on resource: memory. ', conditions: \
             [{type: DisruptionTarget, status: 'True', reason: TerminationByKubelet, lastTransitionTime: @70}]",
            "Pending Retrying Evicted",
        ),
        (
            "the same before anything ran",
            "base: preparing, phase: Failed, reason: Evicted, message: 'The node was low on resource: ephemeral-storage. '",
            "Pending Retrying Evicted",
        ),
        (
            "the node is shut down",
            "base: ended, phase: Failed, reason: Terminated, message: Pod was terminated in response to imminent node \
             shutdown., conditions: [{type: DisruptionTarget, status: 'True', reason: TerminationByKubelet, \
             lastTransitionTime: @70}]",
            "Pending Retrying NodeShutdown",
        ),
        (
            "the kubelet refuses the pod",
            "base: new, node: node1, phase: Failed, reason: UnexpectedAdmissionError, message: no device left",
            "Pending Retrying UnexpectedAdmissionError",
        ),
        (
            "the node was restarted",
            "base: ended, phase: Failed, containers: {relay: {state: {terminated: {exitCode: 255, reason: Unknown, message: \
             RESULT}}}, agent: {state: {terminated: {exitCode: 255, reason: Unknown, finishedAt: @80}}}}",
            "Pending Retrying NodeLost",
        ),
        (
            "the node was restarted while data were prepared",
            "base: preparing, phase: Failed, containers: {prepare: {state: {terminated: {exitCode: 137, reason: \
             ContainerStatusUnknown}}}}",
            "Pending Retrying PodFailed",
        ),
        (
            "the node is gone and its pods are collected",
            "base: running, phase: Failed, deleted: @60, conditions: [{type: DisruptionTarget, status: 'True', reason: \
             DeletionByPodGC, lastTransitionTime: @60}]",
            "Pending Retrying NodeLost",
        ),
        (
            "another pod is more important",
            "base: ended, phase: Failed, deleted: @70, conditions: [{type: DisruptionTarget, status: 'True', reason: \
             PreemptionByScheduler, lastTransitionTime: @70}], containers: {relay: {state: {terminated: {exitCode: 0, \
             message: RESULT}}}, agent: {state: {terminated: {exitCode: 143, finishedAt: @71}}}}",
            "Pending Retrying Preempted",
        ),
        (
            "the node is drained",
            "base: ended, phase: Failed, deleted: @70, conditions: [{type: DisruptionTarget, status: 'True', reason: \
             EvictionByEvictionAPI, lastTransitionTime: @70}]",
            "Pending Retrying Evicted",
        ),
        (
            "the node is tainted",
            "base: ended, phase: Failed, deleted: @70, conditions: [{type: DisruptionTarget, status: 'True', reason: \
             DeletionByTaintManager, lastTransitionTime: @70}]",
            "Pending Retrying EvictedByTaint",
        ),
        (
            "Kueue takes the quota back",
            "base: ended, phase: Failed, deleted: @70, conditions: [{type: TerminationTarget, status: 'True', reason: \
             Preempted, message: to make room}]",
            "Pending Retrying EvictedByKueue",
        ),
        (
            "somebody deleted the pod",
            "base: ended, phase: Failed, deleted: @70, containers: {relay: {state: {terminated: {exitCode: 0, message: \
             RESULT}}}, agent: {state: {terminated: {exitCode: 143, finishedAt: @72}}}}",
            "Pending Retrying PodDeleted",
        ),
        (
            "somebody deleted it before it had a node",
            "base: new, deleted: @99",
            "Pending Retrying PodDeleted",
        ),
        ("the pod is being ended", "base: running, deleted: @95", "Running"),
        (
            "the node does not end it",
            "base: running, deleted: @9",
            "Pending Retrying NodeLost",
        ),
    ]);
}

#[test]
fn a_pod_that_finished_before_it_was_disturbed_has_its_result() {
    let deleted = |at: &str, agent: &str, relay: &str| {
        format!(
            "base: ended, phase: Failed, deleted: {at}, containers: {{relay: {{state: {{terminated: {{exitCode: 0, message: \
             RESULT {relay}}}}}}}, agent: {{state: {{terminated: {{exitCode: {agent}, finishedAt: @80}}}}}}}}"
        )
    };
    check(&[
        (
            "deleted afterwards",
            &deleted("@81", "0", ""),
            "Completed AgentFinished",
        ),
        (
            "a crash, deleted afterwards",
            &deleted("@81", "1", ""),
            "Completed AgentFailed",
        ),
        (
            "in the same second: it may have been the deletion",
            &deleted("@80", "0", ""),
            "Pending Retrying PodDeleted",
        ),
        (
            "a spent budget stands",
            &deleted("@70", "143", "outcome=WallClockExhausted"),
            "Completed WallClockExhausted",
        ),
        (
            "the node went silent after the end",
            "base: running, deleted: @9, containers: {relay: {state: {terminated: {exitCode: 0, message: RESULT \
             outcome=StepsExhausted}}}}",
            "Completed StepsExhausted",
        ),
        (
            "an eviction that was announced and did not come",
            "base: ended, conditions: [{type: DisruptionTarget, status: 'True', reason: PreemptionByScheduler, \
             lastTransitionTime: @20}]",
            "Completed AgentFinished",
        ),
    ]);
}
