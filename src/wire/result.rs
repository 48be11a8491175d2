//! The result file: what survives of an episode when everything else is gone. Fixed JSON of at most
//! [`MAX_RESULT_BYTES`]; the relay rewrites it after each step and at the end.

use serde::{Deserialize, Serialize};

use crate::api::conditions::{Medal, Outcome};
use crate::api::status::RewardBasis;

/// Largest result file: the kubelet shares 12 KiB of termination messages among all containers of a pod.
pub const MAX_RESULT_BYTES: usize = 1024;

/// The result so far.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EpisodeResult {
    /// Number that only grows; a result with a smaller one is older.
    pub sequence: u64,
    /// How the episode ended; unset while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The Task is at fault and no result will come: grader or data are broken. At most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_error: Option<String>,
    /// Steps done.
    pub steps: u32,
    /// Steps allowed.
    pub step_limit: u32,
    /// Raw score of the best valid submission, on what `basis` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Reward; 0 without a valid submission.
    pub reward: f64,
    /// What score and reward are measured on.
    pub basis: RewardBasis,
    /// Whether there was a valid submission.
    pub valid_submission: bool,
    /// Place on each board as `[name, place, total]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<(String, u64, u64)>,
    /// Medal on the deciding board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medal: Option<Medal>,
    /// Whether the score is strictly better than the deciding board's median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above_median: Option<bool>,
    /// Wall clock of the episode in seconds.
    pub wall_seconds: f64,
    /// Wall clock of executed code in seconds.
    pub execution_seconds: f64,
    /// CPU time of executed code in seconds.
    pub cpu_seconds: f64,
    /// Greatest resident memory of one process of executed code, in bytes.
    pub peak_memory_bytes: u64,
    /// SHA-256 of the trajectory up to this step, hexadecimal.
    pub trajectory_sha256: String,
    /// Size of the trajectory in bytes.
    pub trajectory_bytes: u64,
    /// Sandbox layers that were on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
}
