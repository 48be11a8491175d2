//! What the engine asks of the world, and what the world answers.

use jiff::Timestamp;

use crate::api::standing::Grade;
use crate::wire::channel::{RunFinished, RunRequest};
use crate::wire::journal::StepRecord;

/// The time, as the caller reads it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    /// Date and time, for the record.
    pub at: Timestamp,
    /// Milliseconds on a clock that never goes back, from any origin; the same origin for the engine's whole life.
    pub monotonic_ms: u64,
}

/// What the engine wants done before a step can be finished. One at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Run a program; answer with [`EffectOutcome::Ran`] or [`EffectOutcome::ExecutorLost`].
    Run(RunRequest),
    /// Grade the submission that the last run sent; answer with [`EffectOutcome::Evaluated`].
    Evaluate,
    /// Empty the workspace; answer with [`EffectOutcome::ResetDone`] or [`EffectOutcome::ExecutorLost`].
    Reset {
        /// Number of the request, unique within the episode.
        run: u64,
    },
    /// Read these journaled steps, `first` to `last`, both included; answer with [`EffectOutcome::History`].
    ReadHistory {
        /// First step, from 1.
        first: u32,
        /// Last step.
        last: u32,
    },
}

/// What became of an [`Effect`].
#[derive(Clone, Debug, PartialEq)]
pub enum EffectOutcome {
    /// The program has ended. Submission bytes stay with the caller.
    Ran(Box<RunFinished>),
    /// The submission was graded, or could not be.
    Evaluated(Result<Grade, GradeFailure>),
    /// The workspace is empty, or could not be emptied.
    ResetDone(Result<(), String>),
    /// The records that were asked for.
    History(Vec<StepRecord>),
    /// The executor was lost during the effect.
    ExecutorLost(Loss),
}

/// How an executor that was busy was lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loss {
    /// Its connection closed: it ran out of memory, or was killed.
    Closed,
    /// It did not answer in time, or did not read.
    Silent,
    /// It sent something that it was not asked for.
    Confused,
    /// Another connection of the executor took its place: it was started again.
    Replaced,
}

/// Why there is no grade.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GradeFailure {
    /// The submission is at fault; the message is for the agent.
    Invalid(String),
    /// The Task is at fault: answers, boards or metric.
    Task(String),
}

/// The engine's answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin {
    /// Perform the effect, then call [`super::Engine::advance`].
    Perform(Effect),
    /// The step is finished: journal it, [`super::Engine::commit`] it, then answer.
    Finished(Box<StepRecord>),
    /// This step was finished before under the same idempotency key: answer with the journaled reply of that step.
    Replay {
        /// The step.
        step: u32,
    },
    /// The same request runs now: answer with its reply when it is there.
    Join,
    /// Not a step; nothing is counted or recorded.
    Refused(Refusal),
}

/// Why a request is not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// Another step runs.
    Busy,
    /// The idempotency key belongs to another request.
    IdempotencyConflict {
        /// The step that has the key; unset while it runs.
        step: Option<u32>,
    },
    /// A budget is spent.
    EpisodeOver(crate::wire::agent::Budget),
}

/// What follows after an effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// A further effect is needed.
    Perform(Effect),
    /// The step is finished: journal it, [`super::Engine::commit`] it, then answer with its reply.
    Finished(Box<StepRecord>),
}

/// What the public data look like; gathered once, since they do not change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublicFacts {
    /// The first lines of `sample_submission.csv`: its header and at most three rows. Unset: there is no such file.
    pub sample_submission: Option<String>,
    /// Entries of the public directory itself, all of them in name order: the engine shows ten and counts the rest.
    pub tree: Vec<TreeEntry>,
}

/// One entry of a directory, children in name order.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeEntry {
    /// Name without a directory.
    pub name: String,
    /// Size in bytes of a file; number of entries of a directory.
    pub size: u64,
    /// At most ten entries of a directory; unset for a file.
    pub children: Option<Vec<TreeEntry>>,
}
