//! The way of a Task: observe, decide, apply, report.

mod apply;
mod observe;
mod pace;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::runtime::controller::Action;
use thiserror::Error;
use tracing::Instrument;

use super::call::CallError;
use super::children::MakeError;
use super::context::Context;
use super::watch::{fingerprint, uid_of};
use crate::api::{Episode, Task};
use crate::plan::document::{name_of, namespace_of};
use crate::plan::task::{TaskDecision, decide_task};

pub(super) use pace::Pace;

/// Kind in logs and metrics.
pub(super) const KIND: &str = "Task";
/// A Task is looked at this often even if nothing happens: what it refers to is not watched.
const IDLE: Duration = Duration::from_secs(60);
/// And one that is not ready this often: its Episodes wait.
const NOT_READY: Duration = Duration::from_secs(5);

/// Why a look at a Task failed.
#[derive(Debug, Error)]
pub(super) enum TaskError {
    /// What it refers to could not be read.
    #[error("{0}")]
    Observe(CallError),
    /// Its objects could not be made.
    #[error("{0}")]
    Apply(MakeError),
    /// Its status could not be written.
    #[error("{0}")]
    Report(CallError),
    /// A fault of this program.
    #[error("the look at this Task ended early: {0}")]
    Broken(String),
}

impl TaskError {
    /// Category for metrics: one of a closed set.
    fn category(&self) -> &'static str {
        match self {
            Self::Observe(error) | Self::Report(error) => error.category(),
            Self::Apply(error) => error.category(),
            Self::Broken(_) => "broken",
        }
    }
}

/// What of a Task's own changes calls for a look.
pub(super) fn own_change(task: &Task) -> u64 {
    let meta = &task.metadata;
    fingerprint((meta.generation, meta.deletion_timestamp.is_some()))
}

/// What of a Task bears on its Episodes; the count of them does not.
pub(super) fn change_for_episodes(task: &Task) -> u64 {
    let status = task.status.clone().unwrap_or_default();
    let conditions: Vec<_> = status
        .conditions
        .into_iter()
        .map(|condition| {
            (
                condition.type_,
                condition.status,
                condition.reason,
                condition.message,
            )
        })
        .collect();
    let data = status.data.map(|data| data.digest);
    fingerprint((
        task.metadata.generation,
        status.observed_generation,
        conditions,
        status.digest,
        data,
    ))
}

/// What of an Episode bears on the counts of its Task.
pub(super) fn change_of_counts(episode: &Episode) -> u64 {
    let phase = episode.status.as_ref().map(|status| status.phase);
    fingerprint(format!("{phase:?}"))
}

/// Looks at a Task.
pub(super) async fn reconcile(task: Arc<Task>, context: Arc<Context>) -> Result<Action, TaskError> {
    let span = tracing::info_span!(
        parent: None,
        "reconcile",
        kind = KIND,
        namespace = namespace_of(&*task),
        name = name_of(&*task),
        generation = task.metadata.generation,
    );
    let uid = uid_of(&*task);
    let started = Instant::now();
    let look = tokio::spawn(look(task, Arc::clone(&context)).instrument(span.clone()));
    let result = look
        .await
        .unwrap_or_else(|error| Err(TaskError::Broken(error.to_string())));
    let category = result.as_ref().map_or_else(TaskError::category, |_| "ok");
    context.metrics.reconciled(KIND, category, started.elapsed());
    match &result {
        Ok(_) => context.backoff.succeeded(&uid),
        Err(error) => span.in_scope(|| tracing::warn!(category, %error, "the look at a Task failed")),
    }
    result
}

/// When to look again after a failure.
pub(super) fn retry(task: &Task, context: &Context) -> Action {
    Action::requeue(context.backoff.failed(&uid_of(task)))
}

async fn look(task: Arc<Task>, context: Arc<Context>) -> Result<Action, TaskError> {
    if task.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let settings = context.settings();

    let seen = observe::observe(&context, &task)
        .await
        .map_err(TaskError::Observe)?;

    let TaskDecision {
        status,
        network_policy,
        job,
        look_again,
    } = decide_task(&seen.world(&task, &settings, Timestamp::now()));

    apply::apply(&context, &task, &network_policy, job.as_ref())
        .await
        .map_err(TaskError::Apply)?;

    let later = report::report(&context, &task, &status)
        .await
        .map_err(TaskError::Report)?;

    // Only a Task that is ready has a digest.
    let idle = if status.digest.is_some() { IDLE } else { NOT_READY };
    let next = look_again.map_or(idle, |seconds| {
        Duration::from_secs(seconds.max(1).cast_unsigned())
    });
    Ok(Action::requeue(later.map_or(next, |later| later.min(next))))
}
