//! Are the CustomResourceDefinitions there?

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::Client;

use super::call::{CallError, call_opt};
use crate::api;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// The log repeats after so many looks what is waited for.
const LOOKS_PER_LINE: u32 = 30;

/// Waits until the API server serves every kind of this group. It asks the discovery, which every account may read.
pub(super) async fn wait(client: &Client) {
    for look in 0_u32.. {
        let problem = match look_for(client).await {
            Ok(missing) if missing.is_empty() => return,
            Ok(missing) => format!("the API server does not serve {} yet", missing.join(" and ")),
            Err(error) => error.to_string(),
        };
        if look.is_multiple_of(LOOKS_PER_LINE) {
            tracing::warn!(
                "{problem}; waiting. The CustomResourceDefinitions are installed by `helm install mle-dojo-crds \
                 charts/mle-dojo-crds` or `kubectl apply --server-side -f crds/`"
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn look_for(client: &Client) -> Result<Vec<&'static str>, CallError> {
    let served = call_opt(
        "read",
        "the resources of mledojo.dev/v1alpha1",
        client.list_api_group_resources(api::API_VERSION),
    )
    .await?;
    Ok(missing(served.as_ref()))
}

/// What of ours is not served, or not with its status.
fn missing(served: Option<&APIResourceList>) -> Vec<&'static str> {
    let names: Vec<&str> = served
        .iter()
        .flat_map(|list| &list.resources)
        .map(|resource| resource.name.as_str())
        .collect();
    ["episodes", "episodes/status", "tasks", "tasks/status"]
        .into_iter()
        .filter(|name| !names.contains(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;

    use super::*;

    #[test]
    fn a_kind_without_its_status_is_missing() {
        let resource = |name: &str| APIResource {
            name: name.into(),
            ..APIResource::default()
        };
        let list = APIResourceList {
            group_version: api::API_VERSION.into(),
            resources: ["episodes", "episodes/status", "tasks"].map(resource).into(),
        };
        assert_eq!(missing(Some(&list)), ["tasks/status"]);
        assert_eq!(missing(None).len(), 4);
    }
}
