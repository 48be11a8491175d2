//! The way of an Episode: observe, decide, apply, report; and again as long as the report was a new one.
//!
//! What must be on record before a step is taken is written first, so one look goes round several times: the number of the
//! attempt is recorded in one round and its pod made in the next.

mod apply;
mod observe;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::controller::Action;
use thiserror::Error;
use tracing::Instrument;

use super::call::CallError;
use super::context::Context;
use super::watch::{fingerprint, uid_of};
use crate::api::Episode;
use crate::plan::document::{name_of, namespace_of};
use crate::plan::lifecycle::{self, MANAGER};
use apply::ApplyError;
use report::Reported;

/// Kind in logs and metrics.
pub(super) const KIND: &str = "Episode";
/// Rounds of one look; an Episode that wants more gets them a moment later.
const ROUNDS: u32 = 5;
/// Pause before those.
const MORE_ROUNDS: Duration = Duration::from_millis(500);
/// An open Episode is looked at this often even if nothing happens.
const IDLE: Duration = Duration::from_secs(600);

/// Why a look at an Episode failed.
#[derive(Debug, Error)]
pub(super) enum EpisodeError {
    /// What bears on it could not be read.
    #[error("{0}")]
    Observe(CallError),
    /// Something that was decided could not be done.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Its status could not be written.
    #[error("{0}")]
    Report(CallError),
    /// A fault of this program.
    #[error("the look at this Episode ended early: {0}")]
    Broken(String),
}

impl EpisodeError {
    /// Category for metrics: one of a closed set.
    fn category(&self) -> &'static str {
        match self {
            Self::Observe(error) | Self::Report(error) => error.category(),
            Self::Apply(error) => error.category(),
            Self::Broken(_) => "broken",
        }
    }
}

/// What of an Episode's own changes calls for a look: spec and deletion. Its status is written by this operator, and by the
/// report server several times a minute.
pub(super) fn own_change(episode: &Episode) -> u64 {
    let meta = &episode.metadata;
    fingerprint((meta.generation, meta.deletion_timestamp.is_some()))
}

/// Looks at an Episode.
pub(super) async fn reconcile(episode: Arc<Episode>, context: Arc<Context>) -> Result<Action, EpisodeError> {
    let span = tracing::info_span!(
        parent: None,
        "reconcile",
        kind = KIND,
        namespace = namespace_of(&*episode),
        name = name_of(&*episode),
        generation = episode.metadata.generation,
    );
    let uid = uid_of(&*episode);
    let started = Instant::now();
    // A task of its own: looks use all threads, and a fault in one ends that one.
    let look = tokio::spawn(look(episode, Arc::clone(&context)).instrument(span.clone()));
    let result = look
        .await
        .unwrap_or_else(|error| Err(EpisodeError::Broken(error.to_string())));
    let category = result.as_ref().map_or_else(EpisodeError::category, |_| "ok");
    context.metrics.reconciled(KIND, category, started.elapsed());
    match &result {
        Ok(_) => context.backoff.succeeded(&uid),
        Err(error) => span.in_scope(|| tracing::warn!(category, %error, "the look at an Episode failed")),
    }
    result
}

/// When to look again after a failure.
pub(super) fn retry(episode: &Episode, context: &Context) -> Action {
    Action::requeue(context.backoff.failed(&uid_of(episode)))
}

async fn look(episode: Arc<Episode>, context: Arc<Context>) -> Result<Action, EpisodeError> {
    let manager = episode.spec.managed_by.as_deref();
    if manager.is_some_and(|manager| manager != MANAGER) {
        return Ok(Action::await_change());
    }
    let mut episode = context.memory.newest(episode);
    let mut made: Vec<Pod> = Vec::new();
    for round in 0..ROUNDS {
        let now = Timestamp::now();

        let seen = observe::observe(&context, &episode, &made)
            .await
            .map_err(EpisodeError::Observe)?;

        let decision = lifecycle::decide(&seen.world(&episode, now));

        let applied = apply::apply(&context, &episode, &decision.actions).await?;
        made.extend(applied.pod);
        if applied.deleted {
            return Ok(Action::await_change());
        }
        let episode_then = applied.episode.unwrap_or_else(|| Arc::clone(&episode));

        let reported = report::report(&context, &episode_then, decision.observed.as_ref(), now)
            .await
            .map_err(EpisodeError::Report)?;

        episode = match reported {
            Reported::Unchanged => return Ok(next(&episode_then, decision.look_again)),
            Reported::Gone => return Ok(Action::await_change()),
            Reported::Written(written) => written,
            Reported::Overtaken(newer) => {
                tracing::debug!(round, "the Episode has changed in the meantime; deciding anew");
                newer
            }
        };
    }
    tracing::info!(
        rounds = ROUNDS,
        "the Episode still changes; looking again shortly"
    );
    Ok(Action::requeue(MORE_ROUNDS))
}

/// When to look again, where nothing else calls for it.
fn next(episode: &Episode, look_again: Option<i64>) -> Action {
    let over = episode
        .status
        .as_ref()
        .is_some_and(|status| status.phase.is_final());
    match look_again {
        Some(seconds) => Action::requeue(Duration::from_secs(seconds.max(1).cast_unsigned())),
        None if over => Action::await_change(),
        None => Action::requeue(IDLE),
    }
}

#[cfg(test)]
mod tests;
