//! CPU, memory, disk and GPUs. Requests and limits are equal everywhere, so that the pod is of the class that is evicted
//! last and a measurement does not depend on its neighbours.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, ResourceRequirements,
    Toleration,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::api::Task;
use crate::api::task::{EnvironmentSpec, GpuSpec, ResourceSpec};
use crate::plan::gpu;

/// Disk of the relay's state in MiB: trajectory, program texts and logs.
pub(super) const RELAY_DISK_MIB: u64 = 2 * 1024;
/// Memory of a relay in MiB, before the submissions that it reads.
const RELAY_MEMORY_MIB: u64 = 128;
/// How many times its own size a submission takes while it is graded: bytes, columns, order.
const GRADING_FACTOR: u64 = 4;

/// These amounts as requests and limits.
fn equal(amounts: &[(&str, String)]) -> ResourceRequirements {
    let amounts: BTreeMap<String, Quantity> = amounts
        .iter()
        .map(|(name, amount)| ((*name).to_owned(), Quantity(amount.clone())))
        .collect();
    ResourceRequirements {
        limits: Some(amounts.clone()),
        requests: Some(amounts),
        ..ResourceRequirements::default()
    }
}

fn amounts(cpu: &str, memory: &str, disk: &str) -> [(&'static str, String); 3] {
    [
        ("cpu", cpu.to_owned()),
        ("memory", memory.to_owned()),
        ("ephemeral-storage", disk.to_owned()),
    ]
}

/// For a container that does next to nothing.
pub(super) fn small() -> ResourceRequirements {
    equal(&amounts("100m", "64Mi", "64Mi"))
}

/// For the relay: it holds a submission in memory while it grades it.
pub(super) fn of_relay(task: &Task) -> ResourceRequirements {
    let most = task.spec.evaluation.submission.size_limit();
    let memory = RELAY_MEMORY_MIB + GRADING_FACTOR * most.div_ceil(1 << 20);
    equal(&amounts(
        "200m",
        &format!("{memory}Mi"),
        &format!("{RELAY_DISK_MIB}Mi"),
    ))
}

/// For a container with resources of its own.
pub(super) fn of_spec(spec: &ResourceSpec) -> ResourceRequirements {
    equal(&amounts(&spec.cpu.0, &spec.memory.0, &spec.ephemeral_storage.0))
}

/// For the sandbox: its share and the GPUs.
pub(super) fn of_sandbox(environment: &EnvironmentSpec) -> ResourceRequirements {
    let spec = &environment.resources;
    let mut all = amounts(&spec.cpu.0, &spec.memory.0, &spec.ephemeral_storage.0).to_vec();
    if let Some(gpu) = &environment.gpu {
        all.push((&gpu.resource, gpu.count.to_string()));
    }
    equal(&all)
}

/// Nodes with the wanted GPU, by the labels that GPU feature discovery sets.
pub(super) fn affinity(gpu: Option<&GpuSpec>) -> Option<Affinity> {
    let gpu = gpu?;
    let requirement = |label: String, operator: &str, value: String| NodeSelectorRequirement {
        key: label,
        operator: operator.into(),
        values: Some(vec![value]),
    };
    let mut expressions = Vec::new();
    if let Some(product) = &gpu.product {
        expressions.push(requirement(
            gpu::product_label(&gpu.resource),
            "In",
            product.clone(),
        ));
    }
    if let Some(least) = gpu::least_memory(gpu) {
        // The label counts MiB, and there is no "at least".
        let more_than = least.saturating_sub(1);
        expressions.push(requirement(
            gpu::memory_label(&gpu.resource),
            "Gt",
            more_than.to_string(),
        ));
    }
    (!expressions.is_empty()).then(|| Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: vec![NodeSelectorTerm {
                    match_expressions: Some(expressions),
                    ..NodeSelectorTerm::default()
                }],
            }),
            ..NodeAffinity::default()
        }),
        ..Affinity::default()
    })
}

/// The taint that keeps others off GPU nodes, and those that the Task names.
pub(super) fn tolerations(environment: &EnvironmentSpec) -> Vec<Toleration> {
    let gpu = environment.gpu.as_ref().map(|gpu| Toleration {
        key: Some(gpu.resource.clone()),
        operator: Some("Exists".into()),
        effect: Some("NoSchedule".into()),
        ..Toleration::default()
    });
    gpu.into_iter()
        .chain(environment.tolerations.iter().cloned())
        .collect()
}
