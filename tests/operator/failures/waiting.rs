//! What is not there yet is waited for.

use mledojo::api::Task;
use mledojo::api::conditions::{ConditionType, Phase};

use super::{TASK, assert_full_reward, condition};
use crate::stage::fixtures::{self, IMPROVING};
use crate::stage::{Access, EPISODE, SOON, Space, play, until};

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn an_episode_waits_for_its_task_and_goes_on_when_it_comes() {
    play("no-task", Access::Shared, async |space: &Space| {
        space.make_files(fixtures::code(&IMPROVING)).await;
        space.make_episode(fixtures::replay("early", TASK)).await;
        let status = space
            .until_status("early", "says that its Task is not there", SOON, |status| {
                condition(status, ConditionType::TaskReady).is_some_and(|(status, ..)| status == "False")
            })
            .await;
        assert_eq!(status.phase, Phase::Pending, "{status:#?}");
        let (_, reason, message) = condition(&status, ConditionType::TaskReady).unwrap();
        assert!(message.contains(TASK), "{reason}: {message}");
        assert!(space.pods_of("early").await.is_empty(), "a pod without a Task");
        space.make_task(fixtures::task(TASK)).await;
        assert_full_reward(&space.until_phase("early", Phase::Completed, EPISODE).await, 1);
    });
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn a_task_waits_for_its_config_map_and_its_episodes_with_it() {
    play("no-code", Access::Shared, async |space: &Space| {
        space.make_task(fixtures::task(TASK)).await;
        space.make_episode(fixtures::replay("early", TASK)).await;
        let message = until("the Task says what is missing", SOON, async || {
            let task = space.api::<Task>().get(TASK).await.unwrap();
            let ready = task
                .status?
                .conditions
                .into_iter()
                .find(|condition| condition.type_ == "TaskReady")?;
            (ready.status == "False").then_some(ready.message)
        })
        .await;
        assert!(message.contains(fixtures::CODE), "{message}");
        space
            .until_status("early", "says that its Task is not ready", SOON, |status| {
                condition(status, ConditionType::TaskReady).is_some_and(|(status, ..)| status == "False")
            })
            .await;
        assert!(space.pods_of("early").await.is_empty(), "a pod without data");
        space.make_files(fixtures::code(&IMPROVING)).await;
        assert_full_reward(&space.until_phase("early", Phase::Completed, EPISODE).await, 1);
    });
}
