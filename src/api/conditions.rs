//! Condition types, phases, outcomes and failure classes: the closed vocabulary of an Episode's status.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Type of a condition of an Episode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConditionType {
    /// True when the referenced Task exists and can be worked on.
    TaskReady,
    /// True when the episode may have a pod (a process tree in the local runner).
    Admitted,
    /// True while relay and executor are up.
    PodReady,
    /// True when a result exists; absent before.
    Completed,
    /// True when the episode ended without a result; absent before.
    Failed,
}

impl ConditionType {
    /// The type as it stands in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TaskReady => "TaskReady",
            Self::Admitted => "Admitted",
            Self::PodReady => "PodReady",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }
}

/// Summary of the conditions, for tables.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Phase {
    /// Waiting for its Task, its admission or a place.
    #[default]
    Pending,
    /// Data are prepared, containers or processes start.
    Starting,
    /// The agent acts.
    Running,
    /// A result exists; reward is set.
    Completed,
    /// Ended without a result; reward is unset.
    Failed,
    /// Deleted or stopped by the user before it ended.
    Cancelled,
    /// Stopped for now; it starts again.
    Suspended,
}

impl Phase {
    /// Whether an episode in this phase has ended for good.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// How a completed episode ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Outcome {
    /// The agent ended by itself.
    AgentFinished,
    /// The agent crashed, or spoilt its own sandbox.
    AgentFailed,
    /// The step budget is spent.
    StepsExhausted,
    /// The wall-clock budget is spent.
    WallClockExhausted,
}

impl Outcome {
    /// The outcome as it stands in YAML.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgentFinished => "AgentFinished",
            Self::AgentFailed => "AgentFailed",
            Self::StepsExhausted => "StepsExhausted",
            Self::WallClockExhausted => "WallClockExhausted",
        }
    }

    /// Whether the episode was cut by a budget (truncated) rather than ended by its agent (terminated).
    pub fn is_truncation(self) -> bool {
        matches!(self, Self::StepsExhausted | Self::WallClockExhausted)
    }
}

/// Whose fault it is that an episode has no result.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum FailureClass {
    /// The Task is broken: image, metric, answers, data.
    Task,
    /// The machine or the cluster failed; it is tried again.
    Infrastructure,
}

/// Medal by mle-bench's thresholds on the deciding leaderboard.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Medal {
    /// No medal.
    None,
    /// Bronze.
    Bronze,
    /// Silver.
    Silver,
    /// Gold.
    Gold,
}
