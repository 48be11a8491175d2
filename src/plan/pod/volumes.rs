//! The volumes of a pod. Who mounts which of them is in the table of [`super`]; a test holds it.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, ImageVolumeSource, KeyToPath,
    PersistentVolumeClaimVolumeSource, ProjectedVolumeSource, ServiceAccountTokenProjection, Volume,
    VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::resources::RELAY_DISK_MIB;
use super::{AUTHORITIES_KEY, CONFIG_KEY, PodOptions, TOKEN_KEY, agent, paths};
use crate::api::task::{ClaimSource, ImageSource, VolumeSource};
use crate::api::{Episode, KeyRef, Task};
use crate::wire::report::AUDIENCE;

/// Seconds that a report token holds; the kubelet renews it well before.
const TOKEN_SECONDS: i64 = 3600;

/// File name of the `prepare` program in its container.
pub(super) const PREPARE_FILE: &str = "prepare.py";

/// How a container sees a volume.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A mount of the volume `name`.
pub(super) fn mount(name: &str, path: &str, access: Access) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: (access == Access::Read).then_some(true),
        ..VolumeMount::default()
    }
}

/// The public data as everyone but `prepare` sees them.
pub(super) fn public(task: &Task) -> VolumeMount {
    data_mount("public", paths::PUBLIC, task.spec.data.public.as_ref())
}

/// The private data as the relay sees them.
pub(super) fn private(task: &Task) -> VolumeMount {
    data_mount("private", paths::PRIVATE, task.spec.data.private.as_ref())
}

fn data_mount(name: &str, path: &str, source: Option<&VolumeSource>) -> VolumeMount {
    let claim = source.and_then(|source| source.persistent_volume_claim.as_ref());
    VolumeMount {
        sub_path: claim.and_then(|claim| claim.sub_path.clone()),
        ..mount(name, path, Access::Read)
    }
}

/// Every volume of the pod.
pub(super) fn sources(task: &Task, episode: &Episode, config_map: &str, options: &PodOptions) -> Vec<Volume> {
    let disk = &task.spec.environment.resources.ephemeral_storage.0;
    let data = &task.spec.data;
    let mut all = vec![empty("program", "128Mi")];
    if let Some(prepare) = super::prepare::source(task) {
        all.extend(for_prepare(&prepare.config_map_key_ref, disk));
    }
    all.extend([
        data_volume("public", data.public.as_ref(), disk),
        data_volume("private", data.private.as_ref(), disk),
        config_map_volume("config", config_map, config_keys(options)),
        empty("state", &format!("{RELAY_DISK_MIB}Mi")),
        empty("channel", "1Mi"),
        empty("connection", "1Mi"),
        empty("workspace", disk),
        empty("scratch", disk),
        empty("exec-state", "16Mi"),
        shared_memory(task),
    ]);
    if options.report.is_some() {
        all.push(report_token());
    }
    if let Some(replay) = &episode.spec.agent.replay {
        let key = &replay.config_map_key_ref;
        // Under its own name: its extension tells a list from a trajectory.
        all.push(file("actions", key, &key.key));
    }
    if let Some(container) = &episode.spec.agent.container {
        all.push(empty("home", &agent::resources(container).ephemeral_storage.0));
    }
    all
}

/// What `prepare` needs besides the two volumes that it fills.
fn for_prepare(key: &KeyRef, disk: &str) -> [Volume; 3] {
    [
        file("task-code", key, PREPARE_FILE),
        empty("raw", disk),
        // Not the sandbox's scratch: what `prepare` leaves behind may tell the answers.
        empty("prepare-home", disk),
    ]
}

/// The volumes of the Job that fills the claims of a Task.
pub(super) fn of_job(task: &Task, key: &KeyRef, claims: [&ClaimSource; 2]) -> Vec<Volume> {
    let disk = &task.spec.environment.resources.ephemeral_storage.0;
    let mut all = for_prepare(key, disk).to_vec();
    all.extend(
        ["public", "private"]
            .into_iter()
            .zip(claims)
            .map(|(name, claim)| Volume {
                name: name.into(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: claim.claim_name.clone(),
                    read_only: None,
                }),
                ..Volume::default()
            }),
    );
    all
}

/// Keys of the relay's ConfigMap.
fn config_keys(options: &PodOptions) -> &'static [(&'static str, &'static str)] {
    const KEYS: &[(&str, &str)] = &[(CONFIG_KEY, CONFIG_KEY), (AUTHORITIES_KEY, AUTHORITIES_KEY)];
    match options.report {
        Some(_) => KEYS,
        None => &KEYS[..1],
    }
}

/// A token by which the report server knows the pod, and which is good for nothing else.
fn report_token() -> Volume {
    Volume {
        name: "report-token".into(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(vec![VolumeProjection {
                service_account_token: Some(ServiceAccountTokenProjection {
                    audience: Some(AUDIENCE.into()),
                    expiration_seconds: Some(TOKEN_SECONDS),
                    path: TOKEN_KEY.into(),
                }),
                ..VolumeProjection::default()
            }]),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// A volume of the Task, or an empty directory that `prepare` fills.
fn data_volume(name: &str, source: Option<&VolumeSource>, disk: &str) -> Volume {
    let Some(source) = source else {
        return empty(name, disk);
    };
    if let Some(map) = &source.config_map {
        return config_map_volume(name, &map.name, &[]);
    }
    Volume {
        name: name.into(),
        // Read-only for the kubelet too: it then leaves owners and modes of the claim's files alone.
        persistent_volume_claim: source.persistent_volume_claim.as_ref().map(|claim| {
            PersistentVolumeClaimVolumeSource {
                claim_name: claim.claim_name.clone(),
                read_only: Some(true),
            }
        }),
        image: source.image.as_ref().map(image_volume),
        ..Volume::default()
    }
}

fn image_volume(image: &ImageSource) -> ImageVolumeSource {
    ImageVolumeSource {
        reference: Some(image.reference.clone()),
        pull_policy: Some("IfNotPresent".into()),
    }
}

fn empty(name: &str, size: &str) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(size.into())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// `/dev/shm` of 64 MiB, a runtime's own, is too small for data loaders; this one may take half of the memory.
fn shared_memory(task: &Task) -> Volume {
    let memory = &task.spec.environment.resources.memory;
    let half = memory.bytes().unwrap_or_default() / 2;
    Volume {
        name: "shm".into(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: Some("Memory".into()),
            size_limit: Some(Quantity(half.to_string())),
        }),
        ..Volume::default()
    }
}

fn file(name: &str, key: &KeyRef, path: &str) -> Volume {
    config_map_volume(name, &key.name, &[(&key.key, path)])
}

/// A ConfigMap: these of its keys, under these names; none given: all of them.
fn config_map_volume(name: &str, config_map: &str, items: &[(&str, &str)]) -> Volume {
    let items: Vec<KeyToPath> = items
        .iter()
        .map(|(key, path)| KeyToPath {
            key: (*key).into(),
            path: (*path).into(),
            ..KeyToPath::default()
        })
        .collect();
    Volume {
        name: name.into(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map.into(),
            items: super::present(items),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }
}
