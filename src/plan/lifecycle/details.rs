//! What of an attempt is recorded beside its stage: pod, node, device, and under what conditions the result comes about.

use super::harvest::Harvest;
use super::{NodeFacts, World};
use crate::api::status::{EpisodeStatus, PodStatus, ProvenanceStatus};
use crate::plan::document::{name_of, namespace_of};
use crate::plan::gpu;
use crate::plan::pod::{DATA_DIGEST, TASK_DIGEST, TASK_GENERATION, WALL_CLOCK};
use crate::plan::status::Observed;
use crate::wire::report::{TRAJECTORY, archive_path};

/// Records what the pod tells. `runs`: its containers are up, so that what they run is settled.
pub(super) fn record(observed: &mut Observed, world: &World<'_>, pod: Harvest<'_>, attempt: i32, runs: bool) {
    let previous = world.episode.status.as_ref();
    // The node may be gone before the episode ends; what was seen of it on the way stays.
    let same_pod = previous.filter(|previous| recorded_uid(previous) == pod.pod.metadata.uid.as_deref());
    let node = node_of(world, pod);
    observed.pod = Some(PodStatus {
        name: name_of(pod.pod).into(),
        uid: pod.pod.metadata.uid.clone().unwrap_or_default(),
    });
    observed.node = pod.node().map(Into::into);
    observed.gpu = pod.node().and_then(|_| {
        let kept = same_pod.and_then(|previous| previous.gpu.clone());
        kept.filter(|_| node.is_none()).or_else(|| gpu_of(pod, node))
    });
    let kept = same_pod.and_then(|previous| previous.provenance.as_ref()?.hardware.clone());
    observed.provenance = Some(ProvenanceStatus {
        version: env!("CARGO_PKG_VERSION").into(),
        task_generation: pod
            .annotation(TASK_GENERATION)
            .and_then(|generation| generation.parse().ok()),
        task_digest: pod.annotation(TASK_DIGEST).unwrap_or_default().into(),
        data_digest: pod.annotation(DATA_DIGEST).map(Into::into),
        image_digest: pod.image_digest().filter(|_| runs),
        sandbox_layers: Vec::new(),
        // The first sight stays: nodes change while pods run.
        hardware: kept.or_else(|| node.map(hardware)),
    });
    observed.trajectory_uri = trajectory_uri(world, attempt);
}

/// UID of the pod on record.
pub(super) fn recorded_uid(status: &EpisodeStatus) -> Option<&str> {
    status.pod.as_ref().map(|pod| pod.uid.as_str())
}

/// Wall clock that the attempt was planned with, in seconds.
pub(super) fn wall_clock(pod: Harvest<'_>) -> Option<i64> {
    pod.annotation(WALL_CLOCK)?.parse().ok()
}

fn trajectory_uri(world: &World<'_>, attempt: i32) -> Option<String> {
    let archive = world.settings.archive.as_deref()?;
    let path = archive_path(
        namespace_of(world.episode),
        name_of(world.episode),
        world.episode.metadata.uid.as_deref().unwrap_or_default(),
        u32::try_from(attempt).unwrap_or_default(),
    );
    Some(format!("{archive}/{path}/{TRAJECTORY}"))
}

fn node_of<'a>(world: &World<'a>, pod: Harvest<'_>) -> Option<&'a NodeFacts> {
    let name = pod.node()?;
    world.nodes?.iter().find(|node| node.name == name)
}

/// The extended resource of the sandbox: everything else that it asks for has no domain.
fn gpu_of(pod: Harvest<'_>, node: Option<&NodeFacts>) -> Option<String> {
    let spec = pod.pod.spec.as_ref()?;
    let sandbox = spec
        .init_containers
        .iter()
        .flatten()
        .find(|container| container.name == "sandbox")?;
    let limits = sandbox.resources.as_ref()?.limits.as_ref()?;
    let (resource, count) = limits.iter().find(|(name, _)| name.contains('/'))?;
    Some(gpu::used(resource, &count.0, node))
}

/// CPUs and memory of the machine, and its kind where the cluster says.
fn hardware(node: &NodeFacts) -> String {
    let label = |name: &str| node.labels.get(name).cloned();
    let amount = |name: &str| node.allocatable.get(name);
    [
        label("node.kubernetes.io/instance-type"),
        label("kubernetes.io/arch"),
        amount("cpu").map(|cpu| format!("{cpu} CPUs")),
        amount("memory").map(|memory| format!("{memory} of memory")),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(", ")
}
