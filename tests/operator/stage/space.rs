//! A namespace of one test, and the episodes in it.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use mledojo::api::conditions::Phase;
use mledojo::api::status::PodStatus;
use mledojo::api::{Episode, EpisodeStatus, Task};
use mledojo::plan::pod::EPISODE_LABEL;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{SOON, START, until, variable};

/// Label of the namespaces of these tests.
const TEST_LABEL: &str = "mledojo.dev/operator-test";
/// What every pod of an episode is labelled with.
pub const EPISODE_PODS: &str = "app.kubernetes.io/managed-by=mle-dojo-operator,mledojo.dev/episode";

/// A namespace of one test.
pub struct Space {
    pub client: Client,
    /// The namespace.
    pub name: String,
    /// Namespace of the operator.
    pub operator: String,
}

impl Space {
    pub async fn create(prefix: &str) -> Self {
        let client = Client::try_default()
            .await
            .expect("KUBECONFIG names no cluster: `make cluster-up` first");
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {
            "generateName": format!("dojo-{prefix}-"),
            "labels": {
                TEST_LABEL: prefix,
                "pod-security.kubernetes.io/enforce": "restricted",
            },
        }}))
        .unwrap();
        let namespace = Api::<Namespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await
            .expect("a namespace cannot be made");
        let space = Self {
            client,
            name: namespace.metadata.name.unwrap(),
            operator: variable("DOJO_OPERATOR_NAMESPACE").unwrap_or_else(|| "mle-dojo-system".into()),
        };
        // Without it no pod can be made.
        let accounts: Api<ServiceAccount> = space.api();
        until("the namespace has its service account", SOON, async || {
            accounts.get_opt("default").await.unwrap()
        })
        .await;
        space
    }

    /// Asks for the end of the namespace and gives it some time, so that its pods do not crowd out those of the next
    /// test.
    pub async fn remove(&self) {
        let namespaces: Api<Namespace> = self.all();
        match namespaces.delete(&self.name, &DeleteParams::default()).await {
            Ok(_) => {}
            // The test itself has deleted it.
            Err(kube::Error::Api(status)) if status.code == 404 => return,
            Err(error) => {
                println!("namespace {} cannot be deleted: {error}", self.name);
                return;
            }
        }
        let gone = async {
            while let Ok(Some(_)) = namespaces.get_opt(&self.name).await {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        if tokio::time::timeout(SOON, gone).await.is_err() {
            println!("namespace {} is not gone after {} s", self.name, SOON.as_secs());
        }
    }

    /// Waits until no pod of another test takes CPU or GPU; not for ever, since a cluster may have other users.
    pub async fn others_are_gone(&self) {
        let pods: Api<Pod> = self.all();
        let active = ListParams::default()
            .labels(EPISODE_PODS)
            .fields("status.phase!=Succeeded,status.phase!=Failed");
        let gone = async {
            while !pods.list(&active).await.unwrap().items.is_empty() {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        if tokio::time::timeout(SOON, gone).await.is_err() {
            println!("other episodes run in this cluster; what follows may take longer or find no place");
        }
    }

    /// Objects of this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Deletes the namespace with everything in it, and waits until it is gone.
    pub async fn delete_namespace(&self, what: &str) {
        let namespaces: Api<Namespace> = self.all();
        namespaces
            .delete(&self.name, &DeleteParams::default())
            .await
            .unwrap();
        until(what, SOON, async || {
            namespaces
                .get_opt(&self.name)
                .await
                .unwrap()
                .is_none()
                .then_some(())
        })
        .await;
    }

    /// Objects of the whole cluster.
    pub fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// An object that is of no namespace.
    pub async fn cluster_object<K>(&self, name: &str) -> Option<K>
    where
        K: Resource<Scope = ClusterResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        self.all::<K>().get_opt(name).await.unwrap()
    }

    /// Makes one object here.
    pub async fn make<K>(&self, object: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let typed: K = serde_json::from_value(object).expect("a fixture is not of its kind");
        self.api()
            .create(&PostParams::default(), &typed)
            .await
            .unwrap_or_else(|error| panic!("the API server refuses a fixture: {error}\n{typed:?}"))
    }

    pub async fn make_task(&self, task: Value) -> Task {
        self.make(task).await
    }

    pub async fn make_episode(&self, episode: Value) -> Episode {
        self.make(episode).await
    }

    pub async fn make_files(&self, config_map: Value) -> ConfigMap {
        self.make(config_map).await
    }

    /// Changes the spec of an Episode.
    pub async fn change(&self, episode: &str, spec: Value) {
        self.api::<Episode>()
            .patch(
                episode,
                &PatchParams::default(),
                &Patch::Merge(json!({"spec": spec})),
            )
            .await
            .unwrap();
    }

    /// The Episode; none where it is gone.
    pub async fn episode(&self, name: &str) -> Option<Episode> {
        self.api().get_opt(name).await.unwrap()
    }

    /// The status of an Episode that is there; empty where nothing was written yet.
    pub async fn status(&self, name: &str) -> EpisodeStatus {
        self.episode(name)
            .await
            .unwrap_or_else(|| panic!("Episode/{name} is gone"))
            .status
            .unwrap_or_default()
    }

    /// Waits for a status; fails at once when the episode has ended in another one.
    pub async fn until_status(
        &self,
        name: &str,
        what: &str,
        limit: Duration,
        holds: impl Fn(&EpisodeStatus) -> bool,
    ) -> EpisodeStatus {
        until(&format!("Episode/{name}: {what}"), limit, async || {
            let status = self.status(name).await;
            if holds(&status) {
                return Some(status);
            }
            assert!(
                !status.phase.is_final(),
                "Episode/{name} ended as {:?} while waiting for: {what}\n{status:#?}",
                status.phase
            );
            None
        })
        .await
    }

    pub async fn until_phase(&self, name: &str, phase: Phase, limit: Duration) -> EpisodeStatus {
        self.until_status(name, &format!("is {phase:?}"), limit, |status| {
            status.phase == phase
        })
        .await
    }

    /// Waits until the agent acts.
    pub async fn until_running(&self, name: &str) -> EpisodeStatus {
        self.until_phase(name, Phase::Running, START).await
    }

    /// Pods of an episode, of all its attempts that there are.
    pub async fn pods_of(&self, episode: &str) -> Vec<Pod> {
        self.api::<Pod>()
            .list(&ListParams::default().labels(&format!("{EPISODE_LABEL}={episode}")))
            .await
            .unwrap()
            .items
    }

    /// A token of a service account; where wanted, for an audience other than the API server, and for as long as a pod
    /// lives.
    pub async fn token(&self, account: &str, audience: Option<&str>, pod: Option<&PodStatus>) -> String {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audience.into_iter().map(str::to_owned).collect(),
                bound_object_ref: pod.map(|pod| BoundObjectReference {
                    api_version: Some("v1".into()),
                    kind: Some("Pod".into()),
                    name: Some(pod.name.clone()),
                    uid: Some(pod.uid.clone()),
                }),
                expiration_seconds: Some(600),
            },
            ..TokenRequest::default()
        };
        let answer = self
            .api::<ServiceAccount>()
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .unwrap();
        answer.status.unwrap().token
    }

    /// What the agent of an attempt printed; empty where nothing can be read.
    pub async fn agent_log(&self, episode: &str, attempt: u32) -> String {
        let parameters = LogParams {
            container: Some("agent".into()),
            ..LogParams::default()
        };
        self.api::<Pod>()
            .logs(&format!("{episode}-{attempt}"), &parameters)
            .await
            .unwrap_or_default()
    }
}
