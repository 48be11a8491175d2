//! Before the operator is removed: nobody will take results any more, so no pod may wait for it.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::Selector;
use kube::{Api, Client, Config};
use serde_json::json;

use super::OperatorError;
use super::call::{CallError, call, call_opt};
use super::children::release;
use super::orphans::is_held;
use super::watch::{OURS, uid_of};
use crate::plan::PodRef;
use crate::plan::document::{name_of, namespace_of};

/// Time for the operator's pods to end.
const END_TIME: Duration = Duration::from_secs(120);
/// Pause between two looks at them.
const PAUSE: Duration = Duration::from_secs(1);
/// Pods in one listing.
const PAGE: u32 = 500;

/// Which operator is removed.
#[derive(Clone, Debug)]
pub struct UninstallOptions {
    /// Its namespace.
    pub namespace: String,
    /// Name of its Deployment.
    pub name: String,
    /// The only namespace whose episodes it ran. Unset: all.
    pub watch_namespace: Option<String>,
}

/// Stops the operator, then lets go of every pod that waits for its result to be taken.
pub fn uninstall(options: &UninstallOptions) -> Result<(), OperatorError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| OperatorError::Failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(async {
        let config = Config::infer().await.map_err(|error| {
            OperatorError::Config(format!("cannot tell where the API server is: {error}"))
        })?;
        let client = super::run::connect(config)?;
        // The operator first: it would hold the next pod that it makes.
        stop(&client, options).await?;
        let released = release_all(&client, options.watch_namespace.as_deref())
            .await
            .map_err(|error| failed(&error))?;
        tracing::info!(released, "no pod waits for this operator any more");
        Ok(())
    })
}

async fn stop(client: &Client, options: &UninstallOptions) -> Result<(), OperatorError> {
    let UninstallOptions { namespace, name, .. } = options;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let label = format!("Deployment {name}");
    let Some(deployment) = call_opt("get", &label, deployments.get(name))
        .await
        .map_err(|error| failed(&error))?
    else {
        tracing::info!("there is no {label} in {namespace}: nothing to stop");
        return Ok(());
    };
    let scale = json!({"spec": {"replicas": 0}});
    let patch = Patch::Merge(scale);
    call(
        "stop",
        &label,
        deployments.patch_scale(name, &PatchParams::default(), &patch),
    )
    .await
    .map_err(|error| failed(&error))?;
    let selector = deployment.spec.map(|spec| spec.selector).unwrap_or_default();
    wait(client, namespace, selector).await
}

/// Waits until the operator's pods are gone.
async fn wait(client: &Client, namespace: &str, selector: LabelSelector) -> Result<(), OperatorError> {
    let selector: Selector = selector.try_into().map_err(|error| {
        OperatorError::Failed(format!("cannot read the selector of the Deployment: {error}"))
    })?;
    let params = ListParams::default().labels_from(&selector);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let started = Instant::now();
    loop {
        let left = call("list", "the operator's pods", pods.list_metadata(&params))
            .await
            .map_err(|error| failed(&error))?;
        let names: Vec<&str> = left.items.iter().map(name_of).collect();
        if names.is_empty() {
            return Ok(());
        }
        if started.elapsed() > END_TIME {
            return Err(OperatorError::Failed(format!(
                "the operator's pods {} are still there after {} s; delete them and try again",
                names.join(", "),
                END_TIME.as_secs()
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn release_all(client: &Client, namespace: Option<&str>) -> Result<u64, CallError> {
    let pods: Api<Pod> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let mut params = ListParams::default().labels(OURS).limit(PAGE);
    let mut released = 0;
    loop {
        let page = call("list", "the pods of episodes", pods.list(&params)).await?;
        for pod in page.items.iter().filter(|pod| is_held(pod)) {
            let own: Api<Pod> = Api::namespaced(client.clone(), namespace_of(pod));
            let reference = PodRef {
                name: name_of(pod).to_owned(),
                uid: uid_of(pod),
            };
            release(&own, &reference).await?;
            released += 1;
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(released),
        }
    }
}

fn failed(error: &CallError) -> OperatorError {
    OperatorError::Failed(error.to_string())
}
