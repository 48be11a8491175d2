//! What the nodes of the cluster offer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Node;
use kube::runtime::reflector::Store;
use kube::runtime::watcher;

use super::watch::{Changes, fingerprint};
use crate::plan::NodeFacts;

/// Facts of all nodes, worked out again only after one of them has changed: a large cluster has many, and each look at an
/// Episode wants all.
pub(super) struct Nodes {
    store: Store<Node>,
    stale: AtomicBool,
    facts: Mutex<Arc<Vec<NodeFacts>>>,
}

impl Nodes {
    pub(super) fn new(store: Store<Node>) -> Self {
        Self {
            store,
            stale: AtomicBool::new(true),
            facts: Mutex::default(),
        }
    }

    /// What of a node's events matters.
    pub(super) fn changes() -> Changes<Node, ()> {
        Changes::new(|node| (fingerprint(format!("{:?}", facts(node))), ()))
    }

    /// Takes an event in.
    pub(super) fn heed(&self, event: &watcher::Event<Node>, changes: &mut Changes<Node, ()>) {
        if !changes.take(event).is_empty() || matches!(event, watcher::Event::InitDone) {
            self.stale.store(true, Ordering::Release);
        }
    }

    /// The facts, by name.
    pub(super) fn facts(&self) -> Arc<Vec<NodeFacts>> {
        let mut known = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stale.swap(false, Ordering::AcqRel) {
            let mut all: Vec<NodeFacts> = self.store.state().iter().map(|node| facts(node)).collect();
            all.sort_by(|a, b| a.name.cmp(&b.name));
            *known = Arc::new(all);
        }
        Arc::clone(&known)
    }

    /// The store behind it.
    pub(super) fn store(&self) -> &Store<Node> {
        &self.store
    }
}

fn facts(node: &Node) -> NodeFacts {
    let status = node.status.as_ref();
    let ready = status
        .and_then(|status| status.conditions.as_ref())
        .is_some_and(|conditions| {
            conditions
                .iter()
                .any(|c| c.type_ == "Ready" && c.status == "True")
        });
    let unschedulable = node.spec.as_ref().and_then(|spec| spec.unschedulable);
    let allocatable = status.and_then(|status| status.allocatable.as_ref());
    NodeFacts {
        name: node.metadata.name.clone().unwrap_or_default(),
        labels: node.metadata.labels.clone().unwrap_or_default(),
        allocatable: allocatable
            .into_iter()
            .flatten()
            .map(|(resource, quantity)| (resource.clone(), quantity.0.clone()))
            .collect::<BTreeMap<_, _>>(),
        usable: ready && unschedulable != Some(true),
    }
}
