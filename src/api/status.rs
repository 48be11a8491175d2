//! What is reported of an Episode.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions::{FailureClass, Medal, Outcome, Phase};
use super::schema::{self, MAX_MESSAGE, MAX_REASON};

/// What is known of an Episode.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EpisodeStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Summary of the conditions.
    #[serde(default)]
    pub phase: Phase,
    /// `TaskReady`, `Admitted`, `PodReady`, `Completed`, `Failed`.
    #[schemars(schema_with = "schema::conditions")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Kind of agent, for the table.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Number of the attempt, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// Attempts that were lost to infrastructure. Unset: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i32>,
    /// Number of the relay's report that steps, score, reward and usage come from; it only grows within an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
    /// Pod of the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodStatus>,
    /// Node of the pod; the host name in the local runner.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// GPU that was really used, such as `2x NVIDIA H200`. Unset: none.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// Steps done of steps allowed, such as `3/15`.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<String>,
    /// Raw score of the best valid submission (on the hidden rows where the Task has a hold-out). Unset: none was valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Reward of the episode; 0 without a valid submission, unset without a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<f64>,
    /// What score and reward are measured on. Unset without a result.
    #[schemars(with = "RewardBasis")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_basis: Option<RewardBasis>,
    /// Score and reward as text of fixed precision, for the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<DisplayStatus>,
    /// Place of the best submission on each leaderboard.
    #[schemars(length(max = 4))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<PlaceStatus>,
    /// Medal of the best submission. Unset: the Task has no leaderboard, or there is no result yet.
    #[schemars(with = "Medal")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medal: Option<Medal>,
    /// Whether the best submission is strictly better than the deciding leaderboard's median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above_median: Option<bool>,
    /// How a completed episode ended. Unset before.
    #[schemars(with = "Outcome")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why an episode failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureStatus>,
    /// Short reason beside the phase, such as `NoValidSubmission`.
    #[schemars(length(max = MAX_REASON))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the episode used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageStatus>,
    /// When the attempt started; packages and data are prepared after that. A continued attempt keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When the episode ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Under what conditions the result came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<ProvenanceStatus>,
    /// Where the trajectory is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trajectory: Option<TrajectoryStatus>,
}

/// Pod of an attempt.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    /// Name of the pod.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID of the pod: a result of any other pod is not taken.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// Text for the table.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DisplayStatus {
    /// Score with five significant digits.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<String>,
    /// HumanRank with four decimals; a raw score with five significant digits.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<String>,
}

/// What a reward is measured on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum RewardBasis {
    /// HumanRank on all rows.
    HumanRank,
    /// HumanRank on the hidden rows.
    HumanRankHoldout,
    /// Raw score on all rows.
    Score,
    /// Raw score on the hidden rows.
    ScoreHoldout,
}

/// Place on one leaderboard.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlaceStatus {
    /// Name of the board.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Place from 1; `total + 1` when worse than every entry.
    pub place: i64,
    /// Number of entries.
    pub total: i64,
}

/// Why an episode failed.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureStatus {
    /// Whose fault it is.
    pub class: FailureClass,
    /// One CamelCase word.
    #[schemars(length(max = MAX_REASON))]
    pub reason: String,
    /// What happened and what to do.
    #[schemars(length(max = MAX_MESSAGE))]
    pub message: String,
}

/// What an episode used.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageStatus {
    /// Wall clock in seconds, thinking included.
    pub wall_clock_seconds: f64,
    /// Wall clock of executed code in seconds.
    pub execution_seconds: f64,
    /// CPU time of executed code in seconds, user and system.
    pub cpu_seconds: f64,
    /// Greatest resident memory of one process of executed code, in bytes.
    pub peak_memory_bytes: i64,
}

/// Under what conditions a result came about.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProvenanceStatus {
    /// Version of the operator or runner.
    #[schemars(length(max = 64))]
    pub version: String,
    /// Generation of the Task (cluster only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_generation: Option<i64>,
    /// SHA-256 over what of the Task and its files mattered.
    #[schemars(length(max = 128))]
    pub task_digest: String,
    /// SHA-256 over names, sizes and contents of the prepared data.
    #[schemars(length(max = 128))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_digest: Option<String>,
    /// Digest of the sandbox image (cluster only).
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// Sandbox layers that were on, such as `landlock-abi-7`.
    #[schemars(length(max = 32), inner(length(max = 64)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sandbox_layers: Vec<String>,
    /// CPU model, cores and memory of the machine.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
}

/// Where a trajectory is.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrajectoryStatus {
    /// URI of the file.
    #[schemars(length(max = 2048))]
    pub uri: String,
    /// SHA-256 of the file.
    #[schemars(length(max = 128))]
    pub digest: String,
    /// Size in bytes.
    pub size: i64,
}
