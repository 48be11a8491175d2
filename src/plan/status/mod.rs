//! What is reported of an episode, from what was observed.

mod conditions;
mod display;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::resolve;
use crate::api::conditions::{FailureClass, Outcome, Phase};
use crate::api::schema::{MAX_MESSAGE, MAX_REASON};
use crate::api::status::{
    DisplayStatus, EpisodeStatus, FailureStatus, PlaceStatus, PodStatus, ProvenanceStatus, TrajectoryStatus,
    UsageStatus,
};
use crate::api::{Episode, Limits, Task};
use crate::wire::result::EpisodeResult;

/// [`EpisodeStatus::reason`] of a completed episode that never had a valid submission.
pub const NO_VALID_SUBMISSION: &str = "NoValidSubmission";
/// Reason of a failure whose cause the relay names: answers, boards or metric of the Task are broken.
pub const TASK_BROKEN: &str = "TaskBroken";
/// Reason of an episode whose sandbox did not run even its first program.
pub const SANDBOX_REFUSED: &str = "SandboxRefused";
/// Reason of an episode that waits for its Task.
pub const TASK_NOT_READY: &str = "TaskNotReady";
/// Reason of a failure that left no result file and that nobody can explain.
pub const NO_RESULT: &str = "NoResult";

/// How far an episode has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Stage {
    /// It has no place yet (local runner: others run first, or it was interrupted).
    Waiting {
        /// One CamelCase word, such as `Queued` or `Interrupted`.
        reason: String,
        /// For people.
        message: String,
    },
    /// The user has suspended it.
    Suspended,
    /// It has its pod, and no node takes that yet.
    Unplaced {
        /// One CamelCase word, such as `Unschedulable`.
        reason: String,
        /// For people.
        message: String,
    },
    /// It has its place: data are prepared, containers or processes start.
    Starting {
        /// One CamelCase word, such as `PreparingData`.
        reason: String,
        /// For people.
        message: String,
    },
    /// Relay and executor are up, the agent acts.
    Running,
    /// The agent has ended, and with it the pod or the processes.
    Ended {
        /// Exit code of the agent; 128 + N after signal N. Unset: not known.
        agent_exit: Option<i32>,
    },
    /// The user has stopped it for good.
    Cancelled,
}

/// What was observed of an episode.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// `metadata.generation` of the Episode; the local runner has none.
    pub generation: Option<i64>,
    /// Kind of agent ([`crate::api::AgentSpec::kind`]).
    pub agent: String,
    /// Steps allowed, for `0/15` before there is a result.
    pub step_limit: u32,
    /// Why the Task cannot be worked on; unset: it can.
    pub task_problem: Option<String>,
    /// How far it has come.
    pub stage: Stage,
    /// Number of the attempt, from 1; unset before the first.
    pub attempt: Option<i32>,
    /// Attempts that were lost to infrastructure; unset: none, or nobody counts them.
    pub retries: Option<i32>,
    /// When the attempt started.
    pub started_at: Option<Timestamp>,
    /// The relay's result file, when there is one.
    pub result: Option<EpisodeResult>,
    /// A failure that is not the agent's doing and ends the episode, such as the preparation of the data (class `Task`) or
    /// a lost relay (class `Infrastructure`).
    pub failure: Option<FailureStatus>,
    /// Pod of the attempt.
    pub pod: Option<PodStatus>,
    /// Node, or host name.
    pub node: Option<String>,
    /// GPU that is really used.
    pub gpu: Option<String>,
    /// Under what conditions it runs; sandbox layers are taken from the result.
    pub provenance: Option<ProvenanceStatus>,
    /// URI of the trajectory; its digest and size are taken from the result.
    pub trajectory_uri: Option<String>,
}

impl Observed {
    /// An episode that nothing was done for yet. Without a Task its limits are the Episode's own and the defaults.
    pub fn new(task: Option<&Task>, episode: &Episode) -> Self {
        let unset = Limits::default();
        let limits = task.map_or(&unset, |task| &task.spec.limits);
        Self {
            generation: episode.metadata.generation,
            agent: episode.spec.agent.kind().into(),
            step_limit: resolve::limits(limits, episode.spec.limits.as_ref()).steps,
            task_problem: None,
            stage: Stage::Waiting {
                reason: "Queued".into(),
                message: String::new(),
            },
            attempt: None,
            retries: None,
            started_at: None,
            result: None,
            failure: None,
            pod: None,
            node: None,
            gpu: None,
            provenance: None,
            trajectory_uri: None,
        }
    }
}

/// What the observations come to.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    /// It goes on, in this phase; with a reason where there is one.
    Open(Phase, Option<String>),
    Completed(Outcome),
    Failed(FailureStatus),
    Cancelled,
}

/// The status to report. The same input gives the same status, and so does that status as `previous`, so that an unchanged
/// one need not be written.
pub fn status(observed: &Observed, previous: Option<&EpisodeStatus>, now: Timestamp) -> EpisodeStatus {
    let now = whole_second(now);
    let verdict = verdict(observed);
    let phase = match &verdict {
        Verdict::Open(phase, _) => *phase,
        Verdict::Completed(_) => Phase::Completed,
        Verdict::Failed(_) => Phase::Failed,
        Verdict::Cancelled => Phase::Cancelled,
    };
    let result = observed.result.as_ref();
    let mut status = EpisodeStatus {
        observed_generation: observed.generation,
        phase,
        conditions: conditions::conditions(observed, &verdict, previous, &now),
        agent: Some(observed.agent.clone()),
        attempt: observed.attempt,
        retries: observed.retries,
        sequence: result.map(|result| signed(result.sequence)),
        pod: observed.pod.clone(),
        node: observed.node.as_deref().map(|node| clipped(node, 253)),
        gpu: observed.gpu.as_deref().map(|gpu| clipped(gpu, 253)),
        steps: Some(steps(observed)),
        usage: result.map(usage),
        started_at: observed.started_at.map(whole_second),
        finished_at: phase.is_final().then(|| {
            let before = previous.filter(|status| status.phase == phase);
            before
                .and_then(|status| status.finished_at.clone())
                .unwrap_or_else(|| now.clone())
        }),
        provenance: provenance(observed),
        trajectory: trajectory(observed.trajectory_uri.clone(), result),
        ..EpisodeStatus::default()
    };
    match verdict {
        Verdict::Open(_, reason) => {
            status.reason = reason;
            if let Some(result) = result.filter(|result| result.valid_submission) {
                standing(&mut status, result);
            }
        }
        Verdict::Completed(outcome) => {
            status.outcome = Some(outcome);
            if let Some(result) = result {
                standing(&mut status, result);
                if !result.valid_submission {
                    status.reason = Some(NO_VALID_SUBMISSION.into());
                }
            }
        }
        Verdict::Failed(failure) => {
            status.reason = Some(failure.reason.clone());
            status.failure = Some(failure);
        }
        Verdict::Cancelled => {}
    }
    status
}

/// The fields of a running episode that follow from a result alone, in place of those that `status` has.
pub(in crate::plan) fn take_live(status: &mut EpisodeStatus, result: &EpisodeResult, uri: Option<String>) {
    status.steps = Some(format!("{}/{}", result.steps, result.step_limit));
    status.sequence = Some(signed(result.sequence));
    status.usage = Some(usage(result));
    status.trajectory = trajectory(uri, Some(result));
    if result.valid_submission {
        standing(status, result);
    }
}

fn verdict(observed: &Observed) -> Verdict {
    let result = observed.result.as_ref();
    if let Some(error) = result.and_then(|result| result.task_error.as_ref()) {
        return Verdict::Failed(FailureStatus {
            class: FailureClass::Task,
            reason: TASK_BROKEN.into(),
            message: clipped(error, MAX_MESSAGE),
        });
    }
    let over = matches!(observed.stage, Stage::Ended { .. });
    // Nothing ran, so that a reward of 0 would tell of the machine and not of the agent.
    if let (true, Some(error)) = (over, result.and_then(|result| result.sandbox_error.as_ref())) {
        return Verdict::Failed(FailureStatus {
            class: FailureClass::Infrastructure,
            reason: SANDBOX_REFUSED.into(),
            message: clipped(error, MAX_MESSAGE),
        });
    }
    // A spent budget is the relay's word, and it stands whatever happened to the agent afterwards.
    if let (true, Some(outcome)) = (over, result.and_then(|result| result.outcome)) {
        return Verdict::Completed(outcome);
    }
    if let Some(failure) = &observed.failure {
        return Verdict::Failed(FailureStatus {
            class: failure.class,
            reason: word(&failure.reason),
            message: clipped(&failure.message, MAX_MESSAGE),
        });
    }
    match (&observed.stage, result) {
        (Stage::Cancelled, _) => Verdict::Cancelled,
        (Stage::Ended { agent_exit }, Some(_)) => Verdict::Completed(match agent_exit {
            Some(0) => Outcome::AgentFinished,
            _ => Outcome::AgentFailed,
        }),
        (Stage::Ended { .. }, None) => Verdict::Failed(FailureStatus {
            class: FailureClass::Infrastructure,
            reason: NO_RESULT.into(),
            message: "the episode ended and its relay left no result; its log may say why".into(),
        }),
        (Stage::Suspended, _) => Verdict::Open(Phase::Suspended, None),
        _ if observed.task_problem.is_some() => Verdict::Open(Phase::Pending, Some(TASK_NOT_READY.into())),
        (Stage::Waiting { reason, .. } | Stage::Unplaced { reason, .. }, _) => {
            Verdict::Open(Phase::Pending, Some(word(reason)))
        }
        (Stage::Starting { reason, .. }, _) => Verdict::Open(Phase::Starting, Some(word(reason))),
        (Stage::Running, _) => Verdict::Open(Phase::Running, None),
    }
}

/// Score, reward and what follows from them.
fn standing(status: &mut EpisodeStatus, result: &EpisodeResult) {
    let score = result.score.filter(|_| result.valid_submission);
    let reward = if result.valid_submission {
        result.reward
    } else {
        0.0
    };
    status.score = score;
    status.reward = Some(reward);
    status.reward_basis = Some(result.basis);
    status.display = Some(DisplayStatus {
        score: score.map(display::score),
        reward: Some(display::reward(reward, result.basis)),
    });
    status.places = result
        .places
        .iter()
        .map(|(name, place, total)| PlaceStatus {
            name: name.clone(),
            place: signed(*place),
            total: signed(*total),
        })
        .collect();
    status.medal = result.medal;
    status.above_median = result.above_median;
}

fn steps(observed: &Observed) -> String {
    match &observed.result {
        Some(result) => format!("{}/{}", result.steps, result.step_limit),
        None => format!("0/{}", observed.step_limit),
    }
}

fn usage(result: &EpisodeResult) -> UsageStatus {
    UsageStatus {
        wall_clock_seconds: result.wall_seconds,
        execution_seconds: result.execution_seconds,
        cpu_seconds: result.cpu_seconds,
        peak_memory_bytes: signed(result.peak_memory_bytes),
    }
}

fn provenance(observed: &Observed) -> Option<ProvenanceStatus> {
    let mut provenance = observed.provenance.clone()?;
    provenance.hardware = provenance.hardware.map(|hardware| clipped(&hardware, 512));
    if let Some(result) = &observed.result {
        provenance.sandbox_layers.clone_from(&result.layers);
    }
    Some(provenance)
}

fn trajectory(uri: Option<String>, result: Option<&EpisodeResult>) -> Option<TrajectoryStatus> {
    let (uri, result) = (uri?, result?);
    Some(TrajectoryStatus {
        uri,
        digest: result.trajectory_sha256.clone(),
        size: signed(result.trajectory_bytes),
    })
}

/// Times of the API have whole seconds; with more, a status would differ from itself after a round trip.
pub(in crate::plan) fn whole_second(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Text of at most `most` characters, the cut marked.
pub(in crate::plan) fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// A reason as the schema wants it: one word of letters and digits.
fn word(reason: &str) -> String {
    let word: String = reason
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .skip_while(char::is_ascii_digit)
        .take(MAX_REASON)
        .collect();
    if word.is_empty() { "Unknown".into() } else { word }
}

#[cfg(test)]
mod tests;
