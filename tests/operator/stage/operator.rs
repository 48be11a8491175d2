//! The operator's own Deployment: killed, scaled, waited for.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::process::Command;

use super::{START, Space, until, variable};

/// Name of Deployment, Service and ServiceAccount.
pub const NAME: &str = "mle-dojo-operator";
/// Its pods.
pub const SELECTOR: &str = "app.kubernetes.io/name=mle-dojo-operator";
/// The process; the brackets keep the pattern from matching the command line that it stands in.
const PROCESS: &str = "[d]ojo operator";

/// The user that the API server knows the operator as.
pub fn user(space: &Space) -> String {
    format!("system:serviceaccount:{}:{NAME}", space.operator)
}

fn deployments(space: &Space) -> Api<Deployment> {
    Api::namespaced(space.client.clone(), &space.operator)
}

fn pods(space: &Space) -> Api<Pod> {
    Api::namespaced(space.client.clone(), &space.operator)
}

async fn list(space: &Space) -> Vec<Pod> {
    let selected = ListParams::default().labels(SELECTOR);
    pods(space).list(&selected).await.unwrap().items
}

/// Runs a command in the namespaces of the cluster's processes; its output. None where that is not possible here.
pub async fn inside(command: &[&str]) -> Option<String> {
    let script = variable("CLUSTER_SH")?;
    let output = Command::new(script)
        .arg("inside")
        .args(command)
        .output()
        .await
        .unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Which processes there were: pod and number of restarts.
async fn incarnations(space: &Space) -> BTreeSet<(String, i32)> {
    list(space)
        .await
        .into_iter()
        .map(|pod| {
            let containers = pod.status.and_then(|status| status.container_statuses);
            let restarts = containers
                .into_iter()
                .flatten()
                .map(|container| container.restart_count)
                .sum();
            (pod.metadata.uid.unwrap_or_default(), restarts)
        })
        .collect()
}

/// Ends the operator's process without a chance to say anything, and waits until another one serves.
pub async fn kill(space: &Space) {
    let before = incarnations(space).await;
    if inside(&["pkill", "-KILL", "-f", PROCESS]).await.is_some() {
        println!("the operator's process was killed");
    } else {
        println!("the operator's pod was deleted without grace: its process cannot be reached from here");
        let at_once = DeleteParams::default().grace_period(0);
        for pod in list(space).await {
            let name = pod.metadata.name.unwrap();
            pods(space).delete(&name, &at_once).await.unwrap();
        }
    }
    until(
        "the cluster sees that the operator was killed",
        START,
        async || (incarnations(space).await != before).then_some(()),
    )
    .await;
    until_ready(space).await;
}

/// Number of operators that are wanted.
pub async fn replicas(space: &Space) -> i32 {
    let deployment = deployments(space).get(NAME).await.unwrap();
    deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1)
}

/// Sets the number of operators and waits until there are so many.
pub async fn scale(space: &Space, replicas: i32) {
    deployments(space)
        .patch(
            NAME,
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"replicas": replicas}})),
        )
        .await
        .unwrap();
    if replicas == 0 {
        until("the operator is gone", START, async || {
            list(space).await.is_empty().then_some(())
        })
        .await;
    } else {
        until_ready(space).await;
    }
}

async fn until_ready(space: &Space) {
    until("the operator is ready", START, async || {
        let deployment = deployments(space).get(NAME).await.unwrap();
        let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let status = deployment.status.unwrap_or_default();
        let current = status.observed_generation >= deployment.metadata.generation;
        (current && status.ready_replicas.unwrap_or(0) == wanted).then_some(())
    })
    .await;
}

/// Resident memory of the operator's process now and at its most, as the kernel says.
pub async fn memory() -> Option<String> {
    let script =
        format!("grep -E 'VmRSS|VmHWM' /proc/$(pgrep -o -f '{PROCESS}')/status | tr -s ' \\t\\n' ' '");
    inside(&["sh", "-c", &script]).await
}
