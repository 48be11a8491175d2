//! What this process has written and its own watch has not brought back yet.
//!
//! A pod's event often comes before the Episode's own; without this a decision would be taken on a status that is one
//! write old. A decision on an old status does no harm, since a status is written with the version that it was decided on,
//! but it costs a refused write and a second look.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;

use super::watch::uid_of;
use crate::api::Episode;

/// Episodes as the API server gave them back, by UID, until the store has them.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<String, Arc<Episode>>>);

impl Memory {
    /// The newer of what the store has and what was written.
    pub(super) fn newest(&self, seen: Arc<Episode>) -> Arc<Episode> {
        match self.lock().get(&uid_of(&*seen)) {
            Some(written) if version(&**written) > version(&*seen) => Arc::clone(written),
            _ => seen,
        }
    }

    /// Keeps what a write gave back, unless the store has it already.
    pub(super) fn keep(&self, written: &Arc<Episode>, store: &Store<Episode>) {
        let uid = uid_of(&**written);
        self.lock().insert(uid.clone(), Arc::clone(written));
        // After the insertion: an event that comes in between finds it.
        let stored = store.get(&ObjectRef::from_obj(&**written));
        if stored.is_some_and(|stored| uid_of(&*stored) == uid && version(&*stored) >= version(&**written)) {
            self.lock().remove(&uid);
        }
    }

    /// Lets go of what the store has by now.
    pub(super) fn heed(&self, event: &watcher::Event<Episode>) {
        match event {
            watcher::Event::Apply(seen) | watcher::Event::InitApply(seen) => {
                let mut kept = self.lock();
                let uid = uid_of(seen);
                if kept
                    .get(&uid)
                    .is_some_and(|kept| version(&**kept) <= version(seen))
                {
                    kept.remove(&uid);
                }
            }
            watcher::Event::Delete(seen) => {
                self.lock().remove(&uid_of(seen));
            }
            watcher::Event::Init | watcher::Event::InitDone => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Episode>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resource versions of one kind are numbers that grow.
fn version<K: Resource>(object: &K) -> u128 {
    let version = object.meta().resource_version.as_deref();
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector;

    use super::*;

    fn episode(version: &str) -> Arc<Episode> {
        let text = format!(
            "{{apiVersion: mledojo.dev/v1alpha1, kind: Episode, metadata: {{name: a, namespace: b, uid: c, \
             resourceVersion: '{version}'}}, spec: {{taskRef: {{name: t}}, agent: {{}}}}}}"
        );
        Arc::new(serde_saphyr::from_str(&text).unwrap())
    }

    #[test]
    fn the_newer_of_what_was_seen_and_what_was_written_counts() {
        let (store, _writer) = reflector::store();
        let memory = Memory::default();
        memory.keep(&episode("10"), &store);
        assert_eq!(version(&*memory.newest(episode("9"))), 10);
        assert_eq!(version(&*memory.newest(episode("11"))), 11);
    }

    #[test]
    fn what_the_store_has_is_not_kept() {
        let (store, mut writer) = reflector::store();
        let memory = Memory::default();
        memory.keep(&episode("10"), &store);
        let event = watcher::Event::Apply(episode("10").as_ref().clone());
        writer.apply_watcher_event(&event);
        memory.heed(&event);
        assert!(memory.lock().is_empty());
        memory.keep(&episode("10"), &store);
        assert!(memory.lock().is_empty());
    }
}
