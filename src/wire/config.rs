//! The relay's configuration: everything that the engine needs to know of Task and Episode, without secrets.
//! Made by [`crate::plan`], read by the relay from one JSON file.

use serde::{Deserialize, Serialize};

use crate::api::evaluation::{EpisodeReward, EvaluationSpec};
use crate::api::{Domain, NetworkMode};

/// Largest program text that a step may carry: 1 MiB.
pub const MAX_CODE_BYTES: usize = 1024 * 1024;
/// Largest HTTP body of a step.
pub const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

/// Configuration of one episode's relay.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RelayConfig {
    /// Name of the episode.
    pub episode: String,
    /// What the agent may know of the task.
    pub task: TaskFacts,
    /// Seed of the episode.
    pub seed: u64,
    /// Limits after defaults and overrides.
    pub limits: ResolvedLimits,
    /// How submissions are graded; file names are relative to the private directory.
    pub evaluation: EvaluationSpec,
    /// What executed code may reach.
    pub network: NetworkMode,
    /// Public data as executed code sees them.
    pub public_dir: String,
    /// Workspace as executed code sees it.
    pub workspace_dir: String,
}

impl RelayConfig {
    /// What the episode's reward is.
    pub fn episode_reward(&self) -> EpisodeReward {
        self.evaluation.reward
    }
}

/// What the agent may know of the task.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskFacts {
    /// Name of the Task resource.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// The assignment (Markdown).
    pub description: String,
    /// Kind of data.
    pub domain: Domain,
}

/// Limits after defaults and overrides.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedLimits {
    /// Number of steps.
    pub steps: u32,
    /// Wall clock of the episode in milliseconds.
    pub wall_clock_ms: u64,
    /// Time limit of one `execute_code` in milliseconds.
    pub action_timeout_ms: u64,
    /// Time limit of one `validate_code` in milliseconds.
    pub validation_timeout_ms: u64,
}
