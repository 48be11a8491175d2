//! What the controllers share.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::events::Recorder;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource};

use super::backoff::Backoff;
use super::memory::Memory;
use super::nodes::Nodes;
use super::owned::Owned;
use super::task::Pace;
use crate::api::{Episode, Task};
use crate::metrics::OperatorMetrics;
use crate::plan::{NodeFacts, ReportOptions, Settings};

/// Tells where relays report to at this moment: the certificates change while the operator runs.
pub(super) type ReportSource = Arc<dyn Fn() -> Option<ReportOptions> + Send + Sync>;

/// Clients, stores and memories of the controllers of one operator.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) episodes: Store<Episode>,
    pub(super) tasks: Store<Task>,
    pub(super) pods: Store<Pod>,
    pub(super) jobs: Store<Job>,
    /// Pods by their Episode.
    pub(super) owned: Owned,
    /// Unset: the nodes may not be read.
    pub(super) nodes: Option<Nodes>,
    /// What the operator was started with; where relays report to is in `report`.
    pub(super) settings: Settings,
    pub(super) report: ReportSource,
    pub(super) recorder: Recorder,
    pub(super) metrics: OperatorMetrics,
    /// Own writes that the store does not have yet.
    pub(super) memory: Memory,
    pub(super) backoff: Backoff,
    /// When a Task was written last.
    pub(super) pace: Pace,
}

impl Context {
    /// The settings of this moment.
    pub(super) fn settings(&self) -> Settings {
        let mut settings = self.settings.clone();
        settings.pod.report = (self.report)();
        settings
    }

    /// Objects of a kind in a namespace.
    pub(super) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The Task of an Episode.
    pub(super) fn task_of(&self, episode: &Episode) -> Option<Arc<Task>> {
        self.tasks.get(&task_ref(episode))
    }

    /// What the nodes offer, where that can be known.
    pub(super) fn node_facts(&self) -> Option<Arc<Vec<NodeFacts>>> {
        self.nodes.as_ref().map(Nodes::facts)
    }
}

/// Where the Task of an Episode is.
pub(super) fn task_ref(episode: &Episode) -> ObjectRef<Task> {
    let name = ObjectRef::new(&episode.spec.task_ref.name);
    match &episode.metadata.namespace {
        Some(namespace) => name.within(namespace),
        None => name,
    }
}

#[cfg(test)]
impl Context {
    /// A context with empty stores.
    pub(super) fn empty(client: Client) -> Self {
        use kube::runtime::reflector::store;

        let pod = crate::plan::PodOptions {
            image: "localhost/mle-dojo-operator:dev".into(),
            ids: crate::plan::Ids::Fixed,
            report: None,
        };
        let settings = Settings {
            pod,
            archive: None,
            start_patience: 300,
            retry_delay: 10,
            keep_pods: true,
        };
        Self {
            episodes: store().0,
            tasks: store().0,
            pods: store().0,
            jobs: store().0,
            owned: Owned::default(),
            nodes: None,
            settings,
            report: Arc::new(|| None),
            recorder: Recorder::new(client.clone(), "test".into()),
            metrics: OperatorMetrics::new().unwrap(),
            memory: Memory::default(),
            backoff: Backoff::default(),
            pace: Pace::default(),
            client,
        }
    }
}
