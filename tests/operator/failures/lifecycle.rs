//! What users do to episodes: suspend, delete, let expire, give to another controller.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams};
use mledojo::api::conditions::Phase;
use mledojo::api::{Episode, EpisodeStatus};
use mledojo::plan::pod::EPISODE_LABEL;
use serde_json::json;

use super::{TASK, assert_full_reward, set_up};
use crate::stage::fixtures::{self, Do, IMPROVING};
use crate::stage::{Access, EPISODE, SOON, START, Space, play, until};

/// Longer than any test waits.
const LONG: [Do; 2] = [Do::Submit(0.35), Do::Sleep(500)];

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn a_suspended_episode_waits_loses_its_pod_and_starts_anew() {
    play("suspend", Access::Shared, async |space: &Space| {
        set_up(space, &[Do::Sleep(10), Do::Submit(0.05)]).await;
        let episode = fixtures::with(fixtures::replay("paused", TASK), json!({"suspend": true}));
        space.make_episode(episode).await;
        space.until_phase("paused", Phase::Suspended, SOON).await;
        assert!(space.pods_of("paused").await.is_empty(), "suspended with a pod");

        space.change("paused", json!({"suspend": false})).await;
        let first = space.until_running("paused").await;
        assert_eq!(first.attempt, Some(1), "{first:#?}");

        space.change("paused", json!({"suspend": true})).await;
        space.until_phase("paused", Phase::Suspended, SOON).await;
        until("the pod of a suspended episode goes", SOON, async || {
            space.pods_of("paused").await.is_empty().then_some(())
        })
        .await;

        space.change("paused", json!({"suspend": false})).await;
        let status = space.until_phase("paused", Phase::Completed, EPISODE).await;
        assert_full_reward(&status, 2);
        // The user's will is no failure.
        assert_eq!(status.retries, None, "{status:#?}");
    });
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn an_episode_is_deleted_when_its_time_after_the_end_is_over() {
    play("ttl", Access::Shared, async |space: &Space| {
        set_up(space, &IMPROVING).await;
        let episode = fixtures::with(
            fixtures::replay("fleeting", TASK),
            json!({"ttlAfterFinished": "5s"}),
        );
        space.make_episode(episode).await;
        until("the episode ends and goes", EPISODE, async || {
            let Some(episode) = space.episode("fleeting").await else {
                return Some(());
            };
            let status = episode.status.unwrap_or_default();
            assert_ne!(status.phase, Phase::Failed, "{status:#?}");
            None
        })
        .await;
        nothing_is_left_of(space, "fleeting").await;
    });
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn an_episode_of_another_controller_is_left_alone() {
    play("managed-by", Access::Shared, async |space: &Space| {
        set_up(space, &IMPROVING).await;
        let theirs = fixtures::with(
            fixtures::replay("theirs", TASK),
            json!({"managedBy": "example.com/queue"}),
        );
        space.make_episode(theirs).await;
        // Made later and seen to its end: there was time enough for the other one.
        space.make_episode(fixtures::replay("ours", TASK)).await;
        let status = space.until_phase("ours", Phase::Completed, EPISODE).await;
        assert_full_reward(&status, 1);
        assert_eq!(space.status("theirs").await, EpisodeStatus::default());
        assert!(
            space.pods_of("theirs").await.is_empty(),
            "a pod for another's episode"
        );
    });
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn a_deleted_episode_leaves_nothing_behind() {
    play("deletion", Access::Shared, async |space: &Space| {
        set_up(space, &LONG).await;
        space.make_episode(fixtures::replay("unwanted", TASK)).await;
        space.until_running("unwanted").await;
        space
            .api::<Episode>()
            .delete("unwanted", &DeleteParams::default())
            .await
            .unwrap();
        until("the Episode goes", SOON, async || {
            space.episode("unwanted").await.is_none().then_some(())
        })
        .await;
        nothing_is_left_of(space, "unwanted").await;
    });
}

async fn nothing_is_left_of(space: &Space, episode: &str) {
    let its = ListParams::default().labels(&format!("{EPISODE_LABEL}={episode}"));
    until(&format!("pod and ConfigMap of {episode} go"), SOON, async || {
        let pods = space.api::<Pod>().list(&its).await.unwrap().items;
        let maps = space.api::<ConfigMap>().list(&its).await.unwrap().items;
        (pods.is_empty() && maps.is_empty()).then_some(())
    })
    .await;
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn a_namespace_goes_with_the_episodes_that_run_in_it() {
    play("namespace", Access::Shared, async |space: &Space| {
        set_up(space, &LONG).await;
        for name in ["one", "two"] {
            space.make_episode(fixtures::replay(name, TASK)).await;
        }
        for name in ["one", "two"] {
            space.until_phase(name, Phase::Running, START).await;
        }
        space.delete_namespace("the namespace goes").await;
    });
}
