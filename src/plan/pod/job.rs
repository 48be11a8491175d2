//! The Job that prepares the data of a Task once, into claims that all its episodes mount.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, LocalObjectReference, PodSpec, PodTemplateSpec, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest, Sha256};

use super::security::{self, Role};
use super::volumes::{self, Access, mount};
use super::{PodOptions, TASK_LABEL, common_labels, owned_by, paths, prepare, present, resources};
use crate::api::task::ClaimSource;
use crate::api::{FileSource, Task};
use crate::plan::document::name_of;
use crate::wire::hex;

/// Label of the pods of such a Job, with the name of the Task.
pub const PREPARES_LABEL: &str = "mledojo.dev/prepares";
/// Container that leaves the digest of the data as its termination message.
pub const MANIFEST: &str = "manifest";
/// Pods that fail before the Job does, one more.
const BACKOFF_LIMIT: i32 = 2;
/// What stands behind the name of the Task.
const SUFFIX: usize = "-prepare-01234567".len();
/// Longest name of a Job: it becomes a label of its pods.
const LONGEST: usize = 63;

/// The public and the private claim of a Task whose data are prepared once, with the program that does it.
pub fn claims(task: &Task) -> Option<(&FileSource, [&ClaimSource; 2])> {
    let data = &task.spec.data;
    let prepare = data.prepare.as_ref()?;
    let public = data.public.as_ref()?.persistent_volume_claim.as_ref()?;
    let private = data.private.as_ref()?.persistent_volume_claim.as_ref()?;
    Some((prepare, [public, private]))
}

/// Name of the Job: another one for another program, image or place. Unset: the Task needs none.
pub fn prepare_job_name(task: &Task, content: &[u8]) -> Option<String> {
    let (_, claims) = claims(task)?;
    let name = name_of(task);
    let mut hash = Sha256::new();
    let places = claims.map(|claim| (claim.claim_name.as_str(), claim.sub_path.as_deref()));
    // JSON, so that no two lists of texts give the same bytes.
    hash.update(serde_json::json!([name, task.spec.environment.image, places]).to_string());
    hash.update(content);
    let digest = hex(&hash.finalize());
    let most = LONGEST - SUFFIX;
    let cut = name
        .get(..most.min(name.len()))
        .unwrap_or(name)
        .trim_end_matches(['-', '.']);
    Some(format!("{cut}-prepare-{}", digest.get(..8).unwrap_or_default()))
}

/// The Job. `content`: the program.
pub fn prepare_job(task: &Task, content: &[u8], options: &PodOptions) -> Option<Job> {
    let (source, claims) = claims(task)?;
    let name = prepare_job_name(task, content)?;
    let mut labels = common_labels("prepare");
    labels.insert(TASK_LABEL.into(), name_of(task).into());
    // Not the Task's label: its NetworkPolicy is for episodes, and the author's program may have to fetch the data.
    let mut pod_labels = common_labels("prepare");
    pod_labels.insert(PREPARES_LABEL.into(), name_of(task).into());
    let environment = &task.spec.environment;
    let mut prepare = prepare::program(task, options, prepare::PREPARE_ONCE, &[&name]);
    for mount in prepare.volume_mounts.iter_mut().flatten() {
        mount.sub_path = sub_path(&mount.name, claims);
    }
    let spec = PodSpec {
        init_containers: Some(vec![prepare]),
        containers: vec![manifest(claims, options)],
        volumes: Some(volumes::of_job(task, &source.config_map_key_ref, claims)),
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(security::of_pod(options.ids)),
        // Where its episodes run, the claims can be mounted. Its GPUs are not asked for.
        node_selector: (!environment.node_selector.is_empty()).then(|| environment.node_selector.clone()),
        tolerations: present(environment.tolerations.clone()),
        image_pull_secrets: present(
            environment
                .image_pull_secrets
                .iter()
                .map(|secret| LocalObjectReference {
                    name: secret.name.clone(),
                })
                .collect(),
        ),
        ..PodSpec::default()
    };
    Some(Job {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: task.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: owned_by("Task", &task.metadata),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(BACKOFF_LIMIT),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels),
                    ..ObjectMeta::default()
                }),
                spec: Some(spec),
            },
            ..JobSpec::default()
        }),
        ..Job::default()
    })
}

/// Directory of a volume's claim.
fn sub_path(volume: &str, [public, private]: [&ClaimSource; 2]) -> Option<String> {
    match volume {
        "public" => public.sub_path.clone(),
        "private" => private.sub_path.clone(),
        _ => None,
    }
}

/// It reads what `prepare` has made, as the same user: nothing is known of the modes that it gave its files.
fn manifest(claims: [&ClaimSource; 2], options: &PodOptions) -> Container {
    let arguments = ["manifest", paths::PUBLIC, paths::PRIVATE, paths::RESULT];
    let data = |name: &str, path: &str| VolumeMount {
        sub_path: sub_path(name, claims),
        ..mount(name, path, Access::Read)
    };
    Container {
        // The image's own entry point: nothing is installed.
        command: None,
        resources: Some(resources::small()),
        security_context: Some(security::of(Role::Prepare, options.ids, true)),
        volume_mounts: Some(vec![
            data("public", paths::PUBLIC),
            data("private", paths::PRIVATE),
        ]),
        ..super::container(MANIFEST, &options.image, &arguments)
    }
}
