//! GPUs: what a Task asks for, what nodes offer, and whether the two can ever meet.

use super::lifecycle::NodeFacts;
use crate::api::Quantity;
use crate::api::task::{EnvironmentSpec, GpuSpec};

/// Nodes that are named in a message.
const MAX_NAMED: usize = 8;

/// Domain of a resource, below which the GPU feature labels of its nodes are, such as `nvidia.com`.
pub(in crate::plan) fn domain(resource: &str) -> &str {
    resource.split_once('/').map_or(resource, |(domain, _)| domain)
}

/// Label with the product of a node's GPUs.
pub(in crate::plan) fn product_label(resource: &str) -> String {
    format!("{}/gpu.product", domain(resource))
}

/// Label with the memory of one of a node's GPUs, in MiB.
pub(in crate::plan) fn memory_label(resource: &str) -> String {
    format!("{}/gpu.memory", domain(resource))
}

/// The least memory of one device in MiB, where the Task wants some.
pub(in crate::plan) fn least_memory(gpu: &GpuSpec) -> Option<u64> {
    gpu.memory
        .as_ref()
        .and_then(Quantity::bytes)
        .map(|bytes| bytes.div_ceil(1 << 20))
}

/// Why no node of the cluster could ever take a pod of this Task, as far as GPUs and node labels go. Unset: one could, or
/// the Task wants none.
pub(in crate::plan) fn no_node_offers(environment: &EnvironmentSpec, nodes: &[NodeFacts]) -> Option<String> {
    let gpu = environment.gpu.as_ref()?;
    if nodes.iter().any(|node| fits(environment, gpu, node)) {
        return None;
    }
    let offers: Vec<String> = nodes.iter().filter_map(|node| offer(gpu, node)).collect();
    let more = offers.len().saturating_sub(MAX_NAMED);
    let mut listed = offers.into_iter().take(MAX_NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        listed = format!("{listed} and {more} more");
    }
    if listed.is_empty() {
        listed = format!("none of {} has {}", counted(nodes.len(), "node"), gpu.resource);
    }
    Some(format!(
        "no node could ever offer {}; what they offer: {listed}",
        wanted(environment, gpu)
    ))
}

/// What is really used of a node: count and product, as for `2x NVIDIA-H200`.
pub(in crate::plan) fn used(resource: &str, count: &str, node: Option<&NodeFacts>) -> String {
    let product = node.and_then(|node| node.labels.get(&product_label(resource)));
    let kind = resource.split_once('/').map_or(resource, |(_, kind)| kind);
    match product {
        Some(product) if kind == "gpu" => format!("{count}x {product}"),
        Some(product) => format!("{count}x {product} ({kind})"),
        None => format!("{count}x {resource}"),
    }
}

fn fits(environment: &EnvironmentSpec, gpu: &GpuSpec, node: &NodeFacts) -> bool {
    let label = |name: &str| node.labels.get(name).map(String::as_str);
    let product = gpu
        .product
        .as_deref()
        .is_none_or(|product| label(&product_label(&gpu.resource)) == Some(product));
    let memory = least_memory(gpu).is_none_or(|least| {
        label(&memory_label(&gpu.resource))
            .and_then(|memory| memory.parse::<u64>().ok())
            .is_some_and(|memory| memory >= least)
    });
    let selected = environment
        .node_selector
        .iter()
        .all(|(name, value)| label(name) == Some(value));
    product && memory && selected && count(gpu, node) >= i64::from(gpu.count)
}

/// Devices that the node has for pods, whoever uses them now.
fn count(gpu: &GpuSpec, node: &NodeFacts) -> i64 {
    node.allocatable
        .get(&gpu.resource)
        .and_then(|amount| amount.parse().ok())
        .unwrap_or_default()
}

/// What a node offers of the resource, as for `node1: 2x nvidia.com/gpu NVIDIA-A100-SXM4-80GB (81920 MiB)`.
fn offer(gpu: &GpuSpec, node: &NodeFacts) -> Option<String> {
    let count = count(gpu, node);
    if count == 0 {
        return None;
    }
    let label = |name: String| node.labels.get(&name);
    let mut text = format!("{}: {count}x {}", node.name, gpu.resource);
    if let Some(product) = label(product_label(&gpu.resource)) {
        text = format!("{text} {product}");
    }
    if let Some(memory) = label(memory_label(&gpu.resource)) {
        text = format!("{text} ({memory} MiB)");
    }
    if !node.usable {
        text.push_str(" (not ready)");
    }
    Some(text)
}

fn wanted(environment: &EnvironmentSpec, gpu: &GpuSpec) -> String {
    let mut text = format!("{}x {}", gpu.count, gpu.resource);
    if let Some(product) = &gpu.product {
        text = format!("{text} {product}");
    }
    if let Some(memory) = &gpu.memory {
        text = format!("{text} with at least {} each", memory.0);
    }
    let labels: Vec<String> = environment
        .node_selector
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if !labels.is_empty() {
        text = format!("{text} on a node with {}", labels.join(", "));
    }
    text
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, allocatable: &[(&str, &str)], labels: &[(&str, &str)]) -> NodeFacts {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        NodeFacts {
            name: name.into(),
            labels: map(labels),
            allocatable: map(allocatable),
            usable: true,
        }
    }

    fn cluster() -> Vec<NodeFacts> {
        vec![
            node("cpu1", &[("cpu", "8")], &[("zone", "north")]),
            node(
                "gpu1",
                &[("nvidia.com/gpu", "2")],
                &[
                    ("nvidia.com/gpu.product", "NVIDIA-A100-SXM4-80GB"),
                    ("nvidia.com/gpu.memory", "81920"),
                    ("zone", "north"),
                ],
            ),
            node(
                "gpu2",
                &[("nvidia.com/gpu", "4"), ("nvidia.com/mig-1g.10gb", "7")],
                &[
                    ("nvidia.com/gpu.product", "Tesla-T4"),
                    ("nvidia.com/gpu.memory", "15360"),
                ],
            ),
        ]
    }

    fn environment(gpu: &str, selector: &str) -> EnvironmentSpec {
        serde_saphyr::from_str(&format!("{{image: a, gpu: {gpu}, nodeSelector: {selector}}}")).unwrap()
    }

    #[test]
    fn a_request_that_a_node_could_satisfy_when_it_is_free_is_no_trouble() {
        for (gpu, selector) in [
            ("{}", "{}"),
            ("{count: 4}", "{}"),
            ("{count: 2, product: NVIDIA-A100-SXM4-80GB}", "{zone: north}"),
            ("{memory: 80Gi}", "{}"),
            ("{memory: 15Gi, count: 4}", "{}"),
            ("{resource: nvidia.com/mig-1g.10gb, count: 7}", "{}"),
        ] {
            assert_eq!(
                no_node_offers(&environment(gpu, selector), &cluster()),
                None,
                "{gpu} {selector}"
            );
        }
        let none: EnvironmentSpec = serde_saphyr::from_str("{image: a}").unwrap();
        assert_eq!(no_node_offers(&none, &[]), None);
    }

    #[test]
    fn an_impossible_request_is_explained_by_what_there_is() {
        const OFFERS: &str = "gpu1: 2x nvidia.com/gpu NVIDIA-A100-SXM4-80GB (81920 MiB), gpu2: 4x nvidia.com/gpu \
                              Tesla-T4 (15360 MiB)";
        for (gpu, selector, wanted, offers) in [
            ("{count: 5}", "{}", "5x nvidia.com/gpu", OFFERS),
            (
                "{product: NVIDIA-H100-80GB-HBM3}",
                "{}",
                "1x nvidia.com/gpu NVIDIA-H100-80GB-HBM3",
                OFFERS,
            ),
            (
                "{count: 4, memory: 40Gi}",
                "{}",
                "4x nvidia.com/gpu with at least 40Gi each",
                OFFERS,
            ),
            (
                "{}",
                "{zone: south}",
                "1x nvidia.com/gpu on a node with zone=south",
                OFFERS,
            ),
            (
                "{resource: nvidia.com/mig-1g.10gb, count: 8}",
                "{}",
                "8x nvidia.com/mig-1g.10gb",
                "gpu2: 7x nvidia.com/mig-1g.10gb Tesla-T4 (15360 MiB)",
            ),
            (
                "{resource: amd.com/gpu}",
                "{}",
                "1x amd.com/gpu",
                "none of 3 nodes has amd.com/gpu",
            ),
        ] {
            assert_eq!(
                no_node_offers(&environment(gpu, selector), &cluster()).as_deref(),
                Some(format!("no node could ever offer {wanted}; what they offer: {offers}").as_str()),
                "{gpu} {selector}"
            );
        }
    }

    #[test]
    fn a_node_that_is_down_still_counts_and_a_long_list_is_cut() {
        let mut down = cluster();
        down[2].usable = false;
        assert_eq!(no_node_offers(&environment("{count: 4}", "{}"), &down), None);
        let message = no_node_offers(&environment("{count: 9}", "{}"), &down).unwrap();
        assert!(message.ends_with("Tesla-T4 (15360 MiB) (not ready)"), "{message}");
        let many: Vec<NodeFacts> = (0..20)
            .map(|n| node(&format!("n{n}"), &[("nvidia.com/gpu", "1")], &[]))
            .collect();
        let message = no_node_offers(&environment("{count: 9}", "{}"), &many).unwrap();
        assert!(
            message.ends_with("n7: 1x nvidia.com/gpu and 12 more"),
            "{message}"
        );
    }

    #[test]
    fn the_device_that_is_used_is_named_by_its_node() {
        let nodes = cluster();
        for (resource, node, text) in [
            ("nvidia.com/gpu", Some(&nodes[1]), "2x NVIDIA-A100-SXM4-80GB"),
            (
                "nvidia.com/mig-1g.10gb",
                Some(&nodes[2]),
                "2x Tesla-T4 (mig-1g.10gb)",
            ),
            ("nvidia.com/gpu", Some(&nodes[0]), "2x nvidia.com/gpu"),
            ("nvidia.com/gpu", None, "2x nvidia.com/gpu"),
        ] {
            assert_eq!(used(resource, "2", node), text);
        }
    }
}
