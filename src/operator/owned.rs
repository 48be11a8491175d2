//! Which pods belong to which Episode: by the UID of the owner, never by a name.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;

use crate::api::GROUP;

/// Names of pods by the UID of their Episode.
type Names = HashMap<String, HashSet<ObjectRef<Pod>>>;

/// Pods by the UID of their Episode. It follows the pods' watch, after the store.
#[derive(Debug, Default)]
pub(super) struct Owned(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    names: Names,
    /// The listing that is under way: it replaces what is known when it is complete, as it does in the store.
    listing: Names,
}

impl Owned {
    /// Takes an event in.
    pub(super) fn heed(&self, event: &watcher::Event<Pod>) {
        let mut known = self.lock();
        match event {
            watcher::Event::Apply(pod) => insert(&mut known.names, pod),
            watcher::Event::InitApply(pod) => insert(&mut known.listing, pod),
            watcher::Event::Delete(pod) => remove(&mut known.names, pod),
            watcher::Event::Init => known.listing.clear(),
            watcher::Event::InitDone => known.names = std::mem::take(&mut known.listing),
        }
    }

    /// The pods of the Episode with this UID, in its own namespace, that the store has, by name. An owner is never of another
    /// namespace, but whoever makes a pod can write any UID into it.
    pub(super) fn of(&self, namespace: &str, uid: &str, store: &Store<Pod>) -> Vec<Arc<Pod>> {
        let names = self.lock().names.get(uid).cloned().unwrap_or_default();
        let mut pods: Vec<Arc<Pod>> = names
            .iter()
            .filter(|name| name.namespace.as_deref() == Some(namespace))
            .filter_map(|name| store.get(name))
            .filter(|pod| owner(pod).is_some_and(|owner| owner.uid == uid))
            .collect();
        pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        pods
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn insert(names: &mut Names, pod: &Pod) {
    if let Some(owner) = owner(pod) {
        names
            .entry(owner.uid.clone())
            .or_default()
            .insert(ObjectRef::from_obj(pod));
    }
}

fn remove(names: &mut Names, pod: &Pod) {
    let Some(owner) = owner(pod) else { return };
    if let Some(pods) = names.get_mut(&owner.uid) {
        pods.remove(&ObjectRef::from_obj(pod));
        if pods.is_empty() {
            names.remove(&owner.uid);
        }
    }
}

/// The Episode that a pod belongs to.
pub(super) fn owner(pod: &Pod) -> Option<&OwnerReference> {
    let owners = pod.metadata.owner_references.as_ref()?;
    owners.iter().find(|owner| {
        let group = owner.api_version.split('/').next();
        owner.kind == "Episode" && group == Some(GROUP) && owner.controller == Some(true)
    })
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;
    use serde_json::json;

    use super::*;

    fn pod(namespace: &str, controller: bool) -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "victim-1",
                "namespace": namespace,
                "ownerReferences": [{
                    "apiVersion": "mledojo.dev/v1alpha1", "kind": "Episode", "name": "victim", "uid": "e-1",
                    "controller": controller,
                }],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_of_another_namespace_that_names_the_owner_is_not_its_pod() {
        let (store, mut writer) = reflector::store();
        let owned = Owned::default();
        for pod in [pod("lab", true), pod("thieves", true)] {
            let event = watcher::Event::Apply(pod);
            writer.apply_watcher_event(&event);
            owned.heed(&event);
        }
        let found = owned.of("lab", "e-1", &store);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].metadata.namespace.as_deref(), Some("lab"));
        assert!(
            owner(&pod("lab", false)).is_none(),
            "owned, and controlled by another"
        );
    }
}
