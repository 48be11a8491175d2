//! What is printed of a namespace when a test in it has failed.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, LogParams};
use mledojo::api::{Episode, Task};

use super::{Space, operator};

/// Lines of the operator's log.
const LINES: i64 = 60;

/// Episodes, Tasks, pods, Events and the operator's last words. What cannot be read is left out: the failure that led
/// here is what matters.
pub async fn print(space: &Space) {
    println!("--- namespace {} ---", space.name);
    let all = ListParams::default();
    if let Ok(tasks) = space.api::<Task>().list(&all).await {
        for task in tasks {
            let status = serde_saphyr::to_string(&task.status).unwrap_or_default();
            println!("Task/{}:\n{status}", task.metadata.name.unwrap_or_default());
        }
    }
    if let Ok(episodes) = space.api::<Episode>().list(&all).await {
        for mut episode in episodes {
            episode.metadata.managed_fields = None;
            println!("{}---", serde_saphyr::to_string(&episode).unwrap_or_default());
        }
    }
    if let Ok(pods) = space.api::<Pod>().list(&all).await {
        for pod in pods {
            print_pod(&pod);
        }
    }
    if let Ok(events) = space.api::<Event>().list(&all).await {
        println!("--- events ---");
        for event in events {
            println!(
                "{} {}/{} {}: {}",
                event.type_.unwrap_or_default(),
                event.involved_object.kind.unwrap_or_default(),
                event.involved_object.name.unwrap_or_default(),
                event.reason.unwrap_or_default(),
                event.message.unwrap_or_default()
            );
        }
    }
    print_operator(space).await;
}

fn print_pod(pod: &Pod) {
    let status = pod.status.clone().unwrap_or_default();
    println!(
        "Pod/{} {} on {} {}",
        pod.metadata.name.as_deref().unwrap_or_default(),
        status.phase.unwrap_or_default(),
        pod.spec
            .as_ref()
            .and_then(|spec| spec.node_name.as_deref())
            .unwrap_or("no node"),
        if pod.metadata.deletion_timestamp.is_some() {
            "(deleted)"
        } else {
            ""
        },
    );
    for condition in status.conditions.unwrap_or_default() {
        if condition.status != "True" {
            println!(
                "  {}: {} {}",
                condition.type_,
                condition.reason.unwrap_or_default(),
                condition.message.unwrap_or_default()
            );
        }
    }
    let containers = status.init_container_statuses.into_iter().flatten();
    for container in containers.chain(status.container_statuses.into_iter().flatten()) {
        println!(
            "  {}: {} restarts, {}",
            container.name,
            container.restart_count,
            serde_json::to_string(&container.state).unwrap_or_default()
        );
    }
}

async fn print_operator(space: &Space) {
    let pods: Api<Pod> = Api::namespaced(space.client.clone(), &space.operator);
    let Ok(found) = pods.list(&ListParams::default().labels(operator::SELECTOR)).await else {
        return;
    };
    for pod in found {
        print_pod(&pod);
        let name = pod.metadata.name.unwrap_or_default();
        for previous in [true, false] {
            let parameters = LogParams {
                previous,
                tail_lines: Some(LINES),
                ..LogParams::default()
            };
            if let Ok(log) = pods.logs(&name, &parameters).await {
                println!(
                    "--- log of {name}{} ---\n{log}",
                    if previous { ", before its restart" } else { "" }
                );
            }
        }
    }
}
