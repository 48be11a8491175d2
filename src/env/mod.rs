//! The environment engine, sans-IO. It decides what an action means; the relay performs the effects.
//!
//! ```text
//!   begin(request, key, now) -> Perform(effect) | Finished(record) | Replay | Join | Refused
//!   advance(outcome, now)    -> Perform(effect) | Finished(record)
//!   the caller writes the record to the journal, then commit(record), then replies
//! ```
//!
//! State is a fold over the journaled records: [`Engine::commit`] is the only way it changes, live and on a restart.
//!
//! | module | holds |
//! |---|---|
//! | [`effect`] | what the engine asks of the world, and what the world answers |
//! | `actions` | the five actions and their arguments |
//! | `info`, `run`, `submission`, `history`, `reset` | what each action does and says |
//! | `cause` | why a program failed |
//! | `reward` | the best submission, the reward of a step, what of it is shown |
//! | `budget` | the wall clock, what is spent and what is left |
//! | `identity` | when two requests are the same |
//! | `ledger`, `result` | the fold, and the episode's result made of it |
//! | `step` | a step under way |
//! | `text` | numbers, times and sizes for a reader |

mod actions;
mod budget;
mod cause;
pub mod effect;
mod history;
mod identity;
mod info;
mod ledger;
mod reset;
mod result;
mod reward;
mod run;
mod step;
mod submission;
mod text;

#[cfg(test)]
mod tests;

pub use effect::{
    Begin, Effect, EffectOutcome, GradeFailure, Loss, Now, Progress, PublicFacts, Refusal, TreeEntry,
};

use serde_json::Map;

use actions::Action;
use budget::{Clock, TimeLimit};
use ledger::Ledger;
use reward::Shown;
use step::{Conclusion, Next, Phase, Running};

use crate::wire::agent::{
    ActionStatus, Budget, BudgetLeft, ErrorType, FeedbackSet, FeedbackText, Observation, StateReply,
    StepReply, StepRequest,
};
use crate::wire::channel::RunKind;
use crate::wire::config::RelayConfig;
use crate::wire::journal::StepRecord;
use crate::wire::result::EpisodeResult;

/// The state of one episode.
#[derive(Debug)]
pub struct Engine {
    config: RelayConfig,
    public: PublicFacts,
    clock: Clock,
    ledger: Ledger,
    running: Option<Running>,
    /// Steps that were given up; keeps the numbers of runs apart.
    abandoned: u64,
}

impl Engine {
    /// An engine without history. Its wall clock stands still until [`Engine::start`].
    pub fn new(config: RelayConfig, public: PublicFacts) -> Self {
        Self {
            config,
            public,
            clock: Clock::default(),
            ledger: Ledger::default(),
            running: None,
            abandoned: 0,
        }
    }

    /// Starts (after a restart: continues) the wall clock. Called once, when the executor is first connected; a second
    /// call changes nothing.
    pub fn start(&mut self, now: Now) {
        self.clock.start(now);
    }

    /// Takes a request. `key` is the client's idempotency key.
    ///
    /// A key that is known comes first, so that an answer that was lost can be had while another step runs and after the
    /// episode is over. A request that makes no sense is a step like any other: it fails, counts, and is recorded.
    pub fn begin(&mut self, request: StepRequest, key: Option<String>, now: Now) -> Begin {
        let digest = identity::digest(&request);
        if let Some(known) = key.as_deref().and_then(|key| self.known(key, &digest)) {
            return known;
        }
        if self.running.is_some() {
            return Begin::Refused(Refusal::Busy);
        }
        if let Some(budget) = self.spent(now) {
            return Begin::Refused(Refusal::EpisodeOver(budget));
        }
        let step = self.ledger.steps + 1;
        let next = match actions::parse(&request) {
            Ok(action) => self.first(step, action, now),
            Err(error) => Next::Conclude(Conclusion::failure(error)),
        };
        let running = Running {
            step,
            request,
            key,
            digest,
            began: now,
            phase: Phase::Journal,
        };
        match self.go_on(running, next, now) {
            Progress::Perform(effect) => Begin::Perform(effect),
            Progress::Finished(record) => Begin::Finished(record),
        }
    }

    /// Takes what became of the effect that was asked for last.
    ///
    /// An outcome that does not fit the effect is a fault of the caller. The step then fails with a `SandboxError`; where
    /// no step runs at all, one without a name is recorded, so that the fault does not pass unseen.
    pub fn advance(&mut self, outcome: EffectOutcome, now: Now) -> Progress {
        let mut running = self.running.take().unwrap_or_else(|| Running {
            step: self.ledger.steps + 1,
            request: StepRequest {
                action: String::new(),
                params: Map::new(),
            },
            key: None,
            digest: String::new(),
            began: now,
            phase: Phase::Journal,
        });
        let phase = std::mem::replace(&mut running.phase, Phase::Journal);
        let next = self.next(running.step, phase, outcome);
        self.go_on(running, next, now)
    }

    /// Takes a journaled step into the state: after it was written, and for each record on a restart.
    pub fn commit(&mut self, record: &StepRecord) {
        self.ledger.commit(&self.config.evaluation, record);
        self.clock.restore(record.elapsed_ms);
        self.running = None;
    }

    /// Gives up the step that runs, as if it had never been asked for (the journal could not be written).
    pub fn abandon(&mut self) {
        if self.running.take().is_some() {
            self.abandoned += 1;
        }
    }

    /// The budget that is spent at `now`, if one is: also while no step runs.
    pub fn spent(&self, now: Now) -> Option<Budget> {
        self.ledger
            .truncated_by
            .or_else(|| budget::spent(&self.config.limits, self.ledger.steps, self.clock.elapsed_ms(now)))
    }

    /// When the wall clock will be spent, as `monotonic_ms`; unset before [`Engine::start`].
    pub fn deadline_ms(&self) -> Option<u64> {
        self.clock.when(self.config.limits.wall_clock_ms)
    }

    /// What is left at `now`.
    pub fn budget_left(&self, now: Now) -> BudgetLeft {
        budget::left(&self.config.limits, self.ledger.steps, self.elapsed_ms(now))
    }

    /// Where the episode stands, for `GET /v1/state`.
    pub fn state(&self, now: Now) -> StateReply {
        let best = self.ledger.best.as_ref().map(|best| &best.grade.visible);
        StateReply {
            episode: self.config.episode.clone(),
            task: self.config.task.name.clone(),
            steps: self.ledger.steps,
            busy: self.running.is_some(),
            best_raw_score: Shown::of(&self.config.evaluation, best).raw,
            truncated: self.spent(now).is_some(),
            budget: self.budget_left(now),
        }
    }

    /// The result so far. Trajectory digest, trajectory size and layers are the caller's to fill.
    ///
    /// Its sequence number grows with each committed step, and once more when the wall clock runs out between steps.
    pub fn result(&self, now: Now) -> EpisodeResult {
        result::so_far(&self.config, &self.ledger, self.spent(now), self.elapsed_ms(now))
    }

    /// Wall clock of the episode: it ends with the step that spent a budget, or when it is itself spent.
    fn elapsed_ms(&self, now: Now) -> u64 {
        if self.ledger.truncated_by.is_some() {
            return self.ledger.elapsed_ms;
        }
        let most = self.config.limits.wall_clock_ms.max(self.ledger.elapsed_ms);
        self.clock.elapsed_ms(now).min(most)
    }

    /// What a key that is in use means for a request.
    fn known(&self, key: &str, digest: &str) -> Option<Begin> {
        let running = self
            .running
            .as_ref()
            .filter(|running| running.key.as_deref() == Some(key));
        let (same, step) = match (running, self.ledger.key(key)) {
            (Some(running), _) => (running.digest == digest, None),
            (None, Some(used)) => (used.digest == digest, Some(used.step)),
            (None, None) => return None,
        };
        Some(match (same, step) {
            (false, step) => Begin::Refused(Refusal::IdempotencyConflict { step }),
            (true, None) => Begin::Join,
            (true, Some(step)) => Begin::Replay { step },
        })
    }

    /// How a step begins.
    fn first(&self, step: u32, action: Action, now: Now) -> Next {
        let run = (self.abandoned << 32) | u64::from(step);
        let program = |kind: RunKind, code: String| {
            let own_ms = run::own_limit_ms(&self.config, kind);
            let limit = TimeLimit::new(own_ms, &self.config.limits, self.clock.elapsed_ms(now));
            run::start(&self.config, step, run, kind, code, limit)
        };
        match action {
            Action::RequestInfo(wanted) => Next::Conclude(info::conclude(&self.config, &self.public, wanted)),
            Action::ValidateCode(code) => program(RunKind::Validate, code),
            Action::ExecuteCode(code) => program(RunKind::Execute, code),
            Action::GetHistory(page) => history::start(page, self.ledger.steps, self.ledger.total_reward),
            Action::Reset => Next::Perform(Effect::Reset { run }, Phase::Reset),
        }
    }

    /// How a step goes on.
    fn next(&self, step: u32, phase: Phase, outcome: EffectOutcome) -> Next {
        let conclusion = match (phase, outcome) {
            (Phase::Run(kind, limit), EffectOutcome::Ran(ran)) => {
                return run::after(&self.config, kind, limit, *ran);
            }
            (Phase::Run(kind, _), EffectOutcome::ExecutorLost(loss)) => run::after_loss(kind, loss),
            (Phase::Evaluate(ran), EffectOutcome::Evaluated(graded)) => {
                run::after_grade(&self.config, step, self.ledger.best.as_ref(), &ran, graded)
            }
            (Phase::Reset, EffectOutcome::ResetDone(done)) => reset::conclude(done),
            (Phase::Reset, EffectOutcome::ExecutorLost(loss)) => reset::lost(loss),
            (Phase::History(page), EffectOutcome::History(records)) => {
                history::conclude(page, self.ledger.steps, self.ledger.total_reward, &records)
            }
            (
                Phase::Run(..)
                | Phase::Evaluate(_)
                | Phase::Reset
                | Phase::History(_)
                | Phase::Journal,
                _,
            ) => Conclusion::failure(actions::error(
                ErrorType::SandboxError,
                "the environment lost track of this step; nothing of it counts but the step itself, try again".into(),
            )),
        };
        Next::Conclude(conclusion)
    }

    fn go_on(&mut self, mut running: Running, next: Next, now: Now) -> Progress {
        let progress = match next {
            Next::Perform(effect, phase) => {
                running.phase = phase;
                Progress::Perform(effect)
            }
            Next::Conclude(conclusion) => {
                Progress::Finished(Box::new(self.record(&mut running, conclusion, now)))
            }
        };
        self.running = Some(running);
        progress
    }

    /// The record of a step that is over. Arguments move into it; key and digest stay, for a repetition that comes before
    /// the record is journaled.
    fn record(&self, running: &mut Running, conclusion: Conclusion, now: Now) -> StepRecord {
        let spec = &self.config.evaluation;
        let limits = &self.config.limits;
        let (step, before) = (running.step, self.ledger.best.as_ref());
        let mut elapsed_ms = self.clock.elapsed_ms(now);
        if conclusion.out_of_time {
            elapsed_ms = elapsed_ms.max(limits.wall_clock_ms);
        }
        let truncated_by = budget::spent(limits, step, elapsed_ms);
        let left = budget::left(limits, step, elapsed_ms);
        let grade = conclusion.grade;
        let improved = reward::better(spec, before, step, grade.as_ref());
        let best = improved.as_ref().or(before);
        let current = Shown::of(spec, grade.as_ref().map(|grade| &grade.visible));
        let best = Shown::of(spec, best.map(|best| &best.grade.visible));
        let mut feedback = conclusion.feedback;
        feedback.push_str(&tail(limits.steps, &left, truncated_by));
        let observation = Observation {
            action_status: match conclusion.error {
                Some(_) => ActionStatus::Failed,
                None => ActionStatus::Success,
            },
            feedback: FeedbackSet {
                base: FeedbackText {
                    feedback_status: ActionStatus::Success,
                    feedback,
                },
            },
            current_raw_score: current.raw.unwrap_or(0.0),
            current_position_score: current.position.unwrap_or(0.0),
            best_raw_score: best.raw,
            best_position_score: best.position,
            history_summary: format!(
                "Total Actions: {step}, Last Action: {}",
                text::name(&running.request.action)
            ),
            result: conclusion.result,
            error: conclusion.error,
            budget: left,
            truncated_by,
        };
        StepRecord {
            step,
            at: running.began.at,
            elapsed_ms,
            duration_ms: now.monotonic_ms.saturating_sub(running.began.monotonic_ms),
            action: std::mem::take(&mut running.request.action),
            params: std::mem::take(&mut running.request.params),
            reply: StepReply {
                step,
                observation,
                reward: grade
                    .as_ref()
                    .map_or(0.0, |grade| reward::of_step(spec, before, grade)),
                terminated: false,
                truncated: truncated_by.is_some(),
            },
            usage: conclusion.usage,
            grade,
            task_error: conclusion.task_error,
            idempotency_key: running.key.clone(),
            body_digest: running.digest.clone(),
        }
    }
}

/// The last line of every feedback: what is left, or what is spent.
fn tail(step_limit: u32, left: &BudgetLeft, truncated_by: Option<Budget>) -> String {
    match truncated_by {
        None => format!(
            "Left: {} of {step_limit} steps, {} of wall clock.\n",
            left.steps,
            text::duration(left.wall_clock_seconds)
        ),
        Some(Budget::Steps) => format!("The episode is over: all {step_limit} steps are used.\n"),
        Some(Budget::WallClock) => "The episode is over: its wall clock has run out.\n".into(),
    }
}
