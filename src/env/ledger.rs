//! What the engine remembers: a fold over the journaled steps, with a few numbers for each key and none for other steps.

use std::collections::BTreeMap;

use super::reward::{self, Best};
use crate::api::evaluation::EvaluationSpec;
use crate::wire::agent::{Budget, ErrorType, action};
use crate::wire::journal::StepRecord;

/// The episode so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Steps done.
    pub steps: u32,
    /// Wall clock at the end of the last step, in milliseconds.
    pub elapsed_ms: u64,
    /// The best valid submission.
    pub best: Option<Best>,
    /// Sum of the rewards.
    pub total_reward: f64,
    /// The budget that the last step spent.
    pub truncated_by: Option<Budget>,
    /// Why the grader could not grade, the last time that it could not.
    pub task_error: Option<String>,
    /// Why the sandbox did not run the last program, where it never ran one. Once one ran, what keeps others from running
    /// may be the agent's doing.
    pub sandbox_error: Option<String>,
    /// Whether a program ever ran.
    ran: bool,
    /// What executed code used.
    pub usage: Usage,
    keys: BTreeMap<String, KeyUse>,
}

/// What executed code used in all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Wall clock in seconds.
    pub wall_seconds: f64,
    /// CPU time in seconds.
    pub cpu_seconds: f64,
    /// Greatest resident memory of one process, in bytes.
    pub peak_memory_bytes: u64,
}

/// The step that an idempotency key belongs to.
#[derive(Debug)]
pub(super) struct KeyUse {
    pub step: u32,
    pub digest: String,
}

impl Ledger {
    /// Takes a journaled step.
    pub(super) fn commit(&mut self, spec: &EvaluationSpec, record: &StepRecord) {
        let observation = &record.reply.observation;
        self.steps = record.step;
        self.elapsed_ms = self.elapsed_ms.max(record.elapsed_ms);
        if let Some(best) = reward::better(spec, self.best.as_ref(), record.step, record.grade.as_ref()) {
            self.best = Some(best);
        }
        self.total_reward += record.reply.reward;
        self.truncated_by = observation.truncated_by;
        if record.task_error.is_some() {
            self.task_error.clone_from(&record.task_error);
        }
        self.note_sandbox(record);
        if let Some(usage) = &record.usage {
            self.usage.wall_seconds += usage.wall_seconds;
            self.usage.cpu_seconds += usage.cpu_seconds;
            self.usage.peak_memory_bytes = self.usage.peak_memory_bytes.max(usage.peak_memory_bytes);
        }
        if let Some(key) = &record.idempotency_key {
            self.keys.insert(
                key.clone(),
                KeyUse {
                    step: record.step,
                    digest: record.body_digest.clone(),
                },
            );
        }
    }

    fn note_sandbox(&mut self, record: &StepRecord) {
        let refusal = record
            .reply
            .observation
            .error
            .as_ref()
            .filter(|error| error.error_type == ErrorType::SandboxError);
        match (record.action.as_str(), refusal) {
            (action::EXECUTE_CODE | action::VALIDATE_CODE, Some(error)) if !self.ran => {
                self.sandbox_error = Some(error.error.clone());
            }
            (action::EXECUTE_CODE | action::VALIDATE_CODE, None) if record.usage.is_some() => {
                self.ran = true;
                self.sandbox_error = None;
            }
            _ => {}
        }
    }

    /// The step that was finished under this key.
    pub(super) fn key(&self, key: &str) -> Option<&KeyUse> {
        self.keys.get(key)
    }
}
