//! The journal of an episode, which is its trajectory: `trajectory.jsonl`, one JSON object a line.
//!
//! The first line is a [`Header`]; each finished step adds one [`StepRecord`], written before the agent gets its
//! reply. The engine's whole state can be rebuilt from these lines alone. A line that a crash cut short is the last
//! one and is dropped.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::agent::{ErrorType, StepReply};
use super::channel::RunUsage;
use crate::api::standing::Grade;

/// One line.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum JournalLine {
    /// The first line.
    Header(Header),
    /// A finished step.
    Step(Box<StepRecord>),
}

/// What the trajectory is of.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Header {
    /// Version of this format: 1.
    pub format: u32,
    /// Name of the episode.
    pub episode: String,
    /// Name of the task.
    pub task: String,
    /// Digest of the configuration: a journal of another configuration is not continued.
    pub config_digest: String,
    /// Version of the program.
    pub version: String,
    /// Seed of the episode.
    pub seed: u64,
    /// When the episode began.
    pub started_at: Timestamp,
}

/// One finished step.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StepRecord {
    /// Number of the step, from 1; the same as in `reply`.
    pub step: u32,
    /// When it began.
    pub at: Timestamp,
    /// Wall clock of the episode at the end of the step, in milliseconds; the budget counts on from here.
    pub elapsed_ms: u64,
    /// Duration of the step in milliseconds.
    pub duration_ms: u64,
    /// Action as the agent named it.
    pub action: String,
    /// Arguments as the agent gave them.
    pub params: Map<String, Value>,
    /// The reply, with observation, reward, truncated and what is left of the budgets.
    pub reply: StepReply,
    /// What executed code used, when some was executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<RunUsage>,
    /// The grade, when a submission was graded. Not shown to the agent where the Task's feedback hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<Grade>,
    /// Why the grader could not grade, when the Task is at fault. Never shown to the agent: it may speak of private data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_error: Option<String>,
    /// Key of the client, when it sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// SHA-256 over action and arguments, to tell a repetition from a misuse of the key.
    pub body_digest: String,
}

impl StepRecord {
    /// The error's type, when the step failed.
    pub fn error_type(&self) -> Option<ErrorType> {
        self.reply
            .observation
            .error
            .as_ref()
            .map(|error| error.error_type)
    }
}
