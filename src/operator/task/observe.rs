//! What bears on a Task: what it refers to, its Job, its Episodes.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};

use super::super::call::{CallError, call_opt};
use super::super::context::{Context, task_ref};
use super::super::watch::uid_of;
use crate::api::conditions::Phase;
use crate::api::task::EpisodeCounts;
use crate::api::{Episode, KeyRef, Task};
use crate::plan::Settings;
use crate::plan::document::namespace_of;
use crate::plan::pod::prepare_job_name;
use crate::plan::task::{Reference, TaskWorld, references};
use kube::runtime::reflector::ObjectRef;

/// What was seen.
pub(super) struct Seen {
    prepare: Option<Vec<u8>>,
    missing: Vec<String>,
    job: Option<Arc<Job>>,
    pods: Vec<Pod>,
    counts: EpisodeCounts,
}

impl Seen {
    /// As [`crate::plan::task::decide_task`] takes it.
    pub(super) fn world<'a>(
        &'a self,
        task: &'a Task,
        settings: &'a Settings,
        now: Timestamp,
    ) -> TaskWorld<'a> {
        TaskWorld {
            task,
            prepare: self.prepare.as_deref(),
            missing: &self.missing,
            job: self.job.as_deref(),
            pods: &self.pods,
            counts: self.counts,
            settings,
            now,
        }
    }
}

/// Looks around. What a Task refers to is asked for, not watched: Tasks are few, and ConfigMaps of others many.
pub(super) async fn observe(context: &Context, task: &Task) -> Result<Seen, CallError> {
    let namespace = namespace_of(task);
    let mut seen = Seen {
        prepare: None,
        missing: Vec::new(),
        job: None,
        pods: Vec::new(),
        counts: counts(&context.episodes.state(), task),
    };
    let prepare = task
        .spec
        .data
        .prepare
        .as_ref()
        .map(|file| &file.config_map_key_ref);
    for reference in references(task) {
        match reference {
            Reference::Key(key) => match key_content(context, namespace, &key).await? {
                Ok(content) if prepare == Some(&key) => seen.prepare = Some(content),
                Ok(_) => {}
                Err(missing) => seen.missing.push(missing),
            },
            Reference::ConfigMap(name) => {
                if config_map(context, namespace, &name).await?.is_none() {
                    seen.missing.push(format!("ConfigMap `{name}` is not there"));
                }
            }
            Reference::Claim(name) => {
                let claims = context.api::<PersistentVolumeClaim>(namespace);
                let label = format!("PersistentVolumeClaim {name}");
                if call_opt("get", &label, claims.get_metadata(&name))
                    .await?
                    .is_none()
                {
                    seen.missing
                        .push(format!("PersistentVolumeClaim `{name}` is not there"));
                }
            }
        }
    }
    let wanted = seen
        .prepare
        .as_deref()
        .and_then(|content| prepare_job_name(task, content));
    if let Some(name) = wanted {
        seen.job = job_of(context, task, &name);
        seen.pods = seen
            .job
            .as_deref()
            .map_or_else(Vec::new, |job| pods_of(context, job));
    }
    Ok(seen)
}

/// Content of a key; else what is missing.
async fn key_content(
    context: &Context,
    namespace: &str,
    key: &KeyRef,
) -> Result<Result<Vec<u8>, String>, CallError> {
    let KeyRef { name, key } = key;
    let Some(map) = config_map(context, namespace, name).await? else {
        return Ok(Err(format!("ConfigMap `{name}` is not there")));
    };
    let text = map
        .data
        .and_then(|mut data| data.remove(key))
        .map(String::into_bytes);
    let binary = map
        .binary_data
        .and_then(|mut data| data.remove(key))
        .map(|bytes| bytes.0);
    Ok(text
        .or(binary)
        .ok_or_else(|| format!("ConfigMap `{name}` has no key `{key}`")))
}

async fn config_map(context: &Context, namespace: &str, name: &str) -> Result<Option<ConfigMap>, CallError> {
    let maps = context.api::<ConfigMap>(namespace);
    call_opt("get", &format!("ConfigMap {name}"), maps.get(name)).await
}

/// The Job of this name, if the Task owns it.
fn job_of(context: &Context, task: &Task, name: &str) -> Option<Arc<Job>> {
    let uid = uid_of(task);
    let job = context
        .jobs
        .get(&ObjectRef::new(name).within(namespace_of(task)))?;
    let owners = job.metadata.owner_references.iter().flatten();
    owners.into_iter().any(|owner| owner.uid == uid).then_some(job)
}

/// The pods of a Job. Jobs are few and run once, so that all pods can be gone through for one.
fn pods_of(context: &Context, job: &Job) -> Vec<Pod> {
    let uid = uid_of(job);
    let of_job = |pod: &Pod| {
        let owners = pod.metadata.owner_references.iter().flatten();
        owners.into_iter().any(|owner| owner.uid == uid)
    };
    let pods = context.pods.state();
    let found = pods.iter().filter(|pod| of_job(pod));
    found.map(|pod| pod.as_ref().clone()).collect()
}

/// How far the Episodes of a Task have come.
fn counts(episodes: &[Arc<Episode>], task: &Task) -> EpisodeCounts {
    let task = ObjectRef::from_obj(task);
    let mut counts = EpisodeCounts::default();
    for episode in episodes.iter().filter(|episode| task_ref(episode) == task) {
        let phase = episode
            .status
            .as_ref()
            .map(|status| status.phase)
            .unwrap_or_default();
        counts.total += 1;
        match phase {
            Phase::Pending | Phase::Starting | Phase::Suspended => counts.waiting += 1,
            Phase::Running => counts.running += 1,
            Phase::Completed => counts.completed += 1,
            Phase::Failed | Phase::Cancelled => counts.failed += 1,
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(task: &str, namespace: &str, phase: &str) -> Arc<Episode> {
        let text = format!(
            "{{apiVersion: mledojo.dev/v1alpha1, kind: Episode, metadata: {{name: e, namespace: {namespace}}}, spec: \
             {{taskRef: {{name: {task}}}, agent: {{}}}}, status: {{phase: {phase}}}}}"
        );
        Arc::new(serde_saphyr::from_str(&text).unwrap())
    }

    #[test]
    fn episodes_are_counted_for_the_task_of_their_own_namespace() {
        let text = "{apiVersion: mledojo.dev/v1alpha1, kind: Task, metadata: {name: iris, namespace: lab}, spec: {title: \
                    Irises, description: Tell them apart., domain: Tabular, data: {path: /data}, environment: {image: a}, \
                    evaluation: {metric: {builtin: Accuracy}}}}";
        let task: Task = serde_saphyr::from_str(text).unwrap();
        let episodes = [
            episode("iris", "lab", "Pending"),
            episode("iris", "lab", "Running"),
            episode("iris", "lab", "Completed"),
            episode("iris", "lab", "Completed"),
            episode("iris", "other", "Completed"),
            episode("wine", "lab", "Failed"),
        ];
        let expected = EpisodeCounts {
            total: 4,
            waiting: 1,
            running: 1,
            completed: 2,
            failed: 0,
        };
        assert_eq!(counts(&episodes, &task), expected);
    }
}
