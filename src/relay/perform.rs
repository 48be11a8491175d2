//! Effects of a step.

use std::io;

use super::answer::Problem;
use super::receipt::Ending;
use super::steps::Episode;
use crate::env::{Effect, EffectOutcome, GradeFailure};

impl Episode {
    /// Does what the engine asks for. The bytes of a submission stay in `submission` from the run to its grading and
    /// no longer. An error is this machine's, not the program's, or says that nothing was sent: the step must be given
    /// up.
    pub(super) async fn perform(
        &self,
        effect: Effect,
        submission: &mut Option<Vec<u8>>,
    ) -> Result<EffectOutcome, Problem> {
        Ok(match effect {
            Effect::Run(request) => outcome(
                self.executor
                    .run(request)
                    .await
                    .map_err(|error| given_up(&error))?,
                submission,
            )?,
            Effect::Reset { run } => outcome(
                self.executor.reset(run).await.map_err(|error| given_up(&error))?,
                submission,
            )?,
            Effect::Evaluate => match submission.take() {
                Some(bytes) => self.grading.grade(bytes).await,
                None => EffectOutcome::Evaluated(Err(GradeFailure::Task("no submission came".into()))),
            },
            Effect::ReadHistory { first, last } => {
                EffectOutcome::History(self.read_steps(first, last).map_err(|error| given_up(&error))?)
            }
        })
    }
}

fn given_up(error: &io::Error) -> Problem {
    tracing::error!(%error, "the step is given up");
    Problem::failed(&error.to_string())
}

fn outcome(ending: Ending, submission: &mut Option<Vec<u8>>) -> Result<EffectOutcome, Problem> {
    Ok(match ending {
        Ending::Ran(finished, bytes) => {
            *submission = Some(bytes);
            EffectOutcome::Ran(finished)
        }
        Ending::Reset(done) => EffectOutcome::ResetDone(done),
        Ending::Lost(loss) => EffectOutcome::ExecutorLost(loss),
        Ending::Unsent => {
            tracing::warn!("the request did not reach the executor; the step is given up and does not count");
            return Err(Problem::not_ready());
        }
    })
}
