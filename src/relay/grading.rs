//! Grading with the Task's own files: answers and leaderboards are read when they are needed and dropped again, so that
//! a relay that waits holds none of them.

use std::fs;
use std::path::PathBuf;

use crate::api::EvaluationSpec;
use crate::env::{EffectOutcome, GradeFailure};
use crate::grade::{Boards, GradeError, Grader};

/// Where answers and leaderboards are.
#[derive(Clone, Debug)]
pub(super) struct Grading {
    /// How submissions are graded.
    pub(super) evaluation: EvaluationSpec,
    /// Directory of the private data.
    pub(super) private: PathBuf,
}

impl Grading {
    /// Reads everything once: whether the Task can grade at all.
    pub(super) fn check(&self) -> Result<(), GradeError> {
        self.grader().map(drop)
    }

    /// Grades a submission on a thread of its own; the runtime's one thread stays free for `/v1/state` and the log.
    pub(super) async fn grade(&self, submission: Vec<u8>) -> EffectOutcome {
        let grading = self.clone();
        let graded = tokio::task::spawn_blocking(move || grading.grader()?.grade(&submission)).await;
        EffectOutcome::Evaluated(match graded {
            Ok(Ok(grade)) => Ok(grade),
            Ok(Err(GradeError::Invalid(why))) => Err(GradeFailure::Invalid(why)),
            Ok(Err(GradeError::Task(why))) => Err(GradeFailure::Task(why)),
            Err(panicked) => Err(GradeFailure::Task(format!("the grader crashed: {panicked}"))),
        })
    }

    fn grader(&self) -> Result<Grader, GradeError> {
        let boards = self
            .evaluation
            .leaderboards
            .iter()
            .map(|board| Ok((board.name.clone(), self.read("leaderboard", &board.file)?)))
            .collect::<Result<Vec<_>, GradeError>>()?;
        let boards = Boards::read(&self.evaluation, &boards)?;
        let answers = self.read("answers", &self.evaluation.answers)?;
        Grader::new(&self.evaluation, &answers, boards)
    }

    fn read(&self, what: &str, file: &str) -> Result<Vec<u8>, GradeError> {
        fs::read(self.private.join(file))
            .map_err(|error| GradeError::Task(format!("cannot read the {what} `{file}`: {error}")))
    }
}
