//! Effects of a step.

use std::io;

use super::receipt::Ending;
use super::steps::Episode;
use crate::env::{Effect, EffectOutcome, GradeFailure};

impl Episode {
    /// Does what the engine asks for. The bytes of a submission stay in `submission` from the run to its grading and
    /// no longer. An error is this machine's, not the program's: the step must be given up.
    pub(super) async fn perform(
        &self,
        effect: Effect,
        submission: &mut Option<Vec<u8>>,
    ) -> io::Result<EffectOutcome> {
        Ok(match effect {
            Effect::Run(request) => outcome(self.executor.run(request).await?, submission),
            Effect::Reset { run } => outcome(self.executor.reset(run).await?, submission),
            Effect::Evaluate => match submission.take() {
                Some(bytes) => self.grading.grade(bytes).await,
                None => EffectOutcome::Evaluated(Err(GradeFailure::Task("no submission came".into()))),
            },
            Effect::ReadHistory { first, last } => EffectOutcome::History(self.read_steps(first, last)?),
        })
    }
}

fn outcome(ending: Ending, submission: &mut Option<Vec<u8>>) -> EffectOutcome {
    match ending {
        Ending::Ran(finished, bytes) => {
            *submission = Some(bytes);
            EffectOutcome::Ran(finished)
        }
        Ending::Reset(done) => EffectOutcome::ResetDone(done),
        Ending::Lost(reason) => EffectOutcome::ExecutorLost { reason },
    }
}
