//! The operator dies, stays away and comes back; no reward is lost and no pod is made twice.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use mledojo::api::Episode;
use mledojo::api::conditions::{Outcome, Phase};
use mledojo::plan::pod::RESULT_FINALIZER;

use crate::audit::makes_a_pod;
use crate::stage::audit_log::requests;
use crate::stage::fixtures::{self, Do};
use crate::stage::recorder::Recorder;
use crate::stage::{Access, EPISODE, START, Space, operator, play, until};

/// Ten episodes: half of them end while the operator is away, the others go on until it is back.
const SHORT: usize = 5;
const ALL: usize = 10;

fn name(number: usize) -> String {
    format!("survivor-{number}")
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn an_operator_that_dies_and_comes_back_loses_no_reward_and_makes_no_pod_twice() {
    play("crash", Access::Alone, async |space: &Space| {
        for (config_map, seconds) in [("short", 25), ("long", 75)] {
            let actions = fixtures::actions(&[Do::Submit(0.35), Do::Sleep(seconds), Do::Submit(0.05)]);
            space
                .make_files(fixtures::files(config_map, &[("actions.yaml", &actions)]))
                .await;
        }
        space.make_files(fixtures::code(&fixtures::IMPROVING)).await;
        space.make_task(fixtures::task("tiny")).await;
        let pods = Recorder::start(space.api::<Pod>());

        for number in 1..=ALL {
            let config_map = if number <= SHORT { "short" } else { "long" };
            space
                .make_episode(fixtures::replay_of(&name(number), "tiny", config_map))
                .await;
        }
        until("some pods are made", START, async || {
            (pods.seen().len() >= 2).then_some(())
        })
        .await;
        println!("killed while it makes pods");
        operator::kill(space).await;

        until("episodes run", START, async || {
            (running(space).await >= 3).then_some(())
        })
        .await;
        println!("killed while {} episodes run", running(space).await);
        operator::kill(space).await;

        let replicas = operator::replicas(space).await;
        operator::scale(space, 0).await;
        let open = open(space).await;
        println!("away; {} episodes have no end yet", open.len());
        assert!(
            !open.is_empty(),
            "all episodes had ended before the operator went away"
        );
        let finished = until(
            "an episode ends while the operator is away",
            EPISODE,
            async || finished_pod(space, &open).await,
        )
        .await;
        delete_finished(space, &finished).await;
        operator::scale(space, replicas).await;
        println!("back");

        for number in 1..=ALL {
            let status = space
                .until_phase(&name(number), Phase::Completed, EPISODE * 2)
                .await;
            assert_eq!(status.reward, Some(1.0), "{}: {status:#?}", name(number));
            assert_eq!(
                status.outcome,
                Some(Outcome::AgentFinished),
                "{}: {status:#?}",
                name(number)
            );
            assert_eq!(
                (status.attempt, status.retries),
                (Some(1), None),
                "{}: {status:#?}",
                name(number)
            );
        }
        one_pod_each(space, &pods);
    });
}

async fn running(space: &Space) -> usize {
    let episodes = space.api::<Episode>().list(&ListParams::default()).await.unwrap();
    episodes
        .into_iter()
        .filter(|episode| {
            episode
                .status
                .as_ref()
                .is_some_and(|status| status.phase == Phase::Running)
        })
        .count()
}

/// Episodes whose end is not on record.
async fn open(space: &Space) -> BTreeSet<String> {
    let episodes = space.api::<Episode>().list(&ListParams::default()).await.unwrap();
    episodes
        .into_iter()
        .filter(|episode| {
            !episode
                .status
                .as_ref()
                .is_some_and(|status| status.phase.is_final())
        })
        .filter_map(|episode| episode.metadata.name)
        .collect()
}

/// Name of a pod that has ended without the operator's knowledge.
async fn finished_pod(space: &Space, open: &BTreeSet<String>) -> Option<String> {
    let ended = ListParams::default().fields("status.phase=Succeeded");
    let pods = space.api::<Pod>().list(&ended).await.unwrap();
    pods.into_iter().filter_map(|pod| pod.metadata.name).find(|pod| {
        pod.strip_suffix("-1")
            .is_some_and(|episode| open.contains(episode))
    })
}

/// The finalizer keeps it until its result is taken.
async fn delete_finished(space: &Space, name: &str) {
    let pods = space.api::<Pod>();
    pods.delete(name, &DeleteParams::default()).await.unwrap();
    let pod = until("the deletion is on record", START, async || {
        let pod = pods
            .get_opt(name)
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("Pod/{name} is gone, and its result with it"));
        pod.metadata.deletion_timestamp.is_some().then_some(pod)
    })
    .await;
    let finalizers = pod.metadata.finalizers.unwrap_or_default();
    assert!(
        finalizers.iter().any(|finalizer| finalizer == RESULT_FINALIZER),
        "{finalizers:?}"
    );
    println!("Pod/{name} was deleted while the operator is away, its result not yet taken");
}

/// Every pod that a watch has ever shown, and every one that the API server has ever made.
fn one_pod_each(space: &Space, pods: &Recorder<Pod>) {
    let mut uids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for pod in pods.seen() {
        uids.entry(pod.metadata.name.unwrap())
            .or_default()
            .insert(pod.metadata.uid.unwrap());
    }
    let wanted: BTreeSet<String> = (1..=ALL).map(|number| format!("{}-1", name(number))).collect();
    let shown: BTreeSet<String> = uids.keys().cloned().collect();
    assert_eq!(shown, wanted, "pods that a watch has shown");
    for (name, uids) in &uids {
        assert_eq!(uids.len(), 1, "{name} was made more than once: {uids:?}");
    }
    let made = requests(|request| request.object_ref.namespace == space.name && makes_a_pod(request));
    if let Some(made) = made {
        assert_eq!(made.len(), ALL, "pods that the API server has made: {made:#?}");
        println!("{ALL} episodes, {} pods made, none twice", made.len());
    }
}
