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

    /// The pods of the Episode with this UID that the store has, by name.
    pub(super) fn of(&self, uid: &str, store: &Store<Pod>) -> Vec<Arc<Pod>> {
        let names = self.lock().names.get(uid).cloned().unwrap_or_default();
        let mut pods: Vec<Arc<Pod>> = names
            .iter()
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
        owner.kind == "Episode" && group == Some(GROUP)
    })
}
