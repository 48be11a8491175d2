//! Conditions: what holds, since when, and why.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Observed, Stage, TASK_NOT_READY, Verdict, clipped, word};
use crate::api::conditions::ConditionType;
use crate::api::schema::MAX_MESSAGE;
use crate::api::status::EpisodeStatus;

/// Every condition that is known. `Completed` and `Failed` are absent before they are true. A condition keeps its
/// transition time unless its status flips.
pub(super) fn conditions(
    observed: &Observed,
    verdict: &Verdict,
    previous: Option<&EpisodeStatus>,
    now: &Time,
) -> Vec<Condition> {
    let mut found = vec![task_ready(observed), admitted(observed), pod_ready(observed)];
    found.extend(ended(observed, verdict));
    found
        .into_iter()
        .map(|fact| fact.into_condition(observed, previous, now))
        .collect()
}

/// A condition before its time is known.
struct Fact {
    condition: ConditionType,
    holds: bool,
    reason: String,
    message: String,
}

impl Fact {
    fn new(condition: ConditionType, holds: bool, reason: &str, message: impl Into<String>) -> Self {
        Self {
            condition,
            holds,
            reason: reason.into(),
            message: message.into(),
        }
    }

    fn into_condition(self, observed: &Observed, previous: Option<&EpisodeStatus>, now: &Time) -> Condition {
        let name = self.condition.as_str();
        let status = if self.holds { "True" } else { "False" };
        let since = previous
            .iter()
            .flat_map(|previous| &previous.conditions)
            .find(|before| before.type_ == name && before.status == status)
            .map_or_else(|| now.clone(), |before| before.last_transition_time.clone());
        Condition {
            type_: name.into(),
            status: status.into(),
            reason: word(&self.reason),
            message: clipped(&self.message, MAX_MESSAGE),
            last_transition_time: since,
            observed_generation: observed.generation,
        }
    }
}

fn task_ready(observed: &Observed) -> Fact {
    match &observed.task_problem {
        None => Fact::new(ConditionType::TaskReady, true, "TaskReady", ""),
        Some(problem) => Fact::new(ConditionType::TaskReady, false, TASK_NOT_READY, problem),
    }
}

fn admitted(observed: &Observed) -> Fact {
    let refused = |reason: &str, message: &str| Fact::new(ConditionType::Admitted, false, reason, message);
    match &observed.stage {
        Stage::Waiting { reason, message } => refused(reason, message),
        Stage::Suspended => refused("Suspended", "spec.suspend is true"),
        Stage::Cancelled if observed.attempt.is_none() => refused("Cancelled", "stopped before it started"),
        Stage::Unplaced { .. }
        | Stage::Starting { .. }
        | Stage::Running
        | Stage::Ended { .. }
        | Stage::Cancelled => Fact::new(ConditionType::Admitted, true, "Admitted", ""),
    }
}

fn pod_ready(observed: &Observed) -> Fact {
    let not_ready = |reason: &str, message: &str| Fact::new(ConditionType::PodReady, false, reason, message);
    match &observed.stage {
        Stage::Waiting { .. } => not_ready("NotStarted", ""),
        Stage::Suspended => not_ready("Suspended", ""),
        Stage::Unplaced { reason, message } | Stage::Starting { reason, message } => {
            not_ready(reason, message)
        }
        Stage::Running => Fact::new(ConditionType::PodReady, true, "Running", ""),
        Stage::Ended { .. } => not_ready("Ended", ""),
        Stage::Cancelled => not_ready("Cancelled", ""),
    }
}

fn ended(observed: &Observed, verdict: &Verdict) -> Option<Fact> {
    match verdict {
        Verdict::Completed(outcome) => {
            let exit = match observed.stage {
                Stage::Ended {
                    agent_exit: Some(code),
                } if code != 0 => format!("; the agent exited with code {code}"),
                _ => String::new(),
            };
            let valid = observed
                .result
                .as_ref()
                .is_some_and(|result| result.valid_submission);
            let submission = if valid { "" } else { "; no submission was valid" };
            let message = format!("{} steps{submission}{exit}", super::steps(observed));
            Some(Fact::new(
                ConditionType::Completed,
                true,
                outcome.as_str(),
                message,
            ))
        }
        Verdict::Failed(failure) => Some(Fact::new(
            ConditionType::Failed,
            true,
            &failure.reason,
            &failure.message,
        )),
        Verdict::Open(..) | Verdict::Cancelled => None,
    }
}
