//! What is reported of an episode, from what was observed.

use jiff::Timestamp;

use crate::api::status::{EpisodeStatus, FailureStatus, PodStatus, ProvenanceStatus, TrajectoryStatus};
use crate::wire::result::EpisodeResult;

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
    /// When the attempt started.
    pub started_at: Option<Timestamp>,
    /// The relay's result file, when there is one.
    pub result: Option<EpisodeResult>,
    /// A failure that is not the agent's doing. The class is the caller's: `Task` when preparing its data failed.
    pub failure: Option<FailureStatus>,
    /// Pod of the attempt.
    pub pod: Option<PodStatus>,
    /// Node, or host name.
    pub node: Option<String>,
    /// GPU that is really used.
    pub gpu: Option<String>,
    /// Under what conditions it runs; sandbox layers are taken from the result.
    pub provenance: Option<ProvenanceStatus>,
    /// Where the trajectory is.
    pub trajectory: Option<TrajectoryStatus>,
}

/// The status to report. The same input gives the same status, so that an unchanged one need not be written.
#[allow(clippy::unimplemented)]
pub fn status(_observed: &Observed, _previous: Option<&EpisodeStatus>, _now: Timestamp) -> EpisodeStatus {
    unimplemented!()
}
