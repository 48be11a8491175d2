//! Grading: metrics, submission checks, leaderboard places and medals. Pure over bytes.

use thiserror::Error;

use crate::api::evaluation::EvaluationSpec;
use crate::api::standing::{Grade, Standing};

/// Why a submission has no grade.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum GradeError {
    /// The submission is at fault; the message is for the agent.
    #[error("invalid submission: {0}")]
    Invalid(String),
    /// The Task is at fault: answers, boards or metric.
    #[error("the task cannot grade: {0}")]
    Task(String),
}

/// The leaderboards of a Task, each sorted best first.
#[derive(Clone, Debug)]
pub struct Boards {}

#[allow(clippy::unimplemented, unused_variables)]
impl Boards {
    /// Reads boards from their CSV files, as `(name, bytes)`.
    pub fn read(spec: &EvaluationSpec, files: &[(String, Vec<u8>)]) -> Result<Self, GradeError> {
        unimplemented!()
    }

    /// Places a score.
    pub fn standing(&self, score: f64) -> Standing {
        unimplemented!()
    }
}

/// Grades submissions of one Task.
#[derive(Clone, Debug)]
pub struct Grader {}

#[allow(clippy::unimplemented, unused_variables)]
impl Grader {
    /// Reads the answers; fails with [`GradeError::Task`] where they cannot be graded against.
    pub fn new(spec: &EvaluationSpec, answers: &[u8], boards: Boards) -> Result<Self, GradeError> {
        unimplemented!()
    }

    /// Grades the bytes of a submission.
    pub fn grade(&self, submission: &[u8]) -> Result<Grade, GradeError> {
        unimplemented!()
    }
}
