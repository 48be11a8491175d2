//! What becomes of the attempt that a pod is at: it goes on, it has a result, or it is lost and whose fault that is.

use jiff::Timestamp;

use super::disruption::{disruption, ended_before, own_limit, unknown};
use super::harvest::{Harvest, end, exit, or_nothing};
use super::trouble::{EXIT_REFUSED, failed_to_start, relay_refused, sidecars, spoilt, waiting};
use crate::api::conditions::{FailureClass, Outcome};
use crate::api::status::FailureStatus;
use crate::plan::status::{NO_RESULT, SANDBOX_REFUSED, TASK_BROKEN};
use crate::wire::result::EpisodeResult;

/// Seconds after which a node that has not ended a deleted pod is lost.
const NODE_PATIENCE: i64 = 60;
/// Seconds that an agent has after the wall clock before its pod is deleted: `dojo agent` needs less.
const OVERTIME: i64 = 90;
/// Exit code of a relay whose Task cannot grade.
const EXIT_TASK_BROKEN: i32 = 3;
/// What becomes of an attempt.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // one of them is made for each look
pub(super) enum Fate {
    /// Nothing is decided yet. `look_again`: seconds until time itself changes that.
    Open { look_again: Option<i64> },
    /// The pod has to end now; what it leaves is the result.
    Stop,
    /// It has a result.
    Ended {
        agent_exit: Option<i32>,
        result: EpisodeResult,
    },
    /// It has none.
    Lost(FailureStatus),
}

impl Fate {
    fn lost(class: FailureClass, reason: &str, message: impl Into<String>) -> Self {
        Self::Lost(FailureStatus {
            class,
            reason: reason.into(),
            message: message.into(),
        })
    }

    /// Lost to cluster or machine: it is tried again.
    pub(super) fn infrastructure(reason: &str, message: impl Into<String>) -> Self {
        Self::lost(FailureClass::Infrastructure, reason, message)
    }

    /// Lost to the Task: trying again would not help.
    pub(super) fn of_task(reason: &str, message: impl Into<String>) -> Self {
        Self::lost(FailureClass::Task, reason, message)
    }
}

/// What a look at a pod needs besides the pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) now: Timestamp,
    /// See [`super::Settings::start_patience`].
    pub(super) start_patience: i64,
    /// Wall clock of the attempt in seconds; unset: not known.
    pub(super) wall_clock: Option<i64>,
}

/// What becomes of the attempt of this pod.
pub(super) fn fate(pod: Harvest<'_>, clock: Clock) -> Fate {
    let result = pod.result();
    if let Some(broken) = task_broken(pod, result.as_ref()) {
        return broken;
    }
    if pod.over() {
        return finished(pod, result.as_ref(), clock);
    }
    if let Some(by) = pod.ends_by() {
        return terminating(pod, result, by, clock.now);
    }
    if let Some(fate) = sidecars(pod, result.as_ref()) {
        return fate;
    }
    match waiting(pod, clock) {
        Fate::Open { look_again: None } => overdue_in(pod, clock),
        fate => fate,
    }
}

/// The relay says that the Task cannot grade: no attempt will do better.
fn task_broken(pod: Harvest<'_>, result: Option<&EpisodeResult>) -> Option<Fate> {
    if let Some(result) = result.filter(|result| result.task_error.is_some()) {
        return Some(Fate::Ended {
            agent_exit: None,
            result: result.clone(),
        });
    }
    let relay = end(pod.container("relay")?)?;
    (relay.exit_code == EXIT_TASK_BROKEN).then(|| {
        Fate::of_task(
            TASK_BROKEN,
            "the relay cannot grade with what the Task gives it; its log says why",
        )
    })
}

/// Nothing of the pod runs any more.
fn finished(pod: Harvest<'_>, result: Option<&EpisodeResult>, clock: Clock) -> Fate {
    let agent = pod.agent_end();
    let agent_exit = agent.map(|agent| agent.exit_code);
    // Nothing ran, whatever else happened.
    if let Some(error) = result.and_then(|result| result.sandbox_error.as_ref()) {
        return Fate::infrastructure(SANDBOX_REFUSED, error.as_str());
    }
    // A spent budget is the relay's word, and it stands whatever ended the pod afterwards.
    if let Some(result) = result.filter(|result| result.outcome.is_some()) {
        return Fate::Ended {
            agent_exit,
            result: result.clone(),
        };
    }
    let with_result = |agent_exit, outcome| match result {
        Some(result) => Fate::Ended {
            agent_exit,
            result: EpisodeResult {
                outcome,
                ..result.clone()
            },
        },
        None => no_result(pod),
    };
    if let Some(limit) = own_limit(pod) {
        return match pod.acted() {
            // Not the exit code: it says how the kubelet killed it.
            true => with_result(None, None),
            false => over_limit_before_start(pod, limit),
        };
    }
    let interrupted = pod
        .deleted_at()
        .is_some_and(|deleted| !ended_before(agent, deleted));
    if interrupted && overdue(pod, clock) {
        return with_result(None, Some(Outcome::WallClockExhausted));
    }
    if interrupted && spoilt(pod, result) {
        return with_result(None, None);
    }
    if let Some(disruption) = disruption(pod) {
        return disruption;
    }
    if let Some(failure) = failed_to_start(pod) {
        return failure;
    }
    match agent {
        Some(agent) if unknown(agent) => Fate::infrastructure(
            "NodeLost",
            format!(
                "node {} lost track of the agent's container (exit code {}), as it does when it is restarted",
                pod.node().unwrap_or("of the pod"),
                agent.exit_code
            ),
        ),
        Some(agent) => with_result(Some(agent.exit_code), None),
        None => Fate::infrastructure(
            pod.reason().unwrap_or("PodFailed"),
            format!(
                "the pod failed before the agent ended: {}",
                or_nothing(pod.message())
            ),
        ),
    }
}

fn no_result(pod: Harvest<'_>) -> Fate {
    let relay = pod.container("relay").and_then(end);
    match relay {
        Some(relay) if relay.exit_code == EXIT_REFUSED => relay_refused(),
        Some(relay) => Fate::infrastructure(
            NO_RESULT,
            format!("the relay ended with {} and left no result", exit(relay)),
        ),
        None => Fate::infrastructure(NO_RESULT, "the pod ended and its relay left no result"),
    }
}

fn over_limit_before_start(pod: Harvest<'_>, limit: &str) -> Fate {
    if unprepared(pod) {
        Fate::of_task(
            "PrepareFailed",
            format!(
                "the data that `prepare` makes are too large: {}; raise \
                 spec.environment.resources.ephemeralStorage of the Task",
                limit.trim()
            ),
        )
    } else {
        Fate::infrastructure("Evicted", limit.trim())
    }
}

/// Whether the pod has data to prepare, and they are not there yet.
pub(super) fn unprepared(pod: Harvest<'_>) -> bool {
    let planned = pod
        .pod
        .spec
        .iter()
        .flat_map(|spec| spec.init_containers.iter().flatten())
        .any(|container| container.name == "prepare");
    let done = pod
        .container("prepare")
        .and_then(end)
        .is_some_and(|prepare| prepare.exit_code == 0);
    planned && !done
}

/// Somebody deleted a pod that had not finished.
fn terminating(pod: Harvest<'_>, result: Option<EpisodeResult>, by: Timestamp, now: Timestamp) -> Fate {
    let late = now.as_second() - by.as_second() - NODE_PATIENCE;
    let Some(node) = pod.node() else {
        // Nothing of it ever ran, and nobody will say that it ended.
        return disruption(pod).unwrap_or(Fate::Open { look_again: None });
    };
    if late < 0 {
        return Fate::Open {
            look_again: Some(-late),
        };
    }
    match result.filter(|result| result.outcome.is_some()) {
        Some(result) => Fate::Ended {
            agent_exit: pod.agent_end().map(|agent| agent.exit_code),
            result,
        },
        None => Fate::infrastructure(
            "NodeLost",
            format!("node {node} does not say that the deleted pod has ended"),
        ),
    }
}

/// Whether the pod was deleted because its agent had not ended long after the wall clock.
fn overdue(pod: Harvest<'_>, clock: Clock) -> bool {
    match (pod.deleted_at(), deadline(pod, clock)) {
        (Some(deleted), Some(deadline)) => deleted.as_second() >= deadline,
        _ => false,
    }
}

/// An agent that ends by itself is not waited for for ever.
fn overdue_in(pod: Harvest<'_>, clock: Clock) -> Fate {
    let left = deadline(pod, clock)
        .filter(|_| pod.agent_end().is_none())
        .map(|deadline| deadline - clock.now.as_second());
    match left {
        Some(left) if left <= 0 => Fate::Stop,
        look_again => Fate::Open { look_again },
    }
}

fn deadline(pod: Harvest<'_>, clock: Clock) -> Option<i64> {
    Some(
        pod.agent_start()?
            .as_second()
            .saturating_add(clock.wall_clock?)
            .saturating_add(OVERTIME),
    )
}
