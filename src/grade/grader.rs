//! From bytes to a grade.

use std::fmt;

use super::answers::Answers;
use super::holdout::{self, Split};
use super::value::shown;
use super::{Boards, GradeError, metric, submission};
use crate::api::evaluation::{BuiltinMetric, EvaluationSpec};
use crate::api::standing::{Grade, Standing};

/// Grades submissions of one Task.
#[derive(Clone)]
pub struct Grader {
    metric: BuiltinMetric,
    max_bytes: u64,
    answers: Answers,
    split: Option<Split>,
    boards: Boards,
}

/// Without the answers: what is printed for debugging ends up in logs.
impl fmt::Debug for Grader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grader")
            .field("metric", &self.metric)
            .field("rows", &self.answers.rows)
            .finish_non_exhaustive()
    }
}

impl Grader {
    /// Reads the answers. [`GradeError::Task`] where they cannot be graded against: not a table, no ids where the Task
    /// names an id column, blanks, values that the metric cannot use, or a metric that is not defined on them (on one
    /// side of a hold-out), such as ROC AUC where all answers are of one class.
    pub fn new(spec: &EvaluationSpec, answers: &[u8], boards: Boards) -> Result<Self, GradeError> {
        let fault = |what: String| GradeError::Task(format!("answers {}: {what}", shown(&spec.answers)));
        let metric = spec.metric.builtin;
        let answers = Answers::read(spec, answers).map_err(fault)?;
        let split = match &spec.holdout {
            Some(holdout) => Some(holdout::split(holdout, &answers).map_err(fault)?),
            None => None,
        };
        let undefined = match &split {
            None => answers.truth.undefined(metric, None, "has"),
            Some(split) => [
                (&split.visible, "has, among the visible rows of the hold-out,"),
                (&split.hidden, "has, among the hidden rows of the hold-out,"),
            ]
            .iter()
            .find_map(|(rows, part)| answers.truth.undefined(metric, Some(rows), part)),
        };
        if let Some(what) = undefined {
            return Err(fault(what));
        }
        Ok(Self {
            metric,
            max_bytes: spec.submission.size_limit(),
            answers,
            split,
            boards,
        })
    }

    /// Grades the bytes of a submission. [`GradeError::Invalid`] with every fault that was found where it cannot have a
    /// score.
    pub fn grade(&self, submission: &[u8]) -> Result<Grade, GradeError> {
        if submission.len() as u64 > self.max_bytes {
            return Err(GradeError::Invalid(format!(
                "the file has {} bytes, at most {} are accepted",
                submission.len(),
                self.max_bytes
            )));
        }
        let predictions = submission::read(&self.answers, submission).map_err(GradeError::Invalid)?;
        let standing = |rows: Option<&[u32]>| -> Result<Standing, GradeError> {
            let score = metric::score(
                self.metric,
                &self.answers.truth,
                &predictions,
                rows,
                &self.answers.names,
            )?;
            Ok(self.boards.standing(score))
        };
        Ok(match &self.split {
            None => Grade {
                visible: standing(None)?,
                hidden: None,
            },
            Some(split) => Grade {
                visible: standing(Some(&split.visible))?,
                hidden: Some(standing(Some(&split.hidden))?),
            },
        })
    }
}
