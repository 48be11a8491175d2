//! How far the Job is that prepares the data of a Task.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};

use super::{PREPARE_FAILED, PREPARING, Readiness, TaskWorld};
use crate::api::task::PreparedData;
use crate::plan::document::name_of;
use crate::plan::pod::MANIFEST;

/// Length of a digest in hexadecimal.
const DIGEST: usize = 64;
/// Characters of a program's last words that are told.
const LAST_WORDS: usize = 1000;
/// Seconds between the end of a Job and the news of it.
const SHORTLY: i64 = 2;

/// `name`: the Job that the Task as it is needs.
pub(super) fn readiness(world: &TaskWorld<'_>, name: &str) -> Readiness {
    let status = world.task.status.as_ref();
    // Once on record, the Job is not needed any more.
    let recorded = status
        .and_then(|status| status.data.as_ref())
        .filter(|data| data.job == name);
    if let Some(data) = recorded {
        return Readiness::Ready(Some(data.clone()));
    }
    let preparing = |message: String, job: bool, look_again: Option<i64>| Readiness::Not {
        reason: PREPARING,
        message,
        job,
        look_again,
    };
    let Some(job) = world.job.filter(|job| name_of(*job) == name) else {
        return preparing(format!("Job {name} is made"), true, None);
    };
    if job.metadata.deletion_timestamp.is_some() {
        return preparing(
            format!("Job {name} is deleted; it is made again when it is gone"),
            false,
            Some(SHORTLY),
        );
    }
    let ended = |wanted: &str| {
        let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions
            .into_iter()
            .flatten()
            .find(|condition| condition.type_ == wanted && condition.status == "True")
    };
    if let Some(failed) = ended("Failed") {
        let words = last_words(world.pods).unwrap_or_else(|| failed.message.clone().unwrap_or_default());
        return Readiness::not(
            PREPARE_FAILED,
            format!("Job {name} failed: {words}; mend `prepare`, or delete the Job to have it made again"),
        );
    }
    if ended("Complete").is_none() {
        return preparing(format!("Job {name} prepares the data"), false, None);
    }
    match digest(world.pods) {
        Some(digest) => Readiness::Ready(Some(PreparedData {
            digest,
            job: name.into(),
        })),
        None if waits_for_pods(job, world) => preparing(
            format!("Job {name} has prepared the data; their digest is awaited"),
            false,
            Some(SHORTLY),
        ),
        None => Readiness::not(
            PREPARE_FAILED,
            format!(
                "Job {name} has prepared the data and the pod that knew their digest is gone: delete the Job; it is made \
                 again, and the data stay"
            ),
        ),
    }
}

/// News of a pod may be later than those of its Job.
fn waits_for_pods(job: &Job, world: &TaskWorld<'_>) -> bool {
    const LATE: i64 = 60;
    job.status
        .as_ref()
        .and_then(|status| status.completion_time.as_ref())
        .is_some_and(|done| world.now.as_second() - done.0.as_second() < LATE)
}

fn terminated<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStateTerminated> {
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten())
        .find(|found| found.name == container)?
        .state
        .as_ref()?
        .terminated
        .as_ref()
}

/// What the container `manifest` has left: hexadecimal, or it is no digest.
fn digest(pods: &[Pod]) -> Option<String> {
    pods.iter()
        .filter_map(|pod| terminated(pod, MANIFEST))
        .filter(|ended| ended.exit_code == 0)
        .filter_map(|ended| ended.message.as_deref())
        .map(str::trim)
        .find(|digest| digest.len() == DIGEST && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(Into::into)
}

/// The last words of the pod that failed last.
fn last_words(pods: &[Pod]) -> Option<String> {
    ["prepare", MANIFEST]
        .into_iter()
        .flat_map(|container| {
            pods.iter()
                .map(move |pod| (container, terminated(pod, container)))
        })
        .filter_map(|(container, ended)| Some((container, ended?)))
        .filter(|(_, ended)| ended.exit_code != 0)
        .max_by_key(|(_, ended)| ended.finished_at.clone())
        .map(|(container, ended)| {
            let words = ended.message.as_deref().unwrap_or_default().trim();
            let skipped = words.chars().count().saturating_sub(LAST_WORDS);
            let tail: String = words.chars().skip(skipped).collect();
            format!("`{container}` ended with exit code {}: {tail}", ended.exit_code)
        })
}
