//! What the cluster or the Task is to blame for has no reward.

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use mledojo::api::conditions::{ConditionType, FailureClass, Phase};
use serde_json::json;

use super::{TASK, assert_full_reward, condition, set_up};
use crate::stage::fixtures::{self, Do, IMPROVING};
use crate::stage::{Access, EPISODE, Space, play};

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn a_running_pod_that_is_deleted_is_followed_by_another_one() {
    play("pod-deleted", Access::Shared, async |space: &Space| {
        set_up(space, &[Do::Sleep(10), Do::Submit(0.05)]).await;
        space.make_episode(fixtures::replay("bereft", TASK)).await;
        let first = space.until_running("bereft").await.pod.expect("its pod");
        assert_eq!(first.name, "bereft-1");
        space
            .api::<Pod>()
            .delete(&first.name, &DeleteParams::default())
            .await
            .unwrap();
        let status = space.until_phase("bereft", Phase::Completed, EPISODE).await;
        assert_full_reward(&status, 2);
        assert_eq!(status.retries, Some(1), "{status:#?}");
        let second = status.pod.expect("its pod");
        assert_eq!(second.name, "bereft-2");
        assert_ne!(second.uid, first.uid);
    });
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn an_image_that_does_not_exist_is_given_up_after_the_retries() {
    play("no-image", Access::Shared, async |space: &Space| {
        set_up(space, &IMPROVING).await;
        let agent = json!({"agent": {"container": {"image": "localhost/there-is-no-such-image:1"}}});
        let episode = fixtures::with(fixtures::container("imageless", TASK, "pass"), agent);
        space
            .make_episode(fixtures::with(episode, json!({"retry": {"limit": 1}})))
            .await;
        let status = space.until_phase("imageless", Phase::Failed, EPISODE).await;
        let failure = status.failure.as_ref().expect("a failure");
        assert_eq!(failure.class, FailureClass::Infrastructure, "{failure:?}");
        assert_eq!(failure.reason, "ImagePullFailed", "{failure:?}");
        assert!(failure.message.contains("there-is-no-such-image"), "{failure:?}");
        assert_eq!(status.reward, None, "{status:#?}");
        assert_eq!(status.attempt, Some(2), "{status:#?}");
        let (failed, reason, _) = condition(&status, ConditionType::Failed).expect("condition Failed");
        assert_eq!(
            (failed.as_str(), reason.as_str()),
            ("True", "ImagePullFailed"),
            "{status:#?}"
        );
    });
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn a_task_whose_preparation_fails_is_not_tried_again_and_says_why() {
    const BROKEN: &str =
        "def prepare(raw, public, private):\n    raise ValueError('the third column is missing')\n";
    play("prepare", Access::Shared, async |space: &Space| {
        let actions = fixtures::actions(&IMPROVING);
        space
            .make_files(fixtures::files(
                fixtures::CODE,
                &[("prepare.py", BROKEN), ("actions.yaml", &actions)],
            ))
            .await;
        space.make_task(fixtures::task(TASK)).await;
        space.make_episode(fixtures::replay("unprepared", TASK)).await;
        let status = space.until_phase("unprepared", Phase::Failed, EPISODE).await;
        let failure = status.failure.as_ref().expect("a failure");
        assert_eq!(failure.class, FailureClass::Task, "{failure:?}");
        assert_eq!(failure.reason, "PrepareFailed", "{failure:?}");
        assert!(
            failure
                .message
                .contains("ValueError: the third column is missing"),
            "{failure:?}"
        );
        assert_eq!((status.attempt, status.reward), (Some(1), None), "{status:#?}");
    });
}
