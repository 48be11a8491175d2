//! What to do about a Task in a cluster: whether episodes can start, what they may talk to, and its data, where they are
//! prepared once for all of them.

mod policy;
mod prepare;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::document::name_of;
use super::lifecycle::Settings;
use super::pod::prepare_job_name;
use super::resolve::task_digest;
use super::status::{clipped, whole_second};
use crate::api::conditions::ConditionType;
use crate::api::schema::MAX_MESSAGE;
use crate::api::task::{EpisodeCounts, PreparedData, TaskStatus, VolumeSource};
use crate::api::{KeyRef, Task};

pub use policy::network_policy;

/// Reason of a Task whose episodes can start.
pub const READY: &str = "Ready";
/// Reason of a Task whose data are a directory of one machine.
pub const LOCAL_DATA: &str = "LocalData";
/// Reason of a Task that names something that is not there.
pub const MISSING_REFERENCE: &str = "MissingReference";
/// Reason of a Task whose Job prepares its data.
pub const PREPARING: &str = "Preparing";
/// Reason of a Task whose Job has failed.
pub const PREPARE_FAILED: &str = "PrepareFailed";

/// What was seen of a Task and of what it names.
#[derive(Clone, Copy, Debug)]
pub struct TaskWorld<'a> {
    /// The Task, its status included.
    pub task: &'a Task,
    /// Content of its `prepare` file; unset: it has none, or it is not there.
    pub prepare: Option<&'a [u8]>,
    /// What of [`references`] is not there: one sentence each.
    pub missing: &'a [String],
    /// The Job of the name that [`prepare_job_name`] gives, where it is there; another one is not looked at.
    pub job: Option<&'a Job>,
    /// The pods of that Job (label [`super::pod::PREPARES_LABEL`]); their messages tell digest or failure.
    pub pods: &'a [Pod],
    /// Its episodes.
    pub counts: EpisodeCounts,
    /// What the operator was started with.
    pub settings: &'a Settings,
    /// The clock.
    pub now: Timestamp,
}

/// What to do about a Task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskDecision {
    /// Its status.
    pub status: TaskStatus,
    /// Who its pods may talk to.
    pub network_policy: NetworkPolicy,
    /// Job to make, where it is not there yet.
    pub job: Option<Job>,
    /// Seconds until the next look, where nothing else calls for one before.
    pub look_again: Option<i64>,
}

/// Something in its namespace that a Task needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reference {
    /// A key of a ConfigMap.
    Key(KeyRef),
    /// A ConfigMap as a whole, by name.
    ConfigMap(String),
    /// A persistent volume claim, by name.
    Claim(String),
}

/// What a Task needs in its namespace. The actions that an Episode replays are the Episode's.
pub fn references(task: &Task) -> Vec<Reference> {
    let data = &task.spec.data;
    let prepare = data
        .prepare
        .iter()
        .map(|file| Reference::Key(file.config_map_key_ref.clone()));
    let volume = |source: &VolumeSource| {
        let map = source.config_map.as_ref();
        let claim = source.persistent_volume_claim.as_ref();
        map.map(|map| Reference::ConfigMap(map.name.clone()))
            .or_else(|| claim.map(|claim| Reference::Claim(claim.claim_name.clone())))
    };
    let volumes = [&data.public, &data.private]
        .into_iter()
        .filter_map(|source| volume(source.as_ref()?));
    let mut found: Vec<Reference> = Vec::new();
    for reference in prepare.chain(volumes) {
        if !found.contains(&reference) {
            found.push(reference);
        }
    }
    found
}

/// Whether episodes can start, and why not.
#[derive(Clone, Debug, PartialEq)]
enum Readiness {
    Ready(Option<PreparedData>),
    Not {
        reason: &'static str,
        message: String,
        /// The Job is still to be made.
        job: bool,
        look_again: Option<i64>,
    },
}

impl Readiness {
    fn not(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Not {
            reason,
            message: message.into(),
            job: false,
            look_again: None,
        }
    }
}

/// What to do about a Task.
pub fn decide_task(world: &TaskWorld<'_>) -> TaskDecision {
    let task = world.task;
    let readiness = readiness(world);
    let (ready, reason, message) = match &readiness {
        Readiness::Ready(_) => (true, READY, ""),
        Readiness::Not { reason, message, .. } => (false, *reason, message.as_str()),
    };
    let recorded = task.status.as_ref().and_then(|status| status.data.clone());
    let (data, job, look_again) = match &readiness {
        Readiness::Ready(data) => (data.clone(), None, None),
        Readiness::Not { job, look_again, .. } => {
            let job = world.prepare.filter(|_| *job);
            let job = job.and_then(|content| super::pod::prepare_job(task, content, &world.settings.pod));
            // What was prepared stays on record while something else is missing.
            (recorded, job, *look_again)
        }
    };
    TaskDecision {
        status: TaskStatus {
            observed_generation: task.metadata.generation,
            conditions: vec![condition(world, ready, reason, message)],
            digest: ready.then(|| task_digest(task, world.prepare)),
            data,
            episodes: Some(world.counts),
        },
        network_policy: network_policy(task),
        job,
        look_again,
    }
}

fn readiness(world: &TaskWorld<'_>) -> Readiness {
    let data = &world.task.spec.data;
    if let Some(path) = &data.path {
        return Readiness::not(
            LOCAL_DATA,
            format!(
                "spec.data.path {path:?} is a directory that only `dojo run` can read: set spec.data.prepare, or public and \
                 private volumes"
            ),
        );
    }
    if !world.missing.is_empty() {
        return Readiness::not(MISSING_REFERENCE, world.missing.join("; "));
    }
    let name = world
        .prepare
        .and_then(|content| prepare_job_name(world.task, content));
    match (name, &data.prepare, world.prepare) {
        (Some(name), ..) => prepare::readiness(world, &name),
        (None, Some(file), None) => {
            let KeyRef { name, key } = &file.config_map_key_ref;
            Readiness::not(
                MISSING_REFERENCE,
                format!("key `{key}` of ConfigMap `{name}` cannot be read"),
            )
        }
        (None, ..) => Readiness::Ready(None),
    }
}

fn condition(world: &TaskWorld<'_>, ready: bool, reason: &str, message: &str) -> Condition {
    let name = ConditionType::TaskReady.as_str();
    let status = if ready { "True" } else { "False" };
    let since = world
        .task
        .status
        .iter()
        .flat_map(|status| &status.conditions)
        .find(|before| before.type_ == name && before.status == status)
        .map_or_else(
            || whole_second(world.now),
            |before| before.last_transition_time.clone(),
        );
    Condition {
        type_: name.into(),
        status: status.into(),
        reason: reason.into(),
        message: clipped(message, MAX_MESSAGE),
        last_transition_time: since,
        observed_generation: world.task.metadata.generation,
    }
}

/// Why no episode of this Task can start, as its status says. A status that speaks of an earlier spec says nothing.
pub(super) fn why_not_ready(task: &Task) -> Option<String> {
    let name = name_of(task);
    let conditions = task.status.iter().flat_map(|status| &status.conditions);
    let Some(condition) = conditions
        .into_iter()
        .find(|condition| condition.type_ == ConditionType::TaskReady.as_str())
        .filter(|condition| condition.observed_generation >= task.metadata.generation)
    else {
        return Some(format!("Task {name} was not checked yet"));
    };
    (condition.status != "True").then(|| format!("Task {name}: {}: {}", condition.reason, condition.message))
}

#[cfg(test)]
mod tests;
