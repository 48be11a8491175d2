//! Watches: what has changed, and for whom it matters.
//!
//! One watch per kind feeds one store; from its events each subscriber picks those that matter to it ([`Changes`]) and
//! puts the objects to look at into the queue of a controller. `kube`'s `Controller` looks at its primary kind on every
//! event, so also on each report of a running episode; the engine below it (`kube::runtime::applier`) takes any queue.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use futures::channel::mpsc::UnboundedSender;
use futures::{Stream, StreamExt};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{Lookup, ObjectRef};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::call::words;

/// Label of everything that this operator makes.
pub(super) const OURS: &str = "app.kubernetes.io/managed-by=mle-dojo-operator";
/// A watch that fails over and over is told of this often.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);

/// A change of an object, as far as a subscriber is concerned.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change<V> {
    /// What the subscriber reads from the object.
    pub(super) value: V,
    /// The object is gone.
    pub(super) gone: bool,
}

/// Tells whether an event matters: by a fingerprint over what is looked at. A deletion that a broken watch has missed is
/// found when everything is listed anew.
pub(super) struct Changes<K, V> {
    /// Fingerprint, and what is to be known of the object.
    read: fn(&K) -> (u64, V),
    /// By UID.
    seen: HashMap<String, (u64, V)>,
    /// UIDs of the listing that is under way.
    listed: Option<HashSet<String>>,
}

impl<K: Resource, V: Clone> Changes<K, V> {
    pub(super) fn new(read: fn(&K) -> (u64, V)) -> Self {
        Self {
            read,
            seen: HashMap::new(),
            listed: None,
        }
    }

    /// What an event changes.
    pub(super) fn take(&mut self, event: &watcher::Event<K>) -> Vec<Change<V>> {
        match event {
            watcher::Event::Init => {
                self.listed = Some(HashSet::new());
                Vec::new()
            }
            watcher::Event::InitApply(object) => {
                if let Some(listed) = &mut self.listed {
                    listed.insert(uid_of(object));
                }
                self.look(object).into_iter().collect()
            }
            watcher::Event::Apply(object) => self.look(object).into_iter().collect(),
            watcher::Event::Delete(object) => {
                self.seen.remove(&uid_of(object));
                let (_, value) = (self.read)(object);
                vec![Change { value, gone: true }]
            }
            watcher::Event::InitDone => {
                let Some(listed) = self.listed.take() else {
                    return Vec::new();
                };
                let gone = self.seen.extract_if(|uid, _| !listed.contains(uid));
                gone.map(|(_, (_, value))| Change { value, gone: true }).collect()
            }
        }
    }

    fn look(&mut self, object: &K) -> Option<Change<V>> {
        let (fingerprint, value) = (self.read)(object);
        let before = self.seen.insert(uid_of(object), (fingerprint, value.clone()));
        let changed = before.is_none_or(|(before, _)| before != fingerprint);
        changed.then_some(Change { value, gone: false })
    }
}

/// UID of an object; empty where it has none, which the API server never sends.
pub(super) fn uid_of<K: Resource>(object: &K) -> String {
    object.meta().uid.clone().unwrap_or_default()
}

/// A number that two values share only by chance.
pub(super) fn fingerprint(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Where a controller's work comes in.
pub(super) struct Queue<K: Lookup<DynamicType: Default>>(pub(super) UnboundedSender<ObjectRef<K>>);

impl<K: Lookup<DynamicType: Default>> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Lookup<DynamicType: Default>> Queue<K> {
    /// Has an object looked at. After the controller has ended nobody is there to look.
    pub(super) fn push(&self, object: ObjectRef<K>) {
        let _ = self.0.unbounded_send(object);
    }
}

/// The events of a kind, pruned before they are stored, for ever.
pub(super) fn events<K>(
    api: Api<K>,
    config: watcher::Config,
    prune: fn(&mut K),
    writer: Writer<K>,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    watcher(api, config)
        .default_backoff()
        .modify(prune)
        .reflect(writer)
}

/// Hands every event to `heed`, and keeps on through failures.
pub(super) async fn follow<K>(
    kind: &'static str,
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>>,
    mut heed: impl FnMut(&watcher::Event<K>),
) {
    let mut events = std::pin::pin!(events);
    let mut complained: Option<Instant> = None;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => heed(&event),
            Err(error) if complained.is_none_or(|at| at.elapsed() > COMPLAINT_PAUSE) => {
                complained = Some(Instant::now());
                tracing::warn!(kind, error = %reason(&error), "the watch failed; it is opened again");
            }
            Err(error) => tracing::debug!(kind, error = %reason(&error), "the watch failed again"),
        }
    }
}

fn reason(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => words(error),
        watcher::Error::WatchError(status) => status.message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::ObjectMeta;
    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};

    use super::*;

    fn object(name: &str, generation: i64, version: &str) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.into()),
                uid: Some(format!("uid-{name}")),
                generation: Some(generation),
                resource_version: Some(version.into()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    fn changes() -> Changes<ConfigMap, String> {
        Changes::new(|object| {
            (
                fingerprint(object.metadata.generation),
                object.metadata.name.clone().unwrap_or_default(),
            )
        })
    }

    fn names(changes: Vec<Change<String>>) -> Vec<(String, bool)> {
        changes
            .into_iter()
            .map(|change| (change.value, change.gone))
            .collect()
    }

    #[test]
    fn an_event_that_changes_nothing_of_what_is_looked_at_is_none() {
        let mut changes = changes();
        assert_eq!(
            names(changes.take(&Apply(object("a", 1, "5")))),
            [("a".into(), false)]
        );
        assert!(changes.take(&Apply(object("a", 1, "6"))).is_empty());
        assert_eq!(
            names(changes.take(&Apply(object("a", 2, "7")))),
            [("a".into(), false)]
        );
        assert_eq!(
            names(changes.take(&Delete(object("a", 2, "8")))),
            [("a".into(), true)]
        );
        assert_eq!(
            names(changes.take(&Apply(object("a", 2, "9")))),
            [("a".into(), false)]
        );
    }

    #[test]
    fn what_vanished_while_the_watch_was_down_is_found_at_the_next_listing() {
        let mut changes = changes();
        changes.take(&Init);
        changes.take(&InitApply(object("a", 1, "5")));
        changes.take(&InitApply(object("b", 1, "5")));
        assert!(changes.take(&InitDone).is_empty());
        changes.take(&Init);
        assert!(changes.take(&InitApply(object("b", 1, "5"))).is_empty());
        assert_eq!(names(changes.take(&InitDone)), [("a".into(), true)]);
    }
}
