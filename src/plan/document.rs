//! What enters validation and what comes out of it.

use std::fmt;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::Resource;
use serde_json::Value;

use crate::api::{Episode, KeyRef, Task};

/// Namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// One YAML document, parsed and not yet looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// File that it came from, as the user named it. For a ConfigMap of a `configMapGenerator`: the kustomization file.
    pub file: String,
    /// Position within the file, from 0.
    pub index: usize,
    /// The content.
    pub value: Value,
}

/// Something that is wrong with what the user wrote.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Problem {
    /// File, as the user named it.
    pub file: String,
    /// `Kind/name` of the document, or `document N` (from 1) where it has none. Unset: the whole file is meant.
    pub document: Option<String>,
    /// Field, such as `spec.limits.steps` or `spec.agent.container.env[0].name`. Empty: the whole document is meant.
    pub path: String,
    /// What is wrong, with the value, and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(document) = &self.document {
            write!(f, "{document}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// A valid resource and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Sourced<T> {
    /// File, as the user named it.
    pub file: String,
    /// The resource, with the defaults that the API server would fill in.
    pub resource: T,
}

/// Everything that was found to be valid, in the order of the documents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// Tasks.
    pub tasks: Vec<Sourced<Task>>,
    /// Episodes; the Task of each is among `tasks`.
    pub episodes: Vec<Sourced<Episode>>,
    /// ConfigMaps; every key that a Task or Episode refers to is there.
    pub config_maps: Vec<Sourced<ConfigMap>>,
    /// `Kind/name` of objects of other API groups: a cluster may want them, this program has no use for them.
    pub ignored: Vec<String>,
}

impl Checked {
    /// The Task that an Episode names, in the namespace of the Episode.
    pub fn task_of(&self, episode: &Episode) -> Option<&Sourced<Task>> {
        self.tasks.iter().find(|task| {
            namespace_of(&task.resource) == namespace_of(episode)
                && task.resource.metadata.name.as_deref() == Some(&episode.spec.task_ref.name)
        })
    }

    /// Content of the file that a ConfigMap of this namespace holds under a key.
    pub fn file(&self, namespace: &str, key: &KeyRef) -> Option<&[u8]> {
        let map =
            self.config_maps.iter().map(|map| &map.resource).find(|map| {
                namespace_of(*map) == namespace && map.metadata.name.as_deref() == Some(&key.name)
            })?;
        let text = map.data.as_ref().and_then(|data| data.get(&key.key));
        let binary = map.binary_data.as_ref().and_then(|data| data.get(&key.key));
        text.map(String::as_bytes)
            .or_else(|| binary.map(|bytes| bytes.0.as_slice()))
    }
}

/// Namespace of a resource; [`DEFAULT_NAMESPACE`] where it names none.
pub fn namespace_of<K: Resource>(resource: &K) -> &str {
    resource.meta().namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
}

/// Name of a resource; empty where it has none, which validation refuses.
pub fn name_of<K: Resource>(resource: &K) -> &str {
    resource.meta().name.as_deref().unwrap_or_default()
}
