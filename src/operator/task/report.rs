//! Writes the status of a Task where it differs.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::super::call::{CallError, call};
use super::super::context::Context;
use super::super::watch::uid_of;
use crate::api::task::TaskStatus;
use crate::api::{API_VERSION, Task};
use crate::plan::document::{name_of, namespace_of};

/// Field manager of everything that is done for Tasks.
pub(super) const WRITER: &str = "task-controller";

/// Writes the status. Where only the counts differ and were written a moment ago, it gives the time to wait instead.
pub(super) async fn report(
    context: &Context,
    task: &Task,
    status: &TaskStatus,
) -> Result<Option<Duration>, CallError> {
    let uid = uid_of(task);
    match difference(task.status.as_ref(), status) {
        Difference::None => return Ok(None),
        Difference::Counts => {
            if let Some(wait) = context.pace.wait(&uid) {
                return Ok(Some(wait));
            }
        }
        Difference::More => {}
    }
    let name = name_of(task);
    let body = json!({
        "apiVersion": API_VERSION,
        "kind": "Task",
        "metadata": {"name": name, "uid": task.metadata.uid, "resourceVersion": task.metadata.resource_version},
        "status": status,
    });
    let tasks = context.api::<Task>(namespace_of(task));
    let params = PatchParams::apply(WRITER).force();
    let written = call(
        "write the status of",
        "this Task",
        tasks.patch_status(name, &params, &Patch::Apply(body)),
    )
    .await;
    match written {
        Ok(_) => {
            context.metrics.status_written(WRITER);
            context.pace.wrote(&uid);
            Ok(None)
        }
        // The Task is another one by now; its own event calls for a look.
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) if error.is_conflict() => Ok(Some(AGAIN)),
        Err(error) => Err(error),
    }
}

/// The store is behind by a moment.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Eq, PartialEq)]
enum Difference {
    None,
    Counts,
    More,
}

fn difference(before: Option<&TaskStatus>, after: &TaskStatus) -> Difference {
    let Some(before) = before else {
        return Difference::More;
    };
    if before == after {
        return Difference::None;
    }
    let rest = TaskStatus {
        episodes: before.episodes,
        ..after.clone()
    };
    if *before == rest {
        Difference::Counts
    } else {
        Difference::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::task::EpisodeCounts;

    #[test]
    fn counts_alone_are_told_from_the_rest() {
        let before = TaskStatus::default();
        let counted = TaskStatus {
            episodes: Some(EpisodeCounts {
                total: 1,
                ..EpisodeCounts::default()
            }),
            ..before.clone()
        };
        let changed = TaskStatus {
            digest: Some("a".into()),
            ..counted.clone()
        };
        assert_eq!(difference(Some(&before), &before), Difference::None);
        assert_eq!(difference(Some(&before), &counted), Difference::Counts);
        assert_eq!(difference(Some(&before), &changed), Difference::More);
        assert_eq!(difference(None, &before), Difference::More);
    }
}
