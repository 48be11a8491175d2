//! What a change of an Episode's status is worth as an Event, for `kubectl describe`.

use crate::api::conditions::{ConditionType, Phase};
use crate::api::status::EpisodeStatus;
use crate::plan::status::clipped;

/// Longest note of an Event, in bytes.
const MAX_NOTE: usize = 1000;

/// One Event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// Whether something is wrong.
    pub warning: bool,
    /// One CamelCase word.
    pub reason: String,
    /// What the operator did or tried, one CamelCase word.
    pub action: String,
    /// For people.
    pub message: String,
}

impl Note {
    fn new(warning: bool, reason: &str, action: &str, message: &str) -> Self {
        // The API server counts bytes; four are the longest character.
        let most = if message.is_ascii() {
            MAX_NOTE
        } else {
            MAX_NOTE / 4
        };
        Self {
            warning,
            reason: reason.into(),
            action: action.into(),
            message: clipped(message, most),
        }
    }
}

/// The Events of a change from `previous` to `new`; none where the two tell the same.
pub fn notes(previous: Option<&EpisodeStatus>, new: &EpisodeStatus) -> Vec<Note> {
    let mut notes = Vec::new();
    notes.extend(task(previous, new));
    notes.extend(retry(previous, new));
    notes.extend(attempt(previous, new));
    notes.extend(pod(previous, new));
    if previous.is_none_or(|previous| previous.phase != new.phase) {
        notes.extend(phase(new));
    }
    notes
}

/// Reason and message of a condition that does not hold.
fn refusal(status: &EpisodeStatus, condition: ConditionType) -> Option<(&str, &str)> {
    status
        .conditions
        .iter()
        .find(|found| found.type_ == condition.as_str() && found.status == "False")
        .map(|found| (found.reason.as_str(), found.message.as_str()))
}

/// A refusal that was not there before, or for another reason.
fn new_refusal<'a>(
    previous: Option<&EpisodeStatus>,
    new: &'a EpisodeStatus,
    condition: ConditionType,
) -> Option<(&'a str, &'a str)> {
    let (reason, message) = refusal(new, condition)?;
    let before = previous.and_then(|previous| refusal(previous, condition));
    (before.map(|(reason, _)| reason) != Some(reason)).then_some((reason, message))
}

fn task(previous: Option<&EpisodeStatus>, new: &EpisodeStatus) -> Option<Note> {
    let (reason, message) = new_refusal(previous, new, ConditionType::TaskReady)?;
    Some(Note::new(true, reason, "WaitForTask", message))
}

/// Each lost attempt, the second in a row as well.
fn retry(previous: Option<&EpisodeStatus>, new: &EpisodeStatus) -> Option<Note> {
    let lost = |status: &EpisodeStatus| status.retries.unwrap_or_default();
    if new.phase != Phase::Pending || lost(new) <= previous.map_or(0, lost) {
        return None;
    }
    let (reason, message) = refusal(new, ConditionType::Admitted)?;
    Some(Note::new(true, reason, "Retry", message))
}

fn attempt(previous: Option<&EpisodeStatus>, new: &EpisodeStatus) -> Option<Note> {
    let number = new.attempt.filter(|_| new.phase == Phase::Starting)?;
    (previous.and_then(|previous| previous.attempt) != Some(number)).then(|| {
        Note::new(
            false,
            "AttemptStarted",
            "StartAttempt",
            &format!("attempt {number} starts"),
        )
    })
}

/// Why a pod does not start, where somebody can do something about it.
fn pod(previous: Option<&EpisodeStatus>, new: &EpisodeStatus) -> Option<Note> {
    let (reason, message) = new_refusal(previous, new, ConditionType::PodReady)
        .filter(|_| matches!(new.phase, Phase::Pending | Phase::Starting))
        .filter(|(reason, _)| super::starting::TROUBLES.contains(reason))?;
    Some(Note::new(true, reason, "StartPod", message))
}

fn phase(new: &EpisodeStatus) -> Option<Note> {
    let pod = new.pod.as_ref().map_or("its pod", |pod| &pod.name);
    Some(match new.phase {
        Phase::Running => {
            let node = new.node.as_deref().unwrap_or("a node");
            Note::new(
                false,
                "Running",
                "StartPod",
                &format!("the agent acts in {pod} on {node}"),
            )
        }
        Phase::Suspended => Note::new(
            false,
            "Suspended",
            "Suspend",
            "spec.suspend is true: there is no pod",
        ),
        Phase::Completed => {
            let outcome = new.outcome.map_or("ended", |outcome| outcome.as_str());
            let reward = new
                .display
                .as_ref()
                .and_then(|display| display.reward.as_deref())
                .unwrap_or("0");
            let steps = new.steps.as_deref().unwrap_or("no");
            let message = format!("{outcome} after {steps} steps with a reward of {reward}");
            Note::new(false, "Completed", "RecordResult", &message)
        }
        Phase::Failed => {
            let failure = new.failure.as_ref()?;
            Note::new(true, &failure.reason, "GiveUp", &failure.message)
        }
        Phase::Pending | Phase::Starting | Phase::Cancelled => return None,
    })
}
