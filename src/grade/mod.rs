//! Grading: metrics, submission checks, leaderboard places and medals. Pure over bytes.
//!
//! ```text
//!   answers CSV ----> answers ---+
//!                                +--> submission: every check, rows and columns into the answers' order
//!   submission CSV --------------+        |
//!                                         v
//!                     holdout -->      metric  ---> score ---> boards: place, HumanRank, medal
//! ```
//!
//! What holds for every metric:
//! - A submission has the columns of the answers, in any order: the id column where the Task names one, and the target
//!   columns. With ids each row of the answers is there once, in any order; without ids rows are compared in order.
//! - Nothing is dropped. A blank, NaN, infinite or textual cell where a number belongs makes the submission invalid: a
//!   mean that skips what it cannot read rewards leaving rows out.
//! - A score is a finite number, or there is none: a metric that is not defined for these predictions is a refusal.
//! - Messages are for the one who can do something about it, and never contain an answer.

mod answers;
mod boards;
mod csv;
mod decimal;
mod draft;
mod faults;
mod grader;
mod header;
mod holdout;
mod ids;
mod metric;
mod rank;
mod submission;
mod texts;
mod value;

#[cfg(test)]
mod tests;

pub use boards::Boards;
pub use grader::Grader;

use thiserror::Error;

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
