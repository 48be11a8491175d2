//! The steps of a life, and what each leaves behind.

use super::kit::{Scene, at, message, remove, result, summary, task};
use super::*;
use crate::api::EpisodeStatus;
use crate::api::conditions::{FailureClass, Phase};
use crate::plan::lifecycle::LiveUpdate;

fn word(scene: &Scene) -> String {
    summary(scene, &scene.decide())
}

#[test]
fn the_number_is_recorded_before_the_pod_is_made_and_the_result_before_it_is_let_go() {
    let mut scene = Scene::new();
    assert_eq!(word(&scene), "Starting CreatingPod");
    scene.round();
    assert_eq!(scene.status().attempt, Some(1));
    assert_eq!(word(&scene), "Starting CreatingPod +create:demo-1");
    scene.round();
    assert_eq!(
        word(&scene),
        "Starting Scheduling",
        "the pod is not on record yet"
    );
    scene.round();
    assert_eq!(scene.status().pod.unwrap().uid, "pod-1");
    scene.pods = vec![scene.pod(1, "base: running")];
    scene.round();
    scene.pods = vec![scene.pod(1, "base: ended")];
    assert_eq!(word(&scene), "Completed AgentFinished");
    scene.round();
    assert_eq!(word(&scene), "+release:demo-1");
    scene.settings.keep_pods = false;
    assert_eq!(word(&scene), "+delete:demo-1 +release:demo-1");
}

#[test]
fn an_ordinary_life_is_six_statuses() {
    let mut scene = Scene::new();
    for (second, pod) in [
        (0, None),
        (1, Some("base: new")),
        (2, Some("base: new, node: node1")),
        (3, Some("base: preparing")),
        (
            5,
            Some("base: started, containers: {sandbox: {state: {waiting: {reason: PodInitializing}}}}"),
        ),
        (7, Some("base: started")),
        (8, Some("base: running")),
        (60, Some("base: running")),
        (
            81,
            Some("base: running, containers: {agent: {state: {terminated: {exitCode: 0, finishedAt: @80}}}}"),
        ),
        (90, Some("base: ended")),
        (91, Some("base: ended")),
    ] {
        scene.now = second;
        if let Some(pod) = pod {
            let held = scene.pods.first().and_then(|pod| pod.metadata.finalizers.clone());
            scene.pods = vec![scene.pod(1, pod)];
            if second > 90 {
                scene.pods[0].metadata.finalizers = held;
            }
        }
        scene.settle();
    }
    let told: Vec<String> = scene
        .writes
        .iter()
        .map(|status| {
            format!(
                "{:?} {}",
                status.phase,
                status.reason.as_deref().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "Starting CreatingPod",
            "Starting Scheduling",
            "Starting PreparingData",
            "Starting ContainerCreating",
            "Running ",
            "Completed ",
        ]
    );
    assert_eq!(scene.made, ["demo-1"]);
    assert_eq!(scene.status().reward, Some(0.5));
    assert_eq!(scene.status().sequence, Some(6));
    assert_eq!(scene.pods[0].metadata.finalizers, None);
}

#[test]
fn an_episode_waits_for_its_task_and_says_so_after_a_moment() {
    let mut scene = Scene::new();
    scene.task = None;
    let decision = scene.decide();
    assert_eq!(
        (summary(&scene, &decision).as_str(), decision.look_again),
        ("", Some(3))
    );
    scene.now = 3;
    let decision = scene.decide();
    assert_eq!(summary(&scene, &decision), "Pending TaskNotReady");
    assert_eq!(
        message(&scene, &decision),
        "there is no Task iris in namespace lab"
    );
    scene.settle();
    assert_eq!(scene.status().steps.as_deref(), Some("0/15"));

    let mut unready = task("{image: python}");
    let condition = &mut unready.status.as_mut().unwrap().conditions[0];
    condition.status = "False".into();
    condition.reason = "MissingReference".into();
    condition.message = "ConfigMap `code` is not there".into();
    scene.task = Some(unready);
    let decision = scene.decide();
    assert_eq!(
        message(&scene, &decision),
        "Task iris: MissingReference: ConfigMap `code` is not there"
    );
    let mut changed = task("{image: python}");
    changed.metadata.generation = Some(4);
    scene.task = Some(changed);
    assert_eq!(message(&scene, &scene.decide()), "Task iris was not checked yet");
    // A Task of this machine alone, should anybody say that it is ready.
    let mut local = task("{image: python}");
    local.spec.data = serde_saphyr::from_str("{path: /data}").unwrap();
    scene.task = Some(local);
    assert!(message(&scene, &scene.decide()).contains("only the local runner can read"));
    scene.task = Some(task("{image: python}"));
    assert_eq!(word(&scene), "Starting CreatingPod");
}

#[test]
fn a_task_that_changes_or_goes_is_nothing_to_a_pod_that_is_made() {
    let mut scene = Scene::with_pod("base: running");
    scene.task = None;
    assert!(!scene.round(), "{:?}", scene.decide());
    assert_eq!(scene.decide().look_again, Some(8 + 3600 + 90 - 100));
}

#[test]
fn suspending_costs_the_pod_and_resuming_makes_another_that_is_no_retry() {
    let mut scene = Scene::new().suspend(true);
    scene.settle();
    assert_eq!(
        (scene.status().phase, scene.status().attempt),
        (Phase::Suspended, None)
    );
    let mut scene = scene.suspend(false);
    scene.settle();
    assert_eq!(scene.made, ["demo-1"], "nothing had begun");

    scene.pods = vec![scene.pod(1, "base: running")];
    scene.settle();
    let mut scene = scene.suspend(true);
    assert_eq!(word(&scene), "Suspended", "on record first");
    scene.round();
    assert_eq!(word(&scene), "Suspended +delete:demo-1 +release:demo-1");
    scene.settle();
    assert!(scene.pods.is_empty());
    scene.now = 200;
    let mut resumed = scene.clone().suspend(false);
    resumed.settle();
    let status = resumed.status();
    assert_eq!((status.attempt, status.retries), (Some(2), None));
    assert_eq!(resumed.made, ["demo-1", "demo-2"]);
    assert_eq!(status.started_at.unwrap().0, at(200));

    // The same where the Task is not there when it is resumed.
    let mut resumed = scene.suspend(false);
    resumed.task = None;
    resumed.settle();
    assert_eq!(resumed.status().phase, Phase::Pending);
    resumed.task = Some(task("{image: python}"));
    resumed.settle();
    assert_eq!(resumed.status().attempt, Some(2), "number 1 is used up");
}

#[test]
fn a_pod_that_has_ended_is_reported_although_its_episode_is_suspended() {
    let scene = Scene::with_pod("base: ended").suspend(true);
    assert_eq!(word(&scene), "Completed AgentFinished");
    let lost = Scene::with_pod("base: new, deleted: @99").suspend(true);
    assert_eq!(word(&lost), "Suspended", "there is nothing to retry");
}

#[test]
fn lost_attempts_are_retried_with_growing_pauses_until_none_is_left() {
    let mut scene = Scene::new();
    let mut pauses = Vec::new();
    for attempt in 1..=4_u32 {
        scene.settle();
        assert_eq!(scene.status().attempt, Some(i32::try_from(attempt).unwrap()));
        let name = format!("demo-{attempt}");
        assert_eq!(scene.made.last(), Some(&name));
        // The reports of an attempt that is lost must not outlive it.
        let reported = live(&scene.status(), &result(3), None, None, at(scene.now));
        let LiveUpdate::Write(status) = reported else {
            panic!("{reported:?}");
        };
        scene.episode.status = Some(status);
        let pod = scene.pods.last_mut().unwrap();
        remove(pod, scene.now);
        scene.round();
        if attempt == 4 {
            break;
        }
        let status = scene.status();
        assert_eq!(
            (status.phase, status.retries),
            (Phase::Pending, Some(i32::try_from(attempt).unwrap()))
        );
        assert!(
            word(&scene).starts_with("Pending Retrying PodDeleted +clear"),
            "{}",
            word(&scene)
        );
        scene.settle();
        assert!(
            scene.pods.is_empty() && scene.status().reward.is_none(),
            "{:?}",
            scene.status()
        );
        let left = scene.decide().look_again.unwrap();
        pauses.push(left);
        scene.now += left - 1;
        assert!(!scene.round(), "not yet");
        scene.now += 1;
    }
    assert_eq!(pauses, [10, 20, 40]);
    let status = scene.status();
    assert_eq!(
        (status.phase, status.retries, status.attempt),
        (Phase::Failed, Some(3), Some(4))
    );
    let failure = status.failure.unwrap();
    assert_eq!(failure.class, FailureClass::Infrastructure);
    assert!(
        failure
            .message
            .ends_with("no attempt is left: spec.retry.limit is 3, and 4 were made"),
        "{}",
        failure.message
    );
    scene.settle();
    assert_eq!(
        scene.status().reward,
        None,
        "what a report said of it is taken back"
    );
    assert_eq!(retry::delay(&scene.settings, 9), 300);
}

#[test]
fn the_pause_names_attempt_reason_and_delay_and_a_limit_of_0_means_none() {
    let mut scene = Scene::with_pod("base: ended, phase: Failed, deleted: @70");
    assert_eq!(
        message(&scene, &scene.decide()),
        "attempt 1 is lost (PodDeleted): somebody deleted the pod while it was at work; attempt 2 starts after 10 s"
    );
    scene.episode.spec.retry = Some(crate::api::episode::RetrySpec { limit: 0 });
    assert_eq!(word(&scene), "Failed Infrastructure PodDeleted");
}

#[test]
fn a_pod_that_is_gone_altogether_is_a_lost_attempt_and_a_namesake_is_not_it() {
    let mut scene = Scene::with_pod("base: running");
    scene.pods.clear();
    assert_eq!(word(&scene), "Pending Retrying PodVanished");
    let mut namesake = scene.pod(1, "base: ended");
    namesake.metadata.uid = Some("other".into());
    scene.pods = vec![namesake];
    assert_eq!(word(&scene), "Pending Retrying PodVanished");
    scene.round();
    assert_eq!(
        word(&scene),
        "Pending Retrying PodVanished +delete:demo-1 +release:demo-1"
    );
}

#[test]
fn pods_of_earlier_attempts_go() {
    let mut scene = Scene::with_pod("base: running");
    let mut old = scene.pod(7, "base: running");
    remove(&mut old, 90);
    scene.pods.push(old);
    assert_eq!(word(&scene), "Running +release:demo-7");
}

#[test]
fn an_episode_that_is_deleted_or_belongs_to_others_is_not_reported_on() {
    let mut scene = Scene::with_pod("base: running");
    scene.episode.spec.managed_by = Some("kueue.x-k8s.io/multikueue".into());
    assert_eq!(scene.decide(), Decision::default());
    scene.episode.spec.managed_by = Some(MANAGER.into());
    assert_eq!(word(&scene), "Running");
    scene.episode.metadata.deletion_timestamp = scene.episode.metadata.creation_timestamp.clone();
    assert_eq!(word(&scene), "+delete:demo-1 +release:demo-1");
}

#[test]
fn a_finished_episode_goes_after_its_time_and_a_pod_that_still_runs_is_not_kept() {
    let mut scene = Scene::with_pod("base: ended");
    scene.episode.spec.ttl_after_finished = Some("1h".parse().unwrap());
    scene.settle();
    let decision = scene.decide();
    assert_eq!(
        (summary(&scene, &decision).as_str(), decision.look_again),
        ("", Some(3600))
    );
    scene.now += 3600;
    assert_eq!(word(&scene), "+delete-episode");

    let mut broken =
        Scene::with_pod("base: running, containers: {relay: {state: {terminated: {exitCode: 3}}}}");
    broken.round();
    assert_eq!(broken.status().phase, Phase::Failed);
    assert_eq!(word(&broken), "+delete:demo-1 +release:demo-1");
}

#[test]
fn events_tell_of_each_turn_once() {
    let mut scene = Scene::new();
    let mut told: Vec<String> = Vec::new();
    let mut before: Option<EpisodeStatus> = None;
    let mut look = |scene: &mut Scene, pod: Option<&str>, second: i64| {
        scene.now = second;
        if let Some(pod) = pod {
            let attempt = u32::try_from(scene.status().attempt.unwrap()).unwrap();
            scene.pods = vec![scene.pod(attempt, pod)];
        }
        for _ in 0..3 {
            scene.round();
            let now = scene.status();
            told.extend(notes(before.as_ref(), &now).into_iter().map(|note| {
                let mark = if note.warning { "!" } else { "" };
                format!("{mark}{}", note.reason)
            }));
            before = Some(now);
        }
    };
    scene.task = None;
    look(&mut scene, None, 5);
    scene.task = Some(task("{image: python}"));
    look(&mut scene, None, 6);
    let stuck = "base: new, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: full}]";
    look(&mut scene, Some(stuck), 7);
    look(&mut scene, Some("base: running"), 8);
    look(&mut scene, Some("base: running, deleted: @9, phase: Failed"), 20);
    scene.pods.clear();
    look(&mut scene, None, 40);
    look(&mut scene, Some("base: running"), 50);
    look(&mut scene, Some("base: ended"), 100);
    assert_eq!(
        told,
        [
            "!TaskNotReady",
            "AttemptStarted",
            "!Unschedulable",
            "Running",
            "!Retrying",
            "AttemptStarted",
            "Running",
            "Completed",
        ]
    );
}
