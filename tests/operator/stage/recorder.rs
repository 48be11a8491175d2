//! Everything that a watch has ever shown.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use kube::Resource;
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;

/// Collects every state of every object that a watch shows, in a task of its own.
pub struct Recorder<K> {
    seen: Arc<Mutex<Vec<K>>>,
    task: tokio::task::JoinHandle<()>,
}

impl<K> Recorder<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    pub fn start(api: Api<K>) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let store = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut events = std::pin::pin!(watcher(api, watcher::Config::default()));
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) => {
                        store.lock().unwrap().push(object);
                    }
                    Ok(Event::Init | Event::InitDone) => {}
                    // It is opened again by itself.
                    Err(error) => println!("a watch broke: {error}"),
                }
            }
        });
        Self { seen, task }
    }

    /// What was shown so far.
    pub fn seen(&self) -> Vec<K> {
        self.seen.lock().unwrap().clone()
    }
}

impl<K> Drop for Recorder<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}
