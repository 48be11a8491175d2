//! A step from its request to its record.

use serde_json::Value;

use super::Now;
use super::budget::TimeLimit;
use super::effect::Effect;
use super::history::Page;
use crate::api::standing::Grade;
use crate::wire::agent::{StepError, StepRequest};
use crate::wire::channel::{RunFinished, RunKind, RunUsage};

/// The step that is under way.
#[derive(Debug)]
pub(super) struct Running {
    /// Its number, from 1.
    pub step: u32,
    /// What was asked for.
    pub request: StepRequest,
    /// Key of the client.
    pub key: Option<String>,
    /// Digest of the request.
    pub digest: String,
    /// When it was asked for.
    pub began: Now,
    /// What it waits for.
    pub phase: Phase,
}

/// What a step waits for.
#[derive(Debug)]
pub(super) enum Phase {
    /// A program.
    Run(RunKind, TimeLimit),
    /// The grade of what this program sent.
    Evaluate(Box<RunFinished>),
    /// An empty workspace.
    Reset,
    /// Earlier steps.
    History(Page),
    /// Its record to be journaled.
    Journal,
}

/// How a step goes on.
#[derive(Debug)]
pub(super) enum Next {
    /// By an effect.
    Perform(Effect, Phase),
    /// It is over.
    Conclude(Conclusion),
}

/// What became of a step, before budgets and history are put to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Conclusion {
    /// Why it failed; unset when it did not.
    pub error: Option<StepError>,
    /// Text for a language model, ending in a line end.
    pub feedback: String,
    /// Machine-readable result.
    pub result: Value,
    /// What executed code used.
    pub usage: Option<RunUsage>,
    /// Grade of its submission.
    pub grade: Option<Grade>,
    /// Why the grader could not grade. Not for the agent.
    pub task_error: Option<String>,
    /// The episode's wall clock ran out during the step, whatever the clock says now.
    pub out_of_time: bool,
}

impl Conclusion {
    /// A step that did what it should.
    pub(super) fn success(feedback: String, result: Value) -> Self {
        Self {
            feedback,
            result,
            ..Self::default()
        }
    }

    /// A step that came to nothing.
    pub(super) fn failure(error: StepError) -> Self {
        Self {
            feedback: format!("=== Error ===\n{}\n", line(&error)),
            error: Some(error),
            ..Self::default()
        }
    }
}

/// An error on one line: `CodeRuntimeError: the program exited with code 1`.
pub(super) fn line(error: &StepError) -> String {
    format!("{:?}: {}", error.error_type, error.error)
}
