//! The environment engine, sans-IO. It decides what an action means; the relay performs the effects.
//!
//! ```text
//!   begin(request, key, now) -> Perform(effect) | Finished(record) | Replay | Join | Refused
//!   advance(outcome, now)    -> Perform(effect) | Finished(record)
//!   the caller writes the record to the journal, then commit(record), then replies
//! ```
//!
//! State is a fold over the journaled records: [`Engine::commit`] is the only way it changes, live and on a restart.

pub mod effect;

pub use effect::{
    Begin, Effect, EffectOutcome, GradeFailure, Now, Progress, PublicFacts, Refusal, TreeEntry,
};

use crate::wire::agent::{Budget, BudgetLeft, StateReply, StepRequest};
use crate::wire::config::RelayConfig;
use crate::wire::journal::StepRecord;
use crate::wire::result::EpisodeResult;

/// The state of one episode.
#[derive(Debug)]
pub struct Engine {
    config: RelayConfig,
}

#[allow(clippy::unimplemented, unused_variables, missing_docs)]
impl Engine {
    /// An engine without history. Its wall clock stands still until [`Engine::start`].
    pub fn new(config: RelayConfig, public: PublicFacts) -> Self {
        Self { config }
    }

    /// Starts (after a restart: continues) the wall clock. Called once, when the executor is first connected.
    pub fn start(&mut self, now: Now) {}

    /// Takes a request. `key` is the client's idempotency key.
    pub fn begin(&mut self, request: StepRequest, key: Option<String>, now: Now) -> Begin {
        unimplemented!()
    }

    /// Takes what became of the effect that was asked for last.
    pub fn advance(&mut self, outcome: EffectOutcome, now: Now) -> Progress {
        unimplemented!()
    }

    /// Takes a journaled step into the state: after it was written, and for each record on a restart.
    pub fn commit(&mut self, record: &StepRecord) {
        unimplemented!()
    }

    /// Gives up the step that runs, as if it had never been asked for (the journal could not be written).
    pub fn abandon(&mut self) {}

    /// The budget that is spent at `now`, if one is: also while no step runs.
    pub fn spent(&self, now: Now) -> Option<Budget> {
        unimplemented!()
    }

    /// When the wall clock will be spent, as `monotonic_ms`; unset before [`Engine::start`].
    pub fn deadline_ms(&self) -> Option<u64> {
        unimplemented!()
    }

    /// What is left at `now`.
    pub fn budget_left(&self, now: Now) -> BudgetLeft {
        unimplemented!()
    }

    /// Where the episode stands, for `GET /v1/state`.
    pub fn state(&self, now: Now) -> StateReply {
        unimplemented!()
    }

    /// The result so far. Trajectory digest, trajectory size and layers are the caller's to fill.
    pub fn result(&self, now: Now) -> EpisodeResult {
        unimplemented!()
    }
}
