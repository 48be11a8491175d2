//! What a report of the running relay changes in the status.

use jiff::Timestamp;

use super::super::status::{Observed, Stage, status};
use crate::api::conditions::Phase;
use crate::api::status::EpisodeStatus;
use crate::wire::result::EpisodeResult;

/// Least time in seconds between two writes that tell of nothing but steps.
const WRITE_PAUSE: i64 = 60;

/// What a report comes to.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // made and taken apart at once, never kept
pub enum LiveUpdate {
    /// It is older than what is on record, or the episode is over.
    Stale,
    /// It may wait.
    Hold,
    /// The status to write; only its live fields differ.
    Write(EpisodeStatus),
}

/// Decides about a report.
pub fn live(
    previous: &EpisodeStatus,
    result: &EpisodeResult,
    trajectory_uri: Option<String>,
    last_write: Option<Timestamp>,
    now: Timestamp,
) -> LiveUpdate {
    let sequence = i64::try_from(result.sequence).unwrap_or(i64::MAX);
    if !matches!(previous.phase, Phase::Starting | Phase::Running)
        || previous.sequence.is_some_and(|before| sequence <= before)
    {
        return LiveUpdate::Stale;
    }
    let observed = Observed {
        generation: None,
        agent: String::new(),
        step_limit: result.step_limit,
        task_problem: None,
        stage: Stage::Running,
        attempt: None,
        started_at: None,
        result: Some(result.clone()),
        failure: None,
        pod: None,
        node: None,
        gpu: None,
        provenance: None,
        trajectory_uri,
    };
    let seen = status(&observed, None, now);
    let better = seen.score != previous.score || seen.reward != previous.reward;
    let waited = last_write.is_none_or(|last| now.as_second() - last.as_second() > WRITE_PAUSE);
    if previous.sequence.is_some() && !better && result.outcome.is_none() && !waited {
        return LiveUpdate::Hold;
    }
    LiveUpdate::Write(EpisodeStatus {
        sequence: Some(sequence),
        steps: seen.steps,
        score: seen.score,
        reward: seen.reward,
        reward_basis: seen.reward_basis,
        display: seen.display,
        places: seen.places,
        medal: seen.medal,
        above_median: seen.above_median,
        usage: seen.usage,
        trajectory: seen.trajectory,
        ..previous.clone()
    })
}

/// The status object that `episode-report` applies: live fields alone.
pub fn live_part(status: &EpisodeStatus) -> serde_json::Value {
    const LIVE: &[&str] = &[
        "steps",
        "sequence",
        "score",
        "reward",
        "rewardBasis",
        "display",
        "places",
        "medal",
        "aboveMedian",
        "usage",
        "trajectory",
    ];
    let mut fields = serde_json::to_value(status).unwrap_or_default();
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|name, _| LIVE.contains(&name.as_str()));
    }
    fields
}
