//! What a cluster would get for one attempt at an episode.
//!
//! ```text
//!   initContainers  install   copies this program into a volume that every other container mounts read-only
//!                   prepare   only where each episode prepares its data: fills the public and the private volume
//!                   relay     sidecar: step API, budgets, grading, journal
//!                   sandbox   sidecar: the task's image, `dojo exec` as PID 1, the GPUs and the workspace
//!   containers      agent     the pod is complete when it exits
//! ```
//!
//! | volume | install | prepare | relay | sandbox | agent |
//! |---|---|---|---|---|---|
//! | program | rw | – | ro | ro | ro |
//! | task-code | – | ro | – | – | – |
//! | raw, prepare-home | – | rw | – | – | – |
//! | public | – | rw | ro | ro | – |
//! | private | – | rw | ro | – | – |
//! | config | – | – | ro | – | – |
//! | report-token | – | – | ro | – | – |
//! | state | – | – | rw | – | – |
//! | channel | – | – | rw | ro | – |
//! | connection | – | – | rw | – | ro |
//! | workspace, scratch, exec-state, shm | – | – | – | rw | – |
//! | actions | – | – | – | – | ro |
//! | home | – | – | – | – | rw |

mod agent;
mod install;
mod job;
mod prepare;
mod relay;
mod resources;
mod sandbox;
mod security;
mod volumes;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, LocalObjectReference, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use thiserror::Error;

use super::document::name_of;
use super::resolve::{Dirs, resolve};
use crate::api::{API_VERSION, Episode, Task};

pub use job::{MANIFEST, PREPARES_LABEL, claims, prepare_job, prepare_job_name};
pub use prepare::{PREPARE_CALL, PREPARE_PROGRAM, PREPARED};
pub use security::Ids;

/// Finalizer of a pod whose result was not harvested yet.
pub const RESULT_FINALIZER: &str = "mledojo.dev/result";
/// Label with the name of the Episode.
pub const EPISODE_LABEL: &str = "mledojo.dev/episode";
/// Label with the name of the Task.
pub const TASK_LABEL: &str = "mledojo.dev/task";
/// Label with the number of the attempt.
pub const ATTEMPT_LABEL: &str = "mledojo.dev/attempt";
/// Annotation with the generation of the Task that the pod was made from.
pub const TASK_GENERATION: &str = "mledojo.dev/task-generation";
/// Annotation with the digest of that Task.
pub const TASK_DIGEST: &str = "mledojo.dev/task-digest";
/// Annotation with the digest of its data, where they were prepared before.
pub const DATA_DIGEST: &str = "mledojo.dev/data-digest";
/// Annotation with the wall clock that the attempt was planned with, in seconds: the Task may change while it runs.
pub const WALL_CLOCK: &str = "mledojo.dev/wall-clock-seconds";
/// Label by which Kueue finds the queue of a pod.
pub const QUEUE_LABEL: &str = "kueue.x-k8s.io/queue-name";
/// Key of the relay's configuration in its ConfigMap.
pub const CONFIG_KEY: &str = "relay-config.json";

/// Key of the certificates by which the relay knows the report server, in the same ConfigMap.
pub const AUTHORITIES_KEY: &str = "ca.crt";
/// File name of the token by which the report server knows the relay.
const TOKEN_KEY: &str = "token";

/// Where everything is inside the containers. Below `/run`, so that no image has files of its own there.
mod paths {
    pub(super) const PROGRAM: &str = "/run/dojo/bin";
    pub(super) const DOJO: &str = "/run/dojo/bin/dojo";
    pub(super) const TASK_CODE: &str = "/run/dojo/task";
    pub(super) const CONFIG: &str = "/run/dojo/config";
    pub(super) const TOKEN: &str = "/run/dojo/token";
    pub(super) const STATE: &str = "/run/dojo/state";
    pub(super) const CHANNEL: &str = "/run/dojo/channel";
    pub(super) const SOCKET: &str = "/run/dojo/channel/exec.sock";
    pub(super) const CONNECTION: &str = "/run/dojo/connection";
    pub(super) const CONNECTION_FILE: &str = "/run/dojo/connection/connection.json";
    pub(super) const ACTIONS: &str = "/run/dojo/actions";
    pub(super) const EXEC_STATE: &str = "/run/dojo/exec";
    pub(super) const SCRATCH: &str = "/run/dojo/scratch";
    pub(super) const PREPARE_HOME: &str = "/run/dojo/home";
    pub(super) const RAW: &str = "/data/raw";
    pub(super) const PUBLIC: &str = "/data/public";
    pub(super) const PRIVATE: &str = "/data/private";
    pub(super) const WORKSPACE: &str = "/workspace";
    pub(super) const SHM: &str = "/dev/shm";
    pub(super) const HOME: &str = "/home/agent";
    /// The kubelet reads it when the container ends and puts it into the pod's status.
    pub(super) const RESULT: &str = "/dev/termination-log";
}

/// What of a pod is not up to Task and Episode.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodOptions {
    /// Image of this program; its entry point is `dojo`.
    pub image: String,
    /// Under which users the containers run.
    pub ids: Ids,
    /// Where the relay reports to while it runs. Unset: nowhere; the result is harvested when the pod ends.
    pub report: Option<ReportOptions>,
}

/// Where a relay reports to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReportOptions {
    /// Base URL of the report server, such as `https://mle-dojo-operator.mle-dojo-system.svc:8443`.
    pub url: String,
    /// Certificates (PEM) of the authorities that it may be signed by.
    pub authorities: String,
}

/// The objects of one attempt, in the order in which they are to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Configuration of the relay; no secret is in it.
    pub config_map: ConfigMap,
    /// The pod.
    pub pod: Pod,
}

/// Why there can be no pod.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NotPlannable {
    /// The data are a directory of one machine.
    #[error(
        "Task/{task} takes its data from the directory {path:?}, which only the local runner can read; in a cluster it is \
         not ready: set spec.data.prepare, or public and private volumes"
    )]
    LocalData {
        /// Name of the Task.
        task: String,
        /// The directory.
        path: String,
    },
}

/// The objects of attempt `attempt` (from 1).
///
/// They are owned by the Episode where its UID is known; an owner without UID would have them deleted at once.
pub fn cluster(
    task: &Task,
    episode: &Episode,
    attempt: u32,
    options: &PodOptions,
) -> Result<Plan, NotPlannable> {
    if let Some(path) = &task.spec.data.path {
        return Err(NotPlannable::LocalData {
            task: name_of(task).into(),
            path: path.clone(),
        });
    }
    let name = format!("{}-{attempt}", name_of(episode));
    let labels = labels(task, episode, attempt);
    let dirs = Dirs {
        public: paths::PUBLIC.into(),
        workspace: paths::WORKSPACE.into(),
    };
    let config = resolve(task, episode, &dirs);
    let limits = config.limits;
    // A struct of strings and numbers always has a JSON form.
    let config = serde_json::to_string_pretty(&config).unwrap_or_default();
    let mut data = BTreeMap::from([(CONFIG_KEY.into(), config)]);
    if let Some(report) = &options.report {
        data.insert(AUTHORITIES_KEY.into(), report.authorities.clone());
    }
    let config_map = ConfigMap {
        metadata: ObjectMeta {
            labels: Some(labels.clone()),
            ..metadata(&name, episode)
        },
        data: Some(data),
        immutable: Some(true),
        ..ConfigMap::default()
    };
    let pod = Pod {
        metadata: ObjectMeta {
            labels: Some(pod_labels(task, episode, labels)),
            annotations: Some(annotations(task, limits.wall_clock_ms)),
            finalizers: Some(vec![RESULT_FINALIZER.into()]),
            ..metadata(&name, episode)
        },
        spec: Some(spec(task, episode, attempt, &name, options)),
        ..Pod::default()
    };
    Ok(Plan { config_map, pod })
}

fn spec(task: &Task, episode: &Episode, attempt: u32, config_map: &str, options: &PodOptions) -> PodSpec {
    let environment = &task.spec.environment;
    let scheduling = episode.spec.scheduling.clone().unwrap_or_default();
    let mut init_containers = vec![install::container(options)];
    init_containers.extend(prepare::container(task, options));
    init_containers.push(relay::container(task, episode, attempt, options));
    init_containers.push(sandbox::container(task, options));
    PodSpec {
        init_containers: Some(init_containers),
        containers: vec![agent::container(episode, options)],
        volumes: Some(volumes::sources(task, episode, config_map, options)),
        // A container that fails is a fact of the attempt. Only the sidecars are restarted: their state outlives them.
        restart_policy: Some("Never".into()),
        // No activeDeadlineSeconds: pulling images and preparing data have no known end, and the relay ends what is spent.
        termination_grace_period_seconds: Some(30),
        // No identity towards the API server, and no variables that name its services.
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        share_process_namespace: Some(false),
        security_context: Some(security::of_pod(options.ids)),
        affinity: resources::affinity(environment.gpu.as_ref()),
        tolerations: present(resources::tolerations(environment)),
        node_selector: (!environment.node_selector.is_empty()).then(|| environment.node_selector.clone()),
        runtime_class_name: environment.runtime_class_name.clone(),
        image_pull_secrets: present(
            environment
                .image_pull_secrets
                .iter()
                .map(|secret| LocalObjectReference {
                    name: secret.name.clone(),
                })
                .collect(),
        ),
        priority_class_name: scheduling.priority_class_name,
        scheduler_name: scheduling.scheduler_name,
        ..PodSpec::default()
    }
}

/// What all containers have in common: program, pull policy, how they end.
fn container(name: &str, image: &str, arguments: &[&str]) -> Container {
    Container {
        name: name.into(),
        image: Some(image.into()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec![paths::DOJO.into()]),
        args: Some(arguments.iter().map(|&argument| argument.into()).collect()),
        termination_message_path: Some(paths::RESULT.into()),
        // Never the log: the relay's result must not have to share its place with what an agent prints.
        termination_message_policy: Some("File".into()),
        ..Container::default()
    }
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: Some(value.into()),
        ..EnvVar::default()
    }
}

/// Images made for GPUs ask for all of them by a variable of their own, which some runtimes grant to any container.
fn no_gpu() -> EnvVar {
    variable("NVIDIA_VISIBLE_DEVICES", "void")
}

fn metadata(name: &str, episode: &Episode) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: episode.metadata.namespace.clone(),
        owner_references: owned_by("Episode", &episode.metadata),
        ..ObjectMeta::default()
    }
}

/// One owner, where its UID is known.
pub(in crate::plan) fn owned_by(kind: &str, owner: &ObjectMeta) -> Option<Vec<OwnerReference>> {
    let uid = owner.uid.clone()?;
    Some(vec![OwnerReference {
        api_version: API_VERSION.into(),
        kind: kind.into(),
        name: owner.name.clone().unwrap_or_default(),
        uid,
        controller: Some(true),
        block_owner_deletion: Some(true),
    }])
}

/// Labels of everything that is made for a Task or an Episode.
pub(in crate::plan) fn common_labels(component: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "mle-dojo"),
        ("app.kubernetes.io/component", component),
        ("app.kubernetes.io/managed-by", "mle-dojo-operator"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

fn labels(task: &Task, episode: &Episode, attempt: u32) -> BTreeMap<String, String> {
    let mut all = common_labels("episode");
    all.extend(
        [
            (EPISODE_LABEL, name_of(episode).to_owned()),
            (TASK_LABEL, name_of(task).to_owned()),
            (ATTEMPT_LABEL, attempt.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    all
}

/// The labels of the Task, then the queue, then ours: a Task can add labels but not change those.
fn pod_labels(task: &Task, episode: &Episode, ours: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = task.spec.environment.labels.clone();
    let scheduling = episode.spec.scheduling.as_ref();
    if let Some(queue) = scheduling.and_then(|scheduling| scheduling.queue_name.clone()) {
        all.insert(QUEUE_LABEL.into(), queue);
    }
    all.extend(ours);
    all
}

/// The annotations of the Task, then what the result will be said to come from: by the end the Task may be another.
fn annotations(task: &Task, wall_clock_ms: u64) -> BTreeMap<String, String> {
    let mut all = task.spec.environment.annotations.clone();
    all.insert("kubectl.kubernetes.io/default-container".into(), "agent".into());
    all.insert(WALL_CLOCK.into(), wall_clock_ms.div_ceil(1000).to_string());
    let status = task.status.as_ref();
    let found = [
        (
            TASK_GENERATION,
            task.metadata.generation.map(|generation| generation.to_string()),
        ),
        (TASK_DIGEST, status.and_then(|status| status.digest.clone())),
        (
            DATA_DIGEST,
            status.and_then(|status| Some(status.data.as_ref()?.digest.clone())),
        ),
    ];
    for (name, value) in found {
        if let Some(value) = value {
            all.insert(name.into(), value);
        }
    }
    all
}

fn present<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
