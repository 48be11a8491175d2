//! GPUs as the scheduler hands them out. No device is behind them in the tests' own cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use kube::api::{DeleteParams, ListParams};
use mledojo::api::conditions::Phase;
use mledojo::api::{Episode, EpisodeStatus};
use serde_json::{Value, json};

use crate::stage::fixtures::{self, Do};
use crate::stage::{Access, EPISODE, SOON, START, Space, play, skip, until};

const A100: &str = "NVIDIA-A100-SXM4-80GB";
const H100: &str = "NVIDIA-H100-80GB-HBM3";
/// Devices of the two nodes.
const DEVICES: usize = 6;

/// Node by product, where this is the cluster that these tests are about.
async fn nodes(space: &Space) -> Option<BTreeMap<String, String>> {
    let nodes: Vec<Node> = space
        .all::<Node>()
        .list(&ListParams::default())
        .await
        .unwrap()
        .items;
    let found: Vec<(String, String, String)> = nodes
        .into_iter()
        .filter_map(|node| {
            let devices = node.status?.allocatable?.get("nvidia.com/gpu")?.0.clone();
            let product = node.metadata.labels?.get("nvidia.com/gpu.product")?.clone();
            Some((product, devices, node.metadata.name?))
        })
        .collect();
    let has = |product: &str, devices: &str| {
        found
            .iter()
            .any(|(its, count, _)| its == product && count == devices)
    };
    if found.len() == 2 && has(A100, "2") && has(H100, "4") {
        return Some(
            found
                .into_iter()
                .map(|(product, _, node)| (product, node))
                .collect(),
        );
    }
    skip(&format!(
        "wanted are one node with 2 {A100} and one with 4 {H100}, there is {found:?}: \
         make cluster-up NODES=2 GPUS=2,4 GPU_PRODUCTS={A100},{H100}"
    ));
    None
}

/// The Task with GPUs.
fn gpu_task(name: &str, gpu: &Value) -> Value {
    fixtures::with(fixtures::task(name), json!({"environment": {"gpu": gpu}}))
}

/// Whether a GPU's name and a product label mean the same: `1x NVIDIA H100 80GB HBM3`, `NVIDIA-H100-80GB-HBM3`.
fn names(gpu: Option<&str>, product: &str) -> bool {
    let plain = |text: &str| text.replace(['-', ' '], "").to_lowercase();
    gpu.is_some_and(|gpu| plain(gpu).contains(&plain(product)))
}

/// All that the conditions say.
fn said(status: &EpisodeStatus) -> String {
    status
        .conditions
        .iter()
        .map(|condition| {
            format!(
                "{}={} {}: {}",
                condition.type_, condition.status, condition.reason, condition.message
            )
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn as_many_episodes_run_as_there_are_gpus_and_the_next_one_waits() {
    play("gpu", Access::Alone, async |space: &Space| {
        let Some(nodes) = nodes(space).await else { return };
        space
            .make_files(fixtures::code(&[Do::Submit(0.05), Do::Sleep(500)]))
            .await;
        space.make_task(gpu_task("any-gpu", &json!({"count": 1}))).await;
        let all: Vec<String> = (1..=DEVICES).map(|number| format!("holder-{number}")).collect();
        for name in &all {
            space.make_episode(fixtures::replay(name, "any-gpu")).await;
        }
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        for name in &all {
            let status = space.until_running(name).await;
            let node = status.node.clone().expect("its node");
            let (product, _) = nodes
                .iter()
                .find(|(_, its)| **its == node)
                .expect("a node with GPUs");
            assert!(
                names(status.gpu.as_deref(), product),
                "{product}: {:?}",
                status.gpu
            );
            *used.entry(product.clone()).or_default() += 1;
        }
        assert_eq!(used, BTreeMap::from([(A100.to_owned(), 2), (H100.to_owned(), 4)]));

        space.make_episode(fixtures::replay("seventh", "any-gpu")).await;
        let waiting = space
            .until_status("seventh", "says that there is no GPU left", START, |status| {
                said(status).contains("nvidia.com/gpu")
            })
            .await;
        assert!(
            [Phase::Pending, Phase::Starting].contains(&waiting.phase),
            "{waiting:#?}"
        );
        assert!(said(&waiting).contains("Unschedulable"), "{}", said(&waiting));
        println!("the seventh episode waits:\n{}", said(&waiting));
        for name in &all {
            let status = space.status(name).await;
            assert_eq!(status.phase, Phase::Running, "{name}: {status:#?}");
        }

        space
            .api::<Episode>()
            .delete(&all[0], &DeleteParams::default())
            .await
            .unwrap();
        space.until_running("seventh").await;
    });
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn an_episode_runs_where_the_product_is_that_its_task_names() {
    play("gpu-product", Access::Alone, async |space: &Space| {
        let Some(nodes) = nodes(space).await else { return };
        space.make_files(fixtures::code(&fixtures::IMPROVING)).await;
        for (name, gpu) in [
            ("on-a100", json!({"product": A100})),
            ("on-h100", json!({"product": H100, "count": 3})),
            ("with-70-gib", json!({"product": H100, "memory": "70Gi"})),
        ] {
            space.make_task(gpu_task(name, &gpu)).await;
            space.make_episode(fixtures::replay(name, name)).await;
            let product = gpu["product"].as_str().unwrap();
            // Its few steps may be over before anybody has seen it run.
            let status = space.until_phase(name, Phase::Completed, EPISODE).await;
            assert_eq!(status.node.as_ref(), Some(&nodes[product]), "{name}: {status:#?}");
            assert!(names(status.gpu.as_deref(), product), "{name}: {:?}", status.gpu);
            println!("{name}: {} on {product}", status.gpu.unwrap_or_default());
        }
    });
}

#[test]
#[ignore = "needs a cluster: make cluster-test"]
fn what_no_node_could_ever_give_is_explained_by_what_the_nodes_offer() {
    play("gpu-never", Access::Shared, async |space: &Space| {
        if nodes(space).await.is_none() {
            return;
        }
        space.make_files(fixtures::code(&fixtures::IMPROVING)).await;
        for (name, gpu) in [
            ("too-many", json!({"count": 64})),
            ("not-here", json!({"product": "NVIDIA-B200"})),
        ] {
            space.make_task(gpu_task(name, &gpu)).await;
            space.make_episode(fixtures::replay(name, name)).await;
            let words = until(
                &format!("Episode/{name} names what the nodes offer"),
                SOON,
                async || {
                    let words = said(&space.status(name).await);
                    (words.contains(A100) && words.contains(H100)).then_some(words)
                },
            )
            .await;
            println!("{name}:\n{words}");
            let status = space.status(name).await;
            assert_eq!(status.phase, Phase::Pending, "{name}: {status:#?}");
        }
    });
}
