//! The pause between a lost attempt and the next.

use super::{Settings, World};
use crate::api::conditions::{ConditionType, Phase};
use crate::api::status::FailureStatus;
use crate::api::{Episode, EpisodeStatus};
use crate::plan::status::Stage;

/// Reason of an episode that waits for its next attempt after a lost one.
pub(super) const RETRYING: &str = "Retrying";
/// Reason of an episode that waits for its next attempt after it was suspended.
const RESUMING: &str = "Resuming";
/// Longest pause in seconds.
const LONGEST: i64 = 300;
/// Further attempts where the Episode does not say.
const DEFAULT_LIMIT: i32 = 3;

/// Set where the attempt on record is given up and the next one not begun: the stage that says so. Admission is what it is
/// known by, since that condition keeps its reason whatever else is waited for.
pub(super) fn given_up(status: &EpisodeStatus) -> Option<Stage> {
    let admitted = ConditionType::Admitted.as_str();
    status
        .conditions
        .iter()
        .filter(|_| status.phase == Phase::Pending)
        .find(|found| found.type_ == admitted && matches!(found.reason.as_str(), RETRYING | RESUMING))
        .map(|found| Stage::Waiting {
            reason: found.reason.clone(),
            message: found.message.clone(),
        })
}

/// An attempt that was suspended and whose successor cannot begin.
pub(super) fn resuming() -> Stage {
    Stage::Waiting {
        reason: RESUMING.into(),
        message: String::new(),
    }
}

/// Further attempts that the Episode allows.
pub(super) fn limit(episode: &Episode) -> i32 {
    episode
        .spec
        .retry
        .as_ref()
        .map_or(DEFAULT_LIMIT, |retry| retry.limit)
}

/// Pause in seconds before the `retries`th further attempt: twice as long as the one before.
pub(super) fn delay(settings: &Settings, retries: i32) -> i64 {
    let doublings = u32::try_from(retries.saturating_sub(1)).unwrap_or_default();
    let factor = 1_i64.checked_shl(doublings.min(62)).unwrap_or(i64::MAX);
    settings.retry_delay.saturating_mul(factor).clamp(0, LONGEST)
}

/// Seconds that are left of the pause after a lost attempt.
pub(super) fn left(status: &EpisodeStatus, world: &World<'_>) -> i64 {
    let admitted = ConditionType::Admitted.as_str();
    let lost = status
        .conditions
        .iter()
        .find(|found| found.type_ == admitted && found.reason == RETRYING);
    lost.map_or(0, |lost| {
        let from = lost.last_transition_time.0.as_second();
        let delay = delay(world.settings, status.retries.unwrap_or(1));
        from.saturating_add(delay) - world.now.as_second()
    })
}

/// What is said while the pause lasts.
pub(super) fn message(attempt: i32, failure: &FailureStatus, delay: i64) -> String {
    format!(
        "attempt {attempt} is lost ({}): {}; attempt {} starts after {delay} s",
        failure.reason,
        failure.message,
        attempt.saturating_add(1)
    )
}
