//! The agent API: what an agent sends and receives. One JSON object each way, `POST /v1/step`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Header that carries the idempotency key of a step (1 to 128 visible ASCII characters).
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";

/// The connection file: where an agent finds its relay. Written anew when the relay comes back at another address.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Connection {
    /// Base URL, such as `http://127.0.0.1:41234`.
    pub url: String,
    /// Bearer token.
    pub token: String,
}

/// Names of the actions.
pub mod action {
    /// Tells of the task.
    pub const REQUEST_INFO: &str = "request_info";
    /// Checks and runs a program without grading.
    pub const VALIDATE_CODE: &str = "validate_code";
    /// Runs a program and grades its submission.
    pub const EXECUTE_CODE: &str = "execute_code";
    /// Tells of earlier steps.
    pub const GET_HISTORY: &str = "get_history";
    /// Empties the workspace.
    pub const RESET: &str = "reset";
    /// All of them.
    pub const ALL: [&str; 5] = [REQUEST_INFO, VALIDATE_CODE, EXECUTE_CODE, GET_HISTORY, RESET];
}

/// One step request: `{"action": "execute_code", "params": {"code": "..."}}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StepRequest {
    /// Name of the action; names are checked by the engine so that an unknown one gets a helpful answer.
    pub action: String,
    /// Arguments by name.
    #[serde(default)]
    pub params: Map<String, Value>,
}

/// The answer to a step, as a trajectory records it too.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StepReply {
    /// Number of this step, from 1.
    pub step: u32,
    /// What the agent observes.
    pub observation: Observation,
    /// Reward of this step.
    pub reward: f64,
    /// The episode has ended by itself. Always false: an episode ends by itself when its agent exits.
    pub terminated: bool,
    /// A budget is spent: no further step is accepted.
    pub truncated: bool,
}

/// Whether an action did what it should.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ActionStatus {
    /// It did.
    #[serde(rename = "SUCCESS")]
    Success,
    /// It did not; `error` says why.
    #[serde(rename = "FAILED")]
    Failed,
}

/// What the agent observes after a step. The first seven keys are MLE-Dojo's.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Observation {
    /// Whether the action did what it should.
    pub action_status: ActionStatus,
    /// Text for a language model, under `base`.
    pub feedback: FeedbackSet,
    /// Raw score of this step's submission; 0 when there is none (MLE-Dojo's convention).
    pub current_raw_score: f64,
    /// HumanRank of this step's submission; 0 when there is none.
    pub current_position_score: f64,
    /// Best raw score so far.
    pub best_raw_score: Option<f64>,
    /// HumanRank of the submission with the best raw score so far.
    pub best_position_score: Option<f64>,
    /// One line, such as `Total Actions: 6, Last Action: execute_code`.
    pub history_summary: String,
    /// Machine-readable result of the action; its shape depends on the action.
    pub result: Value,
    /// Why the action failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
    /// What is left of the budgets after this step.
    pub budget: BudgetLeft,
    /// Which budget is spent, when one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated_by: Option<Budget>,
}

/// Feedback by provider; there is one provider, `base`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FeedbackSet {
    /// Feedback made from templates.
    pub base: FeedbackText,
}

/// One provider's feedback.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FeedbackText {
    /// Whether feedback could be made; it always can.
    pub feedback_status: ActionStatus,
    /// The text.
    pub feedback: String,
}

/// Why a step failed, in the error types of MLE-Dojo where it has one.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StepError {
    /// Type of the error.
    pub error_type: ErrorType,
    /// What happened, with which value.
    pub error: String,
    /// Further facts, such as a traceback; empty when there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

/// Type of a failed step's error.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ErrorType {
    /// The action's name is not one of the five.
    UnknownActionError,
    /// An argument is missing, of the wrong type, or unknown.
    InvalidArgumentError,
    /// The code does not parse.
    CodeSyntaxError,
    /// The program exited with a code other than 0, or by a signal.
    CodeRuntimeError,
    /// The program ran into its time limit.
    CodeTimeoutError,
    /// The program was cancelled from outside.
    CodeCancelledError,
    /// The program succeeded and wrote no submission.
    SubmissionNotFoundError,
    /// The submission was refused.
    InvalidSubmissionError,
    /// The grader failed: the Task's fault, not the agent's.
    EvaluationError,
    /// The sandbox could not run the program.
    SandboxError,
    /// A limit of memory, processes or disk stopped the program.
    SandboxResourceError,
}

/// A budget of an episode.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// Number of steps.
    Steps,
    /// Wall clock of the episode.
    WallClock,
}

/// What is left of the budgets.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct BudgetLeft {
    /// Steps left.
    pub steps: u32,
    /// Wall clock left, in seconds.
    pub wall_clock_seconds: f64,
    /// Time limit of one `execute_code`, in seconds: the lesser of the Task's and the wall clock left.
    pub action_timeout_seconds: f64,
}

/// Body of every answer that is not a step: HTTP status and this.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ApiError {
    /// One snake_case word, such as `busy`, `unauthorized`, `idempotency_conflict`, `episode_over`.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
}

/// Where an episode stands: `GET /v1/state`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct StateReply {
    /// Name of the episode.
    pub episode: String,
    /// Name of the task.
    pub task: String,
    /// Steps done.
    pub steps: u32,
    /// Whether a step runs now.
    pub busy: bool,
    /// Best raw score so far.
    pub best_raw_score: Option<f64>,
    /// Whether a budget is spent.
    pub truncated: bool,
    /// What is left of the budgets.
    pub budget: BudgetLeft,
}
