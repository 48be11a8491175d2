//! Whatever goes wrong with an episode, or is done to it: the right phase, class, outcome, and retried or not.

mod agents;
mod infrastructure;
mod lifecycle;
mod waiting;

use mledojo::api::EpisodeStatus;
use mledojo::api::conditions::{ConditionType, Outcome, Phase};

use crate::stage::{Space, fixtures};

/// Name of the Task of these tests.
const TASK: &str = "tiny";

/// Makes the Task with its files; episodes replay `list`.
async fn set_up(space: &Space, list: &[fixtures::Do]) {
    space.make_files(fixtures::code(list)).await;
    space.make_task(fixtures::task(TASK)).await;
}

/// A condition of a status: status, reason and message.
fn condition(status: &EpisodeStatus, wanted: ConditionType) -> Option<(String, String, String)> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == wanted.as_str())
        .map(|condition| {
            (
                condition.status.clone(),
                condition.reason.clone(),
                condition.message.clone(),
            )
        })
}

/// The agent did all of [`fixtures::IMPROVING`], in this attempt.
fn assert_full_reward(status: &EpisodeStatus, attempt: i32) {
    assert_eq!(status.phase, Phase::Completed, "{status:#?}");
    assert_eq!(status.outcome, Some(Outcome::AgentFinished), "{status:#?}");
    assert_eq!(status.attempt, Some(attempt), "{status:#?}");
    assert_eq!(status.reward, Some(1.0), "{status:#?}");
    assert!(status.failure.is_none(), "{status:#?}");
    let (completed, ..) = condition(status, ConditionType::Completed).expect("condition Completed");
    assert_eq!(completed, "True");
}
